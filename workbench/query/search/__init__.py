"""The search language: one grammar over logs, spans and events.

Enters: a line such as `service:checkout status:error @http.response.status_code:>=500 -"connection reset"` and a frame.
Leaves: a tree of nodes (`parse`), a bool mask over the rows (`mask`), and the conditions a store may use to read less
(`equalities`). The one idea: a column the frame does not have matches nothing, so its negation matches everything.
Read `parser.py` first for the grammar, then `evaluate.py` for the meaning.
"""

from workbench.query.search.ast import Node
from workbench.query.search.evaluate import equalities, mask
from workbench.query.search.parser import parse

__all__ = ["Node", "equalities", "mask", "parse"]
