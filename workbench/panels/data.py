"""What each panel shows, as plain frozen data: made by `prepare`, drawn as text, static markup or a live view.

Times are `datetime64[ns]`, durations nanoseconds, rates per second, shares fractions of one; NaN is "not known".
Strings are as telemetry gave them: whoever draws them escapes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from workbench.diagnose.investigation import Window

__all__ = [
    "Card",
    "Chart",
    "Episode",
    "Finding",
    "FlameData",
    "HypothesesData",
    "Lane",
    "Line",
    "MapEdge",
    "MapNode",
    "Mark",
    "MetricData",
    "ServiceMapData",
    "TemplateRow",
    "TemplatesData",
    "TimelineData",
]


@dataclass(frozen=True)
class Mark:
    """One event, or one episode of anomalies of one service.

    Attributes
    ----------
    start, end : datetime64[ns]
        `end` is NaT for an instant.
    kind : str
        Kind of event.
    title : str
        What it says; of an episode, its strongest anomaly.
    severity : int
        OpenTelemetry number, 0-24.
    score : float
        Highest score of an episode, 0 for others.
    count : int
        Number of distinct series in an episode, 1 for others.
    """

    start: np.datetime64
    end: np.datetime64
    kind: str
    title: str
    severity: int = 0
    score: float = 0.0
    count: int = 1


@dataclass(frozen=True)
class Lane:
    """One service: its rank among the suspects (0 for none), marks, anomaly episodes, and how many marks are hidden."""

    service: str
    rank: int
    marks: tuple[Mark, ...]
    episodes: tuple[Mark, ...]
    hidden: int = 0


@dataclass(frozen=True)
class TimelineData:
    """A timeline; `more_services` lanes were left out, `events` and `anomalies` count the rows behind it.

    Here and below, `accused` is whether the investigation named a suspect; when not, `fault` is only what moved.
    """

    title: str
    window: Window
    baseline: Window | None
    fault: Window | None
    lanes: tuple[Lane, ...]
    more_services: int
    events: int
    anomalies: int
    accused: bool = True


@dataclass(frozen=True)
class Episode:
    """A stretch in which a series was not as expected."""

    start: np.datetime64
    end: np.datetime64
    score: float


@dataclass(frozen=True, eq=False)
class Line:
    """One series of a chart: its name and values, float64 of shape (t,), NaN where there is no sample."""

    name: str
    values: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Chart:
    """One chart of a metric.

    Attributes
    ----------
    title, service, unit : str
        `unit` is UCUM, or "share", or "ns".
    time : ndarray of datetime64[ns], shape (t,)
    lines : tuple of Line
        At most eight; `more` counts those left out.
    low, high : ndarray of float64, shape (t,), or None
        Expected band, computed from the past of each instant only; of a chart with one line.
    episodes : tuple of Episode
        Where it was anomalous.
    before, during : float
        Median in the baseline and in the fault window of the line that moved most, which `moved` names.
    """

    title: str
    service: str
    unit: str
    time: npt.NDArray[np.datetime64]
    lines: tuple[Line, ...]
    low: npt.NDArray[np.float64] | None = None
    high: npt.NDArray[np.float64] | None = None
    episodes: tuple[Episode, ...] = ()
    before: float = float("nan")
    during: float = float("nan")
    moved: str = ""
    more: int = 0


@dataclass(frozen=True, eq=False)
class MetricData:
    """Charts that share one time axis; `note` says why there is none."""

    title: str
    window: Window
    baseline: Window | None
    fault: Window | None
    charts: tuple[Chart, ...]
    note: str = ""
    accused: bool = True


@dataclass(frozen=True)
class MapNode:
    """One service of a map.

    Attributes
    ----------
    service, kind : str
        `kind` as the service map gives it: a service, database, messaging or virtual peer.
    rate, error_share, p95_ns : float
    rate_before, error_share_before, p95_before_ns : float
        The same in the baseline; NaN without one.
    failed, failed_before : float
        Share of calls to it that failed for those who called, so that a dead service shows; its own share of errors
        where nobody calls it; NaN without calls.
    rank : int
        Place among the suspects, 0 for none.
    probability : float
        Of the hypothesis that made it a suspect, NaN for none.
    x, y : float
        Column from the left and height, in units of one column and one row.
    """

    service: str
    kind: str
    rate: float
    error_share: float
    p95_ns: float
    rate_before: float
    error_share_before: float
    p95_before_ns: float
    rank: int
    probability: float
    x: float
    y: float
    failed: float = float("nan")
    failed_before: float = float("nan")


@dataclass(frozen=True)
class MapEdge:
    """Calls from one service to another; `path` are the points it runs through, in the units of `MapNode`."""

    caller: str
    callee: str
    connection: str
    rate: float
    error_share: float
    p95_ns: float
    rate_before: float
    error_share_before: float
    p95_before_ns: float
    path: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class ServiceMapData:
    """A service map; `note` says why it is empty."""

    title: str
    window: Window | None
    nodes: tuple[MapNode, ...]
    edges: tuple[MapEdge, ...]
    compared: bool
    note: str = ""
    accused: bool = True


@dataclass(frozen=True, eq=False)
class FlameData:
    """A flame graph, rows in preorder.

    Attributes
    ----------
    service, sample_type, unit : str
    total : float
        Value of the whole graph, in `unit`.
    function, file : tuple of str
    line, depth, parent : ndarray of int32, shape (n,)
        `parent` -1 at the top.
    self_value, value : ndarray of float64, shape (n,)
    x0, x1 : ndarray of float64, shape (n,)
        Left and right edge as a fraction of the whole width.
    before, after : ndarray of float64, shape (n,), or None
        Share of all samples before and during; None when nothing is compared.
    gone : tuple of (str, float)
        Functions that had a share before and have none now.
    folded : tuple of str
        Outermost frames shared by every stack, not drawn.
    note : str
        Why there is no graph; "" when there is one.
    """

    title: str
    service: str
    sample_type: str
    unit: str
    total: float
    function: tuple[str, ...]
    file: tuple[str, ...]
    line: npt.NDArray[np.int32]
    depth: npt.NDArray[np.int32]
    parent: npt.NDArray[np.int32]
    self_value: npt.NDArray[np.float64]
    value: npt.NDArray[np.float64]
    x0: npt.NDArray[np.float64]
    x1: npt.NDArray[np.float64]
    before: npt.NDArray[np.float64] | None = None
    after: npt.NDArray[np.float64] | None = None
    gone: tuple[tuple[str, float], ...] = ()
    folded: tuple[str, ...] = ()
    samples: tuple[int, int] = (0, 0)
    note: str = ""


@dataclass(frozen=True)
class TemplateRow:
    """One log template.

    Attributes
    ----------
    template, example, service : str
        `service` lists the services that wrote it, most lines first.
    severity : int
        Highest OpenTelemetry number seen.
    before, during : int
        Lines in the baseline and in the fault window (all lines when there is none).
    rate_before, rate_during : float
        Lines per second; NaN without that window.
    new : bool
        Whether it was never seen before the fault window began.
    first : datetime64[ns]
        First line of it.
    counts : tuple of int
        Lines in equal parts of the whole window.
    """

    template: str
    example: str
    service: str
    severity: int
    before: int
    during: int
    rate_before: float
    rate_during: float
    new: bool
    first: np.datetime64
    counts: tuple[int, ...]


@dataclass(frozen=True)
class TemplatesData:
    """Log templates, those that changed most first; `hot` are the first and last part of `counts` inside the fault."""

    title: str
    window: Window
    fault: Window | None
    rows: tuple[TemplateRow, ...]
    templates: int
    lines: int
    hot: tuple[int, int]
    compared: bool
    note: str = ""
    accused: bool = True


@dataclass(frozen=True)
class Finding:
    """One piece of evidence of a hypothesis; `strength` in decibans, `onset` NaT when it has none."""

    check: str
    statement: str
    query: str
    strength: float
    onset: np.datetime64
    rows: int


@dataclass(frozen=True)
class Card:
    """One hypothesis."""

    rank: int
    service: str
    component: str
    kind: str
    probability: float
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class HypothesesData:
    """The conclusion of an investigation; `more` hypotheses were left out."""

    title: str
    summary: str
    abstained: bool
    window: Window | None
    fault: Window | None
    cards: tuple[Card, ...] = field(default=())
    more: int = 0
    seconds: float = 0.0
