"""Live views in a notebook's output, beside the static ones."""

from __future__ import annotations

from typing import Any

from workbench.panels.figure import Figure

__all__ = ["add_live", "load_charts"]

WIDGET = "application/vnd.jupyter.widget-view+json"
"""MIME type of a widget view."""

# Charts start out as the static picture and give way once Bokeh has filled its element; if its script never runs
# (page reloaded on a live kernel, saved notebook opened elsewhere), the static picture simply stays.
_SWAP = ".wb-both:has([data-root-id] > *) > .wb{display:none}"


def add_live(figure: Figure, bundle: dict[str, Any], metadata: dict[str, Any]) -> None:
    """Add the live view of a figure to its bundle: a widget view, or a chart that replaces the static picture."""
    from IPython.display import HTML
    from ipywidgets import DOMWidget

    view = figure.live()
    if isinstance(view, DOMWidget):
        bundle[WIDGET] = {"version_major": 2, "version_minor": 0, "model_id": view.model_id}
    elif not isinstance(view, HTML):
        import holoviews as hv

        if not hv.extension._loaded:
            return
        data, more = hv.renderer("bokeh").components(view, comm=True)
        chart = data.pop("text/html")
        bundle.update({k: v for k, v in data.items() if k not in bundle})
        bundle["text/html"] = f'<div class="wb-both"><style>{_SWAP}</style>{bundle["text/html"]}{chart}</div>'
        metadata.update({k: v for k, v in more.items() if k not in metadata})


def load_charts() -> None:
    """Send what HoloViews charts need to this notebook page; call again after the page was reloaded.

    HoloViews alone sends its scripts once per kernel, so a reloaded page stays without them; here they are sent each
    time, inline (about 3 MB of output), so that nothing comes from a network.
    """
    import holoviews as hv
    from panel import extension
    from panel.io.notebook import load_notebook

    extension(inline=True)
    hv.extension("bokeh", inline=True, logo=False)
    load_notebook(inline=True, reloading=False)
