"""Start runbooks: check first, then one worker process per notebook, progress here.

papermill, nbclient and nbconvert are imported by the worker (`worker.py`), never by the caller: a notebook's kernel or
a server that starts runbooks stays as it was, and a run can be stopped whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from workbench.errors import InvalidInput, RunbookError
from workbench.runbooks.catalogue import load, resolve
from workbench.runbooks.signature import check

__all__ = ["Job", "render", "run", "run_all"]

_GRACE_SECONDS = 120.0
"""What starting a kernel and rendering may take beside the cells."""


@dataclass(frozen=True)
class Job:
    """One notebook to run.

    Attributes
    ----------
    notebook : str or Path
        A shipped notebook's name, or a notebook file of your own.
    parameters : mapping
        Values for parameters it declares.
    out : Path
        Executed notebook to write (`.ipynb`).
    page : Path, optional
        Also render the executed notebook into this HTML file.
    title : str, optional
        Title of the page.
    """

    notebook: str | Path
    parameters: Mapping[str, Any]
    out: Path
    page: Path | None = None
    title: str | None = None


@dataclass
class _Worker:
    """One running process and what it has said so far."""

    label: str
    job: dict[str, Any]
    process: subprocess.Popen[bytes]
    errors: IO[bytes]
    done: int = 0
    total: int = 0
    result: dict[str, Any] = field(default_factory=dict)


def run(
    notebook: Path | str,
    parameters: Mapping[str, Any] | None = None,
    out: Path | str = "executed.ipynb",
    *,
    progress: bool = True,
    timeout: float | None = None,
) -> Path:
    """Execute a notebook with parameters and write the executed notebook.

    Parameters
    ----------
    notebook : str or Path
        A shipped notebook's name, or a notebook file of your own.
    parameters : mapping, optional
        Values for parameters the notebook declares in its cell tagged `parameters`: None, bool, int, float, str, and
        lists and dictionaries of these.
    out : Path
        Where the executed notebook goes; also written when a cell fails.
    progress : bool
        Whether to show a progress bar, on a terminal or in a notebook.
    timeout : float, optional
        Seconds the cells may take together.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    InvalidInput, NotFound
        Before anything starts, when notebook, parameters or `out` are not allowed.
    RunbookError
        If a cell fails or time runs out.
    """
    return run_all([Job(notebook, parameters or {}, Path(out))], progress=progress, timeout=timeout)[0]


def run_all(jobs: Sequence[Job], *, progress: bool = True, timeout: float | None = None) -> list[Path]:
    """Execute several notebooks at the same time, each in a worker and kernel of its own; otherwise as `run`.

    Returns
    -------
    list of Path
        The executed notebooks, in the order given.
    """
    if timeout is not None and not timeout > 0:
        raise InvalidInput(f"timeout {timeout!r} is not a positive number of seconds: give one, or None for no limit.")
    with tempfile.TemporaryDirectory(prefix="workbench-") as scratch:
        prepared = [_prepare(job, Path(scratch), i, timeout) for i, job in enumerate(jobs)]
        workers = _work(prepared, progress, timeout)
        failures = []
        for job, worker in zip(jobs, workers, strict=True):
            written = _publish(Path(worker.job["output"]), job.out)
            if job.page is not None:
                _publish(Path(worker.job["page"]), job.page)
            if "error" in worker.result:
                where = f"; the executed notebook is {job.out}" if written else ""
                failures.append(f"{worker.label} {worker.result['error']}{where}.")
    if failures:
        raise RunbookError(" ".join(failures))
    return [job.out for job in jobs]


def render(notebook: Path | str, out: Path | str, *, title: str | None = None) -> Path:
    """Turn a notebook with outputs into one self-contained HTML file.

    Parameters
    ----------
    notebook : Path
        An executed notebook (its file; a `str` is taken as a path here).
    out : Path
        HTML file to write.
    title : str, optional
        Title of the page; the notebook's first heading by default.

    Returns
    -------
    Path
        `out`.
    """
    source, target = resolve(Path(notebook)), Path(out)
    load(source)
    _writable(target, ".html")
    with tempfile.TemporaryDirectory(prefix="workbench-") as scratch:
        page = Path(scratch) / "page.html"
        job = {"label": source.stem, "executed": str(source), "page": str(page), "title": title, "scratch": scratch}
        worker = _work([job], False, None)[0]
        if "error" in worker.result:
            raise RunbookError(f"rendering {source.name} {worker.result['error']}.")
        _publish(page, target)
    return target


def _prepare(job: Job, scratch: Path, index: int, timeout: float | None) -> dict[str, Any]:
    """Check one job and return what its worker needs to know."""
    path = resolve(job.notebook)
    document = load(path)
    values = check(job.parameters, document, path.name)
    _writable(job.out, ".ipynb")
    if job.page is not None:
        _writable(job.page, ".html")
    folder = scratch / str(index)
    folder.mkdir()
    return {
        "label": path.stem,
        "source": str(path),
        "parameters": values,
        "output": str(folder / "executed.ipynb"),
        "page": str(folder / "page.html") if job.page is not None else None,
        "title": job.title,
        "timeout": timeout,
        "scratch": str(folder),
    }


def _writable(out: Path, suffix: str) -> None:
    if out.suffix != suffix:
        raise InvalidInput(f"output {str(out)!r} does not end in {suffix}: give a file name that does.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"the folder of output {str(out)!r} cannot be made: {error}.") from error
    if out.is_dir() or not os.access(out.parent, os.W_OK):
        raise InvalidInput(f"output {str(out)!r} cannot be written: give a file in a folder that can be.")


def _publish(made: Path, out: Path) -> bool:
    """Put a finished file in its place, whole or not at all; return whether there was one."""
    if not made.is_file():
        return False
    partial = out.with_name(f".{out.name}.{os.getpid()}.part")
    partial.write_bytes(made.read_bytes())
    partial.replace(out)
    return True


def _work(jobs: Sequence[dict[str, Any]], progress: bool, timeout: float | None) -> list[_Worker]:
    """Run one worker per job until all have ended; stop them all when this is interrupted."""
    workers: list[_Worker] = []
    deadline = None if timeout is None else time.monotonic() + timeout + _GRACE_SECONDS
    try:
        for job in jobs:
            workers.append(_start(job))  # noqa: PERF401 (one that was started is stopped, whatever happens next)
        with _bar(workers, progress) as update:
            _listen(workers, deadline, update)
        for worker in workers:
            _finish(worker)
    finally:
        for worker in workers:
            _stop(worker)
    return workers


def _start(job: dict[str, Any]) -> _Worker:
    errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed in _stop)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "workbench.runbooks.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        start_new_session=True,
    )
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(json.dumps(job).encode() + b"\n")
        process.stdin.flush()
    return _Worker(job["label"], job, process, errors)


def _listen(workers: Sequence[_Worker], deadline: float | None, update: Any) -> None:
    """Read what the workers say, a JSON document a line, until all have closed their output."""
    buffers = dict.fromkeys(range(len(workers)), b"")
    with selectors.DefaultSelector() as selector:
        for i, worker in enumerate(workers):
            assert worker.process.stdout is not None
            selector.register(worker.process.stdout, selectors.EVENT_READ, i)
        while selector.get_map():
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return
            for key, _ in selector.select(left):
                chunk = os.read(key.fd, 65536)
                if not chunk:
                    selector.unregister(key.fileobj)
                    continue
                *lines, buffers[key.data] = (buffers[key.data] + chunk).split(b"\n")
                for line in lines:
                    _heard(workers[key.data], json.loads(line))
            update()


def _heard(worker: _Worker, message: dict[str, Any]) -> None:
    if "cell" in message:
        worker.done, worker.total = message["cell"], message["of"]
    else:
        worker.result = message


def _finish(worker: _Worker) -> None:
    """Put an error into the result of a worker that ended, or had to be stopped, without saying how it went."""
    if worker.result:
        return
    if worker.process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.process.wait(2)
    code = worker.process.poll()
    worker.errors.seek(0)
    lines = worker.errors.read()[-8192:].decode("utf-8", "replace").strip().splitlines()
    said = f" ({lines[-1][:300]})" if lines else ""
    worker.result = {"error": "did not end in time" if code is None else f"ended with exit code {code}{said}"}


def _stop(worker: _Worker) -> None:
    """End the worker and whatever it started, and close its files."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if worker.process.poll() is not None:
            break
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(worker.process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.process.wait(3)
    for stream in (worker.process.stdin, worker.process.stdout, worker.errors):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


@contextlib.contextmanager
def _bar(workers: Sequence[_Worker], progress: bool) -> Iterator[Any]:
    """Yield a function that shows how many cells of all workers are done."""
    if not progress or not ("ipykernel" in sys.modules or sys.stderr.isatty()):
        yield lambda: None
        return
    from tqdm.auto import tqdm

    label = " + ".join(worker.label for worker in workers)
    with tqdm(total=0, desc=label, unit="cell") as bar:

        def update() -> None:
            bar.total = sum(worker.total for worker in workers) or None
            bar.n = sum(worker.done for worker in workers)
            bar.refresh()

        yield update
