"""Pages made of hostile notebooks and of real ones: judged by a parser, then opened in a browser under their own policy."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from workbench import runbooks
from workbench.runbooks.page import policy

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

PAYLOADS = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg onload=alert(1)>", "<svg><script>alert(1)</script></svg>",
    "<svg><a xlink:href='javascript:alert(1)'><text x='9' y='9'>x</text></a></svg>", "<a href='javascript:alert(1)'>x</a>",
    "<a href='jAvAsCrIpT:alert(1)'>x</a>", "<a href='java\tscript:alert(1)'>x</a>", "<a href='&#106;avascript:alert(1)'>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>", "<a href='vbscript:alert(1)'>x</a>",
    "<iframe src='javascript:alert(1)'></iframe>", "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data='javascript:alert(1)'></object>", "<embed src='http://127.0.0.1:9/x'>", "<base href='http://127.0.0.1:9/'>",
    "<link rel=stylesheet href='http://127.0.0.1:9/x.css'>", "<meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'>",
    "<form action='http://127.0.0.1:9/'><button>x</button></form>", "<video src=x onerror=alert(1)></video>",
    "<details open ontoggle=alert(1)>x</details>", "<body onload=alert(1)>", "<input autofocus onfocus=alert(1)>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>", "<svg><foreignObject><iframe srcdoc='<script>alert(1)</script>'>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>", "<svg><use href='data:image/svg+xml,<svg id=x onload=alert(1)>#x'>",
    "</script><script>alert(1)</script>", "</title></style></textarea><script>alert(1)</script>",
    "<!--><script>alert(1)</script>-->",
    "<style>@import 'http://127.0.0.1:9/x.css'; body{display:none}</style>", "<div style='background:url(http://127.0.0.1:9/x)'>x</div>",
    "<div style='position:fixed;inset:0;background:red'>x</div>", "<img src='http://127.0.0.1:9/pixel.png'>",
    "<img srcset='http://127.0.0.1:9/pixel.png 1x'>", "<table background='http://127.0.0.1:9/x'><tr><td onclick=alert(1)>x</table>",
    "[x](javascript:alert(1))", "![x](http://127.0.0.1:9/x.png)", "![x](x\"onerror=\"alert(1))", "[x]: javascript:alert(1)\n[x]",
    "$\\href{javascript:alert(1)}{x}$", "\\begin{equation}\\unicode{<img src=x onerror=alert(1)>}\\end{equation}",
    "```mermaid\ngraph TD;A-->B[<img src=x onerror=alert(1)>]\n```", "`<img src=x onerror=alert(1)>`",
    "\x1b]8;;javascript:alert(1)\x07x\x1b]8;;\x07", "\x1b[31m<img src=x onerror=alert(1)>\x1b[0m", "\u202egnp.exe\u2066",
    "{{ 7*7 }}{% raw %}", "{{ ''.__class__ }}", "\x00<scr\x00ipt>alert(1)</scr\x00ipt>",
    "=cmd|' /C calc'!A0", "'\"><script>alert(1)//",
]  # fmt: skip


def cells_of(text: str, number: int) -> list[dict[str, Any]]:
    """One cell of each kind, with one output of each kind, all holding the text."""
    ours = {"workbench": {"panel": "timeline"}}
    picture = {"image/png": text, "image/svg+xml": text, "application/javascript": text, "text/latex": text}
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": text, "version_major": 2}, "text/html": text}
    outputs: list[dict[str, Any]] = [
        {"output_type": "stream", "name": "stdout", "text": text},
        {"output_type": "error", "ename": text, "evalue": text, "traceback": [text]},
        {"output_type": "display_data", "metadata": ours, "data": {"text/html": f"<div class='wb'>{text}</div>"}},
        {"output_type": "display_data", "metadata": ours, "data": {"text/html": f"<style>{text}</style><b>{text}"}},
        {
            "output_type": "display_data",
            "metadata": {},
            "data": {"text/html": f"<table><tr><td>{text}</td></tr></table>"},
        },
        {"output_type": "display_data", "metadata": {}, "data": {"text/markdown": text}},
        {"output_type": "display_data", "metadata": {}, "data": {"text/plain": text}},
        {"output_type": "display_data", "metadata": {}, "data": picture},
        {"output_type": "display_data", "metadata": {}, "data": widget},
        {"output_type": "display_data", "metadata": {}, "data": {"application/json": {text: text}}},
    ]
    return [
        {"cell_type": "markdown", "id": f"m{number}", "metadata": {}, "source": f"# {text}\n\n## {text}\n\n{text}"},
        {"cell_type": "code", "id": f"c{number}", "metadata": {"tags": [text]}, "source": f"x = 1  # {text}",
         "execution_count": 1, "outputs": outputs},
        {"cell_type": "raw", "id": f"r{number}", "metadata": {}, "source": text},
    ]  # fmt: skip


@pytest.fixture(scope="session")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    every = " ".join(PAYLOADS)
    state = {"state": {"a": {"model_name": "HTMLModel", "state": {"value": every}}}, "version_major": 2}
    parameters = {"cell_type": "code", "id": "p", "source": "a: str = ''", "metadata": {"tags": ["parameters"]}}
    document = {
        "cells": [parameters | {"outputs": [], "execution_count": None}],
        "metadata": {
            "papermill": {
                "parameters": {every: every, "start": every, "end": every},
                "start_time": every,
                "input_path": every,
            },
            "workbench": {"error": every},
            "widgets": {"application/vnd.jupyter.widget-state+json": state},
            "title": every,
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    for i, text in enumerate(PAYLOADS):
        document["cells"] += cells_of(text, i)
    source = folder / "hostile.ipynb"
    source.write_text(json.dumps(document))
    return runbooks.render(source, folder / "hostile.html", title=every)


class Seen(HTMLParser):
    """Collects elements, attributes and addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]


