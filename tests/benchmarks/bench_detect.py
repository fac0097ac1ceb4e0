"""Measure detection: NAB with everything chosen on other categories, cost beside peers, a tick of a fleet, faults.

Costs are CPU time on one core, the median of the runs. Peers (`stumpy`, `pyod`, `river`; statsmodels is there anyway)
are measured where they are installed. Nothing here fails because of time.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import itertools
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks import measure
from tests.benchmarks.report import Target, table
from workbench import evaluate
from workbench.detect import Detector, Refractory, Watchdog
from workbench.detect.detector import Stream
from workbench.detect.members.seasonal import Envelope
from workbench.evaluate.nab import PROFILES, contributions, count_windows, normalise, raw_at, steady

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = ("nab", "choices", "cost", "tick", "injected")
POINTS, PERIOD = 10_080, 288

CHOICES: dict[str, tuple[Any, ...]] = {
    "quantile": (0.95, 0.97, 0.98),
    "reach": (3600.0, 5400.0, 7200.0),
    "days": (5, 7),
    "hours": (8, 12, 16),
    "escalate": (1.1, 1.2, 1.3, 1.4),
    "habit": (0.03, 0.06, 0.1, 0.2),
    "most": (0.06, 0.09, 0.12),
}
"""What was chosen by labels: where tails begin, same time of day, days looked back, and the refractory."""


def options() -> argparse.Namespace:
    """Return the command line's options."""
    data = os.environ.get("WORKBENCH_SHARED_DATA", str(ROOT.parent / "shared" / "data"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(SECTIONS), help=f"some of {','.join(SECTIONS)}")
    parser.add_argument("--data", type=Path, default=Path(data) / "detect", help="folder in NAB's layout")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--series", type=int, default=10_000, help="series of a tick")
    parser.add_argument("--ticks", type=int, default=1000, help="ticks measured")
    parser.add_argument("--count", type=int, default=100, help="injected faults of a kind and size")
    parser.add_argument("--json", type=Path, help="file for all figures")
    return parser.parse_args()


def nab(asked: argparse.Namespace) -> Iterator[Target]:
    """Score the default detector and every other one on the labelled files."""
    data = evaluate.load_nab(asked.data)
    ran = [evaluate.run(name, one, data) for name, one in evaluate.detectors(("watchdog",)).items()]
    board = evaluate.score_detectors(data, ran)
    print(board)
    line = board.lines[0]
    for name, least in (("standard", 74.0), ("low_fp", 66.0), ("low_fn", 79.0)):
        yield Target(f"NAB {name}, threshold chosen on other categories", line.left_out[name], least, False)
    yield Target("windows found of 50, standard threshold", line.events.found, 43, False)
    yield Target("false episodes per series-week", line.events.false_per_week, 0.8)
    yield Target("share of false rows, %", 100 * line.events.row_fpr, 0.05)
    yield Target("gain over the static rule, %", 100 * line.gain, 60, False)
    yield Target("share of a window before its first alarm, median of those found", line.events.hit_share, 0.52)


def choices(asked: argparse.Namespace) -> Iterator[Target]:
    """Choose parameters and threshold on all categories but one, and score that one.

    Each parameter takes the value whose mean over all values of the others is best: a main effect, not a lucky cell. The
    standard score decides; the other profiles only have their own threshold.
    """
    data = evaluate.load_nab(asked.data)
    names = list(CHOICES)
    shape = tuple(len(CHOICES[name]) for name in names)
    parts: dict[tuple[int, ...], dict[str, dict[str, Any]]] = {}
    for first in itertools.product(*(range(k) for k in shape[:3])):
        quantile, reach, days = (CHOICES[name][at] for name, at in zip(names, first, strict=False))
        detector = variant(quantile, reach, days)
        scores = {one.key: detector.score(one.grid, step=one.step) for one in data.series}
        for rest in itertools.product(*(range(k) for k in shape[3:])):
            hours, escalate, habit, most = (CHOICES[name][at] for name, at in zip(names[3:], rest, strict=True))
            hold = Refractory(3600.0 * hours, 24, escalate, habit, most)
            rows = {one.key: one.rows(hold.apply(scores[one.key], step=one.step)) for one in data.series}
            parts[first + rest] = {
                profile: dict(zip(rows, contributions(data.series, rows, how), strict=True))
                for profile, how in PROFILES.items()
            }
    totals = dict.fromkeys(PROFILES, 0.0)
    for category in sorted({one.category for one in data.series}):
        choice = choose(data, parts, shape, category)
        print(
            f"without {category}: {', '.join(f'{n} {CHOICES[n][at]:g}' for n, at in zip(names, choice, strict=True))}"
        )
        own = [one for one in data.series if one.category == category]
        others = [one for one in data.series if one.category != category]
        for profile, how in PROFILES.items():
            by = parts[choice][profile]
            threshold = steady([by[one.key] for one in others], count_windows(others), how).threshold
            totals[profile] += raw_at([by[one.key] for one in own], count_windows(own), threshold, how)
    for (profile, how), least in zip(PROFILES.items(), (74.0, 66.0, 79.0), strict=True):
        score = normalise(totals[profile], count_windows(data.series), how)
        yield Target(f"NAB {profile}, every choice made on other categories", score, least, False)


def choose(data: Any, parts: Any, shape: tuple[int, ...], category: str) -> tuple[int, ...]:
    """Return the cell that the standard score of the other categories chooses."""
    others = [one for one in data.series if one.category != category]
    windows, how = count_windows(others), PROFILES["standard"]
    scores = np.empty(shape)
    for cell, by in parts.items():
        scores[cell] = steady([by["standard"][one.key] for one in others], windows, how).score
    axes = range(len(shape))
    return tuple(int(scores.mean(axis=tuple(a for a in axes if a != axis)).argmax()) for axis in axes)


def variant(quantile: float, reach: float, days: int) -> Watchdog:
    """Return the default detector with other parameters."""
    members = []
    for member in Watchdog().members:
        changed: Detector = replace(member, calibration=replace(member.calibration, quantile=quantile))
        members.append(replace(changed, reach=reach, days=days) if isinstance(changed, Envelope) else changed)
    return Watchdog(members=tuple(members))


def cost(asked: argparse.Namespace) -> Iterator[Target]:
    """Print CPU time per point of the default detector and of peers, on the same series."""
    generator = np.random.default_rng(0)
    day = np.sin(np.arange(POINTS) / PERIOD * 2 * np.pi)
    block = 50 + 10 * day + generator.normal(0, 2, (20, POINTS))
    detector = Watchdog()
    detector.score(block[:1], step=300.0)
    own = median_cpu(lambda: detector.score(block, step=300.0), asked.runs) / block.size
    rows = [("workbench watchdog, 6 features", own)]
    for member in detector.members:
        member.score(block[:1], step=300.0)
        spent = median_cpu(partial(member.score, block, step=300.0), asked.runs)
        rows.append((f"  of it {member.name}", spent / block.size))
    rows += [(name, spent / POINTS) for name, spent in peers(block[0], asked.runs)]
    shown = [(name, f"{1e6 * spent:.3g}", f"{spent / own:.3g}") for name, spent in rows]
    print(table(("on 10,080 points, period 288", "us / point", "/ ours"), shown))
    yield Target("us per point of the default detector", 1e6 * own, 5.0)


def peers(series: Any, runs: int) -> Iterator[tuple[str, float]]:
    """Yield name and CPU seconds of each peer that is installed, on one series."""
    from statsmodels.tsa.seasonal import STL

    yield (
        "statsmodels STL with jumps",
        median_cpu(lambda: STL(series, period=PERIOD, seasonal_jump=2, trend_jump=43, low_pass_jump=29).fit(), runs),
    )
    yield "statsmodels STL", median_cpu(lambda: STL(series, period=PERIOD).fit(), 1)
    if has("stumpy"):
        stumpy = importlib.import_module("stumpy")
        stumpy.stump(series[:500], 24)
        yield "stumpy.stump m=24", median_cpu(lambda: stumpy.stump(series, 24), runs)
    if has("pyod"):
        forest = importlib.import_module("pyod.models.iforest").IForest
        windows = np.lib.stride_tricks.sliding_window_view(series, 24)
        yield "PyOD isolation forest", median_cpu(lambda: forest(random_state=0).fit(windows).decision_scores_, runs)
    if has("river"):
        anomaly = importlib.import_module("river.anomaly")

        def trees() -> None:
            model = anomaly.HalfSpaceTrees(n_trees=25, limits={"x": (0.0, 100.0)}, seed=0)
            for value in series.tolist():
                model.score_one({"x": value})
                model.learn_one({"x": value})

        yield "river half-space trees", median_cpu(trees, 1)


def has(name: str) -> bool:
    """Return whether a peer is installed, and say so where it is not."""
    found = importlib.util.find_spec(name) is not None
    if not found:
        print(f"{name} is not installed and left out")
    return found


def tick(asked: argparse.Namespace) -> Iterator[Target]:
    """Time single ticks of many series that have a full history."""
    generator = np.random.default_rng(0)
    for step in (300.0, 10.0):
        stream: Stream = Watchdog().stream(asked.series, step=step)
        history = 2400
        for _ in range(history // 100):
            stream.parts(generator.normal(10, 1, (asked.series, 100)))
        fill(stream)
        ticks = (generator.normal(10, 1, asked.series) for _ in range(asked.ticks))
        spent = np.array([once(partial(stream.update, values)) for values in ticks])
        print(
            f"step {step:g} s: {asked.series:,} series, {stream.nbytes / asked.series:,.0f} bytes each,"
            f" CPU ms p50 {1e3 * np.median(spent):.1f}, p99 {1e3 * np.quantile(spent, 0.99):.1f}, max {1e3 * spent.max():.1f}"
        )
        p99 = 1e3 * float(np.quantile(spent, 0.99))
        yield Target(f"CPU ms of a tick of {asked.series:,} series every {step:g} s, p99", p99, 100)


def fill(stream: Stream) -> None:
    """Fill every ring of days, as a week of ticks would."""
    for name, array in stream.state.items():
        if array.dtype == np.float64 and array.ndim == 2 and not np.isfinite(array).all():
            array[~np.isfinite(array)] = 9.0 if name.endswith("low") else 11.0
    stream.tick += 10 * 86_400 // int(stream.step)


def injected(asked: argparse.Namespace) -> Iterator[Target]:
    """Print detection curves at ten seconds."""
    curves = evaluate.detection_curves("watchdog", Watchdog(), count=asked.count)
    print(curves)
    for kind in ("level", "spike"):
        cell = next(cell for cell in curves.cells if cell.kind == kind and cell.size == 6.0)
        yield Target(f"{kind} of 6 sigma missed, %", 100 * cell.missed / cell.series, 1.0)
        yield Target(f"{kind} of 6 sigma, median delay in steps", cell.delay_steps, 3.0)
    yield Target("fault-free series-days with an alarm, %", 100 * curves.false_share, 2.0)


def once(call: Callable[[], Any]) -> float:
    """Return the CPU seconds of one call."""
    began = time.process_time()
    call()
    return time.process_time() - began


def median_cpu(call: Callable[[], Any], runs: int) -> float:
    """Return the median CPU seconds of a few calls."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(np.median([once(call) for _ in range(runs)]))


def main() -> None:
    """Run the sections asked for and say which targets are met."""
    asked = options()
    measure.pin()
    targets: list[Target] = []
    for name in asked.only.split(","):
        print(f"\n## {name}", flush=True)
        targets += globals()[name](asked)
    print("\n## Targets")
    for target in targets:
        print(target.line())
    if asked.json:
        asked.json.write_text(json.dumps([vars(target) for target in targets], indent=1))


if __name__ == "__main__":
    main()
