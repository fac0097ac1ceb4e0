"""Two languages over the shapes: PromQL over metrics, and one search grammar over logs, spans and events.

Enters: a query text and either a `Selector` (anything that can select samples by label matchers) or a frame. Leaves: a
metrics array, or a bool mask over the frame's rows. The one idea: a query is parsed once into a tree of frozen nodes
with positions, and the tree is evaluated on whole arrays, never series by series or row by row. Read
`promql/evaluate.py` and `search/evaluate.py` first.
"""

from workbench.query import promql, search
from workbench.query.promql import Selector

__all__ = ["Selector", "promql", "search"]
