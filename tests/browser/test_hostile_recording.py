"""A real recording whose names are attacks goes the whole way, from raw telemetry to both pages, and runs nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from datasets.shop.framing import read_recording, write_recording

PANELS = {"timeline", "metric", "service_map", "flame", "templates", "hypotheses"}
HOSTILE = {
    "payment": '<img src=x onerror="alert(1)">',
    "gateway": "</script><script>alert(2)</script>",
    "cart": 'javascript:alert(3)//"onmouseover=alert(4)',
    "stock": "<svg onload=alert(5)>`${alert(6)}`{{7*7}}",
    "catalogue": "</style><iframe srcdoc='<script>alert(7)</script>'>\x1b[31m",
}
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

LIVE_ATTRIBUTES = """[...document.querySelectorAll('*')].flatMap(n => [...n.attributes])
  .filter(a => a.name.startsWith('on') || (/^(href|src|action|formaction|xlink:href|srcdoc)$/.test(a.name)
    && !/^(#|data:image)/.test(a.value))).map(a => a.name + '=' + a.value)"""


def poison(text: str) -> str:
    for plain, attack in HOSTILE.items():
        text = text.replace(plain, attack)
    return text


def poison_message(message: Any) -> None:
    """Replace the names in every string field of a protobuf message, however deep."""
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for item in value if isinstance(value, type(message)) is False and hasattr(value, "__len__") else [value]:
                poison_message(item)
        elif field.type == field.TYPE_STRING:
            if isinstance(value, str):
                setattr(message, field.name, poison(value))
            else:
                value[:] = [poison(item) for item in value]


def message_types() -> dict[str, Callable[[], Any]]:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    from workbench.sources.pprof_schema import Profile

    return {
        "traces.otlp.zst": ExportTraceServiceRequest,
        "metrics.otlp.zst": ExportMetricsServiceRequest,
        "logs.otlp.zst": ExportLogsServiceRequest,
        "profiles.pprof.zst": Profile,
    }


def poisoned(kind: Callable[[], Any], path: Path) -> Iterator[bytes]:
    for body in read_recording(path):
        message = kind()
        message.ParseFromString(body)
        poison_message(message)
        yield message.SerializeToString()


@pytest.fixture(scope="module")
def pages(incidents: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Both pages of an investigation of the poisoned recording."""
    from workbench import session
    from workbench.runbooks import demo

    source = incidents.get("payment-latency", next(iter(incidents.values())))
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "in").mkdir()
    for name, kind in message_types().items():
        write_recording(folder / "in" / name, poisoned(kind, source / name))
    events = json.loads(poison_json((source / "events.json").read_text()))
    (folder / "in" / "events.json").write_text(json.dumps(events))
    with session.open(folder / "store") as bench:
        bench.ingest(folder / "in")
        found = bench.investigate()
        assert found.hypotheses[0].service == HOSTILE["payment"]
        return demo.write(bench.store.path, found, folder / "out", title=HOSTILE["gateway"], progress=False)


def poison_json(text: str) -> str:
    return json.dumps(
        [{k: poison(v) if isinstance(v, str) else v for k, v in event.items()} for event in json.loads(text)]
    )


@pytest.mark.slow
@pytest.mark.browser
def test_hostile_names_run_nothing(pages: list[Path]) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
        for path in pages:
            assert look_at(browser, path) == []
        browser.close()


def look_at(browser: Any, path: Path) -> list[str]:
    """Open a page, read and point at everything, and return what it said or asked for."""
    tab = browser.new_page(viewport={"width": 1200, "height": 1000})
    said: list[str] = []
    tab.on("dialog", lambda dialog: (said.append(f"dialog {dialog.message}"), dialog.dismiss()))
    tab.on("console", lambda message: said.append(f"console {message.type} {message.text}"))
    tab.on("pageerror", lambda error: said.append(f"error {error}"))
    tab.on("request", lambda request: said.append(request.url) if request.url != path.as_uri() else None)
    tab.goto(path.as_uri())
    tab.mouse.wheel(0, 20_000)
    for box in tab.query_selector_all("svg text, td, summary")[:60]:
        box.dispatch_event("mouseover")
    tab.wait_for_timeout(500)
    shown = set(tab.eval_on_selector_all("[data-panel]", "nodes => nodes.map(n => n.dataset.panel)"))
    assert shown == PANELS
    foreign = "document.querySelectorAll('iframe, object, embed, img:not([src^=\"data:\"])').length"
    assert tab.evaluate(foreign) == 0
    assert tab.evaluate(LIVE_ATTRIBUTES) == []
    assert tab.evaluate("document.scripts.length") <= 1
    assert "alert(1)" in tab.inner_text("body")
    return said
