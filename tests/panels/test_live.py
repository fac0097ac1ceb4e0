"""Live views, as far as they can be judged without a browser."""

from __future__ import annotations

import numpy as np
import pytest

from tests.panels import world
from workbench.panels import figure


def test_flame_widget_holds_the_data_and_gives_back_the_selection(incident):
    made = figure("flame", incident)
    widget = made.live()
    n = len(made.data.x0)
    assert np.frombuffer(widget.x0, "<f8").tolist() == made.data.x0.tolist()
    assert len(np.frombuffer(widget.depth, "<i4")) == n
    names = [widget.names[i] for i in np.frombuffer(widget.name, "<i4")]
    assert names == list(made.data.function)
    assert len(widget.selection()) == n
    widget.selected = names.index("retry")
    assert widget.selection()["function"].tolist() == ["retry", "post", "send", "recv"]
    widget.selected = n + 5
    assert len(widget.selection()) == n


def test_map_widget_holds_the_layout_and_gives_back_the_selection(incident):
    widget = figure("service_map", incident).live()
    assert {n["name"] for n in widget.nodes} >= set(world.SERVICES)
    assert all(0 <= n["x"] <= widget.width and 0 <= n["y"] + widget.lift <= widget.height for n in widget.nodes)
    widget.selected = "pay"
    assert set(widget.selection()["caller"]) | set(widget.selection()["callee"]) == {"checkout", "pay", "bank.example"}


def test_widget_modules_load_nothing_and_parse_no_markup():
    from workbench.panels.interactive import widgets

    for module in (*widgets._HERE.glob("*.js"), widgets._HERE.parent / "static" / "page.js"):
        text = module.read_text("utf-8")
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "eval(",
            "new Function",
            "document.write",
            "import(",
            "fetch(",
            "http:",
            "https:",
        ):
            assert word not in text.replace("http://www.w3.org/2000/svg", ""), (module.name, word)


@pytest.mark.parametrize("name", ["timeline", "metric"])
def test_charts_become_bokeh_models(name, incident, hostile):
    import holoviews as hv

    for source in (incident, hostile):
        model = hv.render(figure(name, source).live(), backend="bokeh")
        text = str(model.to_json_string() if hasattr(model, "to_json_string") else model)
        assert "{safe}" not in text
    assert figure(name, world.quiet()).live() is not None
