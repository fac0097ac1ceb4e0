"""Prometheus' own blocks, written by promtool, asked over HTTP."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np

from tests.benchmarks.answers import REAL, Variant, labelled
from tests.benchmarks.bench_data import Data
from tests.benchmarks.serving import Server, finite, free_port


def selector(labels: dict[str, str]) -> str:
    """Return the series selector that names exactly these labels."""
    return "{" + ",".join(f"{name}={json.dumps(value)}" for name, value in labels.items()) + "}"


class Peer:
    """2 h blocks as they are made; the server is told not to merge them while it is measured."""

    name = "Prometheus"

    def missing(self) -> str | None:
        """Return why it cannot take part, None when it can."""
        lacking = [tool for tool in ("prometheus", "promtool") if shutil.which(tool) is None]
        return f"{lacking[0]} is not installed" if lacking else None

    def load(self, data: Data, folder: Path) -> list[str]:
        """Write blocks through OpenMetrics text; return remarks."""
        value, notes = finite(data.value)
        text = folder / "samples.txt"
        with text.open("w", encoding="utf-8") as out:
            for i, row in enumerate(data.labels):
                name = row["__name__"] + selector({k: v for k, v in row.items() if k != "__name__"})
                s = slice(data.offsets[i], data.offsets[i + 1])
                pairs = zip(value[s].tolist(), data.time[s].tolist(), strict=True)
                out.write("".join(f"{name} {v!r} {t // 1000}.{t % 1000:03d}\n" for v, t in pairs))
            out.write("# EOF\n")
        command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(folder)]
        subprocess.run(command, check=True, capture_output=True)
        text.unlink()
        return notes

    def open(self, folder: Path, data: Data) -> None:
        """Start the server."""
        settings = folder.parent / f"{folder.name}.yml"
        settings.write_text("", encoding="utf-8")
        port = free_port()
        command = ["prometheus", f"--config.file={settings}", f"--storage.tsdb.path={folder}"]
        command += [f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=100y"]
        command += ["--storage.tsdb.min-block-duration=2h", "--storage.tsdb.max-block-duration=2h"]
        self._server = Server(command, port, "/-/ready", folder.parent / f"{folder.name}.log")
        self.servers = (self._server.pid,)

    def close(self) -> None:
        """Stop the server."""
        self._server.stop()

    def _ask(self, selector: str, low: int, high: int) -> object:
        """Return the raw samples in [low, high): a range selector asked as an instant query."""
        query = f"{selector}[{high - 1 - low}ms]"
        status, body = self._server.ask("GET", "/api/v1/query", query=query, time=f"{(high - 1) / 1000:.3f}")
        found = json.loads(body)
        if status != 200:
            raise RuntimeError(f"Prometheus refused {query}: {found.get('error')}")
        rows = found["data"]["result"]
        names = sorted({name for row in rows for name in row["metric"]})
        labels = {name: np.array([row["metric"].get(name, "") for row in rows], object) for name in names}
        time = np.array([[pair[0] for pair in row["values"]] for row in rows])
        value = np.array([[float(pair[1]) for pair in row["values"]] for row in rows])
        return labelled(value, labels, (time * 1000).round().astype(np.int64))

    def queries(self, data: Data) -> list[Variant]:
        """Return the ways to ask."""
        asked = data.window()
        every = '{__name__=~".+"}'
        one = selector(data.labels[asked["one"]])
        contains = f"{REAL}, JSON over HTTP"
        return [
            Variant("Q1", "range selector", contains, lambda: self._ask(every, asked["start"], asked["end"]), 1),
            Variant("Q2", "range selector", contains, lambda: self._ask(one, asked["start"], asked["end"])),
            Variant("Q3", "range selector", contains, lambda: self._ask(every, asked["hour"], asked["end"])),
        ]
