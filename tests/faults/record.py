"""What a process did to the disk, as strace saw it: writes, truncations, syncs and changes of folders, in order."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.harness import Nursery

__all__ = ["Event", "parse", "record"]

_CALLS = (
    "/^(open|openat|creat|close|write|writev|pwrite64|pwritev|pwritev2|lseek|fsync|fdatasync|sync_file_range|syncfs|"
    "ftruncate|truncate|rename|renameat|renameat2|link|linkat|symlink|symlinkat|unlink|unlinkat|mkdir|mkdirat|rmdir|"
    "sendfile|copy_file_range|splice|fallocate|mmap)$"
)


@dataclass(frozen=True)
class Event:
    """One step.

    Attributes
    ----------
    kind : str
        `data` (inode, offset, data), `size` (inode, offset = new size), `sync` (inode), `link` and `unlink` (folder,
        name, inode), `syncdir` (folder), `said` (name = the line).
    inode : int
        Number of a file above 0, of a folder below; 0 where there is none.
    during : int
        For syncs: how many events came between the beginning of the call and its end; they are not covered.
    """

    kind: str
    inode: int = 0
    offset: int = 0
    data: bytes = b""
    folder: str = ""
    name: str = ""
    during: int = 0


def record(nursery: Nursery, trace: Path, function: str, *arguments: object) -> list[str]:
    """Run a program of this folder under strace and return what it said; its trace is then in the file `trace`.

    The program is given the path of a file first, and has to wait until that file exists.
    """
    if shutil.which("strace") is None:
        pytest.skip("there is no strace here to record writes with")
    go = trace.with_suffix(".go")
    process = nursery.start(function, go, *arguments)
    process.until("ready")
    command = ["strace", "-f", "-y", "-xx", "-s", "100000000", "-e", f"trace={_CALLS}", "-o", trace]
    tracer = subprocess.Popen([*command, "-p", str(process.pid)], stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    line = tracer.stderr.readline()
    if "attached" not in line:
        process.kill()
        tracer.communicate()
        pytest.skip(f"processes may not be traced here: {line.strip()}")
    go.touch()
    lines, status = process.finish()
    tracer.communicate()
    assert status == 0, process.errors()
    return lines


def wait_for(go: str) -> None:
    """Say `ready` and wait until a file exists."""
    import ctypes

    from tests.faults.program import say

    ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1 & 2**64 - 1), 0, 0, 0)  # PR_SET_PTRACER, anybody
    say("ready")
    while not Path(go).exists():
        time.sleep(0.01)


_LINE = re.compile(r"^(\d+)\s+(\w+)\((.*)\)\s+= (-?\d+|0x[0-9a-f]+)(.*)$", re.S)
_STARTED = re.compile(r"^(\d+)\s+(\w+)\((.*) <unfinished \.\.\.>$", re.S)
_RESUMED = re.compile(r"^(\d+)\s+<\.\.\. (\w+) resumed>(.*)$", re.S)


def _text(quoted: str) -> bytes:
    return bytes.fromhex(quoted.replace("\\x", ""))


_QUOTED = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_HANDLE = re.compile(r"(-?\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)>")


def _calls(trace: Path) -> Iterator[tuple[str, str, str, bool]]:
    """Yield (call, arguments, result, begun): twice for a call that another interrupts, first with `begun`."""
    started: dict[str, str] = {}
    for line in trace.read_text().splitlines():
        if (match := _STARTED.match(line)) is not None:
            started[match[1]] = match[3]
            yield match[2], match[3], match[1], True
            continue
        if (match := _RESUMED.match(line)) is not None:
            line = f"{match[1]} {match[2]}({started.pop(match[1], '')}{match[3]}"
        if (match := _LINE.match(line)) is not None and not match[4].startswith("-"):
            yield match[2], match[3], f"{match[1]} {match[4]}{match[5]}", False


class _Reader:
    """Turns calls into events, following names and numbers of files under one folder."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.events: list[Event] = []
        self.inode: dict[str, int] = {}
        self.at: dict[str, int] = {}  # handle -> position of plain writes
        self.size: dict[int, int] = {}
        self.begun: dict[str, int] = {}
        self._next = 0

    def inside(self, path: str) -> bool:
        # SQLite's shared memory is never read after a restart, it is built anew.
        return path.startswith(f"{self.root}/") and not path.endswith("-shm")

    def link(self, path: str, inode: int) -> None:
        folder, _, name = path.rpartition("/")
        self.inode[path] = inode
        self.events.append(Event("link", inode, folder=folder, name=name))

    def unlink(self, path: str) -> None:
        folder, _, name = path.rpartition("/")
        self.events.append(Event("unlink", self.inode.pop(path), folder=folder, name=name))

    def make(self, path: str, sign: int = 1) -> None:
        self._next += 1
        self.size[sign * self._next] = 0
        self.link(path, sign * self._next)

    def data(self, path: str, offset: int, data: bytes) -> None:
        inode = self.inode[path]
        self.size[inode] = max(self.size[inode], offset + len(data))
        self.events.append(Event("data", inode, offset, data))

    def resize(self, path: str, size: int) -> None:
        self.size[self.inode[path]] = size
        self.events.append(Event("size", self.inode[path], size))

    def take(self, call: str, arguments: str, result: str, begun: bool) -> None:
        handles = [(number, _text(path).decode()) for number, path in _HANDLE.findall(arguments)]
        if begun:
            if call in ("fsync", "fdatasync"):
                self.begun[result] = len(self.events)
            return
        names = [_text(quoted) for quoted in _QUOTED.findall(arguments)]
        pid, _, value = result.partition(" ")
        if call in ("open", "openat", "creat"):
            self._open(pid, arguments, names[0].decode(), value)
        elif call in ("write", "pwrite64") and handles:
            self._write(call, arguments, handles[0], names, int(value.split()[0], 0), pid)
        elif call in ("fsync", "fdatasync"):
            self._sync(handles[0][1], len(self.events) - self.begun.pop(pid, len(self.events)))
        elif call == "ftruncate" and self.inside(handles[0][1]):
            self.resize(handles[0][1], int(arguments.rpartition(",")[2]))
        elif call == "mmap":
            shared = "MAP_SHARED" in arguments and "PROT_WRITE" in arguments and handles
            assert not shared or not self.inside(handles[0][1]), f"a shared mapping: {arguments}"
        elif call not in ("close", "lseek", "syncfs"):
            paths = [n.decode() for n in names if self.inside(n.decode())]
            if paths or any(self.inside(path) for _, path in handles):
                self._folder(call, paths, arguments)

    def _open(self, pid: str, arguments: str, path: str, value: str) -> None:
        if not self.inside(path) or "O_RDONLY" in arguments:
            return
        if path not in self.inode:
            assert "O_CREAT" in arguments, f"{path} was there before the recording"
            self.make(path)
        elif "O_TRUNC" in arguments and self.size[self.inode[path]]:
            self.resize(path, 0)
        self.at[value.partition("<")[0]] = -1 if "O_APPEND" in arguments else 0

    def _write(
        self, call: str, arguments: str, handle: tuple[str, str], data: list[bytes], count: int, pid: str
    ) -> None:
        number, path = handle
        if number == "1":
            self.events += [Event("said", name=line) for line in data[0].decode().splitlines()]
        elif self.inside(path) and path in self.inode:
            if call == "pwrite64":
                self.data(path, int(arguments.rpartition(",")[2]), data[0][:count])
                return
            at = self.at[number] if self.at[number] >= 0 else self.size[self.inode[path]]
            self.data(path, at, data[0][:count])
            if self.at[number] >= 0:
                self.at[number] += count

    def _sync(self, path: str, during: int) -> None:
        inode = self.inode.get(path, 0)
        if inode > 0:
            self.events.append(Event("sync", inode, during=during))
        elif inode < 0 or path == self.root:
            self.events.append(Event("syncdir", folder=path, during=during))

    def _folder(self, call: str, paths: list[str], arguments: str) -> None:
        if call in ("mkdir", "mkdirat"):
            self.make(paths[0], -1)
        elif call in ("rename", "renameat", "renameat2"):
            inode = self.inode[paths[0]]
            self.unlink(paths[0])
            self.link(paths[1], inode)
        elif call in ("link", "linkat"):
            self.link(paths[1], self.inode[paths[0]])
        elif call in ("unlink", "unlinkat", "rmdir"):
            if paths[0] in self.inode:
                self.unlink(paths[0])
        else:
            raise AssertionError(f"a call that the replay does not know: {call}({arguments[:300]})")


def parse(trace: Path, root: Path) -> list[Event]:
    """Return what a recorded program did under one folder, and what it said, in order.

    Raises
    ------
    AssertionError
        If it changed files in a way that the replay does not know, as through a shared mapping.
    """
    reader = _Reader(root)
    for call in _calls(trace):
        reader.take(*call)
    return reader.events
