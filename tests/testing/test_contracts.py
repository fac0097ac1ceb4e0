"""Every built-in passes the checks that plug-in authors run, and the checks fail what breaks a promise."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
import pytest

from tests.testing.examples import EXAMPLES
from workbench import registry
from workbench.diagnose import Evidence, Investigation, investigate
from workbench.signals import Batch, build_logs, check_batch
from workbench.sources import Source
from workbench.store.buckets import Beyond, Listed, MemoryBucket
from workbench.testing import (
    check_check,
    check_codec,
    check_detector,
    check_panel,
    check_source,
    check_tier,
    incident_world,
    tiers,
)
from workbench.testing.world import FAULT, HOSTILE, empty_world, fault_scene


@pytest.fixture(scope="module")
def hostile() -> Investigation:
    return investigate(incident_world(hostile=True))


ONLY_NAMED = {"samples": "table", "openmetrics": "prometheus"}
"""Formats that are read when asked for, and what finds their files otherwise."""


def built_in(group: str) -> Any:
    return pytest.mark.parametrize("name", list(registry.BUILTINS[group]))


STREAMS = [
    name
    for name in registry.BUILTINS["workbench.sources"]
    if isinstance(registry.load("workbench.sources", name)(), Source)
]
"""Sources of files; those of folders and addresses have tests of their own."""


@pytest.mark.parametrize("name", STREAMS)
def test_sources(name: str) -> None:
    path, example = EXAMPLES[name]
    check_source(registry.load("workbench.sources", name)(), example, path, detected=name not in ONLY_NAMED)


def test_no_source_claims_the_example_of_another() -> None:
    sources = {name: registry.load("workbench.sources", name)() for name in STREAMS}
    for name, (path, example) in EXAMPLES.items():
        first = next(other for other, source in sources.items() if source.detect(example, path))
        assert first == ONLY_NAMED.get(name, name)


@built_in("workbench.codecs")
def test_codecs(name: str) -> None:
    check_codec(registry.load("workbench.codecs", name)())


@pytest.mark.parametrize("scheme", ["file", "memory"])
def test_tiers(scheme: str, tmp_path: Path) -> None:
    """Those that need a server are checked in `tests/faults/test_object_store.py`."""
    url = {"file": (tmp_path / "cold").as_uri(), "memory": f"memory://{tmp_path.name}"}[scheme]
    check_tier(registry.load("workbench.tiers", scheme), url)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


class Forgiving(MemoryBucket):
    def get(self, name: str, offset: int, length: int) -> tuple[bytes, int]:
        try:
            return super().get(name, offset, length)
        except FileNotFoundError:
            return b"", 0


class Careless(MemoryBucket):
    def put(self, name: str, data: bytes, replace: bool) -> str:
        return super().put(name, data, True)


class Endless(MemoryBucket):
    def get(self, name: str, offset: int, length: int) -> tuple[bytes, int]:
        try:
            return super().get(name, offset, length)
        except Beyond:
            return b"", self.size(name) or 0


class Long(MemoryBucket):
    def get(self, name: str, offset: int, length: int) -> tuple[bytes, int]:
        return super().get(name, offset, length + 1)


class Partial(MemoryBucket):
    def get(self, name: str, offset: int, length: int) -> tuple[bytes, int]:
        data, _ = super().get(name, offset, length)
        return data, len(data)


class ByFolder(MemoryBucket):
    def list(self, prefix: str) -> list[Listed]:
        return super().list(prefix.rpartition("/")[0])


class Seconds(MemoryBucket):
    def list(self, prefix: str) -> list[Listed]:
        return [one._replace(modified=one.modified // 10**9) for one in super().list(prefix)]


class Torn(MemoryBucket):
    def put(self, name: str, data: bytes, replace: bool) -> str:
        if replace and len(data) > 50_000:
            super().put(name, data[:50_000], replace)
            time.sleep(0.002)
        return super().put(name, data, replace)


class Racing(MemoryBucket):
    """Looks first and writes half an instant later, and says so to all."""

    def put(self, name: str, data: bytes, replace: bool) -> str:
        if not replace and self.size(name) is not None:
            raise FileExistsError(name)
        time.sleep(0.01)
        if not replace and self.size(name) is not None and len(data) > 100_000:
            self._held[name] = data[:1] + self._held[name][0][1:], 0
            return ""
        return super().put(name, data, True)


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (Forgiving, "getting what is absent"),
        (Careless, "putting a name that is there"),
        (Endless, "a range from"),
        (Long, "bytes 0 to 1"),
        (Partial, "bytes 0 to 1"),
        (ByFolder, "the listing of"),
        (Seconds, "is listed as changed"),
        (Torn, "while an object was replaced"),
        (Racing, "of several puts at once"),
    ],
)
def test_broken_tiers_fail(broken: type[MemoryBucket], sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers, "_PATIENCE_S", 0.1)
    with pytest.raises(AssertionError, match=sentence):
        check_tier(broken, f"memory://{broken.__name__}")


DEEP = ("autoencoder", "lstm")
"""Detectors that need torch; `tests/detect/test_members_deep.py` has them."""


@pytest.mark.parametrize("name", [name for name in registry.BUILTINS["workbench.detectors"] if name not in DEEP])
def test_detectors(name: str) -> None:
    check_detector(registry.load("workbench.detectors", name)())


@built_in("workbench.checks")
def test_checks(name: str) -> None:
    check_check(registry.load("workbench.checks", name)())


@built_in("workbench.panels")
def test_panels(name: str, hostile: Investigation) -> None:
    check_panel(registry.load("workbench.panels", name)(), hostile)


def test_the_seeded_incident_is_found() -> None:
    found = investigate(incident_world())
    assert not found.abstained
    assert (found.hypotheses[0].service, found.hypotheses[0].kind) == ("stock", "latency")
    assert found.fault is not None
    assert abs(found.fault[0] - FAULT[0]) <= np.timedelta64(20, "s")
    assert investigate(empty_world()).abstained


def test_the_seeded_incident_is_well_formed_and_repeatable() -> None:
    one, two = incident_world(3, hostile=True), incident_world(3, hostile=True)
    check_batch(Batch(one.metrics, one.logs, one.spans, one.profiles, one.events))
    assert one.spans.equals(two.spans)
    assert not one.spans.equals(incident_world(4).spans)
    assert one.logs["body"].str.contains(HOSTILE, regex=False).any()


class Text:
    """A sound little source; the broken ones below differ in one thing."""

    name: ClassVar[str] = "text"

    def detect(self, head: bytes, path: str) -> bool:
        return head.startswith(b"text")

    def read(self, stream: BinaryIO, path: str, options: object) -> Iterator[Batch]:
        lines = stream.read().decode("utf-8", "replace").splitlines()
        yield Batch(logs=build_logs({"time": list(range(len(lines))), "body": lines}))


class Greedy(Text):
    def detect(self, head: bytes, path: str) -> bool:
        return True


class Fragile(Text):
    def read(self, stream: BinaryIO, path: str, options: object) -> Iterator[Batch]:
        yield Batch(logs=build_logs({"time": [1], "body": [stream.read().decode("ascii")]}))


class Forgetful(Text):
    def read(self, stream: BinaryIO, path: str, options: object) -> Iterator[Batch]:
        head = stream.read1(10)  # type: ignore[attr-defined]
        yield Batch(logs=build_logs({"time": list(range(len(head)))}))


class Unsorted(Text):
    def read(self, stream: BinaryIO, path: str, options: object) -> Iterator[Batch]:
        yield Batch(
            logs=build_logs({"time": [1, 2], "body": [stream.read().decode("utf-8", "replace"), ""]}).iloc[::-1]
        )


def test_check_source_accepts_the_sound_and_names_the_broken() -> None:
    example = b"text\nof\nfour\nlines"
    check_source(Text(), example)
    for broken, promise in (
        (Greedy(), "which is not its"),
        (Fragile(), "raised UnicodeDecodeError"),
        (Forgetful(), "how bytes arrive"),
    ):
        with pytest.raises(AssertionError, match=promise):
            check_source(broken, example)
    with pytest.raises(ValueError, match="not sorted"):
        check_source(Unsorted(), example)
    with pytest.raises(AssertionError, match="says False to its own example"):
        check_source(Text(), b"something else")


class Plain:
    """A codec that keeps what it is given."""

    id: ClassVar[int] = 200
    name: ClassVar[str] = "plain"
    dtypes: ClassVar[tuple[str, ...]] = ("float64", "int64")

    def encode(self, array: Any) -> bytes | None:
        return bytes(array.tobytes())

    def decode(self, data: bytes, out: Any) -> None:
        out[:] = np.frombuffer(data, out.dtype)


class Rounding(Plain):
    def decode(self, data: bytes, out: Any) -> None:
        super().decode(data, out)
        out[:] = np.nan_to_num(out)


class Crashing(Plain):
    def decode(self, data: bytes, out: Any) -> None:
        if len(data) != out.nbytes:
            raise KeyError(len(data))
        super().decode(data, out)


class Useless(Plain):
    def encode(self, array: Any) -> bytes | None:
        return None


def test_check_codec_accepts_the_sound_and_names_the_broken() -> None:
    check_codec(Plain())
    for broken, promise in (
        (Rounding(), "other bits back"),
        (Crashing(), "allowed is ValueError"),
        (Useless(), "takes none"),
    ):
        with pytest.raises(AssertionError, match=promise):
            check_codec(broken)


@dataclasses.dataclass(frozen=True)
class Distance:
    """Distance from the mean of the past, in shares of the range of the past."""

    name: ClassVar[str] = "distance"

    def score(self, values: np.ndarray, *, step: float = 60.0) -> np.ndarray:
        known = np.where(np.isfinite(values), values, np.nan)
        count = np.cumsum(np.isfinite(known), axis=1)
        before = np.pad(np.nancumsum(known, axis=1) / np.maximum(count, 1), ((0, 0), (1, 0)))[:, : known.shape[1]]
        low = np.minimum.accumulate(np.where(np.isnan(known), np.inf, known), axis=1)
        high = np.maximum.accumulate(np.where(np.isnan(known), -np.inf, known), axis=1)
        off = np.abs(known - before)
        width = np.where(np.isfinite(high - low), high - low, 0.0)
        share = np.divide(off, off + width, out=np.zeros_like(off), where=off > 0)
        return np.where((count > 30) & np.isfinite(known), share, np.nan)


@dataclasses.dataclass(frozen=True)
class Foresight(Distance):
    def score(self, values: np.ndarray, *, step: float = 60.0) -> np.ndarray:
        return super().score(values[:, ::-1])[:, ::-1]


@dataclasses.dataclass(frozen=True)
class Upside(Distance):
    def score(self, values: np.ndarray, *, step: float = 60.0) -> np.ndarray:
        return 1.0 - super().score(values)


@dataclasses.dataclass(frozen=True)
class Filling(Distance):
    def score(self, values: np.ndarray, *, step: float = 60.0) -> np.ndarray:
        return np.nan_to_num(super().score(values))


@dataclasses.dataclass(frozen=True)
class Loose(Distance):
    def score(self, values: np.ndarray, *, step: float = 60.0) -> np.ndarray:
        return 5.0 * super().score(values)


@dataclasses.dataclass(frozen=True)
class Absolute(Distance):
    def score(self, values: np.ndarray, *, step: float = 60.0) -> np.ndarray:
        known = np.abs(np.where(np.isfinite(values), values, np.nan))
        return known / (1.0 + known)


def test_check_detector_accepts_the_sound_and_names_the_broken() -> None:
    check_detector(Distance())
    for broken, promise in (
        (Foresight(), "not causal"),
        (Upside(), "high must mean"),
        (Filling(), "sample that is not there"),
        (Loose(), "outside 0 to 1"),
        (Absolute(), "in another unit"),
    ):
        with pytest.raises(AssertionError, match=promise):
            check_detector(broken)


class Loud:
    name = "loud"

    def __init__(self, **fields: Any) -> None:
        self.fields: dict[str, Any] = {
            "check": "loud",
            "service": "stock",
            "kind": "latency",
            "statement": "slow.",
            "query": 'bench.spans("service:stock")',
            "strength": 5.0,
        } | fields

    def run(self, scene: Any) -> list[Evidence]:
        return [Evidence(**self.fields)] if len(scene.telemetry.spans) else []


def test_check_check_accepts_the_sound_and_names_the_broken() -> None:
    scene = fault_scene()
    check_check(Loud(), scene)
    for fields, promise in (
        ({"check": "other"}, "in the name of 'other'"),
        ({"service": ""}, "about no service"),
        ({"kind": "gremlins"}, "not among FAULT_KINDS"),
        ({"strength": float("inf")}, "strength inf"),
        ({"statement": "a\nb"}, "one sentence"),
        ({"query": "look at the spans"}, "cannot be typed"),
        ({"query": 'bench.metrics("sum(")'}, "cannot be typed"),
        ({"query": 'print("service:stock")'}, "cannot be typed"),
    ):
        with pytest.raises(AssertionError, match=promise):
            check_check(Loud(**fields), scene)


@dataclasses.dataclass
class Picture:
    words: str
    markup: str

    def text(self) -> str:
        return self.words

    def html(self) -> str:
        return self.markup

    def _repr_mimebundle_(self) -> dict[str, str]:
        return {"text/plain": self.words, "text/html": self.markup}


class Easel:
    name = "easel"

    def __init__(self, words: str = "calm", markup: str = "<div><b>calm</b><br></div>") -> None:
        self.picture = Picture(words, markup)

    def figure(self, investigation: Investigation) -> Picture:
        return self.picture


def test_check_panel_accepts_the_sound_and_names_the_broken(hostile: Investigation) -> None:
    check_panel(Easel(), hostile)
    for broken, promise in (
        (Easel(words="\x1b[31mred"), "control characters"),
        (Easel(words=" "), "no text"),
        (Easel(markup=HOSTILE), "not allowed"),
        (Easel(markup="<div onclick=go()>x</div>"), "onclick"),
        (Easel(markup='<a href="http://example.org">x</a>'), "href"),
        (Easel(markup='<div style="background:url(x)">x</div>'), "style"),
        (Easel(markup="<div>"), "leaves elements open"),
        (Easel(markup="</div>"), "closes nothing"),
    ):
        with pytest.raises(AssertionError, match=promise):
            check_panel(broken, hostile)


def test_checks_do_not_depend_on_where_they_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_source(Text(), b"text\nlines")
    assert list(tmp_path.iterdir()) == []
