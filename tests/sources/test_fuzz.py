"""Damaged and random bytes: a batch, or one of this package's errors, and nothing else."""

from __future__ import annotations

import contextlib
import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.testing.examples import EXAMPLES
from workbench import registry
from workbench.errors import LimitExceeded, SourceError
from workbench.signals import check_batch
from workbench.sources import ReadOptions, decode_otlp
from workbench.sources.otlp import signal_of_name

OPTIONS = ReadOptions()


def survives(name: str, data: bytes) -> None:
    source = registry.load("workbench.sources", name)()
    source.detect(data[:65_536], "x")
    with contextlib.suppress(SourceError, LimitExceeded):
        for batch in source.read(io.BytesIO(data), "x", OPTIONS):
            check_batch(batch)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
@settings(max_examples=25)
@given(data=st.data())
def test_mutated_examples(name: str, data: st.DataObject) -> None:
    content = bytearray(EXAMPLES[name][1])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    survives(name, bytes(content))


@settings(max_examples=40)
@given(st.binary(max_size=300))
def test_random_bytes(content: bytes) -> None:
    for name in sorted(EXAMPLES):
        survives(name, content)


def test_mutated_real_bodies(shared_data: Path) -> None:
    rng = np.random.default_rng(11)
    parsed = refused = 0
    for file in sorted((shared_data / "query" / "otlp").iterdir())[::3]:
        body = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        for _ in range(8):
            data = np.frombuffer(body, np.uint8).copy()
            at = rng.integers(0, len(data), rng.integers(1, 8))
            data[at] = rng.integers(0, 256, len(at))
            mutated = data.tobytes()[: rng.integers(1, len(data) + 1)] if rng.random() < 0.3 else data.tobytes()
            try:
                check_batch(decode_otlp(mutated, signal_of_name(file.name), OPTIONS))
                parsed += 1
            except SourceError:
                refused += 1
    assert parsed > 20
    assert refused > 8
