"""Execute one notebook with papermill, in this process, on a kernel of this interpreter.

papermill's `execute_notebook` is taken apart here: its path templating and remote handlers stay unused, and the kernel
needs no installed kernel specification and no network port.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
import papermill.engines
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.exceptions import PapermillExecutionError
from papermill.execute import raise_for_execution_errors, remove_error_markers
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

__all__ = ["execute"]

_ENGINE = "workbench-local"
_KERNEL = "python3"
_MESSAGE_CHARS = 400


class _Manager(AsyncKernelManager):
    """Starts a kernel of the running interpreter, whether or not one is registered, over sockets in the file system."""

    @property
    def kernel_spec(self) -> KernelSpec:
        command = [
            sys.executable,
            "-m",
            "ipykernel_launcher",
            "-f",
            "{connection_file}",
            "--HistoryManager.enabled=False",
        ]
        return KernelSpec(argv=command, display_name="Python 3", language="python")


class _Progress:
    """Stands where papermill has its progress bar."""

    def __init__(self, say: Any, total: int) -> None:
        self.say, self.total, self.n = say, total, 0

    def update(self, cells: int) -> None:
        self.n += cells
        self.refresh()

    def refresh(self) -> None:
        self.say(cell=min(self.n, self.total), of=self.total)

    def set_description(self, text: str) -> None:
        """Take papermill's cell descriptions, which are not shown."""

    def close(self) -> None:
        """Nothing is held open."""


class _Clock:
    """Tells nbclient how long each cell may take: what the cells before it have left of the whole time."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds, self.end, self.cell = seconds, 0.0, None

    def __call__(self, cell: Any) -> int | None:
        self.cell = cell
        if self.seconds is None:
            return None
        now = time.monotonic()
        self.end = self.end or now + self.seconds
        return max(1, round(self.end - now))


class _Engine(papermill.engines.NBClientEngine):  # type: ignore[misc]
    """papermill's engine with our kernel, one deadline for the whole run, and progress told to the parent."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **kwargs: Any) -> Any:
        job, say = kwargs["job"], kwargs["say"]
        nb_man.pbar = _Progress(say, len(nb_man.nb.cells))
        manager = _Manager(kernel_name=kernel_name)
        if os.name == "posix":
            manager.transport = "ipc"
            manager.connection_file = str(Path(job["scratch"]) / "kernel.json")
        client = PapermillNotebookClient(
            nb_man,
            km=manager,
            kernel_name=kernel_name,
            startup_timeout=60,
            timeout_func=kwargs["clock"],
            shutdown_kernel="immediate",
        )
        client.owns_km = True
        return client.execute()


def execute(job: dict[str, Any], say: Any) -> str:
    """Run `job["source"]` with `job["parameters"]`, write `job["output"]`.

    Returns
    -------
    str
        "" on success, else the end of a sentence that begins with the notebook's name.
    """
    papermill.engines.papermill_engines.register(_ENGINE, _Engine)
    os.environ["IPYTHONDIR"] = str(Path(job["scratch"]) / "ipython")  # a clean profile: no start-up files, no history
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    nb = remove_error_markers(load_notebook_node(job["source"]))
    if job["parameters"]:
        nb = parameterize_notebook(nb, job["parameters"], kernel_name=_KERNEL, language="python", engine_name=_ENGINE)
    nb.metadata.papermill["input_path"] = nb.metadata.papermill["output_path"] = f"{job['label']}.ipynb"
    output, error, clock = job["output"], "", _Clock(job["timeout"])
    try:
        papermill.engines.papermill_engines.execute_notebook_with_engine(
            _ENGINE,
            nb,
            _KERNEL,
            output_path=output,
            progress_bar=False,
            log_output=False,
            job=job,
            say=say,
            clock=clock,
        )
        raise_for_execution_errors(nb, output)
    except PapermillExecutionError as failure:
        said = _one_line(f"{failure.ename}: {failure.evalue}")
        error = f"failed in cell {failure.exec_count or failure.cell_index} ({said})"
    except CellTimeoutError:
        number = next((i for i, cell in enumerate(nb.cells, 1) if cell is clock.cell), 0)
        nb.cells[number - 1].metadata.papermill["status"] = "failed"
        error = f"was stopped in cell {number} of {len(nb.cells)} after {job['timeout']:g} seconds"
    except (DeadKernelError, RuntimeError) as failure:
        error = f"stopped because its kernel ended ({_one_line(str(failure))})"
    if error and "exception" not in nb.metadata.papermill:
        nb.metadata.papermill["exception"] = True
    nb.metadata.setdefault("workbench", {})["error"] = error
    nbformat.write(nb, output)  # type: ignore[no-untyped-call]
    return error


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_MESSAGE_CHARS].rstrip(".")
