"""Collapsed stacks, speedscope and pprof."""

from __future__ import annotations

import gzip
import io
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import InvalidInput, SourceError
from workbench.signals import Batch, Profiles, check_batch, concat_batches
from workbench.sources import ReadOptions, read
from workbench.sources.collapsed import Collapsed
from workbench.sources.pprof import Pprof
from workbench.sources.pprof_schema import Profile
from workbench.sources.speedscope import Speedscope
from workbench.sources.wire import varint_bytes

NOW = np.datetime64("2024-05-01T12:00:00", "ns")


def read_all(source: Any, data: bytes, mapping: dict[str, str] | None = None) -> Batch:
    options = ReadOptions(mapping=mapping, time=NOW)
    return check_batch(concat_batches(list(source.read(io.BytesIO(data), "profile", options))))


def stacks(profiles: Profiles | None, line: bool = False) -> Counter[tuple[str, ...]]:
    """Root-to-leaf function names, after the sample type -> total value, node by node."""
    assert profiles is not None
    found: Counter[tuple[str, ...]] = Counter()
    parents, frames = profiles.stacks["parent"].tolist(), profiles.stacks["frame"].tolist()
    functions = profiles.frames["function"].tolist()
    lines = profiles.frames["line"].tolist()
    for row in profiles.samples.to_dict("records"):
        names, node = [], row["stack"]
        while node >= 0:
            names.append(functions[frames[node]] + (f":{lines[frames[node]]}" if line else ""))
            node = parents[node]
        found[(row["sample_type"], *reversed(names))] += row["value"]
    return found


def test_collapsed_files_equal_a_plain_reading(shared_data: Path) -> None:
    files = sorted((shared_data / "traces" / "flamegraph" / "results").glob("*.txt"))
    files += sorted((shared_data / "traces" / "speedscope" / "stackcollapse").glob("*.txt"))
    assert len(files) > 40
    for file in files:
        text = file.read_bytes().decode("utf-16" if "utf16" in file.name else "utf-8")
        plain: Counter[tuple[str, ...]] = Counter()
        for row in text.splitlines():
            if row.strip():
                names, count = row.rsplit(" ", 1)
                plain[("samples", *names.split(";"))] += int(count)
        ((_, batch),) = read(file)
        check_batch(batch)
        assert stacks(batch.profiles) == plain
        assert not batch.skips


@given(
    st.dictionaries(st.text("ab ;<\u00fc", min_size=1).map(lambda s: "r" + s + "l"), st.integers(1, 10**17), min_size=1)
)
def test_any_frame_name_survives(counts: dict[str, int]) -> None:
    data = "".join(f"{names} {count}\n" for names, count in counts.items()).encode()
    expected = {("samples", *names.split(";")): count for names, count in counts.items()}
    assert stacks(read_all(Collapsed(), data).profiles) == expected


def test_collapsed_constants_and_bad_lines() -> None:
    batch = read_all(Collapsed(), b"a;b 5\nno count here\na;b 2.0\n", {"service": "=cart", "sample_type": "=cpu"})
    assert batch.profiles is not None
    assert batch.profiles.samples[["service", "sample_type", "value"]].values.tolist() == [["cart", "cpu", 7]]
    assert batch.skips == {"line that is no collapsed stack": 1}
    with pytest.raises(SourceError, match="no collapsed stacks"):
        read_all(Collapsed(), b"nothing\n")
    with pytest.raises(InvalidInput, match="constants for service"):
        read_all(Collapsed(), b"a 1\n", {"time": "ts"})


def test_speedscope_files(shared_data: Path) -> None:
    folder = shared_data / "traces" / "speedscope" / "speedscope"
    expected = {("a", "b", "c"): 5, ("a", "b", "d"): 4, ("a", "b"): 5}
    for name, batch in read(folder):
        check_batch(batch)
        found = {key[1:]: value for key, value in stacks(batch.profiles).items()}
        if "0.1.2" in name:
            assert found == {stack: seconds * 10**9 for stack, seconds in expected.items()}
        elif "0.0.1" in name:
            assert found == expected
        else:
            assert list(found) == [("A",)]


