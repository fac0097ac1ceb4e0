"""Panels in a real browser: fragments under a strict policy, the optional script, the widgets' modules, Bokeh's tips."""

from __future__ import annotations

import base64
import functools
import hashlib
import http.server
import json
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.panels import world
from tests.panels.conftest import hostile, incident  # noqa: F401 - fixtures
from workbench import panels
from workbench.panels import figure

pytestmark = pytest.mark.browser

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAMES = ("hypotheses", "timeline", "metric", "service_map", "flame", "templates")
ROOM = Path(panels.__file__).parent
HOOK = "window.ran = []; for (const f of ['alert','confirm','prompt']) window[f] = (x) => window.ran.push(String(x));"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        pytest.skip(f"chromium is not at {CHROMIUM}: apt install chromium")
    api = pytest.importorskip("playwright.sync_api", reason="python's playwright is not installed")
    with api.sync_playwright() as play:
        started = play.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def tab(browser) -> Iterator[Any]:
    """A page that notes console errors and requests; `tab.seen` after a test must be empty."""
    page = browser.new_page(viewport={"width": 1100, "height": 1600})
    page.set_default_timeout(20_000)
    page.add_init_script(HOOK)
    page.errors = []
    page.requests = []
    page.on("console", lambda m: page.errors.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: page.errors.append(str(e)))
    page.on("request", lambda r: page.requests.append(r.url))
    yield page
    page.close()


def document(fragments: list[str], script: str = "", theme: str = "light") -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:; font-src data:"
    )
    return (
        f'<!doctype html><html data-theme="{theme}"><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><title>t</title>'
        f"<body>{''.join(fragments)}<script>{script}</script></body></html>"
    )


def shown(tab: Any, tmp_path: Path, page: str) -> None:
    file = tmp_path / "page.html"
    file.write_text(page, encoding="utf-8")
    tab.goto(file.as_uri())
    assert tab.requests == [file.as_uri()]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_fragments_open_under_the_policy_without_a_script(tab, tmp_path, incident, theme):  # noqa: F811
    shown(tab, tmp_path, document([figure(name, incident).html() for name in NAMES], theme=theme))
    assert tab.errors == []
    assert tab.locator(".wb").count() == 6
    drawn = {name for name in NAMES if tab.locator(f'.wb[data-panel="{name}"] svg').count()}
    assert drawn >= {"timeline", "metric", "service_map", "flame", "templates"}
    ground = tab.evaluate("getComputedStyle(document.querySelector('.wb')).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 30)"}[theme]
    assert tab.evaluate(
        "[...document.querySelectorAll('.wb')]"
        ".every(w => w.getBoundingClientRect().height > 80 && w.scrollWidth <= w.clientWidth + 1)"
    )


def test_texts_of_a_picture_do_not_overlap(tab, tmp_path, incident):  # noqa: F811
    shown(tab, tmp_path, document([figure(name, incident).html() for name in ("timeline", "metric", "service_map")]))
    clashes = tab.evaluate("""() => {
        const found = [];
        for (const svg of document.querySelectorAll('.wb .wb-svg')) {
            const texts = [...svg.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);
            texts.forEach(([a, p], i) => texts.slice(i + 1).forEach(([b, q]) => {
                const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
                const tall = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
                if (wide > 2 && tall > 3.5) found.push([a, b, wide, tall]);
            }));
        }
        return found;
    }""")
    assert clashes == []


def test_hostile_fragments_run_nothing_and_load_nothing(tab, tmp_path, hostile):  # noqa: F811
    script = (ROOM / "static" / "page.js").read_text("utf-8")
    shown(tab, tmp_path, document([figure(name, hostile).html() for name in NAMES], script))
    for node in tab.locator(".wb svg g").all()[:60]:
        node.dispatch_event("mousemove")
    tab.locator(".wb summary").first.click()
    assert tab.evaluate("window.ran") == []
    assert tab.evaluate("document.querySelectorAll('img,iframe,a,object,embed,form,input,base,link').length") == 0
    assert tab.evaluate("document.querySelectorAll('script').length") == 1
    assert tab.errors == []
    assert len(tab.requests) == 1


