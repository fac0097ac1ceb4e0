"""Files and folders: formats found by content, one bad file never stops the others."""

from __future__ import annotations

import gzip
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard

from tests.testing.examples import EXAMPLES, otlp_traces
from workbench import registry
from workbench.errors import InvalidInput, NotFound, SourceError, WorkbenchError
from workbench.signals import check_batch, concat_batches
from workbench.sources import AddressSource, FolderSource, read
from workbench.sources.source import ReadOptions, Source


def contents(path: Path, **options: Any) -> tuple[dict[str, dict[str, int]], Counter[str]]:
    """Counts by file and all skips."""
    counts: dict[str, dict[str, int]] = {}
    skips: Counter[str] = Counter()
    for name, batch in read(path, **options):
        check_batch(batch)
        skips.update(batch.skips)
        found = {s: n for s, n in batch.counts().items() if n}
        if found:
            counts.setdefault(name, {}).update(found)
    return counts, skips


@pytest.mark.parametrize("format", [name for name in EXAMPLES if name != "openmetrics"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
def test_every_format_is_found_by_content(format: str, pack: Any, tmp_path: Path) -> None:
    file = tmp_path / "data.bin"
    file.write_bytes(pack(EXAMPLES[format][1]))
    detected = concat_batches([batch for _, batch in read(file)])
    named = concat_batches([batch for _, batch in read(file, format=format)])
    assert detected.counts() == named.counts()
    assert not detected.empty()


def test_built_in_sources_keep_the_protocol() -> None:
    for name in registry.BUILTINS["workbench.sources"]:
        source = registry.load("workbench.sources", name)()
        assert isinstance(source, Source | FolderSource | AddressSource)
        assert source.name == name


def test_a_folder_with_good_and_bad_files(tmp_path: Path) -> None:
    for format, (name, data) in EXAMPLES.items():
        (tmp_path / f"{format}-{name}").write_bytes(data)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "traces.pb").write_bytes(otlp_traces(2).SerializeToString())
    (tmp_path / "empty.json").touch()
    (tmp_path / "notes.txt").write_text("nothing of interest\n")
    (tmp_path / "lies.json.gz").write_bytes(b"\x1f\x8b" + b"no gzip at all")
    (tmp_path / "cut.pb.gz").write_bytes(gzip.compress(EXAMPLES["otlp"][1])[:-9])
    (tmp_path / "bomb.json.gz").write_bytes(gzip.compress(b'{"time":' + bytes(100 * 2**20)))
    (tmp_path / ".hidden").write_text("x 1\n")
    (tmp_path / "README.md").write_text("x 1\n")
    (tmp_path / "truth.json").write_text("{}")
    os.mkfifo(tmp_path / "pipe")
    counts, skips = contents(tmp_path)
    assert sorted(counts) == sorted([*(f"{f}-{name}" for f, (name, _) in EXAMPLES.items()), "deep/er/traces.pb"])
    assert counts["deep/er/traces.pb"] == {"spans": 2}
    reasons = "\n".join(skips)
    for part in (
        "empty.json is empty", "notes.txt is of no known format", "lies.json.gz is damaged gzip",
        "cut.pb.gz is damaged gzip", "bomb.json.gz", "pipe is not a regular file",
    ):  # fmt: skip
        assert part in reasons
    assert set(skips.values()) == {1}
    assert len(skips) == 6


def test_what_a_single_bad_path_says(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no file or folder"):
        read(tmp_path / "absent")
    with pytest.raises(SourceError, match="holds no files"):
        list(read(tmp_path))
    file = tmp_path / "notes.txt"
    file.write_text("nothing of interest\n")
    with pytest.raises(SourceError, match="known are collapsed, events, openmetrics, otlp, otlp-json"):
        list(read(file))
    with pytest.raises(NotFound, match="did you mean 'prometheus'"):
        list(read(file, format="promethus"))
    with pytest.raises(InvalidInput, match="makes no shape"):
        list(read(file, format="table", mapping={"time": "a", "nothing": "b"}))
    file.write_bytes(b"")
    with pytest.raises(SourceError, match="empty"):
        list(read(file))
    file.write_bytes(gzip.compress(gzip.compress(b"x 1\n")))
    with pytest.raises(SourceError, match="no known format"):
        list(read(file))


def test_time_of_data_without_timestamps(tmp_path: Path) -> None:
    file = tmp_path / "metrics.prom"
    file.write_text("# TYPE up gauge\nup 1\n")
    os.utime(file, ns=(0, 1_714_564_800_123_456_789))
    ((_, batch),) = read(file)
    assert batch.metrics is not None
    assert batch.metrics.time[0] == np.datetime64(1_714_564_800_123_456_789, "ns")
    ((_, batch),) = read(file, time="2020-01-01")
    assert batch.metrics is not None
    assert batch.metrics.time[0] == np.datetime64("2020-01-01", "ns")


def test_a_plug_in_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_extra", {})
    registry.register("workbench.sources", "shouting", f"{__name__}:Shouting")
    monkeypatch.setitem(__import__("sys").modules, __name__, __import__("types").SimpleNamespace(Shouting=Shouting))
    file = tmp_path / "a.txt"
    file.write_text("SHOUT a;b 1\n")
    with pytest.raises(WorkbenchError, match="too loud"):
        list(read(file))


class Shouting:
    name = "shouting"

    def detect(self, head: bytes, path: str) -> bool:
        return head.startswith(b"SHOUT")

    def read(self, stream: Any, path: str, options: ReadOptions) -> Any:
        raise SourceError("too loud")
        yield
