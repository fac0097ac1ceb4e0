"""Batches: counted, checked, joined."""

from __future__ import annotations

from collections import Counter

import pytest

from workbench.errors import ShapeError
from workbench.signals import (
    SIGNALS,
    Batch,
    build_events,
    build_logs,
    build_profiles,
    build_samples,
    build_spans,
    check_batch,
    concat_batches,
)


def span(time: int, own: str, parent: str) -> Batch:
    ids = {"trace_id": ["t"], "span_id": [own], "parent_span_id": [parent]}
    return Batch(spans=build_spans({"time": [time], **ids, "kind": "server", "status": "ok"}))


def full() -> Batch:
    return Batch(
        metrics=build_samples([{"metric": "m"}], [0, 0], [1, 2], [1.0, 2.0]),
        logs=build_logs({"time": [1]}),
        spans=span(1, "a", "").spans,
        profiles=build_profiles({"time": [1], "stack": [0], "value": [1]}, [(("f", "", 0),)]),
        events=build_events({"time": [1], "kind": ["note"]}),
        skips=Counter({"bad": 1}),
    )


def test_counts_and_emptiness() -> None:
    assert full().counts() == {"metrics": 2, "logs": 1, "spans": 1, "profiles": 1, "events": 1}
    assert tuple(full().counts()) == SIGNALS
    assert not full().empty()
    assert Batch(skips=Counter({"bad": 1})).empty()
    assert Batch(logs=build_logs({"time": []})).empty()


def test_concat_adds_everything_up() -> None:
    both = check_batch(concat_batches([full(), full(), Batch()]))
    assert both.counts() == {"metrics": 2, "logs": 2, "spans": 2, "profiles": 2, "events": 2}
    assert both.skips == {"bad": 2}
    assert concat_batches([]).empty()


def test_spans_that_came_apart_find_their_parents() -> None:
    both = concat_batches([span(2, "b", "a"), span(1, "a", "")])
    assert both.spans is not None
    assert both.spans["parent"].tolist() == [-1, 0]


@pytest.mark.parametrize("signal", SIGNALS)
def test_check_looks_at_every_shape(signal: str) -> None:
    batch = full()
    if signal == "metrics":
        batch.metrics = build_samples([{"name": "m"}], [0], [1], [1.0])
    elif signal == "profiles":
        assert batch.profiles is not None
        del batch.profiles.samples["env"]
    else:
        del getattr(batch, signal)["time"]
    with pytest.raises(ShapeError):
        check_batch(batch)