def test_the_optional_script_tells_and_zooms(tab, tmp_path, incident):  # noqa: F811
    script = (ROOM / "static" / "page.js").read_text("utf-8")
    shown(tab, tmp_path, document([figure(name, incident).html() for name in ("metric", "flame")], script))
    chart = tab.locator(".wb-metric svg[data-left]").first
    chart.hover(position={"x": 300, "y": 60})
    lines = tab.locator(".wb-hover").inner_text().splitlines()
    assert lines[0].startswith("12:")
    assert lines[1].endswith("ms")
    retry = tab.locator(".wb-frame[data-name=retry]")
    charge = tab.locator(".wb-frame[data-name=charge]")
    whole = retry.locator("rect").bounding_box()["width"]
    retry.hover()
    assert "share" in tab.locator(".wb-hover").inner_text()
    charge.click()
    assert retry.locator("rect").bounding_box()["width"] > 1.2 * whole
    charge.click()
    assert math.isclose(retry.locator("rect").bounding_box()["width"], whole, rel_tol=0.02)
    assert tab.errors == []


FAKE_MODEL = """
import widget from "/MODULE";
const state = STATE;
for (const key of BINARY) {
    const bytes = Uint8Array.from(atob(state[key]), c => c.charCodeAt(0));
    state[key] = new DataView(bytes.buffer);
}
const handlers = {};
window.saved = 0;
window.model = {
    get: (key) => state[key],
    set: (key, value) => { state[key] = value; (handlers["change:" + key] ?? []).forEach((f) => f()); },
    save_changes: () => { window.saved += 1; },
    on: (name, f) => (handlers[name] ??= []).push(f),
};
window.done = widget.render({ model: window.model, el: document.querySelector("main") });
document.body.dataset.ready = "yes";
"""


@pytest.fixture
def served(tmp_path) -> Iterator[tuple[Path, str]]:
    """A folder served on a free port of this machine."""
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield tmp_path, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


def mount(tab: Any, served: tuple[Path, str], widget: Any, module: str) -> None:
    """Open a page that renders a widget's module with a stand-in for the notebook's model."""
    folder, url = served
    keys = [
        key for key in widget.keys if not key.startswith("_") and key not in ("layout", "comm", "tabbable", "tooltip")
    ]
    state = {key: getattr(widget, key) for key in keys}
    binary = [key for key, value in state.items() if isinstance(value, bytes)]
    state |= {key: base64.b64encode(state[key]).decode() for key in binary}
    code = FAKE_MODEL.replace("MODULE", module).replace("BINARY", json.dumps(binary))
    (folder / "main.js").write_text(code.replace("STATE", json.dumps(state), 1), encoding="utf-8")
    (folder / module).write_text((ROOM / "interactive" / module).read_text("utf-8"), encoding="utf-8")
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'"
    (folder / "index.html").write_text(
        f'<!doctype html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<link rel="icon" href="data:,"><main style="width:900px"></main><script type="module" src="/main.js"></script>',
        encoding="utf-8",
    )
    tab.goto(url + "/index.html")
    tab.wait_for_selector("body[data-ready=yes]")


def test_the_flame_module_draws_zooms_searches_and_reports(tab, served, incident):  # noqa: F811
    made = figure("flame", incident)
    mount(tab, served, made.live(), "flame.js")
    canvas = tab.locator("canvas")
    assert int(canvas.get_attribute("data-drawn")) == len(made.data.x0)
    box = canvas.bounding_box()
    row = made.data.function.index("retry")
    x = (made.data.x0[row] + made.data.x1[row]) / 2 * box["width"]
    y = (int(made.data.depth[row]) + 0.5) * 20
    canvas.click(position={"x": x, "y": y})
    assert tab.evaluate("model.get('selected')") == row
    assert int(canvas.get_attribute("data-drawn")) < len(made.data.x0)
    tab.keyboard.press("ArrowUp")
    assert tab.evaluate("model.get('selected')") == made.data.parent[row]
    tab.keyboard.press("Escape")
    assert tab.evaluate("model.get('selected')") == -1
    tab.locator("input[type=search]").fill("/^(retry|post)$/")
    wide = made.data.x1[row] - made.data.x0[row]
    assert tab.evaluate("model.get('matched')") == pytest.approx(wide)
    assert "matched" in tab.locator(".wb-live-flame").inner_text()
    assert tab.evaluate("saved") >= 4
    assert [e for e in tab.errors if "Content Security Policy" not in e] == []


