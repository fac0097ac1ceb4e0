"""The same arrays from many machines: one stretch of segments is one task of a `dask.distributed` cluster.

A task is told where a segment's file lies, its chunk index and the numbers of the wanted series; it reads and decodes
on the worker, which needs no catalog, only the place: a shared folder or an object store. Segments that overlap in time
(not compacted yet) are one task together, because the latest write among them decides.

References
----------
dask, "Create Dask arrays: from delayed".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import numpy.typing as npt
import xarray as xr

from workbench.errors import MissingDependency, StoreError
from workbench.signals import Matcher, build_metrics
from workbench.store import dense, metrics
from workbench.store.files import File
from workbench.store.gather import gather
from workbench.store.hot_samples import HotSamples
from workbench.store.places import Folder, Place
from workbench.store.reader import Plan, Reader
from workbench.store.remote import Remote

__all__ = ["Part", "array", "decode"]

_Ints = npt.NDArray[np.int64]
_Block = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """What one task reads: files with their places, ranks and indexes, and hot samples that overlap them."""

    segments: tuple[tuple[int, str, File, bytes], ...]
    hot: tuple[HotSamples, ...]
    first: int
    steps: int


def array(reader: Reader, matchers: Sequence[Matcher], start: int, step: int, n: int, client: Any) -> xr.DataArray:
    """Return what `Store.array` returns, as a dask-backed array that the client's workers decode when it is computed.

    Parameters
    ----------
    reader : Reader
    matchers : sequence of Matcher
    start, step, n : int
        First step's right end in ns, length of a step in ns, number of steps.
    client : distributed.Client
        Its workers must reach the files of the store by the same path or URL.

    Returns
    -------
    DataArray, shape (series, time)
        Every matching series that may have samples, one chunk along time per stretch of segments.

    Raises
    ------
    MissingDependency
        If dask is not installed.
    """
    try:
        import dask.array

        da: Any = dask.array
        from dask.delayed import delayed
    except ImportError as error:
        raise MissingDependency("scaling out needs dask: install workbench-observability[scale].") from error
    plan = reader.plan(matchers, start - step + 1, start + (n - 1) * step + 1)
    ids = plan.holding()
    blocks: list[Any] = []
    at = 0
    for part in _parts(plan, start, step, n):
        if part.first > at:
            blocks.append(da.full((len(ids), part.first - at), np.nan, chunks=-1))
        made = delayed(decode, pure=True)(part, ids, plan.size, start, step)
        blocks.append(da.from_delayed(made, (len(ids), part.steps), np.float64))
        at = part.first + part.steps
    if at < n:
        blocks.append(da.full((len(ids), n - at), np.nan, chunks=-1))
    values = da.concatenate(blocks, axis=1) if blocks else da.full((len(ids), 0), np.nan)
    times = (start + step * np.arange(n)).view("datetime64[ns]")
    bare = build_metrics(np.empty((len(ids), n)), times, reader.index.objects(ids))
    client.scheduler_info()  # a client that has been closed says so here and not in the middle of a computation
    return bare.copy(data=values)


def _parts(plan: Plan, start: int, step: int, n: int) -> list[Part]:
    """Return stretches of the grid that share no sample, each with what lies in it."""
    spans = [(int(c.index.t_min.min()), int(c.index.t_max.max()), (rank, c)) for rank, c in plan.chunks if len(c.index)]
    hot = [(int(h.time.min()), int(h.time.max()), h) for h in plan.hot if len(h.time)]
    found: list[Part] = []
    held: list[Any] = []
    begin = end = -1
    for low, high, what in sorted([*spans, *hot], key=lambda item: item[:2]):
        first = max(int(dense.steps_of(np.array([low]), start, step)[0]), 0)
        last = min(int(dense.steps_of(np.array([high]), start, step)[0]), n - 1)
        if last < first:
            continue
        if held and first > end:
            found.append(_part(held, begin, end))
            held = []
        if not held:
            begin = first
        end = max(end, last)
        held.append(what)
    if held:
        found.append(_part(held, begin, end))
    return found


def _part(held: Sequence[Any], first: int, last: int) -> Part:
    segments = tuple((w[0], w[1].url, w[1].file, w[1].index.pack()) for w in held if isinstance(w, tuple))
    return Part(segments, tuple(w for w in held if isinstance(w, HotSamples)), first, last - first + 1)


def decode(part: Part, ids: _Ints, size: int, start: int, step: int) -> _Block:
    """Return the wanted series on the part's stretch of the grid, NaN where there is no sample; runs on a worker.

    Raises
    ------
    StoreError
        If a chunk is damaged, or a place is out of reach.
    """
    begin = start + part.first * step
    chunks = []
    for rank, url, file, packed in part.segments:
        place = _place(url)
        chunks.append((rank, metrics.Chunks(place, file, metrics.load_index(place, file, packed))))
    out = np.full((len(ids), part.steps), np.nan)
    made = dense.fill(chunks, part.hot, ids, size, begin, step, part.steps)
    if made is None:
        low, high = begin - step + 1, begin + (part.steps - 1) * step + 1
        found, offsets, time, value = gather(chunks, part.hot, ids, size, low, high, _refuse, _numbers)
        made = found, dense.of_flat(offsets, time, value, begin, step, part.steps)
    out[np.searchsorted(ids, made[0])] = made[1]
    return out


def _place(url: str) -> Place:
    if url.startswith("file://"):
        return Folder(Path(unquote(urlsplit(url).path)))
    return Remote(url)


def _refuse(sentence: str) -> None:
    raise StoreError(sentence)


def _numbers(ids: _Ints) -> list[str]:
    return [f"series {number}" for number in ids.tolist()]
