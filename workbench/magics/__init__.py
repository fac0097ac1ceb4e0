"""The IPython extension: `%load_ext workbench` adds `%bench`, `%promql` and `%%promql`, and completes PromQL.

Enters: what is typed into a cell. Leaves: a bench, or a query's result as a labelled array. The one idea: a magic is a
method of the bench with less to type, and nothing of its own. `extension.py` loads and unloads, `promql.py` has the query
magics, `completion.py` knows what could come next in an expression.
"""

from workbench.magics.extension import load_ipython_extension, unload_ipython_extension

__all__ = ["load_ipython_extension", "unload_ipython_extension"]