def test_hostile_speedscope() -> None:
    sound = {"type": "sampled", "name": "t", "unit": "none", "samples": [[0]], "weights": [2]}
    broken: list[Any] = [
        {**sound, "samples": [[7]]}, {**sound, "weights": ["x"]}, {**sound, "weights": [1, 2]}, {"type": "odd"}, 5,
        {**sound, "samples": 3}, {**sound, "weights": [float("inf")]}, {"type": "evented", "events": []},
    ]  # fmt: skip
    document = {"shared": {"frames": [{"name": "<script>"}, 5]}, "profiles": [sound, *broken]}
    batch = read_all(Speedscope(), json.dumps(document).encode())
    assert stacks(batch.profiles) == {("samples", "<script>"): 2}
    assert batch.skips == {"speedscope profile that breaks the format": len(broken)}
    for text in ("[]", "{}", '{"profiles": 1}', "{", "[" * 10**5):
        with pytest.raises(SourceError):
            read_all(Speedscope(), text.encode())


def build_profile(samples: list[tuple[list[tuple[str, int]], list[int]]], types: list[tuple[str, str]]) -> Any:
    """A pprof message of samples (frames leaf first, values); one location per frame."""
    strings = {"": 0}
    profile = Profile(time_nanos=int(NOW.astype(int)), period=10**7)

    def text(value: str) -> int:
        return strings.setdefault(value, len(strings))

    for name, unit in types:
        profile.sample_type.add(type=text(name), unit=text(unit))
    places: dict[tuple[str, int], int] = {}
    for frames, values in samples:
        sample = profile.sample.add(value=values)
        for name, number in frames:
            if (name, number) not in places:
                places[name, number] = len(places) + 1
                profile.function.add(id=len(places), name=text(name), filename=text(name + ".py"))
                profile.location.add(id=len(places)).line.add(function_id=len(places), line=number)
            sample.location_id.append(places[name, number])
    profile.string_table.extend(strings)
    return profile


FRAMES = st.lists(st.tuples(st.sampled_from(["main", "work", "<b>", "größe"]), st.integers(0, 9)), max_size=5)


@settings(max_examples=40)
@given(st.lists(st.tuples(FRAMES, st.tuples(st.integers(0, 10**12), st.integers(0, 5))), min_size=1, max_size=8))
def test_pprof_gives_every_sample(samples: list[tuple[list[tuple[str, int]], tuple[int, int]]]) -> None:
    profile = build_profile([(f, list(v)) for f, v in samples], [("cpu", "nanoseconds"), ("count", "count")])
    expected: Counter[tuple[str, ...]] = Counter()
    for frames, values in samples:
        for kind, value in zip(("cpu", "count"), values, strict=True):
            if value:
                expected[(kind, *(f"{name}:{line}" for name, line in reversed(frames)))] += value
    for data in (profile.SerializeToString(), varint_bytes(profile.ByteSize()) + profile.SerializeToString()):
        batch = read_all(Pprof(), data)
        if expected:
            assert batch.profiles is not None
            assert stacks(batch.profiles, line=True) == expected
            assert batch.profiles.unit["cpu"] == "nanoseconds"
        else:
            assert batch.empty()


def test_pprof_dumps_of_the_reference(shared_data: Path) -> None:
    """The reference's decoded dumps, written as protobuf by hand, come back with the same samples."""
    checked = 0
    for file in sorted((shared_data / "traces" / "pprof").glob("*.string")):
        types, samples = parse_dump(file.read_text())
        batch = read_all(Pprof(), gzip_free(build_profile(samples, types)))
        expected: Counter[tuple[str, ...]] = Counter()
        for frames, values in samples:
            for (kind, _), value in zip(types, values, strict=True):
                if value:
                    expected[(kind, *(name for name, _ in reversed(frames)))] += value
        assert stacks(batch.profiles) == expected, file.name
        checked += 1
    assert checked == 7


def gzip_free(profile: Any) -> bytes:
    return gzip.decompress(gzip.compress(profile.SerializeToString()))


