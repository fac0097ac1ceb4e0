"""Write the postmortem of an investigation: what the data say as statements, what people have to say as drafts.

The order of sections follows the union of public postmortem templates. Wording is about the system, not about people.

References
----------
Beyer et al., "Site Reliability Engineering", chapter 15; the Howie guide to incident reviews.
"""

from __future__ import annotations

import numpy as np

from workbench.diagnose.investigation import Hypothesis, Investigation
from workbench.incidents import wording
from workbench.incidents.document import Postmortem, Section, Statement
from workbench.incidents.impact import Impact, impact
from workbench.incidents.timeline import CHANGE_KINDS, timeline

__all__ = ["postmortem"]

_BEFORE_ONSET = np.timedelta64(15, "m")
_MOST_LINES = 40


def postmortem(investigation: Investigation, title: str | None = None) -> Postmortem:
    """Return the postmortem of one investigation.

    Parameters
    ----------
    investigation : Investigation
        When it abstained, the result is a short report of what was looked at.
    title : str, optional
        A title of your own instead of one made of the first hypothesis.
    """
    if investigation.abstained or investigation.fault is None or not investigation.hypotheses:
        return _quiet(investigation, title)
    cost = impact(investigation)
    suspect = investigation.hypotheses[0]
    day = str(investigation.fault[0].astype("datetime64[m]")).replace("-", "").replace(":", "").replace("T", "-")
    sections = (
        Section("summary", "Summary", _summary(investigation, suspect, cost)),
        Section("impact", "Impact", _impact(cost)),
        Section("times", "Began, detected, resolved", _times(investigation, cost)),
        Section("timeline", "Timeline (UTC)", _timeline(investigation, cost)),
        Section("trigger", "Trigger", _trigger(investigation, suspect)),
        Section("cause", "What the evidence says", _cause(investigation)),
        Section("factors", "Contributing factors", _prompts(_FACTORS)),
        Section("detection", "How it was detected", _detection(investigation)),
        Section("resolution", "Resolution", _resolution(cost)),
        Section("learned", "What went well, what was hard, where there was luck", _prompts(_LEARNED)),
        Section("actions", "Actions", _prompts(_ACTIONS)),
        Section("charts", "Charts and rows", _charts(investigation, cost)),
    )
    return Postmortem(
        title=title or f"{suspect.service}: {wording.KIND_WORDS.get(suspect.kind, suspect.kind)}",
        id=f"INC-{day}-{suspect.service}",
        severity=_severity(cost),
        window=investigation.window,
        sections=sections,
    )


_FACTORS = (
    "Which conditions had to come together for this to happen, and which of them were there before?",
    "What made it larger or longer than it had to be (retries, timeouts, limits, missing isolation)?",
)
_LEARNED = (
    "What helped to understand it quickly, and what was missing?",
    "Which paths of the diagnosis turned out wrong, and why did they look right at the time?",
    "What could have made it worse and did not?",
)
_ACTIONS = (
    "Prevent: what would have kept the system from getting there? Owner, priority, date.",
    "Detect: which signal above should have raised an alert, and at which level? Owner, priority, date.",
    "Mitigate: what would have shortened the time to recovery? Owner, priority, date.",
    "Process: what should change in how changes and incidents are handled? Owner, priority, date.",
)


def _prompts(texts: tuple[str, ...]) -> tuple[Statement, ...]:
    return tuple(Statement(text, draft=True) for text in texts)


def _severity(cost: Impact) -> str:
    during = cost.during
    failed = during.failed / during.requests if during.requests else 0.0
    affected = during.affected / during.requests if during.requests else 0.0
    if failed >= 0.25:
        return "SEV-1"
    if failed >= 0.05 or affected >= 0.5:
        return "SEV-2"
    if cost.jobs and cost.failed_jobs >= 0.25 * cost.jobs:
        return "SEV-3"
    return "SEV-3" if failed >= 0.005 or affected >= 0.15 else "SEV-4"


def _where(suspect: Hypothesis) -> str:
    return f"{suspect.service} ({suspect.component})" if suspect.component else suspect.service


def _summary(investigation: Investigation, suspect: Hypothesis, cost: Impact) -> tuple[Statement, ...]:
    words = wording.KIND_WORDS.get(suspect.kind, suspect.kind)
    strongest = max(suspect.evidence, key=lambda item: item.strength, default=None)
    began = wording.instant(cost.window[0])
    first = (
        f"From {began} UTC, {_where(suspect)} showed {words} (probability {wording.probability(suspect.probability)})."
    )
    during = cost.during
    if during.requests:
        lasted = wording.duration(cost.window[1] - cost.window[0])
        going = " and was still going on at the end of the window" if np.isnat(cost.recovered) else ""
        second = (
            f"It lasted {lasted}{going}. In this time, {during.failed:,} of {during.requests:,} "
            f"incoming requests failed and {during.slow:,} were slower than 95 of 100 requests were before."
        )
    else:
        second = "No incoming request was traced in this time, so its effect on users is not measured."
    return (Statement(first, strongest.query if strongest else ""), Statement(second, cost.query))