def test_nothing_hostile_survives_parsing(hostile_page: Path) -> None:
    text = hostile_page.read_text(encoding="utf-8")
    seen = Seen()
    seen.feed(text)
    scripts = seen.tags.count("script")
    assert scripts <= 1
    forbidden = {
        "iframe", "object", "embed", "base", "link", "form", "input", "button", "video", "audio", "foreignobject", "use",
        "animate", "math", "noscript",
    }  # fmt: skip
    assert forbidden.isdisjoint(seen.tags)
    assert [a for a in seen.attributes if a[1].startswith("on")] == []
    assert {a[1] for a in seen.attributes}.isdisjoint(
        {"srcset", "srcdoc", "background", "formaction", "xlink:href", "ping"}
    )
    addresses = [value for _, name, value in seen.attributes if name in ("href", "src", "action", "data", "poster")]
    assert all(re.match(r"#|data:image/png;base64,", value) for value in addresses), addresses
    styles = [value for _, name, value in seen.attributes if name == "style"]
    assert not any(re.search(r"url\(|fixed|javascript", value) for value in styles)
    assert seen.tags.count("style") == 1
    assert "127.0.0.1" not in re.findall(r"<style>(.*?)</style>", text, re.DOTALL)[0]
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\u202a-\u202e\u2066-\u2069]", text)
    assert "{{ 7*7 }}" in text
    assert len(text) < 3_000_000


