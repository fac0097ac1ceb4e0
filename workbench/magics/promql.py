"""`%promql` and `%%promql`: a query of the open bench, its result a labelled array."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from workbench.errors import WorkbenchError
from workbench.magics.completion import complete

__all__ = ["add_promql", "remove_promql"]

_OPTION = re.compile(r"\s*--?(start|end|step|at|o)(?:\s+|=)(\S+)")
_MAGIC = re.compile(r"%promql\b(.*)\Z", re.DOTALL)
USAGE = "%promql [--start T] [--end T] [--step D] [--at T] [-o NAME] EXPRESSION"
"""What can be written; `%%promql` takes the options on its line and the expression in the cell."""


def add_promql(ipython: Any) -> None:
    """Add the magics and their completion to a shell."""
    from IPython.core.magic import no_var_expand

    magic = no_var_expand(_magic(ipython))
    ipython.register_magic_function(magic, "line_cell", "promql")
    completer = getattr(ipython, "Completer", None)
    if completer is not None:
        remove_promql(ipython)
        completer.custom_matchers.append(_matcher(ipython))


def remove_promql(ipython: Any) -> None:
    """Take the completion out again."""
    completer = getattr(ipython, "Completer", None)
    if completer is not None:
        kept = [m for m in completer.custom_matchers if getattr(m, "matcher_identifier", "") != "workbench.promql"]
        completer.custom_matchers[:] = kept


def _bench(ipython: Any) -> Any:
    """Return the bench of the notebook, called `bench`, opened where it is not."""
    from workbench import session

    bench = ipython.user_ns.get("bench")
    if not isinstance(bench, session.Bench):
        bench = session.open()
        ipython.push({"bench": bench})
    return bench


def _magic(ipython: Any) -> Callable[..., Any]:
    def promql(line: str, cell: str | None = None) -> Any:
        """Evaluate PromQL over the notebook's `bench` and return the labelled array.

        %promql [--start T] [--end T] [--step D] [--at T] [-o NAME] EXPRESSION
        %%promql with the same options on its line, and the expression in the cell
        """
        from IPython.core.error import UsageError

        given, rest = _options(line)
        text = rest if cell is None else cell
        if (
            (cell is not None and rest.strip())
            or not text.strip()
            or ("at" in given and len({"start", "end", "step"} & given.keys()))
        ):
            raise UsageError(f"write {USAGE}; --at goes with none of the other times.")
        try:
            found = _asked(_bench(ipython), text.strip(), given)
        except WorkbenchError as error:
            raise UsageError(str(error)) from None
        if "o" in given:
            ipython.push({given["o"]: found})
            return None
        return found

    return promql


def _options(line: str) -> tuple[dict[str, str], str]:
    """Return the options at the head of a line, and what stands behind them."""
    found: dict[str, str] = {}
    while (option := _OPTION.match(line)) is not None:
        found[option[1]] = option[2].strip("\"'")
        line = line[option.end() :]
    return found, line


def _asked(bench: Any, text: str, given: dict[str, str]) -> Any:
    if "o" in given and not given["o"].isidentifier():
        from workbench.errors import InvalidInput

        raise InvalidInput(f"-o {given['o']!r} is no name of a variable: give one to put the result into.")
    if "at" not in given:
        return bench.metrics(text, given.get("start"), given.get("end"), given.get("step"))
    from workbench.signals import parse_time

    instant = parse_time(given["at"])
    return bench.metrics(text, instant, instant + np.timedelta64(1, "ns"), step="1s")


def _query_before(text: str, line: int, column: int) -> str | None:
    """Return the expression up to the cursor if it stands in one of the magics, else None."""
    lines = text.split("\n")
    upto = "\n".join([*lines[:line], lines[line][:column]])
    if text.startswith("%%promql"):
        return upto.partition("\n")[2] if line > 0 else None
    found = _MAGIC.search(lines[line][:column])
    return None if found is None else _options(found[1])[1]


def _matcher(ipython: Any) -> Any:
    from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher

    def matcher(context: CompletionContext) -> Any:
        before = _query_before(context.full_text, context.cursor_line, context.cursor_position)
        if before is None:
            return {"completions": []}
        try:
            found = complete(before, _bench(ipython).store.series)
        except WorkbenchError:
            return {"completions": []}
        offered = [SimpleCompletion(text=text, type=found.kind) for text in found.texts]
        return {"completions": offered, "matched_fragment": found.fragment, "suppress": True, "ordered": True}

    return context_matcher(priority=200, identifier="workbench.promql")(matcher)
