"""A labelled set of one's own: any folder of `timestamp,value` files, and windows in `windows.json` or `labels.json`."""

from __future__ import annotations

from pathlib import Path

from workbench.errors import NotFound
from workbench.evaluate.labelled import LabelledSet
from workbench.evaluate.nab_layout import find_nab, load_nab
from workbench.evaluate.rows import read_series, read_windows

__all__ = ["load_labelled", "load_series"]

_LABELS = ("windows.json", "labels.json")


def load_series(folder: Path) -> LabelledSet:
    """Read every `*.csv` below a folder, with the windows that `windows.json` (else `labels.json`) gives by path.

    A path is relative to the folder, with `/`. Without such a file the set is not labelled. A file that the labels do
    not name has no window.

    Raises
    ------
    NotFound
        If there is no CSV file below the folder.
    InvalidInput
        If the labels cannot be read.
    """
    root = Path(folder)
    paths = {path.relative_to(root).as_posix(): path for path in root.rglob("*.csv") if path.is_file()}
    if not paths:
        raise NotFound(f"{folder} holds no .csv file: give a folder of files with the columns timestamp,value.")
    labels = next((root / name for name in _LABELS if (root / name).is_file()), None)
    windows = read_windows(labels) if labels is not None else {}
    series, skipped = read_series(paths, windows)
    return LabelledSet(series, labels is not None, None, skipped)


def load_labelled(folder: Path | str) -> LabelledSet:
    """Read a labelled folder of either kind: in the layout of NAB where it has it, else a set of one's own."""
    root = Path(folder)
    return load_nab(root) if find_nab(root) else load_series(root)