def _impact(cost: Impact) -> tuple[Statement, ...]:
    during, before = cost.during, cost.before
    lines = []
    if during.requests:
        failed, was = (wording.share(p.failed, p.requests) for p in (during, before))
        slow, was_slow = (wording.share(p.slow, p.requests) for p in (during, before))
        affected = wording.share(during.affected, during.requests)
        median, tail = (
            f"{wording.milliseconds(old)} to {wording.milliseconds(new)}"
            for old, new in ((before.p50_ns, during.p50_ns), (before.p95_ns, during.p95_ns))
        )
        lines += [
            Statement(
                f"Failed requests: {during.failed:,} of {during.requests:,} ({failed}); before, {was}.",
                cost.failed_query,
            ),
            Statement(
                f"Slow requests (slower than 95 of 100 before): {during.slow:,} ({slow}); before, {was_slow}.",
                cost.query,
            ),
            Statement(f"Requests of users that failed or were slow: {during.affected:,} ({affected}).", cost.query),
            Statement(f"Response time: median {median}, 95th percentile {tail}.", cost.query),
        ]
    else:
        lines.append(Statement("No incoming request was traced in this time.", cost.query))
    if cost.failed_jobs:
        part = wording.share(cost.failed_jobs, cost.jobs)
        lines.append(
            Statement(f"Failed background jobs: {cost.failed_jobs:,} of {cost.jobs:,} ({part}).", cost.jobs_query)
        )
    lines.append(Statement(f"Duration: it lasted {cost.length}.", cost.query))
    lines.append(
        Statement("How many people does this stand for, and what did it cost (error budget, money, trust)?", draft=True)
    )
    return tuple(lines)


def _first_alert(investigation: Investigation) -> tuple[np.datetime64, str, str] | None:
    """Return time, title and service of the first alert since it began."""
    events = investigation.telemetry.events
    assert investigation.fault is not None
    alerts = events[(events["kind"] == "alert").to_numpy(bool) & (events["time"].to_numpy() >= investigation.fault[0])]
    if alerts.empty:
        return None
    return alerts["time"].to_numpy()[0], str(alerts["title"].iloc[0]), str(alerts["service"].iloc[0])


def _times(investigation: Investigation, cost: Impact) -> tuple[Statement, ...]:
    assert investigation.fault is not None
    began = investigation.fault[0]
    lines = [Statement("Began: the signals left their usual range.", cost.query, time=began)]
    alert = _first_alert(investigation)
    if alert is not None:
        at = alert[0]
        text = f"Detected: first alert, {wording.duration(at - began)} after it began."
        lines.append(Statement(text, wording.call("events", "kind:alert", investigation.window), time=at))
    else:
        lines.append(Statement("Detected: no alert is recorded in this window. When did somebody notice?", draft=True))
    if np.isnat(cost.recovered):
        lines.append(Statement("Resolved: not yet, it was still going on at the end of the window.", cost.query))
    else:
        text = f"Resolved: the signals returned to normal, {wording.duration(cost.recovered - began)} after it began."
        lines.append(Statement(text, cost.query, time=cost.recovered))
    lines.append(Statement("Acknowledged and mitigated: when, and by which step?", draft=True))
    return tuple(lines)


def _timeline(investigation: Investigation, cost: Impact) -> tuple[Statement, ...]:
    frame = timeline(investigation, cost).head(_MOST_LINES)
    return tuple(
        Statement(what, query, time=time)
        for time, what, query in zip(frame["time"].to_numpy(), frame["what"], frame["query"], strict=True)
    )


def _trigger(investigation: Investigation, suspect: Hypothesis) -> tuple[Statement, ...]:
    assert investigation.fault is not None
    began, window = investigation.fault[0], investigation.window
    events = investigation.telemetry.events
    time = events["time"].to_numpy()
    near = events["kind"].isin(CHANGE_KINDS).to_numpy(bool) & (time >= began - _BEFORE_ONSET)
    changes = events[near & (time <= began + np.timedelta64(60, "s"))]
    changes = changes.loc[(changes["service"] != suspect.service).sort_values(kind="stable").index]
    if changes.empty:
        near_text = wording.duration(_BEFORE_ONSET)
        text = f"No deploy, configuration, scale or flag event is recorded in the {near_text} before it began."
        query = wording.call("events", " OR ".join(f"kind:{k}" for k in CHANGE_KINDS), (began - _BEFORE_ONSET, began))
        return (Statement(text, query), Statement("What was different at that time?", draft=True))
    lines = []
    for at, kind, service, what in zip(
        changes["time"].to_numpy(), changes["kind"], changes["service"], changes["title"], strict=True
    ):
        place = "in the suspected service" if service == suspect.service else "in another service"
        gap = wording.duration(abs(began - at))
        when = f"{gap} before it began" if at <= began else f"{gap} after it began"
        text = f"{kind} of {service or 'the whole system'} ({what}), {when}, {place}."
        lines.append(Statement(text, wording.call("events", f"kind:{kind}", window), time=at))
    lines.append(
        Statement("A change close in time is a lead, not a cause: does the evidence connect them?", draft=True)
    )
    return tuple(lines)


