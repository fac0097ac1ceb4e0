"""Numbered batches whose every bit follows from (writer, number), and the checker that recomputes them.

Batch `n` of a writer covers minute `n` after `T0` (half an hour before a midnight): twelve samples of five plain
series, twelve of a late series that also overwrites what batch `n - 1` wrote to it, and four log records. So whatever
a store returns for a writer is right exactly when it is the batches 0 to k-1 for some k, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.signals import Batch, Histogram, Samples, build_logs, build_samples, concat_samples, pack_histograms
from workbench.signals.histograms import CUSTOM
from workbench.store import Store

__all__ = ["MINUTE", "T0", "batch", "check", "count_logs", "count_samples", "large"]

T0 = np.datetime64("2026-01-01T23:30:00", "ns")
MINUTE = np.timedelta64(60, "s").astype("timedelta64[ns]")
PLAIN, LATE, EACH, RECORDS, NATIVE = 5, 5, 12, 4, 3
BITS = np.array(
    [0x7FF8DEAD00000001, 0x8000000000000000, 0x7FF0000000000000, 0xFFF0000000000000, 1, 0x7FF0000000000002,
     0x7FEFFFFFFFFFFFFF, 0x4340000000000001], np.uint64
)  # fmt: skip
"""A NaN with a payload, -0.0, both infinities, the least denormal, a stale marker, the greatest number, 2^53 + 2."""

_Ints = npt.NDArray[np.int64]


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return splitmix64 of each number."""
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _seed(writer: str, series: int, version: int) -> int:
    return int.from_bytes(writer.encode(), "little") * 64 + series * 4 + version & 2**63 - 1


def values(writer: str, series: int, numbers: _Ints, version: int = 0) -> npt.NDArray[np.float64]:
    """Return the values of a series in some batches, twelve each; -0.0, NaN payloads and infinities among them."""
    at = (np.repeat(numbers, EACH) * EACH + np.tile(np.arange(EACH), len(numbers))).astype(np.uint64)
    h = _mix(at ^ _mix(np.array([_seed(writer, series, version)], np.uint64)))
    kind = series % 5
    if kind == 0:
        return (h % np.uint64(100_000)).astype(np.float64) / 100
    if kind == 1:
        return (h >> np.uint64(11)).astype(np.float64) * 2.0**-53
    if kind == 2:
        return at.astype(np.float64) * 7 + series
    if kind == 3:
        return BITS[(h % np.uint64(len(BITS))).astype(np.int64)].view(np.float64)
    return np.full(len(at), 42.0)


def times(numbers: _Ints) -> npt.NDArray[np.datetime64]:
    """Return the instants of some batches, twelve each; the first of each lies on the minute."""
    five = np.timedelta64(5, "s").astype("timedelta64[ns]")
    return np.repeat(T0 + numbers * MINUTE, EACH) + np.tile(np.arange(EACH) * five, len(numbers))


def natives(writer: str, numbers: _Ints) -> Samples:
    """Return the native histograms of some batches, three each.

    Their buckets come up and go, so that the numbers they are made of are not the same from one to the next.
    """
    found, at = [], []
    for number in numbers.tolist():
        for part in range(1, NATIVE + 1):
            seed = number * NATIVE + part
            cells = {k: float(k * number % 50 + part) for k in range(seed % 3, 4 + seed % 7)}
            custom = {"schema": CUSTOM, "bounds": (0.5, 1.0 + number % 4, 9.0)} if number % 11 == 5 else {"schema": 3}
            kept = {k: v for k, v in cells.items() if k < 4} if number % 11 == 5 else cells
            total = BITS[seed % len(BITS)].view(np.float64)
            found.append(Histogram(sum(kept.values()), float(total), positive=kept, hint=seed % 4, **custom))  # type: ignore[arg-type]
            at.append(T0 + number * MINUTE + part * np.timedelta64(10, "s"))
    zeros = np.zeros(len(found))
    labels = [{"metric": "native", "writer": writer}]
    row = np.arange(len(found))
    return build_samples(labels, zeros.astype(int), at, zeros, row=row, histograms=pack_histograms(found))


def check_natives(got: Samples, counts: dict[str, int]) -> None:
    """Prove that native histograms are those of the batches 0 to k-1 of each writer, each whole and to the bit."""
    mine = {str(name): row for row, name in enumerate(got.labels["writer"])} if len(got) else {}
    for writer, row in mine.items():
        own, expected = got.take(np.array([row])), natives(writer, np.arange(counts[writer]))
        assert own.row is not None, f"{writer}: numbers where native histograms were"
        assert (own.row >= 0).all(), f"{writer}: numbers among native histograms"
        assert own.time.tolist() == expected.time.tolist(), f"{writer}: native histograms of other instants"
        pools = [s.histograms.take(s.row) for s in (own, expected)]  # type: ignore[union-attr, arg-type]
        for name in ("schema", "hint", "offsets", "key"):
            assert (getattr(pools[0], name) == getattr(pools[1], name)).all(), f"{writer}: altered {name}"
        for name in ("zero_threshold", "zero_count", "count", "sum", "bucket"):
            left, right = (getattr(pool, name).view(np.uint64) for pool in pools)
            assert (left == right).all(), f"{writer}: altered {name}"
        bounds = [[p.bounds[i].tolist() if i >= 0 else None for i in p.layout.tolist()] for p in pools]
        assert bounds[0] == bounds[1], f"{writer}: altered bounds"


