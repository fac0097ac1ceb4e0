"""What parameters a notebook declares, and whether given values fit.

papermill writes parameter names into the notebook as code, so a name that is not declared never reaches it. The
parameters cell is parsed, not run: it holds assignments of literals, optionally annotated.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from workbench.errors import InvalidInput, closest
from workbench.runbooks.catalogue import load, resolve

__all__ = ["Parameter", "check", "declared", "defaults", "parameters"]

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_TYPES: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool, "list": list, "dict": dict}
_DEEPEST = 20


class Parameter(NamedTuple):
    """One declared parameter.

    Attributes
    ----------
    default : None, bool, int, float, str, list or dict
    types : tuple of type
        What a value may be; empty for anything.
    help : str
        The comment at the end of its line.
    """

    default: Any
    types: tuple[type, ...]
    help: str


def parameters(notebook: str | Path) -> dict[str, Any]:
    """Return the declared parameters of a notebook: name -> default."""
    return {name: parameter.default for name, parameter in declared(notebook).items()}


def defaults(document: Mapping[str, Any], label: str) -> dict[str, Any]:
    """Return the declared parameters of a notebook that is at hand: name -> default; `label` names it in errors."""
    return {name: parameter.default for name, parameter in _declared(document, label).items()}


def declared(notebook: str | Path) -> dict[str, Parameter]:
    """Return the declared parameters of a notebook with types and comments.

    Raises
    ------
    InvalidInput
        If its parameters cell holds anything but assignments of literals.
    """
    path = resolve(notebook)
    return _declared(load(path), path.name)


def _declared(document: Mapping[str, Any], label: str) -> dict[str, Parameter]:
    found: dict[str, Parameter] = {}
    for cell in document["cells"]:
        tags = cell.get("metadata", {}).get("tags", [])
        if cell.get("cell_type") == "code" and isinstance(tags, list) and "parameters" in tags:
            source = cell.get("source", "")
            found |= _parse(source if isinstance(source, str) else "".join(source), label)
    return found


def _parse(source: str, label: str) -> dict[str, Parameter]:
    lines = source.splitlines()
    found: dict[str, Parameter] = {}
    try:
        for node in ast.parse(source).body:
            if isinstance(node, ast.Assign) and len(node.targets) == 1:
                target, annotation, value = node.targets[0], None, node.value
            elif isinstance(node, ast.AnnAssign) and node.value is not None:
                target, annotation, value = node.target, node.annotation, node.value
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                continue
            else:
                raise ValueError(f"line {node.lineno} is not an assignment")
            if not isinstance(target, ast.Name):
                raise ValueError(f"line {node.lineno} does not assign to a plain name")
            default = ast.literal_eval(value)
            _, _, comment = lines[(node.end_lineno or node.lineno) - 1][node.end_col_offset or 0 :].partition("#")
            found[target.id] = Parameter(default, _types(annotation, default), comment.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InvalidInput(
            f"the parameters cell of {label} cannot be read: {error}; write one 'name = literal' a line."
        ) from error
    return found


def _types(annotation: ast.expr | None, default: Any) -> tuple[type, ...]:
    if annotation is None:
        return () if default is None else _with_none(type(default))
    names = {node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)}
    allowed = tuple(_TYPES[name] for name in sorted(names) if name in _TYPES)
    optional = default is None or any(isinstance(n, ast.Constant) and n.value is None for n in ast.walk(annotation))
    return (*allowed, type(None)) if allowed and optional else allowed


def _with_none(kind: type) -> tuple[type, ...]:
    return (float, int) if kind is float else (kind,)


def check(given: Mapping[str, Any], document: Mapping[str, Any], label: str) -> dict[str, Any]:
    """Return the given parameters if every name is declared and every value is plain data of a fitting type.

    Raises
    ------
    InvalidInput
        Naming the parameter, what is declared and the closest name, or the types allowed.
    """
    known = _declared(document, label)
    for name, value in given.items():
        if not isinstance(name, str) or not _IDENTIFIER.match(name) or name not in known:
            text = name if isinstance(name, str) else repr(name)
            near = closest(text[:80], known)
            hint = f"; did you mean {near!r}?" if near else "."
            raise InvalidInput(
                f"parameter {text[:80]!r} is not declared by {label}: it takes {', '.join(known) or 'none'}{hint}"
            )
        _plain(name, value, 0)
        _fits(name, value, known[name].types)
    return dict(given)


def _plain(name: str, value: Any, depth: int) -> None:
    if depth > _DEEPEST:
        raise InvalidInput(f"parameter {name!r} is nested more than {_DEEPEST} levels deep: pass flatter data.")
    if type(value) is list:
        for item in value:
            _plain(name, item, depth + 1)
    elif type(value) is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise InvalidInput(f"parameter {name!r} has the dictionary key {key!r}: keys must be text.")
            _plain(name, item, depth + 1)
    elif type(value) not in (type(None), bool, int, float, str):
        kind = type(value).__name__
        raise InvalidInput(
            f"parameter {name!r} is of type {kind}: use None, bool, int, float, str, or lists or dictionaries of these."
        )


def _fits(name: str, value: Any, types: tuple[type, ...]) -> None:
    if not types or type(value) in types or (float in types and type(value) is int):
        return
    allowed = " or ".join("None" if t is type(None) else t.__name__ for t in types)
    raise InvalidInput(f"parameter {name!r} is {value!r} ({type(value).__name__}): it must be {allowed}.")