def test_the_policy_names_the_one_script(hostile_page: Path) -> None:
    import hashlib

    text = hostile_page.read_text(encoding="utf-8")
    script = re.findall(r"<script>(.*?)</script>\n</body>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256((script or [""])[0].encode()).digest()).decode()
    wanted = f"script-src 'sha256-{digest}'" if script else "script-src 'none'"
    assert f"default-src 'none'; style-src 'unsafe-inline'; {wanted}; img-src data:; font-src data:;" in text
    assert text.index("Content-Security-Policy") < text.index("<title>")
    assert policy("") == (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'none'; img-src data:; font-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


WATCH = """
window.hits = [];
window.alert = window.confirm = window.prompt = (text) => { window.hits.push(String(text)); };
document.addEventListener("securitypolicyviolation", (e) => {
  window.hits.push("violation: " + e.violatedDirective + " " + e.blockedURI);
});
"""


class Opened:
    """A page in the browser and what it tried to do."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.requests: list[str] = []
        self.blocked: list[str] = []
        self.errors: list[str] = []
        page.add_init_script(WATCH)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("requestfailed", lambda request: self.blocked.append(request.url) if request.failure == "csp" else None)
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, path: Path) -> Opened:
        self.page.goto(path.as_uri())
        self.page.wait_for_timeout(300)
        return self

    def remote(self) -> list[str]:
        return [url for url in self.requests if not url.startswith(("file://", "data:"))]

    def hits(self) -> list[str]:
        return list(self.page.evaluate("window.hits"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if not (os.access(CHROMIUM, os.X_OK) or shutil.which("chromium")):
        pytest.skip("chromium is not here: install Debian's chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=shutil.which("chromium") or CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def opened(browser: Any) -> Iterator[Opened]:
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    yield Opened(context.new_page())
    context.close()


@pytest.mark.browser
def test_a_hostile_notebook_does_nothing(hostile_page: Path, opened: Opened) -> None:
    page = opened.open(hostile_page).page
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    page.evaluate("document.querySelectorAll('a').forEach((a) => a.click())")
    page.evaluate(
        "document.querySelectorAll('*').forEach((e) => e.dispatchEvent(new MouseEvent('mouseover', {bubbles: true})))"
    )
    page.wait_for_timeout(500)
    assert opened.hits() == []
    assert opened.remote() == []
    assert opened.errors == []
    assert page.url.startswith(hostile_page.as_uri())
    assert page.locator("header h1").is_visible()
    assert page.evaluate("getComputedStyle(document.body).display") == "block"


@pytest.mark.browser
def test_the_policy_holds_even_for_markup_that_slipped_through(
    hostile_page: Path, tmp_path: Path, opened: Opened
) -> None:
    text = hostile_page.read_text(encoding="utf-8")
    slipped = (
        "<img src=x onerror=alert(1)><script>alert(2)</script>"
        "<img src='http://127.0.0.1:9/x.png'><a id=j href='javascript:alert(3)'>x</a>"
    )
    path = tmp_path / "slipped.html"
    path.write_text(text.replace("<main>", f"<main>{slipped}"), encoding="utf-8")
    page = opened.open(path).page
    page.evaluate("document.getElementById('j').click()")
    page.wait_for_timeout(300)
    hits = opened.hits()
    assert [hit for hit in hits if not hit.startswith("violation")] == []
    assert any("script-src" in hit for hit in hits)
    assert opened.remote() == ["http://127.0.0.1:9/x.png"]  # the attempt is seen,
    assert set(opened.remote()) <= set(opened.blocked)  # and goes nowhere


@pytest.fixture(scope="session")
def real_pages(incidents: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both runbooks over a recorded incident, rendered."""
    import workbench

    folder = tmp_path_factory.mktemp("real")
    source = next(path for name, path in incidents.items() if name != "quiet")
    with workbench.open(folder / "store") as bench:
        bench.ingest(source)
    pages = {name: folder / f"{name}.html" for name in ("investigate", "postmortem")}
    store = {"store": str(folder / "store")}
    runbooks.run_all([runbooks.Job(n, store, folder / f"{n}.ipynb", page) for n, page in pages.items()], progress=False)
    return pages


@pytest.mark.browser
@pytest.mark.parametrize("name", ["investigate", "postmortem"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_real_pages_are_complete_offline(real_pages: dict[str, Path], browser: Any, name: str, scheme: str) -> None:
    context = browser.new_context(viewport={"width": 1200, "height": 900}, color_scheme=scheme, offline=True)
    opened = Opened(context.new_page()).open(real_pages[name])
    page = opened.page
    panels = page.eval_on_selector_all(
        "[data-panel]", "nodes => nodes.map((n) => [n.dataset.panel, n.getBoundingClientRect().height])"
    )
    heights = dict(panels)
    wanted = {"hypotheses", "timeline", "service_map", "metric", "templates", "flame"}
    assert wanted <= set(heights)
    assert all(heights[panel] > 80 for panel in wanted), heights
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert opened.hits() == []
    assert opened.remote() == []
    assert opened.errors == []
    assert real_pages[name].stat().st_size < 3 * 2**20
    assert len(page.screenshot(full_page=True)) > 40_000  # a blank picture of any size compresses to less
    context.close()
