"""Windows wider than the telemetry, holes, and stray rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from workbench.diagnose import Telemetry, investigate
from workbench.diagnose.stretches import cut, stretches
from workbench.signals import build_events, build_logs, build_profiles, build_spans, concat_samples

START = np.datetime64("2026-03-01T00:00:00", "ns")
SECOND = np.timedelta64(10**9, "ns")


def telemetry(seconds: list[float], window: tuple[np.datetime64, np.datetime64] | None = None) -> Telemetry:
    times = START + (np.array(seconds) * 1e9).astype("timedelta64[ns]")
    return Telemetry(
        window=window or (START - 86_400 * SECOND, START + 86_400 * SECOND),
        metrics=concat_samples([]),
        logs=build_logs({"time": times, "service": ["a"] * len(times), "body": ["x"] * len(times)}),
        spans=build_spans({"time": np.empty(0, "datetime64[ns]")}),
        profiles=build_profiles({"time": [], "stack": [], "value": []}, []),
        events=build_events({"time": [START - 80_000 * SECOND], "kind": ["note"]}),
    )


def test_holes_split_and_thin_telemetry_does_not() -> None:
    two = [*range(0, 300, 2), *range(1000, 1200, 2)]
    found = stretches(telemetry(two))
    assert [int((w[1] - w[0]) / SECOND) for w in found] == [298, 198]
    assert found[0][0] == START
    sparse = list(range(0, 36_000, 300))
    assert len(stretches(telemetry(sparse))) == 1
    assert stretches(telemetry([])) == []


def test_a_stray_row_is_a_stretch_of_its_own_and_comes_last() -> None:
    found = stretches(telemetry([-80_000, *range(0, 300, 2)]))
    assert found[0] == (START, START + 298 * SECOND + np.timedelta64(1, "ns"))
    assert len(found) == 2


def test_cutting_keeps_only_the_window() -> None:
    whole = telemetry([*range(0, 300, 2), *range(1000, 1200, 2)])
    part = cut(whole, stretches(whole)[1])
    assert len(part.logs) == 100
    assert len(part.events) == 0
    assert cut(whole, whole.window) is whole


def test_no_telemetry_is_not_an_all_clear() -> None:
    nothing = investigate(telemetry([]))
    assert nothing.abstained
    assert "no telemetry from" in nothing.summary
    assert "too short" in investigate(telemetry([0, 1, 2, 3])).summary


@pytest.fixture(scope="module")
def recorded(incidents: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Telemetry:
    from workbench import session
    from workbench.diagnose import load_telemetry

    if "stock-down" not in incidents:
        pytest.skip("the recording stock-down is not here")
    with session.open(tmp_path_factory.mktemp("stretches") / "store") as bench:
        bench.ingest(incidents["stock-down"])
        return load_telemetry(bench.store, bench.window())


def test_a_wider_window_and_a_stray_row_change_nothing(recorded: Telemetry) -> None:
    import dataclasses

    narrow = investigate(recorded)
    first, last = recorded.window
    stray = build_logs(
        {
            "time": [np.datetime64(10**9, "ns"), *recorded.logs["time"]],
            "service": ["cart", *recorded.logs["service"]],
            "body": ["late", *recorded.logs["body"]],
            "severity": [9, *recorded.logs["severity"]],
        }
    )
    wide = dataclasses.replace(recorded, window=(np.datetime64(0, "ns"), last + 86_400 * SECOND), logs=stray)
    found = investigate(wide)
    assert (found.hypotheses[0].service, found.hypotheses[0].kind) == ("stock", "dependency_down")
    assert found.hypotheses[0].service == narrow.hypotheses[0].service
    assert found.window[0] >= first - 60 * SECOND
    assert found.seconds < 10
