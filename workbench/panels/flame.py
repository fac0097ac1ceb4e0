"""Flame graph: where a service spends its time, the incident against the baseline.

`prepare` takes one set of profiles to a plain graph, or two to a differential one: a frame is as wide as the mean of
its shares before and during, red where its share grew, blue where it shrank, so that what vanished is seen as well.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.diagnose.investigation import Investigation, Window
from workbench.panels.data import FlameData
from workbench.panels.figure import Drawing, Figure
from workbench.panels.interactive import views
from workbench.panels.static import flame as static
from workbench.profiles import diff, flame
from workbench.signals import Profiles

__all__ = ["Flame", "prepare"]

_PREFERRED = ("cpu", "wall", "samples", "lock", "alloc")
_GONE = 6
_WAITING = frozenset(["latency", "lock_contention", "slow_query", "dependency_down", "retry_storm"])
_FOREIGN = r"(?:^|/)(?:site-packages|dist-packages|python3?\.?\d*)/|^/usr/lib|^<"
_NEARLY = 0.95


def prepare(
    profiles: Profiles,
    before: Profiles | None = None,
    *,
    sample_type: str | None = None,
    service: str = "",
    title: str = "Flame graph",
    note: str = "",
    working: bool = False,
) -> FlameData:
    """Return a flame graph.

    Parameters
    ----------
    profiles : Profiles
        What to show; with `before`, the incident.
    before : Profiles, optional
        The baseline to compare with.
    sample_type : str, optional
        By default cpu, else wall, else the first there is.
    service : str, optional
        Keep samples of this service only.
    note : str, optional
        Why there is nothing to show, when nothing was collected on purpose.
    working : bool, optional
        Of wall-clock samples keep only threads at work, where there are some: stacks through the service's own code, of
        threads that do not stand in one place all the time. Threads that wait for work would hide all others.
    """
    now = _of(profiles, service)
    old = None if before is None else _of(before, service)
    kind = sample_type or _sample_type(now, old)
    if working and kind == "wall":
        now, old, idle = _at_work(now, old)
        note = note or (f"{idle} samples of threads that waited for work are left out." if idle else "")
    counts = (0 if old is None else _count(old, kind), _count(now, kind))
    if not sum(counts):
        return _empty(title, service, note or _why(service))
    nodes = diff(old, now, kind) if old is not None and all(counts) else flame(now if counts[1] else _given(old), kind)
    unit = profiles.unit.get(kind, "")
    if old is not None and not all(counts):
        note = f"Only one of the two windows has profiles ({'during' if counts[1] else 'before'}): nothing is compared."
    return _data(nodes, title, service, kind, unit, counts, note)


def _given(profiles: Profiles | None) -> Profiles:
    assert profiles is not None
    return profiles


def _of(profiles: Profiles, service: str) -> Profiles:
    return profiles.select(profiles.samples["service"] == service) if service else profiles


def _count(profiles: Profiles, kind: str) -> int:
    return int((profiles.samples["sample_type"] == kind).sum())


def _at_work(now: Profiles, old: Profiles | None) -> tuple[Profiles, Profiles | None, int]:
    """Return wall-clock samples of threads at work in both windows, and how many others `now` had."""
    parts = [part.select(part.samples["sample_type"] == "wall") for part in (now, *(() if old is None else (old,)))]
    # Both windows share one table of stacks; where a thread stands when all is well is what it does without work.
    idle = _standing(parts[-1] if len(parts[-1]) else parts[0])
    masks = [
        _own_code(part) & ~pd.MultiIndex.from_frame(_places(part)[["service", "thread", "stack"]]).isin(idle)
        for part in parts
    ]
    if not any(mask.any() for mask in masks):
        return now, old, 0
    kept = [part.select(mask) for part, mask in zip(parts, masks, strict=True)]
    return kept[0], None if old is None else kept[1], int((~masks[0]).sum())


def _own_code(profiles: Profiles) -> npt.NDArray[np.bool_]:
    """Return which samples run through a file that belongs neither to the runtime nor to an installed package."""
    files = profiles.frames["file"].fillna("").astype("str")
    own = ((files != "") & ~files.str.contains(_FOREIGN)).to_numpy(bool)
    frame, parent = (profiles.stacks[name].to_numpy(np.int64) for name in ("frame", "parent"))
    # One row more than there are stacks stands for "above the outermost frame" and for samples without a stack.
    through = np.append(own[frame], False)
    jump = np.append(np.where(parent < 0, len(parent), parent), len(parent))
    while (jump != len(parent)).any():
        through, jump = through | through[jump], jump[jump]
    found: npt.NDArray[np.bool_] = through[profiles.samples["stack"].to_numpy(np.int64)]
    return found


def _standing(profiles: Profiles) -> pd.Index[Any]:
    """Return where threads stand nearly all the time, such as in their main loop: (service, thread, stack)."""
    table = _places(profiles)
    held = table.groupby(["service", "thread", "stack"])["value"].sum()
    total = held.groupby(level=["service", "thread"]).transform("sum")
    return held.index[(held >= _NEARLY * total) & (held.index.get_level_values("thread") != "")]


def _places(profiles: Profiles) -> pd.DataFrame:
    samples = profiles.samples
    thread = samples["thread"].fillna("").astype("str") if "thread" in samples.columns else ""
    value = samples["value"].to_numpy(np.float64)
    return pd.DataFrame({"service": samples["service"], "thread": thread, "stack": samples["stack"], "value": value})


def _sample_type(*parts: Profiles | None) -> str:
    found = {str(t) for part in parts if part is not None for t in part.samples["sample_type"].unique()}
    return next((t for t in _PREFERRED if t in found), min(found, default="cpu"))


def _why(service: str) -> str:
    whose = f" of {service}" if service else ""
    return f"No profiles{whose} were recorded in this window, so there is no flame graph."


def _empty(title: str, service: str, note: str) -> FlameData:
    none, ints = np.empty(0), np.empty(0, np.int32)
    return FlameData(title, service, "", "", 0.0, (), (), ints, ints, ints, none, none, none, none, note=note)


def _data(
    nodes: pd.DataFrame, title: str, service: str, kind: str, unit: str, counts: tuple[int, int], note: str
) -> FlameData:
    """Return the data of node rows, without the outermost frames that every stack shares."""
    compared = "delta" in nodes.columns
    folded = _trunk(nodes)
    kept = nodes.iloc[len(folded) :].reset_index(drop=True)
    x0, x1 = kept["x0"].to_numpy(np.float64), kept["x1"].to_numpy(np.float64)
    width = float(x1.max(initial=0.0)) or 1.0
    values = kept["total"].to_numpy(np.float64)
    tops = kept["depth"].to_numpy() == kept["depth"].min()
    gone: tuple[tuple[str, float], ...] = ()
    if compared:
        lost = kept[(kept["after_share"] == 0) & (kept["before_share"] > 0.005)]
        above = lost["parent"].to_numpy() - len(folded)
        fresh = (above < 0) | (kept["after_share"].to_numpy()[np.maximum(above, 0)] > 0)
        lost = lost[fresh].nlargest(_GONE, "before_share")
        gone = tuple(zip(lost["function"].tolist(), lost["before_share"].tolist(), strict=True))
    return FlameData(
        title, service, kind, unit, float(values[tops].sum()),
        tuple(kept["function"].tolist()), tuple(kept["file"].tolist()), kept["line"].to_numpy(np.int32),
        (kept["depth"] - len(folded)).to_numpy(np.int32),
        np.maximum(kept["parent"].to_numpy() - len(folded), -1).astype(np.int32),
        kept["self"].to_numpy(np.float64), values, x0 / width, x1 / width,
        kept["before_share"].to_numpy(np.float64) if compared else None,
        kept["after_share"].to_numpy(np.float64) if compared else None,
        gone, tuple(nodes["function"].iloc[: len(folded)].tolist()), counts, note,
    )  # fmt: skip


def _trunk(nodes: pd.DataFrame) -> range:
    """Return the rows of the outermost frames that have exactly one child each and no time of their own."""
    children = np.bincount(nodes["parent"].to_numpy()[nodes["parent"].to_numpy() >= 0], minlength=len(nodes))
    own = nodes["self"].to_numpy() + (nodes["before_self"].to_numpy() if "before_self" in nodes.columns else 0)
    if int((nodes["parent"] < 0).sum()) != 1:
        return range(0)
    length = 0
    # In preorder an only child is the row behind its parent; the frame where the trunk ends stays as the root.
    while length + 1 < len(nodes) and children[length] == 1 and own[length] == 0:
        length += 1
    return range(length)


class Flame:
    """The panel `flame`."""

    name: ClassVar[str] = "flame"
    drawing: ClassVar[Drawing] = Drawing(static.text, static.html, views.flame)

    def prepare(self, *inputs: Any, **options: Any) -> FlameData:
        """Return a flame graph of profiles; see `prepare`."""
        return prepare(*inputs, **options)

    def figure(self, *inputs: Any, **options: Any) -> Figure:
        """Return the flame graph of an investigation's first suspect that has profiles, or of profiles given."""
        if not (inputs and isinstance(inputs[0], Investigation)):
            return Figure(self.name, prepare(*inputs, **options), self.drawing)
        investigation = inputs[0]
        profiles = investigation.telemetry.profiles
        recorded = set(profiles.samples["service"].unique())
        suspects = [] if investigation.abstained else list(dict.fromkeys(h.service for h in investigation.hypotheses))
        service = next((s for s in suspects if s in recorded), "")
        if suspects and not service:
            why = _why(suspects[0]) if not recorded else _others(suspects[0], sorted(recorded))
            return Figure(self.name, _empty("Flame graph", suspects[0], why), self.drawing)
        now = _between(profiles, investigation.fault or investigation.window)
        before = _between(profiles, investigation.baseline) if investigation.fault and investigation.baseline else None
        kind = _named_type(investigation, service, {str(t) for t in profiles.samples["sample_type"].unique()})
        data = prepare(now, before, **({"service": service, "sample_type": kind, "working": True} | options))
        return Figure(self.name, data, self.drawing)


def _named_type(investigation: Investigation, service: str, known: set[str]) -> str | None:
    """Return wall-clock time for a service suspected of waiting, else what the evidence speaks of, else None."""
    first = next((h.kind for h in investigation.hypotheses if h.service == service), "")
    if first in _WAITING and "wall" in known:
        return "wall"
    queries = [
        e.query for h in investigation.hypotheses if h.service == service for e in h.evidence if "profiles" in e.query
    ]
    return next((t for q in queries for t in sorted(known) if f"'{t}'" in q or f'"{t}"' in q), None)


def _others(service: str, recorded: list[str]) -> str:
    some = ", ".join(recorded[:6])
    return f"No profiles of {service} were recorded in this window; there are some of {some}."


def _between(profiles: Profiles, window: Window) -> Profiles:
    time = profiles.samples["time"]
    return profiles.select((time >= window[0]) & (time < window[1]))