def _cause(investigation: Investigation) -> tuple[Statement, ...]:
    first, *others = investigation.hypotheses
    lines = [Statement(item.statement, item.query) for item in sorted(first.evidence, key=lambda e: -e.strength)]
    for other in others[:3]:
        words = wording.KIND_WORDS.get(other.kind, other.kind)
        query = other.evidence[0].query if other.evidence else ""
        text = f"Less likely ({wording.probability(other.probability)}): {words} in {_where(other)}."
        lines.append(Statement(text, query, draft=not query))
    return tuple(lines)


def _detection(investigation: Investigation) -> tuple[Statement, ...]:
    assert investigation.fault is not None
    began = investigation.fault[0]
    query = wording.call("events", "kind:alert", investigation.window)
    alert = _first_alert(investigation)
    if alert is not None:
        gap = wording.duration(alert[0] - began)
        lines = [Statement(f'By the alert "{alert[1]}" of {alert[2] or "the system"}, after {gap}.', query)]
    else:
        lines = [Statement("No alert fired in the faulty part of the window.", query)]
    onsets = [item for h in investigation.hypotheses[:1] for item in h.evidence if not np.isnat(item.onset)]
    if onsets:
        early = min(onsets, key=lambda item: item.onset)
        gap = wording.duration(early.onset - began)
        lines.append(
            Statement(f"The earliest evidence was visible {gap} after it began: {early.statement}", early.query)
        )
    lines.append(Statement("What should have detected it?", draft=True))
    return tuple(lines)


def _resolution(cost: Impact) -> tuple[Statement, ...]:
    if np.isnat(cost.recovered):
        line = Statement("It was still going on at the end of the window.", cost.query)
    else:
        text = "From here on, the signals were in their usual range."
        line = Statement(text, cost.query, time=cost.recovered)
    return (line, Statement("Which step resolved it, and how was it found?", draft=True))


def _charts(investigation: Investigation, cost: Impact) -> tuple[Statement, ...]:
    panels = (
        ("timeline", "Anomalies, events and alerts in time."),
        ("metric", "The series that changed most, with their usual range."),
        ("service_map", "Who calls whom, with errors and latency per edge."),
        ("flame", "Where the time was spent, before and during."),
        ("templates", "Log templates that are new or more frequent."),
        ("hypotheses", "Suspects and evidence."),
    )
    charts = [Statement(text, f"{_again(investigation)}.show({name!r})") for name, text in panels]
    return (*charts, Statement("The failed requests themselves.", cost.failed_query))


def _again(investigation: Investigation) -> str:
    start, end = (str(t.astype("datetime64[ms]")) for t in investigation.window)
    return f"bench.investigate(start={start!r}, end={end!r})"


def _quiet(investigation: Investigation, title: str | None) -> Postmortem:
    """Return the report of an investigation that named no suspect."""
    telemetry, window = investigation.telemetry, investigation.window
    found = {
        "spans": len(telemetry.spans),
        "logs": len(telemetry.logs),
        "events": len(telemetry.events),
    }
    looked = [Statement(f"{n:,} {name} were read.", wording.call(name, "", window)) for name, n in found.items()]
    looked.append(
        Statement(
            f"{telemetry.metrics.n_samples:,} samples of {len(telemetry.metrics):,} series and "
            f"{len(telemetry.profiles):,} profile samples were read.",
            "bench.store.status()",
        )
    )
    cost = impact(investigation)
    whole = cost.during
    failed = f"{whole.failed:,} failed ({wording.share(whole.failed, whole.requests)})"
    measured = f"Of {whole.requests:,} requests from {wording.instant(cost.window[0])} on, {failed}."
    sections = (
        Section("summary", "Summary", (Statement(investigation.summary, _again(investigation)),)),
        Section("looked", "What was looked at", tuple(looked)),
        Section("impact", "Incoming requests", (Statement(measured, cost.query),)),
        Section(
            "next",
            "What to try",
            _prompts(
                (
                    "Does the window begin with some normal minutes and include the trouble? Widen it and run again.",
                    "Was a signal missing that would have shown it? Say which, and add it.",
                )
            ),
        ),
    )
    day = str(window[0].astype("datetime64[m]")).replace("-", "").replace(":", "").replace("T", "-")
    return Postmortem(title or "No incident was found in this window", f"REPORT-{day}", "none", window, sections)
