"""What every diagnosis check of the group `workbench.checks` keeps: evidence that is well formed, or silence."""

from __future__ import annotations

import ast
import math

from workbench.diagnose import Evidence, Scene
from workbench.diagnose.checks import Check
from workbench.query import promql, search
from workbench.signals import FAULT_KINDS
from workbench.testing.require import require
from workbench.testing.world import fault_scene, quiet_scene

__all__ = ["check_check"]


def check_check(check: Check, scene: Scene | None = None) -> None:
    """Check one diagnosis check.

    On an incident (a seeded one by default) it returns a list of `Evidence` under its own name, each naming a service,
    a known kind of fault (or "" for damage), one sentence, a finite strength, and a query that the workbench
    understands; the same list a second time. On telemetry with nothing in it, it is silent.

    Raises
    ------
    AssertionError
        With the first promise that does not hold.
    """
    require(isinstance(getattr(check, "name", None), str), f"{type(check).__name__} has no name.")
    shown = scene if scene is not None else fault_scene()
    found = check.run(shown)
    require(isinstance(found, list), f"{check.name} returns {type(found).__name__}; it must return a list.")
    for item in found:
        _check_evidence(check.name, item)
    again = [item.to_json() for item in check.run(shown)]
    require([item.to_json() for item in found] == again, f"{check.name} finds something else the second time.")
    require(check.run(quiet_scene()) == [], f"{check.name} finds evidence where there is no telemetry.")


def _check_evidence(name: str, item: Evidence) -> None:
    require(isinstance(item, Evidence), f"{name} returns {type(item).__name__}; it must return Evidence.")
    require(item.check == name, f"{name} returns evidence in the name of {item.check!r}.")
    require(bool(item.service), f"{name} returns evidence about no service.")
    require(item.kind in ("", *FAULT_KINDS), f"{name} speaks for {item.kind!r}, which is not among FAULT_KINDS.")
    require(math.isfinite(item.strength), f"{name} gives evidence of strength {item.strength}.")
    require(bool(item.statement) and "\n" not in item.statement, f"{name} must state one sentence: {item.statement!r}.")
    require(_understood(item.query), f"{name} points to {item.query!r}, which cannot be typed.")


def _understood(query: str) -> bool:
    """Return whether a query is a call on `bench` whose expression parses; nothing is evaluated."""
    try:
        call = ast.parse(query, mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            return False
        text = ast.literal_eval(call.args[0]) if call.args else ""
        if call.func.attr in ("metrics", "samples"):
            promql.parse(text)
        else:
            search.parse(text)
    except (SyntaxError, ValueError):
        return False
    return ast.unparse(call.func.value) == "bench"
