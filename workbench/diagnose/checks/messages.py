"""What the logs say that they did not say before: new and much more frequent templates, and whom they name."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench import logs
from workbench.diagnose.checks.wording import quoted, search
from workbench.diagnose.investigation import Evidence
from workbench.diagnose.scene import BEFORE, DURING, Scene

__all__ = ["NewMessages", "template_table"]


def template_table(scene: Scene) -> pd.DataFrame:
    """Return one row per log template and service.

    Returns
    -------
    DataFrame
        `service`, `template`, `severity` (highest seen), `before`, `during` (records), `expected` (records during, at
        the rate of before), `example` (one body), `first` (datetime64[ns], first record during; NaT for none). Most
        surprising first.
    """
    records = scene.telemetry.logs
    mined = logs.mine(records["body"])
    phase = scene.phase(records["time"])
    table = pd.DataFrame(
        {
            "service": records["service"].to_numpy(object),
            "template": mined.ids,
            "severity": records["severity"].to_numpy(),
            "before": phase == BEFORE,
            "during": phase == DURING,
            "row": np.arange(len(records)),
            "first": records["time"].where(pd.Series(phase == DURING, index=records.index)),
        }
    )
    grouped = table.groupby(["service", "template"], sort=False)
    out = grouped.agg(
        severity=("severity", "max"),
        before=("before", "sum"),
        during=("during", "sum"),
        row=("row", "last"),
        first=("first", "min"),
    ).reset_index()
    scale = scene.seconds(DURING) / scene.seconds(BEFORE)
    out["expected"] = out["before"] * scale
    out["example"] = records["body"].to_numpy(object)[out["row"].to_numpy()] if len(out) else ""
    out["template"] = [mined.templates[i] for i in out["template"]]
    gain = (out["during"] - out["expected"]) / np.sqrt(out["expected"] + 1.0)
    return out.assign(gain=gain).sort_values("gain", ascending=False, ignore_index=True).drop(columns=["row", "gain"])


class NewMessages:
    """Hint: a service writes warnings or errors that it did not write before, or others name it in theirs."""

    name = "messages"

    def run(self, scene: Scene) -> list[Evidence]:
        """Return one finding per service with new warnings of its own, and one per service that others complain of."""
        if scene.telemetry.logs.empty:
            return []
        table = template_table(scene)
        fresh = table[(table["severity"] >= 13) & (table["during"] >= 3) & (table["during"] > 5 * table["expected"])]
        found = []
        for service, rows in fresh.groupby("service", sort=False):
            top = rows.iloc[0]
            found.append(self._finding(scene, str(service), top, f"{service} writes", 4.0))
        names = sorted(set(scene.facts.calls["callee"]) | set(scene.facts.served["service"]))
        for name in names:
            told = fresh[(fresh["service"] != name) & _names(fresh["example"], name)]
            if len(told):
                top = told.iloc[0]
                found.append(self._finding(scene, name, top, f"{top['service']} complains of {name},", 3.0))
        return found

    def _finding(self, scene: Scene, service: str, top: pd.Series, subject: str, strength: float) -> Evidence:
        line = str(top["example"]).splitlines()[0][:160] if str(top["example"]) else ""
        return Evidence(
            check=self.name,
            service=service,
            kind="",
            statement=f"{subject} {top['during']:.0f} times, {top['before']:.0f} before: {line}",
            query=search(scene, "logs", f"service:{quoted(str(top['service']))} @severity:>=13"),
            strength=strength,
            onset=top["first"].to_datetime64(),
            rows=int(top["during"]),
        )


def _names(bodies: pd.Series, service: str) -> pd.Series:
    """Return which bodies hold the service's name as a word of its own."""
    import re

    return bodies.astype("str").str.contains(rf"(?<![\w-]){re.escape(service)}(?![\w-])", regex=True)
