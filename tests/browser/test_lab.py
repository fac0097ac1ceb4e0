"""In a real JupyterLab: the extension loads, live panels draw, and they draw again after the page is loaded anew."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.browser]

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
CELLS = [
    "%load_ext workbench",
    "bench = workbench.open('incident.store'); inv = bench.investigate(); inv.abstained",
    "inv.show('hypotheses')",
    "inv.show('flame')",
    "inv.show('service_map')",
    "inv.show('metric')",
    "inv.show('timeline')",
    "bench.logs('status:error').head()",
]
STARTED = r"[...document.querySelectorAll('.jp-InputPrompt')].some(p => /\[[*\d]/.test(p.textContent))"
"""Whether any cell is running or has run."""

COUNT = """() => {
  const found = {canvas: 0, svg: 0, panels: 0, errors: 0};
  const walk = node => {
    for (const child of node.querySelectorAll('*')) {
      if (child.tagName === 'CANVAS' && child.width > 10) found.canvas += 1;
      if (child.dataset && child.dataset.panel) found.panels += 1;
      if (child.dataset && child.dataset.mimeType === 'application/vnd.jupyter.stderr') found.errors += 1;
      if (child.shadowRoot) walk(child.shadowRoot);
    }
  };
  walk(document.querySelector('.jp-Notebook'));
  const kinds = ['application/vnd.jupyter.error', 'application/vnd.jupyter.stderr'];
  found.tracebacks = document.querySelectorAll(kinds.map(k => `[data-mime-type="${k}"]`).join(', ')).length;
  const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')];
  found.executed = prompts.filter(p => /\\[\\d+\\]/.test(p.textContent)).length;
  return found;
}"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def lab(incidents: dict[str, Path], tmp_path: Path) -> Iterator[str]:
    """A running JupyterLab over a folder with a store and a notebook; its address."""
    from workbench import session

    source = incidents.get("stock-cpu-saturation", next(iter(incidents.values())))
    root = tmp_path / "root"
    root.mkdir()
    with session.open(root / "incident.store") as bench:
        bench.ingest(source)
    cells = [
        {"cell_type": "code", "id": f"cell-{i}", "metadata": {}, "source": text, "outputs": [], "execution_count": None}
        for i, text in enumerate(CELLS)
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (root / "look.ipynb").write_text(json.dumps(notebook))
    folders = {f"{name}_DIR": str(tmp_path / name) for name in ("JUPYTER_CONFIG", "JUPYTER_DATA", "JUPYTER_RUNTIME")}
    port = free_port()
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root",
        "--IdentityProvider.token=tok", f"--ServerApp.root_dir={root}", "--LabApp.news_url=None",
    ]  # fmt: skip
    log = (tmp_path / "lab.log").open("wb")
    server = subprocess.Popen(
        command, stdout=log, stderr=log, env={**os.environ, **folders, "IPYTHONDIR": str(tmp_path / "ip")}
    )
    try:
        wait_until_up(f"http://127.0.0.1:{port}/api?token=tok", server)
        yield f"http://127.0.0.1:{port}/lab/tree/look.ipynb?token=tok&reset"
    finally:
        server.terminate()
        server.wait(timeout=30)
        log.close()


def wait_until_up(address: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(240):
        assert server.poll() is None, "JupyterLab ended"
        try:
            urllib.request.urlopen(address, timeout=2).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
        else:
            return
    raise AssertionError("JupyterLab did not come up in two minutes")


def run_all(tab: Any) -> None:
    """Choose *Run all cells*, and once more where a busy machine let the click go by."""
    for _ in range(4):
        tab.click('.lm-MenuBar-itemLabel:text-is("Run")')
        tab.click('[data-command="runmenu:run-all"]')
        try:
            tab.wait_for_function(STARTED, timeout=20_000)
        except Exception as error:
            if type(error).__name__ != "TimeoutError":
                raise
        else:
            return


def settled(tab: Any, seconds: float) -> dict[str, int]:
    """Return what the notebook shows once every cell has run, or when the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found: dict[str, int] = tab.evaluate(COUNT)
        if found["executed"] == len(CELLS) or found["tracebacks"]:
            tab.wait_for_timeout(5000)
            return dict(tab.evaluate(COUNT))
        tab.wait_for_timeout(500)
    return dict(tab.evaluate(COUNT))


def test_live_panels_draw_and_survive_a_reload(lab: str, tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
        tab = browser.new_page(viewport={"width": 1300, "height": 5200})
        outside: list[str] = []
        tab.on(
            "request",
            lambda r: outside.append(r.url) if r.url.startswith("http") and "//127.0.0.1" not in r.url else None,
        )
        tab.goto(lab)
        tab.wait_for_selector(".jp-Notebook .jp-Cell", timeout=120_000)
        tab.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=120_000)
        tab.click(".jp-Notebook .jp-Cell .jp-InputArea-editor")
        run_all(tab)
        first = settled(tab, 180)
        tab.screenshot(path=str(tmp_path / "lab.png"))
        assert first["tracebacks"] == 0
        assert first["executed"] == len(CELLS)
        assert first["canvas"] >= 3
        tab.keyboard.press("Control+s")
        tab.wait_for_timeout(1500)
        tab.goto(lab.replace("&reset", ""))
        tab.wait_for_selector(".jp-Notebook .jp-Cell", timeout=120_000)
        tab.click(".jp-Notebook .jp-Cell .jp-InputArea-editor")
        tab.click('.lm-MenuBar-itemLabel:text-is("Run")')
        tab.click('[data-command="runmenu:run-all"]')
        tab.wait_for_timeout(20_000)
        again = settled(tab, 120)
        tab.screenshot(path=str(tmp_path / "again.png"))
        assert again["tracebacks"] == 0
        assert again["canvas"] >= 3
        assert not [url for url in outside if "panel" not in url], outside
        browser.close()
