"""An executed notebook as one self-contained HTML page.

The page loads nothing: styles are inlined, there is at most one script (the panels' own, for hover and zoom), and the
policy in its head forbids everything else, so that even markup that slipped through every list could not run.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import nbformat
from markupsafe import Markup

from workbench.errors import InvalidInput
from workbench.panels.static.frame import fragment
from workbench.runbooks.blocks import Page, read, visible
from workbench.runbooks.signature import defaults

__all__ = ["policy", "to_page", "write_page"]

_UNSHOWN = frozenset(["papermill-error-cell-tag", "injected-parameters", "remove-cell"])
_STATIC = Path(__file__).with_name("static")
_SHEET = re.compile(r"<style>(.*?)</style>", re.DOTALL)
_SCRIPT = Path(__file__).parents[1] / "panels" / "static" / "page.js"


def write_page(executed: Path, out: Path, title: str | None = None) -> Path:
    """Read an executed notebook and write its page; returns `out`."""
    nb = nbformat.read(executed, as_version=4)  # type: ignore[no-untyped-call]
    out.write_text(to_page(nb, title), encoding="utf-8")
    return out


def to_page(nb: Any, title: str | None = None) -> str:
    """Return the page of a notebook.

    Parameters
    ----------
    nb : NotebookNode
    title : str, optional
        The first heading of the notebook by default.
    """
    import jinja2

    run = nb.metadata.get("papermill", {})
    try:
        given = {**defaults(nb, "this notebook"), **run.get("parameters", {})}
        content = read(nb, _UNSHOWN | {"parameters"})
    except InvalidInput:
        given, content = {}, read(nb, _UNSHOWN)
    runbook = PurePosixPath(str(run.get("input_path", "")).replace("\\", "/")).stem
    script = _script()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_STATIC),
        autoescape=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        title=title or content.title or "Notebook",
        policy=Markup(policy(script)),
        styles=Markup(_styles()),
        script=Markup(script),
        page=content,
        facts=_facts(content, run, given),
        parameters={name: _shown(value) for name, value in given.items()},
        runbook=runbook,
        again=_again(runbook, run.get("parameters", {}), content.window),
    )


def policy(script: str) -> str:
    """Return the content security policy of a page with this one script, or none."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    source = f"'sha256-{digest}'" if script else "'none'"
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src {source}; img-src data:; font-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _script() -> str:
    """Return the panels' script, "" where there is none."""
    text = _SCRIPT.read_text(encoding="utf-8").strip() if _SCRIPT.is_file() else ""
    if "</script" in text.lower() or "<!--" in text:
        raise ValueError("the panels' page.js holds the end of a script element: it cannot be inlined")
    return text


def _styles() -> str:
    from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]

    light = HtmlFormatter(style="default").get_style_defs(".code pre").splitlines()
    dark = HtmlFormatter(style="github-dark").get_style_defs(".code pre").splitlines()
    rules = [
        "\n".join(rule for rule in light if rule.startswith(".code pre .")),
        "@media screen and (prefers-color-scheme:dark){"
        + "".join(r for r in dark if r.startswith(".code pre ."))
        + "}",
    ]
    figures = _SHEET.findall(fragment("none", "", ""))
    return "\n".join([(_STATIC / "page.css").read_text(encoding="utf-8"), *rules, *figures])


def _facts(content: Page, run: Any, given: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what stands under the title: window, service, when it was executed and how long that took."""
    facts = []
    window = content.window or (given.get("start"), given.get("end"))
    if window[0] and window[1]:
        facts.append(("window", f"{_instant(window[0])} to {_instant(window[1])} UTC"))
    if run.get("start_time"):
        facts.append(("executed", f"{_instant(run['start_time'])} UTC"))
    if isinstance(run.get("duration"), int | float):
        facts.append(("took", f"{run['duration']:.1f} s"))
    return facts


def _instant(text: Any) -> str:
    """Return an ISO 8601 time in UTC to the second, other text as it is."""
    whole = str(text)
    try:
        at = datetime.fromisoformat(whole[:19] + "".join(whole[19:].partition("+")[1:]) if "." in whole else whole)
    except ValueError:
        return whole[:60]
    return (at.astimezone(UTC) if at.tzinfo else at).strftime("%Y-%m-%d %H:%M:%S")


def _again(runbook: str, given: dict[str, Any], window: tuple[str, str] | None) -> str:
    """Return the command that makes this page again, with placeholders for paths, which are private."""
    known = {name: str(value) for name, value in given.items() if value is not None}
    if window is not None:
        known |= {"start": window[0], "end": window[1]}
    words = []
    for name, value in ({"store": ""} | known).items():
        if name == "store" or PurePosixPath(value).is_absolute() or PureWindowsPath(value).is_absolute():
            words.append(f"-p {shlex.quote(name)} PATH_OF_THE_{re.sub('[^A-Z0-9]', '_', name.upper())}")
        else:
            words.append(f"-p {shlex.quote(name)} {shlex.quote(value)}")
    return f"workbench runbook run {shlex.quote(runbook)} {' '.join(words)} --out again.ipynb"


def _shown(value: Any) -> str:
    """Return a parameter as Python would write it; of an absolute path only the last part, the rest is private."""
    if isinstance(value, str):
        for kind in (PurePosixPath, PureWindowsPath):
            path = kind(value)
            if path.is_absolute() and path.name:
                return repr(f"…/{path.name}")
    text = repr(value)
    return text if len(text) <= 300 else text[:299] + "…"
