"""Events as JSON."""

from __future__ import annotations

import io
import json
from typing import Any

import pandas as pd
import pytest

from workbench.errors import SourceError
from workbench.signals import Batch, check_batch, concat_batches
from workbench.sources import ReadOptions
from workbench.sources.events import EventsJson

SOUND = {"time": "2024-05-01T12:00:00Z", "kind": "deploy", "title": "v2", "service": "cart", "env": "shop"}


def events(text: str) -> Batch:
    return check_batch(concat_batches(list(EventsJson().read(io.BytesIO(text.encode()), "events.json", ReadOptions()))))


@pytest.mark.parametrize(
    "text",
    [json.dumps([SOUND, SOUND]), json.dumps(SOUND) + "\n" + json.dumps(SOUND), json.dumps([SOUND] * 2, indent=2)],
)
def test_every_form(text: str) -> None:
    assert EventsJson().detect(text.encode(), "x")
    frame = events(text).events
    assert frame is not None
    assert frame[["kind", "title", "service", "env"]].values.tolist() == [["deploy", "v2", "cart", "shop"]] * 2
    assert pd.isna(frame["end"][0])


def test_fields_and_attributes() -> None:
    row = SOUND | {
        "end": 1714564860, "severity": "error", "version": "2", "host": "h", "score": 0.5, "tags": ["<script>"], "null": None,
    }  # fmt: skip
    frame = events(json.dumps(row)).events
    assert frame is not None
    found = frame.iloc[0]
    assert (found["severity"], found["version"], found["host"], found["score"]) == (17, "2", "h", 0.5)
    assert found["end"] == pd.Timestamp("2024-05-01T12:01:00")
    assert found["tags"] == '["<script>"]'
    assert "null" not in frame
    other = events(json.dumps({"timestamp": 1714564800123, "type": "flag", "message": "on"})).events
    assert other is not None
    assert other["time"][0] == pd.Timestamp("2024-05-01T12:00:00.123")
    assert (other["kind"][0], other["title"][0]) == ("flag", "on")


@pytest.mark.parametrize(
    ("change", "reason", "kept"),
    [
        ({"time": None}, "event without a valid time", 0), ({"time": "soon"}, "event without a valid time", 0),
        ({"time": -5}, "event without a valid time", 0), ({"time": "2262-05-01"}, "event without a valid time", 0),
        ({"time": 1e300}, "event without a valid time", 0), ({"time": True}, "event without a valid time", 0),
        ({"time": "now"}, "event without a valid time", 0),
        ({"title": 5}, "event without a title", 0), ({"end": "x"}, "event end that is no valid time left out", 1),
        ({"kind": "odd"}, "event of an unknown kind kept as note", 1),
    ],
)  # fmt: skip
def test_odd_events_are_counted(change: dict[str, Any], reason: str, kept: int) -> None:
    batch = events(json.dumps([SOUND, SOUND | change]))
    assert batch.counts()["events"] == 1 + kept
    assert batch.skips == {reason: 1}


def test_what_is_no_json() -> None:
    for text in ("{", "nope", "[" * 10**5):
        with pytest.raises(SourceError, match="not valid JSON"):
            events(text)
    assert events("[1, 2]").skips == {"event that is not a JSON object": 2}
