"""An environment of its own for ArcticDB, which needs an older pandas: made once in a cache folder, when it can be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = ("arcticdb", "pandas<3", "xarray", "numpy")


def folder() -> Path:
    """Return where the environment is kept."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "workbench-benchmarks" / f"arcticdb-{sys.version_info.major}.{sys.version_info.minor}"


def _sound(python: Path) -> bool:
    if not python.exists():
        return False
    return subprocess.run([python, "-c", "import arcticdb, xarray"], capture_output=True, check=False).returncode == 0


def interpreter(make: bool = True) -> tuple[Path | None, str]:
    """Return the environment's Python, or None and why there is none."""
    home = folder()
    python = home / "bin" / "python"
    if _sound(python):
        return python, ""
    if not make:
        return None, "its environment has not been made; bench_store.py makes it"
    uv = shutil.which("uv")
    if uv:
        commands = [[uv, "venv", "--clear", "-q", "--python", sys.executable, str(home)]]
        commands += [[uv, "pip", "install", "-q", "--python", str(python), *PACKAGES]]
    else:
        commands = [[sys.executable, "-m", "venv", "--clear", str(home)]]
        commands += [[str(python), "-m", "pip", "install", "-q", *PACKAGES]]
    for command in commands:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return None, f"its environment could not be made ({error})"
        if done.returncode:
            return None, f"its environment could not be made ({done.stderr.strip()[-200:]})"
    return (python, "") if _sound(python) else (None, "it cannot be imported in its environment")
