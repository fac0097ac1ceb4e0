"""An in-process sampling profiler: one thread looks at the stacks of all others a hundred times a second.

Each sample counts wall time for every thread and CPU time by the thread's own clock, so that a loaded machine cannot
pass waiting off as work. Every ten seconds the counts leave as one pprof message.
"""

from __future__ import annotations

import dis
import functools
import gc
import http.client
import importlib.util
import os
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from urllib.parse import urlsplit


def _load_schema() -> ModuleType:
    # By its file, because importing it by name would run the package around it and bring pandas into every service.
    path = Path(__file__).resolve().parents[2] / "workbench" / "sources" / "pprof_schema.py"
    spec = importlib.util.spec_from_file_location("pprof_schema", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"the pprof schema cannot be loaded from {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


Profile = _load_schema().Profile

PERIOD_NS = 10_000_000
WINDOW_NS = 10_000_000_000

#: One frame of a stack: the code object and the line being run, or the name of a function without Python code and 0.
Stack = tuple[tuple[CodeType | str, int], ...]


class Sampler:
    """Counts time per thread name and stack.

    Parameters
    ----------
    service, env
        Written as labels on every sample.
    """

    def __init__(self, service: str, env: str) -> None:
        self._labels = {"service": service, "env": env}
        self._own = threading.get_ident()
        self._clocks: dict[int, tuple[int, int]] = {}
        self._last: dict[int, tuple[str, Stack]] = {}
        self.cpu: Counter[tuple[str, Stack]] = Counter()
        self.wall: Counter[tuple[str, Stack]] = Counter()

    def sample(self, elapsed_ns: int) -> None:
        """Look at every thread once; `elapsed_ns` has passed since the last look."""
        frames = sys._current_frames()
        for ident in self._clocks.keys() - frames.keys():
            # The clock of an ended thread must not be read again.
            self._forget(ident)
        for ident, frame in frames.items():
            if ident == self._own:
                continue
            try:
                key, used_ns = self._look(ident, frame)
            except (OSError, AttributeError):
                # The thread ended, or another one took over its number, while it was looked at.
                self._forget(ident)
                continue
            self.wall[key] += elapsed_ns
            if used_ns:
                self.cpu[key] += used_ns

    def _forget(self, ident: int) -> None:
        self._clocks.pop(ident, None)
        self._last.pop(ident, None)

    def _look(self, ident: int, frame: FrameType) -> tuple[tuple[str, Stack], int]:
        clock, before = self._clocks.get(ident, (0, 0))
        if not clock:
            clock = time.pthread_getcpuclockid(ident)
            before = time.clock_gettime_ns(clock)
        now = time.clock_gettime_ns(clock)
        self._clocks[ident] = (clock, now)
        if now == before and ident in self._last:
            # A thread whose clock stood still has not moved: its stack is the one seen last.
            return self._last[ident], 0
        key = (_thread_name(ident), _unwind(frame))
        self._last[ident] = key
        return key, now - before

    def drain(self, start_ns: int, duration_ns: int) -> bytes:
        """Return the counts so far as a serialized pprof message; counting starts anew."""
        cpu, wall = self.cpu, self.wall
        self.cpu, self.wall = Counter(), Counter()
        builder = _Builder(self._labels, start_ns, duration_ns)
        for key, wall_ns in wall.items():
            builder.add(key[0], key[1], cpu.get(key, 0), wall_ns)
        return builder.serialize()


class _Builder:
    """Fills one pprof message; strings, functions and locations are written once."""

    def __init__(self, labels: dict[str, str], start_ns: int, duration_ns: int) -> None:
        self._strings = {"": 0}
        self._functions: dict[CodeType | str, int] = {}
        self._locations: dict[tuple[CodeType | str, int], int] = {}
        self._labels = labels
        self.profile = Profile(time_nanos=start_ns, duration_nanos=duration_ns, period=PERIOD_NS)
        for name in ("cpu", "wall"):
            self.profile.sample_type.add(type=self._text(name), unit=self._text("nanoseconds"))
        self.profile.period_type.type = self._text("cpu")
        self.profile.period_type.unit = self._text("nanoseconds")
        self.profile.default_sample_type = self._text("cpu")

    def _text(self, text: str) -> int:
        return self._strings.setdefault(text, len(self._strings))

    def _location(self, code: CodeType | str, line: int) -> int:
        found = self._locations.get((code, line))
        if found is not None:
            return found
        if code not in self._functions:
            number = self._functions[code] = len(self._functions) + 1
            if isinstance(code, str):
                self.profile.function.add(id=number, name=self._text(code), filename=self._text("<native>"))
            else:
                self.profile.function.add(
                    id=number,
                    name=self._text(code.co_qualname),
                    system_name=self._text(code.co_name),
                    filename=self._text(code.co_filename),
                    start_line=code.co_firstlineno,
                )
        number = self._locations[code, line] = len(self._locations) + 1
        self.profile.location.add(id=number).line.add(function_id=self._functions[code], line=line)
        return number

    def add(self, thread: str, stack: Stack, cpu_ns: int, wall_ns: int) -> None:
        sample = self.profile.sample.add(value=[cpu_ns, wall_ns])
        sample.location_id.extend(self._location(code, line) for code, line in stack)
        for name, value in {**self._labels, "thread": thread}.items():
            sample.label.add(key=self._text(name), str=self._text(value))

    def serialize(self) -> bytes:
        self.profile.string_table.extend(self._strings)
        data: bytes = self.profile.SerializeToString()
        return data


def _thread_name(ident: int) -> str:
    thread = threading._active.get(ident)  # type: ignore[attr-defined]
    return thread.name if thread is not None else "native"


@functools.cache
def native_call(code: CodeType, offset: int) -> str:
    """Return what a leaf frame that stands at bytecode `offset` is calling, such as `time.sleep`, or an empty string.

    Functions written in C have no frame of their own, yet they are where threads wait. The instruction being run tells
    them: a call names its callee, and a `with` that stands still is entering a lock.
    """
    instructions = list(dis.get_instructions(code))
    at = next((i for i, found in enumerate(instructions) if found.offset == offset), None)
    if at is None:
        return ""
    now = instructions[at]
    loads = [i for i in instructions[:at] if i.opname.startswith("LOAD_") and isinstance(i.argval, str)]
    if now.opname in ("BEFORE_WITH", "LOAD_SPECIAL"):
        return f"{loads[-1].argval}.__enter__" if loads else ""
    if not now.opname.startswith(("CALL", "PRECALL")) or now.positions is None:
        return ""
    # The callee's loads begin where the call expression begins: `time`, then `time.sleep`.
    begin = (now.positions.lineno, now.positions.col_offset)
    names = [str(i.argval) for i in loads if i.positions and (i.positions.lineno, i.positions.col_offset) == begin]
    return ".".join(names)


def _unwind(frame: FrameType | None) -> Stack:
    """Return the stack from the leaf to the root."""
    stack: list[tuple[CodeType | str, int]] = []
    if frame is not None and (name := native_call(frame.f_code, frame.f_lasti)):
        stack.append((name, 0))
    while frame is not None:
        stack.append((frame.f_code, frame.f_lineno or frame.f_code.co_firstlineno))
        frame = frame.f_back
    return tuple(stack)


def _send(address: str, body: bytes) -> None:
    target = urlsplit(address)
    connection = http.client.HTTPConnection(target.hostname or "127.0.0.1", target.port or 80, timeout=5)
    try:
        connection.request("POST", target.path, body, {"Content-Type": "application/x-protobuf"})
        connection.getresponse().read()
    except OSError:
        # The recorder is gone or busy; a lost window must not hurt the service.
        pass
    finally:
        connection.close()


def _run(service: str, env: str, address: str, parent: int) -> None:
    sampler = Sampler(service, env)
    began, started = time.time_ns(), time.monotonic_ns()
    last = due = started
    while True:
        due += PERIOD_NS
        time.sleep(max(0, due - time.monotonic_ns()) / 1e9)
        now = time.monotonic_ns()
        # After a stall the missed looks are not made up for: their time is on the next one.
        due = max(due, now - PERIOD_NS)
        # Collecting garbage may run foreign code, which lets the thread under observation move on between two frames.
        was_collecting = gc.isenabled()
        gc.disable()
        try:
            sampler.sample(now - last)
        finally:
            if was_collecting:
                gc.enable()
        last = now
        if now - started >= WINDOW_NS:
            _send(address, sampler.drain(began, now - started))
            began, started = time.time_ns(), time.monotonic_ns()
            if os.getppid() != parent:
                # The supervisor died without a chance to clean up.
                os._exit(1)


def start(service: str, env: str, address: str, parent: int) -> None:
    """Profile this process in a daemon thread and post each window to `address`."""
    threading.Thread(target=_run, args=(service, env, address, parent), name="sampler", daemon=True).start()
