"""The flame graph as text and as static markup."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

from workbench.panels.data import FlameData
from workbench.panels.escape import clean, clip, fit
from workbench.panels.markup import Safe, el, join
from workbench.panels.static.frame import details, fragment, legend, note, svg, swatch, table
from workbench.panels.units import quantity, share

__all__ = ["delta_class", "drawable", "html", "package_class", "subtitle", "text", "tip", "title"]

_WIDTH, _ROW = 960.0, 19.0
_FRAMES, _DEPTH, _LEAST = 600, 48, 0.001


def text(data: FlameData) -> str:
    """Return the widest frames as an indented tree."""
    head = title(data)
    if not len(data.x0):
        return f"{head}\n  {clean(data.note)}"
    lines = [head, f"  {subtitle(data)}"]
    wide = data.x1 - data.x0
    chosen = np.sort(np.argsort(-wide, kind="stable")[:40])
    lines += [
        f"  {_figures(data, i):24} {'  ' * min(int(data.depth[i]), 20)}{clip(clean(data.function[i]), 80)}"
        for i in chosen[wide[chosen] >= 0.01].tolist()
    ]
    lines += [f"  gone: {clip(clean(name), 80)}, {share(part)} before" for name, part in data.gone]
    return "\n".join([*lines, *([f"  {clean(data.note)}"] if data.note else [])])


def title(data: FlameData) -> str:
    """Return the title with the service in it."""
    return clean(data.title) + (f" of {clip(clean(data.service), 60)}" if data.service else "")


def subtitle(data: FlameData) -> str:
    """Return what was sampled, how much, and what it is compared with."""
    what = (
        f"{clean(data.sample_type)}, {quantity(data.total, data.unit)} in {data.samples[1] or data.samples[0]} samples"
    )
    if data.before is None:
        return what
    return f"{what}, compared with {data.samples[0]} samples of the baseline"


def _figures(data: FlameData, i: int) -> str:
    if data.before is None or data.after is None:
        return share(float(data.x1[i] - data.x0[i]))
    points = 100 * (data.after[i] - data.before[i])
    return f"{share(float(data.before[i]))} \u2192 {share(float(data.after[i]))} ({points:+.1f})"


def drawable(
    data: FlameData, frames: int = _FRAMES, depth: int = _DEPTH, least: float = _LEAST
) -> npt.NDArray[np.int64]:
    """Return the rows wide enough to draw, in preorder; of too many, the widest."""
    wide = data.x1 - data.x0
    rows = np.flatnonzero((wide >= least) & (data.depth < depth))
    if len(rows) > frames:
        rows = np.sort(rows[np.argsort(-wide[rows], kind="stable")[:frames]])
    return rows


def tip(data: FlameData, i: int) -> str:
    """Return all there is to say about one frame."""
    where = f"{clean(data.file[i])}:{data.line[i]}" if data.file[i] else ""
    own = f"total {quantity(float(data.value[i]), data.unit)}, self {quantity(float(data.self_value[i]), data.unit)}"
    change = ""
    if data.before is not None and data.after is not None:
        change = f"; share {_figures(data, i)} points"
    return "; ".join(p for p in (clip(clean(data.function[i]), 300), clip(where, 300), own) if p) + change


def delta_class(before: float, after: float) -> str:
    """Return the colour class of a change of share: three reds, three blues, or neutral under half a point."""
    delta = after - before
    size = 0 if abs(delta) < 0.005 else 1 if abs(delta) < 0.02 else 2 if abs(delta) < 0.08 else 3
    return "same" if size == 0 else f"{'u' if delta > 0 else 'd'}{size}"


def package_class(file: str, function: str) -> str:
    """Return the colour class of a package: the folder of the file, else the module part of the function."""
    package = file.rsplit("/", 1)[0] if "/" in file else function.rsplit(".", 1)[0]
    return f"p{zlib.crc32(package.encode('utf-8', 'replace')) % 8}"


def html(data: FlameData) -> str:
    """Return the graph as a fragment: one picture, root at the top, and the largest changes as a table."""
    if not len(data.x0):
        return fragment("flame", title(data), "", note(data.note))
    rows = drawable(data)
    keys = None
    if data.before is not None:
        keys = legend(
            swatch("up", "larger share during than before"), swatch("down", "smaller share"),
            swatch("same", "within half a point"), el("span", "width: mean of both shares"),
        )  # fmt: skip
    return fragment(
        "flame", title(data), subtitle(data), _picture(data, rows), keys, *_remarks(data, len(rows)),
        details("Heaviest functions as a table", _functions(data)),
    )  # fmt: skip


def _remarks(data: FlameData, drawn: int) -> list[Safe]:
    said = []
    if data.gone:
        gone = ", ".join(f"{clip(clean(name), 60)} ({share(part)} before)" for name, part in data.gone)
        said.append(note(f"Gone: {gone}."))
    quiet = []
    if data.folded:
        first, last = clip(clean(data.folded[0]), 40), clip(clean(data.folded[-1]), 40)
        through = f"{first} \u2026 {last}" if len(data.folded) > 1 else first
        frames = "frame is" if len(data.folded) == 1 else "frames are"
        quiet.append(f"{len(data.folded)} outermost {frames} in every stack and not drawn ({through}).")
    if len(data.x0) > drawn:
        quiet.append(f"{len(data.x0) - drawn} frames too narrow or too deep to draw are left out.")
    if data.note:
        quiet.append(clean(data.note))
    return [*said, *([note(" ".join(quiet))] if quiet else [])]


def _picture(data: FlameData, rows: npt.NDArray[np.int64]) -> Safe:
    levels = int(data.depth[rows].max(initial=0)) + 1
    frames = join(_frame(data, i) for i in rows.tolist())
    named = f"{title(data)}: {len(rows)} frames, {subtitle(data)}"
    return svg(named, _WIDTH, levels * _ROW + 2, frames, data_zoom=f"{_WIDTH:.0f}", least=True)


def _frame(data: FlameData, i: int) -> Safe:
    x, wide = float(data.x0[i]) * _WIDTH, float(data.x1[i] - data.x0[i]) * _WIDTH
    y = float(data.depth[i]) * _ROW + 1
    if data.before is not None and data.after is not None:
        colour = delta_class(float(data.before[i]), float(data.after[i]))
    else:
        colour = package_class(data.file[i], data.function[i])
    box = el("rect", x=x, y=y, width=max(wide, 0.5), height=_ROW - 1, rx=2, class_=f"wb-f-{colour}")
    name = fit(data.function[i], wide - 9, 11) if wide > 26 else ""
    bright = "wb-on" if colour in ("u3", "d3") else None
    label = el("text", name, x=x + 5, y=y + 12.6, class_=bright) if name else None
    edges = {
        "data_x0": f"{data.x0[i]:.5f}",
        "data_x1": f"{data.x1[i]:.5f}",
        "data_name": clip(clean(data.function[i]), 160),
    }
    return el("g", el("title", tip(data, i)), box, label, class_="wb-frame", **edges)


def _functions(data: FlameData) -> Safe:
    """Return the functions by change of their own share, or by own time, as a table."""
    order = np.argsort(-data.self_value, kind="stable")[:20]
    if data.before is not None and data.after is not None:
        order = np.argsort(-np.abs(data.after - data.before), kind="stable")[:20]
    rows = [
        (
            clip(clean(data.function[i]), 120), clip(clean(data.file[i]), 80),
            quantity(float(data.self_value[i]), data.unit), quantity(float(data.value[i]), data.unit),
            _figures(data, i),
        )
        for i in order.tolist()
    ]  # fmt: skip
    last = "share" if data.before is None else "share before \u2192 during (points)"
    return table("Heaviest functions", ("function", "file", "self", "total", last), rows, (2, 3, 4))
