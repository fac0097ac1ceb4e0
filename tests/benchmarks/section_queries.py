"""Three questions to the day set: everything, one series, the last hour of every series."""

from __future__ import annotations

from typing import Any

from tests.benchmarks.answers import BARE
from tests.benchmarks.peers import DAY, Bench, ask
from tests.benchmarks.report import Target, table

TITLES = {
    "Q1": "Q1, all series x 1 day into a DataArray",
    "Q2": "Q2, one series x 1 day",
    "Q3": "Q3, last hour of all series",
}


def _fastest(rows: list[dict[str, Any]]) -> float | None:
    return min((row["ms"] for row in rows), default=None)


def _ratio(above: float | None, below: float | None) -> float | None:
    return None if above is None or not below else above / below


def _table(rows: list[dict[str, Any]]) -> str:
    """Return the rows of one question, fastest first."""
    peers = [row for row in rows if row["key"] != "ours"]
    duck = _fastest([row for row in rows if row["key"] == "duckdb"])
    shown = [
        [
            row["name"],
            row["way"],
            row["ms"],
            _ratio(row["ms"], _fastest(peers)),
            _ratio(row["ms"], duck),
            row["opened_ms"],
            row["differ"]["values"],
            row["differ"]["times"],
            row["contains"],
        ]
        for row in sorted(rows, key=lambda row: row["ms"])
    ]
    head = [
        "store",
        "way",
        "ms",
        "/ fastest peer",
        "/ DuckDB",
        "ms with open",
        "values differ",
        "times differ",
        "answer",
    ]
    return table(head, shown)


def _targets(rows: list[dict[str, Any]]) -> list[Target]:
    """Return the lines that are to be shown: ours as a grid (else as samples) against the fastest way of the peers."""

    def of(among: list[dict[str, Any]], query: str, *keys: str, way: str | None = None) -> float | None:
        asked = [r for r in among if r["query"] == query and r["key"] in keys]
        return _fastest([r for r in asked if way is None or r["way"] == way])

    peers = sorted({row["key"] for row in rows} - {"ours"})
    timed = [row for row in rows if row["contains"] != BARE]
    why = "ours or the peer is missing"
    into = _fastest([r for r in rows if (r["key"], r["query"], r["way"]) == ("duckdb", "Q2", "times and values")])
    out = []
    for way in ("array", "select"):
        if not any(row["key"] == "ours" and row["way"] == way for row in rows):
            continue
        first, one, hour = (of(rows, query, "ours", way=way) for query in TITLES)
        against = [
            ("Q1", "fastest way of any peer", first, of(rows, "Q1", *peers), 0.75, 0.5),
            ("Q1", "fastest peer whose answer has times", first, of(timed, "Q1", *peers), 0.75, 0.5),
            ("Q2", "DuckDB's two bare arrays", one, of(rows, "Q2", "duckdb"), 1.0, 0.5),
            ("Q2", "DuckDB's DataArray", one, into, 1.0, 0.5),
            ("Q3", "DuckDB's fastest way", hour, of(rows, "Q3", "duckdb"), 0.5, None),
            ("Q3", "DuckDB's fastest way with times", hour, of(timed, "Q3", "duckdb"), 0.5, None),
        ]
        for query, whom, ours, theirs, limit, aim in against:
            out.append(Target(f"{query} {way} / {whom}", _ratio(ours, theirs), limit, True, aim, why))
    return out


def run(bench: Bench) -> tuple[str, list[Target], dict[str, Any]]:
    """Return the text, the targets and the figures."""
    rows = ask(bench, DAY)
    text = [f"{title}\n{_table([r for r in rows if r['query'] == query])}" for query, title in TITLES.items()]
    text.append(
        f"CPU milliseconds, servers included; handle open, median of {bench.runs} runs of the best of {bench.best}"
        " (Q1 of servers: one try a run). Peers' label tables are read when they are opened, ours with every answer."
    )
    return "\n\n".join(text), _targets(rows), {"rows": rows}
