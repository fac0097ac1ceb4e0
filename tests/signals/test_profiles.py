"""Profiles: stacks interned into a prefix tree, joined without loss."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import ShapeError
from workbench.signals import Profiles, build_profiles, check_profiles, concat_profiles

FRAMES = st.tuples(st.sampled_from(["f", "g", "<script>"]), st.sampled_from(["", "x.py"]), st.integers(0, 3))
STACKS = st.lists(st.lists(FRAMES, max_size=4).map(tuple), min_size=1, max_size=5)
SAMPLES = STACKS.flatmap(
    lambda stacks: st.tuples(
        st.just(stacks),
        st.lists(st.tuples(st.integers(0, 99), st.integers(0, len(stacks) - 1), st.integers(0, 10**15)), max_size=8),
    )
)
Stack = tuple[tuple[str, str, int], ...]


def build(stacks: list[Stack], samples: list[tuple[int, int, int]]) -> Profiles:
    time, stack, value = (list(column) for column in zip(*samples, strict=True)) if samples else ([], [], [])
    columns = {"time": time, "stack": stack, "value": value, "service": ["s"] * len(time)}
    return build_profiles(columns, stacks, {"cpu": "nanoseconds"}, 10)


def unfold(profiles: Profiles) -> Counter[tuple[int, Stack, int]]:
    """Every sample with its whole stack, root first."""
    out: Counter[tuple[int, Stack, int]] = Counter()
    for row in profiles.samples.itertuples():
        stack, node = [], int(row.stack)
        while node >= 0:
            stack.append(tuple(profiles.frames.iloc[int(profiles.stacks["frame"].iloc[node])]))
            node = int(profiles.stacks["parent"].iloc[node])
        out[(row.time.value, tuple(reversed(stack)), row.value)] += 1
    return out


@given(SAMPLES)
def test_stacks_come_back_whole(given_samples: tuple[list[Stack], list[tuple[int, int, int]]]) -> None:
    stacks, samples = given_samples
    profiles = check_profiles(build(stacks, samples))
    assert unfold(profiles) == Counter((time, stacks[stack], value) for time, stack, value in samples)
    assert not profiles.stacks.duplicated().any()
    assert not profiles.frames.duplicated().any()


@given(SAMPLES, SAMPLES)
def test_concat_keeps_every_sample_and_interns_anew(left: tuple, right: tuple) -> None:  # type: ignore[type-arg]
    both = check_profiles(concat_profiles([build(*left), build(*right)]))
    assert unfold(both) == unfold(build(*left)) + unfold(build(*right))
    assert not both.stacks.duplicated().any()
    assert not both.frames.duplicated().any()
    assert dict(both.unit) == {"cpu": "nanoseconds"}
    assert both.period == 10


def test_no_profiles_are_a_shape_too() -> None:
    assert len(check_profiles(concat_profiles([]))) == 0


def test_select_shares_the_tables() -> None:
    profiles = build([(("f", "", 0),), ()], [(1, 0, 5), (2, 1, 7)])
    kept = check_profiles(profiles.select(profiles.samples["value"] > 5))
    assert kept.samples["stack"].tolist() == [-1]
    assert kept.stacks is profiles.stacks


def test_the_first_offence_of_profiles_is_named() -> None:
    sound = build([(("f", "", 0), ("g", "", 0))], [(1, 0, 5), (2, 0, 7)])
    samples, stacks = sound.samples, sound.stacks
    for fields, message in (
        ({"samples": samples.drop(columns="env")}, r"samples lack the columns \['env'\]"),
        ({"frames": sound.frames.drop(columns="line")}, r"frames lack the columns \['line'\]"),
        ({"samples": samples.assign(value=1.5)}, "'value' has dtype float64; it must be int64"),
        ({"samples": samples.assign(time=samples["time"].astype("datetime64[us]"))}, r"must be datetime64\[ns\]"),
        ({"samples": samples.assign(time=np.datetime64("NaT", "ns"))}, "2 instants outside 1970-2261 or missing"),
        ({"samples": samples.iloc[::-1]}, "not sorted by time"),
        ({"samples": samples.assign(stack=np.int32(9))}, "'stack' points outside its table of 2 rows"),
        ({"stacks": stacks.assign(frame=np.int32(9))}, "'frame' points outside its table of 2 rows"),
        ({"stacks": stacks.assign(parent=pd.Series([0, 0], dtype="int32"))}, "parent that does not come before"),
    ):
        with pytest.raises(ShapeError, match=message):
            check_profiles(dataclasses.replace(sound, **fields))  # type: ignore[arg-type]
