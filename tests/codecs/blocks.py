"""Blocks of a real Prometheus: made by its own tools, taken apart here without ours."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np

from tests import naive


def make(folder: Path, text: str) -> Path:
    """Write OpenMetrics text into TSDB blocks under `folder / "blocks"`."""
    (folder / "samples.txt").write_text(text)
    run("create-blocks-from", "openmetrics", folder / "samples.txt", folder / "blocks")
    return folder / "blocks"


def run(*words: object) -> str:
    done = subprocess.run(["promtool", "tsdb", *map(str, words)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def chunks(block: Path) -> list[bytes]:
    """The XOR chunks of the segment files of one block: magic, version, then length, encoding, data, CRC-32C each."""
    found = []
    for path in sorted((block / "chunks").iterdir()):
        data = path.read_bytes()
        assert data[:5] == bytes.fromhex("85bd40dd01")
        at = 8
        while at < len(data):
            length, shift = 0, 0
            while True:
                byte = data[at]
                length |= (byte & 127) << shift
                at, shift = at + 1, shift + 7
                if byte < 128:
                    break
            assert data[at] == 1, "only XOR chunks are expected"
            found.append(data[at + 1 : at + 1 + length])
            assert naive.crc32c(data[at : at + 1 + length]) == int.from_bytes(
                data[at + 1 + length : at + 5 + length], "big"
            )
            at += length + 5
    return found


def dump(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Series, in the order of the database, to times in ms and values; a stale marker is printed as any NaN."""
    (folder / "wal").mkdir(exist_ok=True)
    found: dict[str, list[tuple[int, float]]] = {}
    for line in run("dump", folder).splitlines():
        series, value, time = re.fullmatch(r"(\{.*\}) (\S+) (-?\d+)", line).groups()
        found.setdefault(series, []).append((int(time), float(value)))
    return {
        series: (np.array([t for t, _ in rows], np.int64), np.array([v for _, v in rows]))
        for series, rows in found.items()
    }
