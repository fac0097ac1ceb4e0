"""Measure the label index: registering, opening, tag queries and reading labels of many series; see `--help`.

Series have ten labels: eight with 3 to 200 values, one with a value for each hundred series, one of its own for every
series, all drawn independently, which is the worst case for anything that compresses. "first" is a new process's first
question: a new connection and an empty cache; "again" is the same question once more. CPU time, best of a few.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tests.benchmarks import measure
from workbench.signals import Matcher
from workbench.store.catalog import open_catalog
from workbench.store.series import SeriesIndex, SeriesWriter, fold

LOW = {"metric": 200, "service": 50, "env": 3, "region": 8, "code": 40, "method": 4, "version": 20, "zone": 3}

QUERIES = {
    "equality": [("service", "=", "service-7")],
    "regex": [("version", "=~", r"version-1.?")],
    "negation": [("env", "!=", "env-1")],
    "negated regex": [("region", "!~", "region-[0-3]")],
    "five at once": [
        ("metric", "=~", "metric-1.*"), ("env", "=", "env-0"), ("service", "!=", "service-3"),
        ("method", "=~", "method-0|method-1"), ("code", "!~", "code-2.*"),
    ],
    "equality, n/100 values": [("instance", "=", "10.0.17.7:9100")],
    "prefix, n/100 values": [("instance", "=~", r"10\.0\.1.*")],
    "suffix, n/100 values": [("instance", "=~", r".*7\.7:9100")],
    "prefix, n values": [("pod", "=~", "web-00a.*")],
    "suffix, n values": [("pod", "=~", ".*ab-.*")],
    "no matcher": [],
}  # fmt: skip


def options(given: list[str] | None = None) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=1_000_000, help="how many")
    parser.add_argument("--batch", type=int, default=100_000, help="how many are registered at once")
    parser.add_argument("--best", type=int, default=5, help="repetitions, of which the fastest counts")
    parser.add_argument("--work", type=Path, help="folder to make the store in (a temporary one otherwise)")
    parser.add_argument("--core", type=int, help="core to run on (the last allowed one otherwise)")
    parser.add_argument("--json", type=Path, help="file for all figures")
    return parser.parse_args(given)


def world(n: int, seed: int = 0) -> pd.DataFrame:
    """Return the labels of `n` series."""
    rng = np.random.default_rng(seed)
    data: dict[str, list[str]] = {
        name: [f"{name}-{k}" for k in rng.integers(0, size, n).tolist()] for name, size in LOW.items()
    }
    data["instance"] = [f"10.{k // 250}.{k % 250}.7:9100" for k in rng.integers(0, max(n // 100, 1), n).tolist()]
    text = rng.bytes(n * 8).hex()
    data["pod"] = [f"web-{text[i : i + 10]}-{text[i + 10 : i + 15]}" for i in range(0, 16 * n, 16)]
    return pd.DataFrame(data).astype("str")


def about(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return kinds and units."""
    row = np.arange(n)
    return np.array(["counter", "gauge"], object)[row % 2], np.array(["1", "By", "s"], object)[row % 3]


def writing(folder: Path, labels: pd.DataFrame, batch: int, best: int) -> dict[str, Any]:
    """Register everything, then what is new and what is known by thousands; return milliseconds and bytes."""
    meter, found = measure.Meter(), {}
    kind, unit = about(len(labels))
    with closing(open_catalog(folder)) as catalog:
        empty = catalog.bytes_on_disk()
        writer = SeriesWriter(catalog)
        parts = [slice(at, at + batch) for at in range(0, len(labels), batch)]
        frames = [(labels.iloc[part], kind[part], unit[part]) for part in parts]
        began = meter.now()
        for frame in frames:
            writer.resolve(*frame)
        found["register all"] = 1e3 * (meter.now() - began)
        few = [(world(1000, seed), *about(1000)) for seed in range(1, best + 1)]
        fresh = iter(few)
        found["register 1,000 new"] = 1e3 * meter.best(lambda: writer.resolve(*next(fresh)), best)[0]
        frame = few[0][0]
        copies = iter([pd.DataFrame({n: frame[n].tolist() for n in frame}).astype("str") for _ in range(best)])
        found["resolve 1,000 known"] = 1e3 * meter.best(lambda: writer.resolve(next(copies), *few[0][1:]), best)[0]
        found["resolve the same frame"] = (
            10 * meter.best(lambda: [writer.resolve(*few[0]) for _ in range(100)], best)[0]
        )
        began = meter.now()
        with catalog.write() as transaction:
            fold(transaction)
        found["fold at last"] = 1e3 * (meter.now() - began)
        catalog.vacuum()
        return {"ms": found, "bytes": catalog.bytes_on_disk() - empty}