def test_the_flame_module_culls_a_large_graph(tab, served):
    import numpy as np

    from workbench.panels.data import FlameData
    from workbench.panels.interactive.views import flame

    n = 60_000
    depth = np.concatenate([[0], np.ones(n)]).astype(np.int32)
    x0 = np.concatenate([[0], np.arange(n) / n])
    x1 = np.concatenate([[1], (np.arange(n) + 1) / n])
    zero = np.zeros(n + 1, np.int32)
    parent = np.concatenate([[-1], zero[1:]]).astype(np.int32)
    names = ("root", *(["f"] * n))
    data = FlameData("t", "s", "cpu", "", 1.0, names, ("",) * (n + 1), zero, depth, parent, x1 - x0, x1 - x0, x0, x1)
    mount(tab, served, flame(data), "flame.js")
    assert 500 < int(tab.locator("canvas").get_attribute("data-drawn")) < 2500


def test_the_map_module_draws_tells_and_selects(tab, served, incident):  # noqa: F811
    made = figure("service_map", incident)
    widget = made.live()
    mount(tab, served, widget, "service_map.js")
    canvas = tab.locator("canvas")
    assert int(canvas.get_attribute("data-drawn")) == len(made.data.nodes) + len(made.data.edges)
    box = canvas.bounding_box()
    node = next(n for n in widget.nodes if n["name"] == "pay")
    at = {"x": node["x"] * box["width"] / widget.width, "y": (node["y"] + widget.lift) * box["height"] / widget.height}
    canvas.hover(position=at)
    assert "pay: " in tab.locator(".wb-live-map").inner_text()
    assert "p95" in tab.locator(".wb-live-map").inner_text()
    canvas.click(position=at)
    assert tab.evaluate("model.get('selected')") == "pay"
    canvas.click(position=at)
    assert tab.evaluate("model.get('selected')") == ""
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate("model.get('selected')") == widget.nodes[0]["name"]
    assert [e for e in tab.errors if "Content Security Policy" not in e] == []


@pytest.mark.parametrize(("name", "module"), [("flame", "flame.js"), ("service_map", "service_map.js")])
def test_hostile_names_run_nothing_in_the_widgets(tab, served, hostile, name, module):  # noqa: F811
    mount(tab, served, figure(name, hostile).live(), module)
    box = tab.locator("canvas").bounding_box()
    for step in range(12):
        tab.mouse.move(box["x"] + box["width"] * step / 12, box["y"] + box["height"] * (step % 4 + 0.4) / 4)
        tab.mouse.down()
        tab.mouse.up()
    assert tab.evaluate("window.ran") == []
    assert tab.evaluate("document.querySelectorAll('main img, main script, main iframe').length") == 0
    own = tuple(f"{served[1]}/{file}" for file in ("index.html", "main.js", module))
    assert all(r.startswith((*own, "data:")) for r in tab.requests), tab.requests


def test_bokeh_tips_show_hostile_text_as_text(tab, tmp_path):
    import holoviews as hv
    from bokeh.embed import file_html
    from bokeh.resources import INLINE

    payload = "<img src=x onerror=alert(1)><script>alert(2)</script>$$\\href{javascript:alert(3)}{x}$$"
    plot = hv.render(figure("timeline", world.events(lambda text: payload + text)).live(), backend="bokeh")
    file = tmp_path / "chart.html"
    file.write_text(file_html(plot, resources=INLINE), encoding="utf-8")
    tab.goto(file.as_uri())
    tab.wait_for_function("window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle")
    places = tab.evaluate("""() => {
        const view = [...Bokeh.index][0] ?? Object.values(Bokeh.index)[0];
        const edge = view.el.getBoundingClientRect(), frame = view.frame;
        const found = [];
        for (const source of view.model.renderers.map((r) => r.data_source).filter(Boolean)) {
            const time = source.data.time ?? source.data.x0, lane = source.data.lane ?? source.data.y0;
            for (let i = 0; time && lane && i < time.length; i++) {
                found.push([edge.left + frame.x_scale.compute(time[i]), edge.top + frame.y_scale.compute(lane[i])]);
            }
        }
        return found; }""")
    tips = ""
    for x, y in places:
        tab.mouse.move(x - 60, y)
        tab.mouse.move(x, y)
        tab.wait_for_timeout(120)
        tips += tab.evaluate("""() => {
            const walk = (n) => [...n.querySelectorAll('*')].reduce((t, e) => t + (e.shadowRoot ? walk(e.shadowRoot) : '')
                + (/tooltip/i.test(String(e.className)) ? (e.shadowRoot ?? e).textContent : ''), '');
            return walk(document); }""")
    tab.screenshot(path=str(tmp_path / "chart.png"))
    assert len(places) > 5
    assert "onerror=alert(1)" in tips
    assert tab.evaluate("window.ran") == []
