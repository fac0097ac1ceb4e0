from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from workbench import runbooks
from workbench.errors import InvalidInput, RunbookError

Maker = Callable[..., Path]

HOSTILE_VALUE = "\"'''\n{x!r}\\ ${HOME} `id` \u2028 </script>"


def outputs(path: Path) -> str:
    document = json.loads(path.read_text())
    return "".join("".join(o.get("text", "")) for c in document["cells"] for o in c.get("outputs", []))


def test_runs_renders_and_leaves_nothing_else(
    notebook: Maker, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "none"))  # no kernel specification is looked for
    path = notebook(
        "text: str = ''\nnumber: float = 0.0", "import sys, json\nprint(json.dumps([text, number]), sys.executable)"
    )
    out, page = tmp_path / "runs" / "{text}" / "done.ipynb", tmp_path / "runs" / "done.html"
    job = runbooks.Job(path, {"text": HOSTILE_VALUE, "number": float("inf")}, out, page, "Title <b>")
    assert runbooks.run_all([job]) == [out]
    text, _, executable = outputs(out).rpartition(" ")
    assert json.loads(text) == [HOSTILE_VALUE, float("inf")]
    assert os.path.samefile(executable.strip(), sys.executable)
    metadata = json.loads(out.read_text())["metadata"]["papermill"]
    assert metadata["input_path"] == metadata["output_path"] == "own.ipynb"
    assert metadata["exception"] is None
    assert "<h1>Title &lt;b&gt;</h1>" in page.read_text()
    assert sorted(p.name for p in (tmp_path / "runs").rglob("*")) == ["done.html", "done.ipynb", "{text}"]
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_a_failing_cell_is_one_sentence_and_the_notebook_is_written(notebook: Maker, tmp_path: Path) -> None:
    path = notebook("a = 1", "print('before')", "raise KeyError('a\\nb')", "print('after')")
    out = tmp_path / "out.ipynb"
    with pytest.raises(RunbookError) as caught:
        runbooks.run(path, {"a": 2}, out, progress=False)
    assert str(caught.value) == f"own failed in cell 4 (KeyError: 'a\\nb'); the executed notebook is {out}."
    assert outputs(out) == "before\n"
    assert json.loads(out.read_text())["metadata"]["workbench"]["error"].startswith("failed in cell 4")
    page = runbooks.render(out, tmp_path / "out.html")
    assert "This run failed in cell 4" in page.read_text()


def test_a_run_ends_in_time_and_what_was_done_is_written(notebook: Maker, tmp_path: Path) -> None:
    path = notebook("a = 1", "print('before')", "import time; time.sleep(300)")
    began = time.monotonic()
    with pytest.raises(RunbookError, match=r"own was stopped in cell 3 of 3 after 2 seconds"):
        runbooks.run(path, {}, tmp_path / "out.ipynb", timeout=2)
    assert time.monotonic() - began < 200
    assert outputs(tmp_path / "out.ipynb") == "before\n"


def test_a_kernel_that_ends_is_reported(notebook: Maker, tmp_path: Path) -> None:
    path = notebook("a = 1", "import os; os._exit(3)")
    with pytest.raises(RunbookError, match="own stopped because its kernel ended"):
        runbooks.run(path, {}, tmp_path / "out.ipynb")


def test_nothing_starts_when_something_is_not_allowed(
    notebook: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    path, out = notebook("a = 1"), tmp_path / "out.ipynb"
    for call, says in (
        (lambda: runbooks.run(path, {"b": 1}, out), "'b' is not declared"),
        (lambda: runbooks.run(path, {"a": "1"}, out), "it must be int"),
        (lambda: runbooks.run("../own", {}, out), "is not a name"),
        (lambda: runbooks.run(path, {}, tmp_path / "out.html"), r"does not end in \.ipynb"),
        (lambda: runbooks.run(path, {}, path / "x" / "out.ipynb"), "cannot be made"),
        (lambda: runbooks.run(path, {}, out, timeout=0), "not a positive number"),
        (lambda: runbooks.render(path, tmp_path / "out.pdf"), r"does not end in \.html"),
    ):
        with pytest.raises(InvalidInput, match=says):
            call()
    assert not out.exists()


def test_importing_the_room_costs_no_papermill() -> None:
    code = (
        "import sys, workbench.runbooks;"
        "print([m for m in ('papermill', 'nbconvert', 'nbformat', 'nbclient', 'jupyter_client', 'nh3') if m in sys.modules],"
        "'rfc3987_syntax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] False"


def test_the_worker_ends_with_its_parent(notebook: Maker, tmp_path: Path) -> None:
    """A caller that is killed leaves neither a worker nor a kernel behind."""
    mark = tmp_path / "pid"
    path = notebook("a = 1", f"import os, time; open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(300)")
    out = tmp_path / "o.ipynb"
    code = f"from pathlib import Path; from workbench import runbooks; runbooks.run(Path({str(path)!r}), {{}}, {str(out)!r})"
    caller = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 120
    while not (mark.exists() and mark.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    kernel = int(mark.read_text())
    caller.kill()
    caller.wait()
    while time.monotonic() < deadline:
        try:
            os.kill(kernel, 0)
        except ProcessLookupError:
            return
        if "Z" in Path(f"/proc/{kernel}/stat").read_text().rpartition(")")[2].split()[0]:
            return
        time.sleep(0.1)
    raise AssertionError(f"kernel {kernel} is still there")
