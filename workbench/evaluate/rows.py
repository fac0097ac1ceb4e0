"""Files of a labelled set: `timestamp,value` rows with their text kept, and labelled windows in JSON."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import InvalidInput, SourceError
from workbench.evaluate.labelled import Block, LabelledSeries, Rows, Skip, make_series

__all__ = ["instants", "read_rows", "read_series", "read_windows"]

_ABSENT = {"", "nan", "null", "none", "na", "n/a", "-"}
_LARGEST_CSV = 512 * 2**20
_UNITS = ((1e11, 10**9), (1e14, 10**6), (1e17, 10**3))
"""Numbers below the first are seconds since 1970, then milliseconds, microseconds, nanoseconds."""

Windows = dict[str, list[tuple[int, int]]]


def read_series(paths: dict[str, Path], windows: Windows) -> tuple[list[LabelledSeries], list[Skip]]:
    """Return the series of some files by key, and those that could not be read; the folder of a key is its category."""
    series, skipped = [], []
    for key, path in sorted(paths.items()):
        try:
            time, value, text = read_rows(path, key)
            category = key.rpartition("/")[0]
            series.append(make_series(key, category, time, value, text, windows.get(key, [])))
        except (SourceError, OSError) as error:
            skipped.append(Skip(key, str(error)))
    return series, skipped


def read_rows(path: Path, name: str) -> tuple[Rows, Block, list[tuple[str, str]]]:
    """Return times (int64 ns), values (float64) and both as written, in the order of the file.

    The header must name `timestamp` and `value`, in any order, beside other columns.

    Raises
    ------
    SourceError
        If the file is not such a table; the message names the line.
    """
    if path.stat().st_size > _LARGEST_CSV:
        raise SourceError(f"{name} has {path.stat().st_size:,} bytes: at most {_LARGEST_CSV:,} are read.")
    text: list[tuple[str, str]] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [cell.strip().lower() for cell in next(reader, [])]
            if "timestamp" not in header or "value" not in header:
                raise SourceError(f"{name} begins with {header[:5]}: a header with timestamp and value is needed.")
            at, of = header.index("timestamp"), header.index("value")
            for row in reader:
                if len(row) != len(header):
                    if not row:
                        continue
                    raise SourceError(f"{name} line {reader.line_num} has {len(row)} cells, its header {len(header)}.")
                text.append((row[at], row[of]))
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{name} is not a CSV file in UTF-8: {error}.") from error
    if not text:
        raise SourceError(f"{name} has no rows: give one row per sample.")
    return instants([cell for cell, _ in text], name), _numbers([cell for _, cell in text], name), text


def _numbers(cells: Sequence[str], name: str) -> Block:
    shown = ["nan" if cell.strip().lower() in _ABSENT else cell for cell in cells]
    try:
        return np.array(shown, dtype=np.str_).astype(np.float64)
    except ValueError as error:
        row = next(i for i, cell in enumerate(shown) if not _is_number(cell))
        raise SourceError(f"{name} row {row + 1} has the value {cells[row][:40]!r}, which is no number.") from error


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def instants(cells: Sequence[str], name: str) -> Rows:
    """Return times as int64 ns since 1970, from ISO 8601 text (UTC unless it says else) or epoch numbers in s, ms, us, ns.

    Raises
    ------
    SourceError
        If one of them is neither, or lies outside 1678 to 2261.
    """
    if all(_is_number(cell) for cell in cells):
        return _epochs(cells, name)
    import pandas as pd

    parsed = pd.to_datetime(pd.Series(list(cells), dtype=object), format="ISO8601", utc=True, errors="coerce")
    if parsed.isna().any():
        row = int(np.flatnonzero(parsed.isna().to_numpy())[0])
        raise SourceError(f"{name} row {row + 1} has the time {str(cells[row])[:40]!r}: ISO 8601 or epoch is needed.")
    try:
        return parsed.dt.as_unit("ns").to_numpy(dtype="datetime64[ns]").astype(np.int64)
    except (ValueError, OverflowError) as error:
        raise SourceError(f"{name} has a time outside 1678 to 2261.") from error


def _epochs(cells: Sequence[str], name: str) -> Rows:
    numbers = np.array(list(cells), dtype=np.str_).astype(np.float64)
    if not np.isfinite(numbers).all():
        raise SourceError(f"{name} has the time {numbers[~np.isfinite(numbers)][0]}: finite epoch numbers are needed.")
    size = float(np.median(np.abs(numbers)))
    unit = next((factor for least, factor in _UNITS if size < least), 1)
    if float(np.abs(numbers).max()) * unit > 2**63 - 1:
        raise SourceError(f"{name} has the time {numbers[np.abs(numbers).argmax()]:g}, outside 1678 to 2261.")
    if all(cell.strip().lstrip("-").isdecimal() for cell in cells):
        return np.array([int(cell) for cell in cells], np.int64) * unit
    whole = np.floor(numbers)
    # Seconds with decimals: a float of nanoseconds would lose the last hundred.
    times: Rows = whole.astype(np.int64) * unit + np.round((numbers - whole) * unit).astype(np.int64)
    return times


def read_windows(path: Path) -> Windows:
    """Return the labelled windows of a JSON file by key, each as start and end in ns, both inside the window.

    The file maps a path to a list of `[start, end]`; a single time stands for a window of that instant.

    Raises
    ------
    InvalidInput
        If the file is not such a mapping; the message names the offence.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError, OSError) as error:
        raise InvalidInput(f"{path} is not JSON ({error}): map each file to a list of [start, end].") from error
    if not isinstance(document, dict) or not all(isinstance(item, list) for item in document.values()):
        raise InvalidInput(f"{path} does not map each file to a list of [start, end]: correct the labels.")
    return {str(key).removeprefix("./"): [_window(item, f"{path} {key}") for item in document[key]] for key in document}


def _window(item: Any, name: str) -> tuple[int, int]:
    pair = item if isinstance(item, list) else [item, item]
    good = len(pair) == 2 and all(isinstance(end, str) or _is_epoch(end) for end in pair)
    if not good:
        raise InvalidInput(f"{name} has the window {str(item)[:80]}: give [start, end], each ISO 8601 or epoch.")
    try:
        start, end = (int(instants([str(end)], name)[0]) for end in pair)
    except SourceError as error:
        raise InvalidInput(f"{name} has the window {str(item)[:80]}, which does not say two times.") from error
    if end < start:
        raise InvalidInput(f"{name} has the window {str(item)[:80]}, which ends before it starts.")
    return start, end


def _is_epoch(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
