"""A store with something of everything, moved to a cold place by processes that can be killed, and read from anywhere."""

from __future__ import annotations

from contextlib import closing
from hashlib import blake2b
from pathlib import Path

import numpy as np

from tests.faults.program import say
from workbench.signals import Batch, Matcher, build_logs, build_profiles, build_samples, build_spans
from workbench.store import Store, tier
from workbench.store.blocks import BlockCache
from workbench.store.catalog import Catalog, open_catalog
from workbench.store.places import Folder
from workbench.store.publish import open_url
from workbench.store.reader import Reader
from workbench.store.remote import Remote
from workbench.store.retention import Policy
from workbench.store.sqlite import SqliteCatalog
from workbench.store.tier import Tiers

T0 = np.datetime64("2026-01-01", "ns")
S = np.timedelta64(1, "s")
DAYS, SERIES, A_DAY = 3, 120, 2880
ALL = Policy(warm_days=1.0, warm_rollup_days=1.0)
LOW, HIGH = -(2**63), 2**62


def batch(day: int) -> Batch:
    """Return a day of samples that hardly compress, and a few rows of everything else."""
    rng = np.random.default_rng(day)
    begin = T0 + day * 86_400 * S
    labels = [{"metric": "m", "i": str(i)} for i in range(SERIES)]
    series = np.repeat(np.arange(SERIES), A_DAY)
    time = np.tile(begin + (1 + np.arange(A_DAY)) * 30 * S, SERIES)
    rows = begin + np.arange(500) * 60 * S
    logs = build_logs({"time": rows, "body": [f"{day} {i} {rng.integers(10**9)}" for i in range(500)]})
    spans = build_spans({
        "time": rows[:40], "duration_ns": np.arange(40), "trace_id": [f"{day:016x}{i:016x}" for i in range(40)],
        "span_id": [f"{i:016x}" for i in range(40)], "name": ["op"] * 40,
        "service": ["a"] * 40, "kind": ["server"] * 40, "status": ["ok"] * 40,
    })  # fmt: skip
    stacks = [[("f", "x.py", 1), (f"g{i}", "x.py", 2)] for i in range(5)]
    shape = build_profiles({"time": rows[:60], "stack": np.arange(60) % 5, "value": np.arange(60)}, stacks)
    return Batch(build_samples(labels, series, time, rng.normal(size=len(series))), logs, spans, profiles=shape)


def build(folder: str) -> None:
    """Make the store: a segment of each signal and day."""
    with Store.open(folder) as store:
        for day in range(DAYS):
            store.write(batch(day))
            store.seal()


def reader_of(catalog: Catalog, warm: Folder, cache: Path | None = None) -> Reader:
    """Return a reader of every tier."""
    tiers = Tiers({"warm": warm}, None if cache is None else BlockCache(cache, 2**30))
    with catalog.read() as connection:
        tiers.look(connection)
    return Reader(catalog, tiers)


def content(reader: Reader) -> str:
    """Return a digest of every value of every signal."""
    digest = blake2b(digest_size=16)
    got = reader.samples([], LOW, HIGH)
    for part in (got.labels["i"].to_numpy(dtype=str), got.offsets, got.time, got.value):
        digest.update(np.ascontiguousarray(part).tobytes())
    for signal in ("logs", "spans"):
        digest.update(reader.rows(signal, LOW, HIGH, None, {}).to_csv().encode())
    shape = reader.profiles(LOW, HIGH, {})
    for frame in (shape.samples, shape.stacks, shape.frames):
        digest.update(frame.to_csv().encode())
    return f"{digest.hexdigest()} {got.n_samples}"


def move(folder: str, url: str) -> None:
    """Move everything to a place and clean up as if the grace period were over; say what was moved."""
    with closing(open_catalog(Path(folder))) as catalog:
        tier.settle(catalog, url)
        tiers = Tiers({"warm": Folder(Path(folder))})
        with catalog.read() as connection:
            tiers.look(connection)
        moved = tier.move(catalog, tiers["warm"], Remote(url, wait_s=0.01), ALL)
        assert moved.problems == []
        tier.forget(catalog, tiers, grace_s=-3600)
        say(f"{len(moved.segments)} {moved.lost}")


def digest(folder: str) -> None:
    """Say the content of a store's folder, whatever tier it is in."""
    with closing(open_catalog(Path(folder))) as catalog:
        say(content(reader_of(catalog, Folder(Path(folder)))))


def elsewhere(url: str, cache: str) -> None:
    """Say the content of what a URL leads to, without the store's folder, and what one series costs."""
    opened = open_url(url, BlockCache(Path(cache), 2**30))
    with closing(SqliteCatalog(opened.folder, read_only=True)) as catalog:
        reader = Reader(catalog, Tiers({"cold": opened.place}))
        assert reader.samples([Matcher("i", "=", "7")], LOW, HIGH).n_samples == DAYS * A_DAY
        say(content(reader))