def parse_dump(text: str) -> tuple[list[tuple[str, str]], list[tuple[list[tuple[str, int]], list[int]]]]:
    """Sample types and samples of a dump; the frames are location numbers with their description."""
    body, _, places = text.partition("Samples:\n")[2].partition("Locations\n")
    described = dict(re.findall(r"^\s+(\d+): (\S+ \S*)", places, re.MULTILINE))
    rows = body.split("\n")
    types = [
        (name, unit) for name, _, unit in (word.partition("/") for word in re.sub(r"\[dflt\]", "", rows[0]).split())
    ]
    samples = []
    for row in rows[1:]:
        found = re.match(r"\s+((?:-?\d+\s*)+): ((?:\d+ ?)*)", row)
        if found:
            frames = [(f"{number} {described[number]}", 0) for number in found[2].split()]
            samples.append((frames, [int(value) for value in found[1].split()]))
    return types, samples


def test_real_pprof(shared_data: Path) -> None:
    ((_, batch),) = read(shared_data / "traces" / "speedscope" / "pprof" / "simple.prof")
    check_batch(batch)
    profile = Profile.FromString(
        gzip.decompress((shared_data / "traces" / "speedscope" / "pprof" / "simple.prof").read_bytes())
    )
    totals = np.sum([list(sample.value) for sample in profile.sample], axis=0).tolist()
    names = [profile.string_table[kind.type] for kind in profile.sample_type]
    assert batch.profiles is not None
    assert batch.profiles.samples.groupby("sample_type")["value"].sum().to_dict() == dict(
        zip(names, totals, strict=True)
    )
    functions = {profile.string_table[function.name] for function in profile.function}
    assert set(batch.profiles.frames["function"]) <= functions


def test_pprof_labels_inlining_and_addresses() -> None:
    profile = build_profile([([("leaf", 1)], [5])], [("cpu", "nanoseconds")])
    names = list(profile.string_table)
    profile.location[0].line.add(function_id=1, line=7)
    profile.location.add(id=9, address=0xABC)
    profile.sample[0].location_id.append(9)
    for key, value in (("service", "cart"), ("thread", "t1"), ("trace_id", "ab"), ("other", "x")):
        names += [key, value]
        profile.sample[0].label.add(key=len(names) - 2, str=len(names) - 1)
    profile.sample.add(location_id=[1], value=[1, 2, 3])
    profile.string_table[:] = names
    batch = read_all(Pprof(), profile.SerializeToString(), {"env": "=prod", "service": "=ignored"})
    assert batch.profiles is not None
    assert stacks(batch.profiles, line=True) == {("cpu", "0xabc:0", "leaf:7", "leaf:1"): 5}
    row = batch.profiles.samples.iloc[0]
    assert (row["service"], row["env"], row["thread"], row["trace_id"]) == ("cart", "prod", "t1", "ab")
    assert batch.skips == {"profile sample with a wrong number of values": 1}


def test_hostile_pprof() -> None:
    sound = build_profile([([("a", 1)], [5])], [("cpu", "nanoseconds")])
    timeless, late = Profile(), Profile()
    timeless.CopyFrom(sound)
    timeless.time_nanos = 0
    late.CopyFrom(sound)
    late.time_nanos = 2**63 - 1
    assert read_all(Pprof(), timeless.SerializeToString()).profiles.samples["time"][0] == NOW  # type: ignore[union-attr]
    assert read_all(Pprof(), late.SerializeToString()).skips == {"profile outside 1970-2261": 1}
    wild = Profile()
    wild.CopyFrom(sound)
    wild.sample[0].location_id[:] = [77]
    wild.sample_type[0].type = 99
    assert stacks(read_all(Pprof(), wild.SerializeToString()).profiles) == {("",): 5}
    with pytest.raises(SourceError, match="damaged pprof"):
        read_all(Pprof(), sound.SerializeToString()[:-3])
    with pytest.raises(SourceError, match="no pprof"):
        read_all(Pprof(), b"")
    stream = [sound.SerializeToString(), b"\x0a\x04junk", timeless.SerializeToString()]
    batch = read_all(Pprof(), b"".join(varint_bytes(len(body)) + body for body in stream))
    assert batch.counts()["profiles"] == 2
    assert batch.skips == {"profile message that cannot be decoded": 1}
