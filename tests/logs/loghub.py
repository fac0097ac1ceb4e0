"""Scores of template mining against the corrected truth of loghub-2k, as Khan et al., ICSE 2022, define them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from workbench.logs import TemplateMiner

SYSTEMS = ("Android", "Apache", "HDFS", "Hadoop", "Linux", "OpenSSH", "Proxifier", "Zookeeper")


def score(truth: pd.Series, group: np.ndarray, text: pd.Series) -> dict[str, float]:
    """Grouping accuracy, F1 over groups, parsing accuracy, F1 over templates of n lines."""
    frame = pd.DataFrame({"true": truth.to_numpy(object), "group": group, "text": text.to_numpy(object)})
    shared = frame.groupby(["true", "group"])["text"].transform("size")
    alike = (shared == frame.groupby("true")["text"].transform("size")) & (
        shared == frame.groupby("group")["text"].transform("size")
    )
    spelled = frame["true"] == frame["text"]
    groups = frame["group"].nunique() + frame["true"].nunique()
    return {
        "GA": alike.mean(),
        "FGA": 2 * frame.loc[alike, "group"].nunique() / groups,
        "PA": spelled.mean(),
        "FTA": 2 * frame.loc[alike & spelled, "group"].nunique() / groups,
    }


def evaluate(folder: Path, **options: int) -> pd.DataFrame:
    """Scores of one configuration on every system, one row each and the mean below."""
    rows = {}
    for system in SYSTEMS:
        path = folder / system / f"{system}_2k.log_structured_corrected.csv"
        lines = pd.read_csv(path, dtype=str, keep_default_na=False)
        mined = TemplateMiner(**options).mine(lines["Content"])
        rows[system] = score(lines["EventTemplate"], mined.ids, mined.texts())
    table = pd.DataFrame(rows).T
    table.loc["mean"] = table.mean()
    return table