def reading(folder: Path, best: int) -> dict[str, tuple[float, float]]:
    """Return milliseconds of each question, asked first and again."""
    meter = measure.Meter()
    with closing(open_catalog(folder)) as catalog:
        index = _index(catalog)
        ids = np.sort(np.random.default_rng(1).choice(index.size, 1000, replace=False)) + 1
        pod = index.frame(ids[:1])["pod"].iloc[0]
    questions: dict[str, Callable[[SeriesIndex], Any]] = {"open": lambda index: index.size}
    for name, conditions in {**QUERIES, "equality, n values": [("pod", "=", pod)]}.items():
        questions[name] = _match([Matcher(*condition) for condition in conditions])
    questions["labels of 1,000 anywhere"] = lambda index: index.frame(ids)
    questions["labels of 1,000 neighbours"] = lambda index: index.frame(np.arange(1, 1001))
    questions["kinds and units of 1,000"] = lambda index: index.describe(ids)
    found = {}
    for name, ask in questions.items():

        def first(ask: Callable[[SeriesIndex], Any] = ask) -> None:
            with closing(open_catalog(folder)) as catalog:
                ask(_index(catalog))

        with closing(open_catalog(folder)) as catalog:
            index = _index(catalog)
            ask(index)
            again = meter.best(lambda ask=ask, index=index: ask(index), best)[0]
        found[name] = 1e3 * meter.best(first, best)[0], 1e3 * again
    return found


def _index(catalog: Any) -> SeriesIndex:
    index = SeriesIndex(catalog)
    with catalog.read() as transaction:
        index.refresh(transaction)
    return index


def _match(matchers: list[Matcher]) -> Callable[[SeriesIndex], Any]:
    return lambda index: index.match(matchers)


def postings(labels: pd.DataFrame, best: int) -> dict[str, Any]:
    """Return what sorted lists of series per value cost, and what the queries on few values take with them in memory."""
    meter, lists, size = measure.Meter(), {}, 0
    for name in LOW:
        codes, values = pd.factorize(labels[name].to_numpy(object), sort=True)
        order = np.argsort(codes, kind="stable").astype(np.uint32)
        edges = np.cumsum(np.bincount(codes, minlength=len(values)))[:-1]
        lists[name] = values.tolist(), np.split(order, edges)
        packed = [np.diff(part, prepend=0).astype(np.uint32).tobytes() for part in lists[name][1]]
        size += sum(len(pa.compress(part, codec="zstd", asbytes=True)) for part in packed if part)

    def ask(conditions: list[tuple[str, str, str]]) -> np.ndarray:
        keep = np.ones(len(labels), bool)
        for name, op, value in conditions:
            values, parts = lists[name]
            texts = pa.array(values)
            hit = pc.match_substring_regex(texts, rf"\A(?:{value})\z") if "~" in op else pc.equal(texts, value)
            chosen = [parts[i] for i in np.flatnonzero(hit.to_numpy(zero_copy_only=False))]
            mine = np.zeros(len(labels), bool)
            for part in chosen:
                mine[part] = True
            keep &= ~mine if op[0] == "!" else mine
        return np.flatnonzero(keep)

    few = {name: q for name, q in QUERIES.items() if q and all(c[0] in LOW for c in q)}
    return {"bytes": size, "ms": {n: 1e3 * meter.best(lambda q=q: ask(q), best)[0] for n, q in few.items()}}


def run(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return all figures."""
    labels = world(asked.series)
    made = writing(folder, labels, asked.batch, asked.best)
    return {
        "series": asked.series,
        **made,
        "asked": reading(folder, asked.best),
        "postings": postings(labels, asked.best),
    }


def report(found: dict[str, Any]) -> str:
    """Return the figures as text."""
    size, n, other = found["bytes"], found["series"], found["postings"]
    lines = [f"{n:,} series of ten labels: {size:,} bytes in the catalog, {size / n:.1f} a series"]
    lines += [f"  {name:<28}{value:12.2f} ms" for name, value in found["ms"].items()]
    lines.append(f"  {'':<28}{'first':>12}{'again':>12}{'postings':>12}   ms")
    for name, (first, again) in found["asked"].items():
        third = f"{other['ms'][name]:12.2f}" if name in other["ms"] else ""
        lines.append(f"  {name:<28}{first:12.2f}{again:12.2f}{third}")
    lines.append(
        f"  postings are held in memory; on disk those of the eight labels with few values: {other['bytes']:,} bytes"
    )
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    asked = options()
    measure.pin(asked.core)
    with tempfile.TemporaryDirectory(dir=asked.work) as folder:
        found = run(asked, Path(folder))
    print(report(found))
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
