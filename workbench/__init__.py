"""Observability analysis in Jupyter: every signal as labelled arrays and frames, one store, one investigation.

    import workbench
    bench = workbench.open()                 # a store, a folder, or a case
    bench.ingest("telemetry/")
    bench.investigate().show()

Names load on first use, so that importing the package costs nothing. Start reading in `session.py`.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from workbench.api import serve
    from workbench.session import Bench, open

__version__ = "0.1.0"

_LAZY = {
    "open": "workbench.session:open",
    "Bench": "workbench.session:Bench",
    "serve": "workbench.api:serve",
    "load_ipython_extension": "workbench.magics:load_ipython_extension",
    "unload_ipython_extension": "workbench.magics:unload_ipython_extension",
}

__all__ = ["Bench", "__version__", "open", "serve"]


def __getattr__(name: str) -> "Any":
    if name not in _LAZY:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}; it offers {', '.join(sorted(__all__))}")
    from importlib import import_module

    module, _, attribute = _LAZY[name].partition(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