def batch(writer: str, number: int, *, native: bool = False) -> Batch:
    """Return batch `number` of a writer, on request with native histograms beside the numbers."""
    this, both = np.array([number]), np.array([number - 1, number]) if number else np.array([number])
    labels = [{"metric": "m", "writer": writer, "i": str(i)} for i in range(PLAIN + 1)]
    late = [values(writer, LATE, both[:-1], 1)] if number else []
    samples = build_samples(
        labels,
        np.repeat(np.arange(PLAIN + 1), [EACH] * PLAIN + [EACH * len(both)]),
        np.concatenate([np.tile(times(this), PLAIN), times(both)]),
        np.concatenate([values(writer, i, this) for i in range(PLAIN)] + late + [values(writer, LATE, this)]),
        ["counter" if i == 2 else "gauge" for i in range(PLAIN + 1)],
    )
    if native:
        samples = concat_samples([samples, natives(writer, this)])
    return Batch(samples, logs(writer, this))


def large(writer: str, number: int, series: int = 3, each: int = 1_000) -> Batch:
    """Return a batch of 48,000 bytes: `series` series of another metric, `each` samples a series."""
    labels = [{"metric": "large", "writer": writer, "i": str(i)} for i in range(series)]
    at = np.arange(series * each)
    second = np.timedelta64(1, "s").astype("timedelta64[ns]")
    value = _mix((at + number * len(at)).astype(np.uint64)) >> np.uint64(12)
    return Batch(build_samples(labels, at // each, T0 + (at % each) * second, value.astype(np.float64)))


def logs(writer: str, numbers: _Ints) -> pd.DataFrame:
    """Return the log records of some batches."""
    which = np.repeat(numbers, RECORDS)
    part = np.tile(np.arange(RECORDS), len(numbers))
    ten = np.timedelta64(10, "s").astype("timedelta64[ns]")
    h = _mix((which * RECORDS + part).astype(np.uint64) ^ np.uint64(_seed(writer, 9, 0)))
    return build_logs(
        {
            "time": T0 + which * MINUTE + part * ten,
            "severity": np.full(len(which), 9),
            "body": [f"{writer}/{n}/{p}" for n, p in zip(which.tolist(), part.tolist(), strict=True)],
            "service": np.full(len(which), writer),
            "hash": [f"{v:016x}" for v in h.tolist()],
            "part": part,
        }
    )


def count_samples(got: Samples, writers: Iterable[str], low: int = 0, high: int | None = None) -> dict[str, int]:
    """Return, for each writer, the k such that the samples are batches `low` to k-1, bit for bit.

    Parameters
    ----------
    got : Samples
        All there is of the minutes from `low` to `high` (to the end when None).
    writers : iterable of str
        Who may have written; samples of anybody else are an error.

    Raises
    ------
    AssertionError
        If a sample is missing in between, doubled, altered, or nobody's.
    """
    names = zip(got.labels["writer"], got.labels["i"], strict=True) if len(got) else ()
    mine = {name: row for row, name in enumerate(names)}
    counts, used = {}, 0
    for writer in writers:
        rows = [mine.get((writer, str(i))) for i in range(PLAIN + 1)]
        sizes = [0 if row is None else int(got.offsets[row + 1] - got.offsets[row]) for row in rows]
        assert len(set(sizes)) == 1, f"{writer}: half a batch, series have {sizes} samples"
        assert sizes[0] % EACH == 0, f"{writer}: half a batch, series have {sizes[0]} samples"
        numbers = np.arange(low, low + sizes[0] // EACH)
        counts[writer] = low + len(numbers)
        used += sum(sizes)
        for i, row in enumerate(rows):
            if row is not None:
                own = slice(int(got.offsets[row]), int(got.offsets[row + 1]))
                assert (got.time[own] == times(numbers)).all(), f"{writer}, series {i}: not the batches 0 to k"
                _check_values(got.value[own], writer, i, numbers, high)
    assert used == got.n_samples, f"{got.n_samples - used} samples are nobody's"
    return counts


def _check_values(found: npt.NDArray[np.float64], writer: str, i: int, numbers: _Ints, high: int | None) -> None:
    if i != LATE:
        expected = [values(writer, i, numbers)]
    else:
        older = values(writer, i, numbers[:-1], 1)
        expected = [np.append(older, values(writer, i, numbers[-1:]))]
        if high is not None and counts_to(numbers) == high:  # the next batch lies outside, and may be there or not
            expected.append(values(writer, i, numbers, 1))
    bits = found.view(np.uint64)
    same = [bits == e.view(np.uint64) for e in expected]
    if not any(s.all() for s in same):
        at = int(np.flatnonzero(~same[0])[0])
        raise AssertionError(
            f"{writer}, series {i}: altered in batch {numbers[at // EACH]} of {numbers[0]} to {numbers[-1]}: "
            f"{bits[at]:#x} instead of {expected[0].view(np.uint64)[at]:#x} ({(~same[0]).sum()} samples)"
        )


def counts_to(numbers: _Ints) -> int:
    """Return the number after the last."""
    return int(numbers[-1]) + 1


def count_logs(got: pd.DataFrame, writers: Iterable[str], low: int = 0) -> dict[str, int]:
    """Return, for each writer, the k such that the records are those of batches `low` to k-1; as `count_samples`."""
    counts, used = {}, 0
    for writer, own in got.groupby("service", sort=False) if len(got) else ():
        counts[str(writer)] = low + len(own) // RECORDS
        expected = logs(str(writer), np.arange(low, counts[str(writer)]))
        own = own.sort_values(["time", "body"], ignore_index=True)
        for name in ("body", "time", "hash", "part"):
            same = len(own) == len(expected) and (own[name].to_numpy() == expected[name].to_numpy()).all()
            assert same, f"{writer}: log records are not those of batches {low} to k, see {name}"
        used += len(own)
    assert set(counts) <= set(writers), f"log records of {set(counts) - set(writers)}"
    assert used == len(got)
    return {w: counts.get(w, low) for w in writers}


def check(store: Store, acknowledged: dict[str, int], flying: int = 1, verify: bool = True) -> dict[str, int]:
    """Prove that a store nobody uses holds every acknowledged batch, once, whole and unaltered, and return its counts.

    Parameters
    ----------
    store : Store
    acknowledged : dict of str to int
        Number of batches each writer was told are kept.
    flying : int
        How many more than acknowledged there may be: the one that was under way when its writer was killed.
    verify : bool
        Whether the store's own verification must find nothing too.
    """
    counts = count_samples(store.select(MATCH), acknowledged)
    assert count_logs(store.rows("logs"), acknowledged) == counts, "metrics and logs of a batch come together"
    for writer, said in acknowledged.items():
        assert said <= counts[writer] <= said + flying, f"{writer}: {said} acknowledged, {counts[writer]} there"
    natives = store.select(NATIVES)
    check_natives(natives, counts)
    known = store.series(NATIVES)
    expected = sorted(w for w in known["writer"].tolist() if counts[w]) if len(known) else []
    assert sorted(natives.labels["writer"].tolist() if len(natives) else []) == expected, "native histograms are gone"
    damage = store.verify() if verify else []
    assert damage == [], damage
    return counts


def _matcher(metric: str) -> list[Any]:
    from workbench.signals import Matcher

    return [Matcher("metric", "=", metric)]


MATCH = _matcher("m")
"""Selects what `batch` wrote, not what `large` did."""

NATIVES = _matcher("native")


def rollups(store: Any, count: int) -> dict[str, list[list[float]]]:
    """Return some functions of the batches below `count`, by quarter of an hour, of the plain series without NaN."""
    from workbench.signals import Matcher

    quarter = 15 * MINUTE
    start, end = T0 + quarter, T0 + count // 15 * quarter
    found = {}
    for function in ("count", "min", "max", "sum", "first", "last"):
        matchers = [*MATCH, Matcher("i", "=~", "[0124]")]
        array = store.rollup(matchers, function, start, end, "15m")
        found[function] = array.values[np.argsort(array["i"].values)].tolist()
    return found


def check_rollups(store: Any, count: int) -> None:
    """Prove that rollups say what the batches below `count` say, which need not be there any more."""
    at = times(np.arange(count))
    edges = [T0 + k * 15 * MINUTE for k in range(count // 15 + 1)]
    parts = {"count": np.size, "min": np.min, "max": np.max, "sum": np.sum, "first": lambda v: v[0],
             "last": lambda v: v[-1]}  # fmt: skip
    for function, got in rollups(store, count).items():
        for i, row in zip((0, 1, 2, 4), got, strict=True):
            series = values("w0", i, np.arange(count))
            spans = [series[(at > low) & (at <= high)] for low, high in pairwise(edges)]
            expected = [float(parts[function](span)) for span in spans]
            assert np.allclose(row, expected, rtol=1e-12, atol=0), f"rollup {function} of series {i}: {row}, {expected}"
