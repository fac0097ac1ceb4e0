"""Looking through a rollup segment: every checksum, every blob decoded, every bucket compared with itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from workbench.errors import StoreError
from workbench.store.rollup import COLUMNS, Buckets
from workbench.store.rollup_columns import NUMBERS
from workbench.store.rollup_file import RollupFile

__all__ = ["problems"]


def problems(file: RollupFile) -> list[str]:
    """Return one sentence for each damaged block, naming series and days; [] when the segment is sound.

    Raises
    ------
    Gone
        If the file has been removed.
    """
    index, found = file.index, []
    index.sound[:] = False
    for block in range(len(index.cells)):
        sketched = index.cells[block, NUMBERS["sketch"]] >= 0
        try:
            blocks = file.fetch(np.array([block]), (*COLUMNS, "sketch") if sketched else COLUMNS)
            buckets = blocks.buckets(block)
            wrong = _wrong(buckets)
            rows = np.flatnonzero(index.block == block)
            ends = np.cumsum(index.n[rows]) - 1
            wrong[ends] |= buckets.bucket[ends] != index.high[rows]
            wrong[index.at[rows]] |= buckets.bucket[index.at[rows]] != index.low[rows]
            if sketched:
                sketches = blocks.sketches(block)
                total = np.append(0, np.cumsum(sketches.count))[sketches.offsets]
                wrong |= np.diff(total) != buckets.columns["count"]
        except StoreError as error:
            found.append(str(error))
            continue
        if wrong.any():
            found.append(f"segment {file.name} contradicts itself in {file.whose(block)}: restore it from a copy.")
    return found


def _wrong(buckets: Buckets) -> npt.NDArray[np.bool_]:
    """Return which buckets cannot be true."""
    c = buckets.columns
    some = c["count"] > 0
    end = buckets.bucket * buckets.step
    inside = (end - buckets.step < c["t_first"]) & (c["t_first"] <= c["t_last"]) & (c["t_last"] <= end)
    true: npt.NDArray[np.bool_] = (c["count"] >= 0) & (c["nans"] >= 0) & (c["count"] + c["nans"] > 0)
    for name in ("first", "last"):
        inside &= (c["min"] <= c[name]) & (c[name] <= c["max"])
    none = (c["t_first"] == -1) & (c["t_last"] == -1) & np.isnan(c["sum"]) & np.isnan(c["first"])
    true &= np.where(some, inside, none)
    true[1:] &= (buckets.series[1:] != buckets.series[:-1]) | (buckets.bucket[1:] > buckets.bucket[:-1])
    return ~true
