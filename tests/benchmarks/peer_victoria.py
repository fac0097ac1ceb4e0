"""VictoriaMetrics, single node: loaded by JSON import, merged, asked through its raw export over HTTP."""

from __future__ import annotations

import json
import shutil
import time as clock
from pathlib import Path

import numpy as np

from tests.benchmarks.answers import Variant, labelled
from tests.benchmarks.bench_data import Data
from tests.benchmarks.peer_prometheus import selector
from tests.benchmarks.serving import Server, finite, free_port

_ROWS = 50


class Peer:
    """One data folder; values pass through a decimal form with a limited number of digits: it may alter them."""

    name = "VictoriaMetrics"

    def missing(self) -> str | None:
        """Return why it cannot take part, None when it can."""
        return None if shutil.which("victoria-metrics") else "victoria-metrics is not installed"

    def load(self, data: Data, folder: Path) -> list[str]:
        """Import the data, flush and merge it; return remarks."""
        value, notes = finite(data.value)
        self.open(folder, data)
        try:
            for first in range(0, len(data), _ROWS):
                lines = []
                for i in range(first, min(first + _ROWS, len(data))):
                    s = slice(data.offsets[i], data.offsets[i + 1])
                    row = {"metric": data.labels[i], "values": value[s].tolist(), "timestamps": data.time[s].tolist()}
                    lines.append(json.dumps(row))
                self._server.ask("POST", "/api/v1/import", "\n".join(lines).encode())
            self._settle(data)
        finally:
            self.close()
        return notes

    def _settle(self, data: Data) -> None:
        """Flush and merge, then wait until everything is found: its parts become visible late."""
        for path in ("/internal/force_flush", "/internal/force_merge", "/internal/force_flush"):
            self._server.ask("GET", path)
        for _ in range(100):
            status, _ = self._server.ask("GET", "/internal/force_flush")
            body = self._server.ask("GET", "/metrics")[1].decode()
            busy = [line for line in body.splitlines() if line.startswith("vm_active_force_merges ")]
            if status == 200 and all(line.endswith(" 0") for line in busy):
                return
            clock.sleep(0.2)

    def open(self, folder: Path, data: Data) -> None:
        """Start the server."""
        port = free_port()
        command = ["victoria-metrics", f"-storageDataPath={folder}", f"-httpListenAddr=127.0.0.1:{port}"]
        command += ["-retentionPeriod=100y", "-search.disableCache", "-search.maxUniqueTimeseries=2000000"]
        self._server = Server(command, port, "/health", folder.parent / f"{folder.name}.log")
        self.servers = (self._server.pid,)

    def close(self) -> None:
        """Stop the server."""
        self._server.stop()

    def _ask(self, match: str, low: int, high: int) -> object:
        """Return the raw samples in [low, high)."""
        given = {"match[]": match, "start": f"{low / 1000:.3f}", "end": f"{(high - 1) / 1000:.3f}"}
        status, body = self._server.ask("GET", "/api/v1/export", **given)
        if status != 200:
            raise RuntimeError(f"VictoriaMetrics refused {match}: {body[:300]!r}")
        blocks: dict[str, list[dict[str, object]]] = {}
        for line in body.splitlines():
            row = json.loads(line)
            blocks.setdefault(json.dumps(row["metric"], sort_keys=True), []).append(row)
        held = [json.loads(key) for key in blocks]
        names = sorted({name for row in held for name in row})
        labels = {name: np.array([row.get(name, "") for row in held], object) for name in names}
        # A series may come in several pieces, not always in order of time.
        time = np.array([np.concatenate([b["timestamps"] for b in parts]) for parts in blocks.values()])
        value = np.array([np.concatenate([b["values"] for b in parts]) for parts in blocks.values()])
        if (np.diff(time, axis=1) < 0).any():
            order = np.argsort(time, axis=1)
            time, value = np.take_along_axis(time, order, 1), np.take_along_axis(value, order, 1)
        return labelled(value.astype(np.float64), labels, time.astype(np.int64))

    def queries(self, data: Data) -> list[Variant]:
        """Return the ways to ask."""
        asked = data.window()
        every = '{__name__=~".+"}'
        one = selector(data.labels[asked["one"]])
        contains = "real timestamps, JSON over HTTP; some values altered"
        return [
            Variant("Q1", "export", contains, lambda: self._ask(every, asked["start"], asked["end"]), 1),
            Variant("Q2", "export", contains, lambda: self._ask(one, asked["start"], asked["end"])),
            Variant("Q3", "export", contains, lambda: self._ask(every, asked["hour"], asked["end"])),
        ]
