"""Keep the recording machine out of the telemetry: file paths and the host name.

Stack traces, log attributes and profiles all take file names from code objects. Renaming the code objects once, when a
module is loaded, therefore cleans every signal at its origin, and nothing has to be edited afterwards.
"""

from __future__ import annotations

import _imp
import gc
import importlib.machinery
import logging
import os
import sys
from types import CodeType, FunctionType

_LIBRARY = os.path.dirname(os.__file__)
_SHOP = os.path.dirname(os.path.abspath(__file__))
_PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


def neutral_path(path: str) -> str:
    """Return the path without the folders of this machine: ``shop/cart.py``, ``site-packages/flask/app.py``."""
    if not path.startswith("/"):
        return path
    if "/site-packages/" in path:
        return "site-packages/" + path.rsplit("/site-packages/", 1)[1]
    if path.startswith(_SHOP):
        return "shop/" + path.removeprefix(_SHOP).removeprefix("/services").lstrip("/")
    if path.startswith(_LIBRARY):
        return _PYTHON + path.removeprefix(_LIBRARY)
    return path.rsplit("/", 1)[1]


def _rename(code: CodeType) -> None:
    # The import system itself uses this call to correct the paths in cached bytecode; it renames nested code as well.
    _imp._fix_co_filename(code, neutral_path(code.co_filename))  # type: ignore[attr-defined]


def _rename_future_imports() -> None:
    original = importlib.machinery.SourceFileLoader.get_code

    def get_code(self: importlib.machinery.SourceFileLoader, fullname: str) -> CodeType | None:
        code = original(self, fullname)
        if code is not None:
            _rename(code)
        return code

    importlib.machinery.SourceFileLoader.get_code = get_code  # type: ignore[method-assign, assignment]


def _rename_loaded_code() -> None:
    for thing in gc.get_objects():
        if type(thing) is FunctionType:
            _rename(thing.__code__)
    frame = sys._getframe()
    while frame is not None:
        _rename(frame.f_code)
        if frame.f_back is None:
            break
        frame = frame.f_back


def apply() -> None:
    """Rename the code loaded so far and all that will be loaded."""
    _rename_future_imports()
    _rename_loaded_code()
    # logging finds the caller by skipping frames of its own file, which it knows under the old name.
    logging._srcfile = logging.info.__code__.co_filename
    _rename_celery_host()


def _rename_celery_host() -> None:
    # Celery stamps messages with the host name; the instrumentation copies it into spans.
    if "celery" in sys.modules:
        from celery.utils import nodenames  # type: ignore[import-untyped]

        nodenames.gethostname = lambda: "shop"
