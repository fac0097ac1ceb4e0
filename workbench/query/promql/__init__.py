"""PromQL, as Prometheus 3 means it, over (series x steps) blocks.

Enters: a `Selector`, an expression, and a range of steps. Leaves: a metrics array, dims `("series", "time")`.
The one idea: every node of the tree gives one block for all series and all steps at once; the windows of range
functions are index pairs into the ragged samples, found by two pointers. Native histograms are rows of one pool of flat
arrays. Files: `lexer.py`, `parser.py` with `selectors.py` and `durations.py` (text to `ast.py`), `evaluate.py` (tree to
blocks, read it first), `sampling.py` (selectors), `calls*.py`, `functions_*.py`, `aggregate.py`, `binary.py` with
`matching.py` (what a node means), `histogram_*.py` (arithmetic of histograms), `values.py`, `ranges.py`, `windows.py`
(what flows between them), `kernels.py` (compiled loops).
"""

from workbench.query.promql.ast import Node
from workbench.query.promql.evaluate import Answer, Limits, Selector, evaluate, evaluate_value
from workbench.query.promql.parser import parse

__all__ = ["Answer", "Limits", "Node", "Selector", "evaluate", "evaluate_value", "parse"]
