from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import InvalidInput
from workbench.runbooks import declared, parameters
from workbench.runbooks.catalogue import load
from workbench.runbooks.signature import check

Maker = Callable[..., Path]

SOURCE = '''
"""What this takes."""
store: str | None = None  # folder of the store
limit = 5  # most rows
share = 0.5
names = ["a"]
deep: dict = {"a": [1]}
free = None
flag: bool = True  # a "#" in it
'''


def test_names_defaults_types_and_comments(notebook: Maker) -> None:
    path = notebook(SOURCE)
    assert parameters(path) == {
        "store": None, "limit": 5, "share": 0.5, "names": ["a"], "deep": {"a": [1]}, "free": None, "flag": True,
    }  # fmt: skip
    found = declared(path)
    assert found["store"].help == "folder of the store"
    assert found["flag"].help == 'a "#" in it'
    assert found["store"].types == (str, type(None))
    assert found["free"].types == ()


@pytest.mark.parametrize(
    "source",
    ["import os", "x = f()", "x, y = 1, 2", "x.y = 1", "x += 1", "x: int", "x = [i for i in y]", "x = (", "print(1)"],
)
def test_a_cell_of_anything_but_literals_is_refused(notebook: Maker, source: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        declared(notebook(source))


GOOD: list[tuple[str, Any]] = [
    ("store", "x"), ("store", None), ("limit", 0), ("share", 1), ("share", float("nan")), ("names", []), ("deep", {}),
    ("free", {"a": [None, True, 1.5]}), ("flag", False), ("store", "\"; import os #\n'''"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), GOOD)
def test_values_that_fit_pass_unchanged(notebook: Maker, name: str, value: Any) -> None:
    assert check({name: value}, load(notebook(SOURCE)), "own.ipynb") == {name: value}


class Text(str):
    """A str by inheritance, whose repr could be anything."""

    __slots__ = ()


BAD: list[tuple[str, Any, str]] = [
    ("limit", "5", "it must be int"), ("limit", True, "it must be int"), ("limit", 1.0, "it must be int"),
    ("limit", None, "it must be int"), ("store", 1, "it must be str or None"), ("flag", 1, "it must be bool"),
    ("names", "a", "it must be list"), ("free", b"x", "of type bytes"), ("free", (1,), "of type tuple"),
    ("free", {1, 2}, "of type set"), ("free", object(), "of type object"), ("free", Text("x"), "of type Text"),
    ("free", Path("x"), "of type"), ("free", [[{"a": b""}]], "of type bytes"), ("free", {1: 2}, "keys must be text"),
    ("free", lambda: 1, "of type function"), ("free", 1j, "of type complex"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "says"), BAD)
def test_values_that_do_not_fit_are_refused(notebook: Maker, name: str, value: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        check({name: value}, load(notebook(SOURCE)), "own.ipynb")


def test_endless_nesting_is_refused(notebook: Maker) -> None:
    deep: list[Any] = []
    deep.append(deep)
    with pytest.raises(InvalidInput, match="levels deep"):
        check({"free": deep}, load(notebook(SOURCE)), "own.ipynb")


INJECTIONS = [
    "x=1;open('/tmp/x','w')#", "store=1;import os;os.system('true')#", "store\nimport os", "store ", " store", "store#",
    "store;", "__import__('os')", "store.__class__", "store[0]", "store:int", "*store", "0store", "st-ore", "", "\x00",
    "st\N{ZERO WIDTH SPACE}ore", "\N{FULLWIDTH LATIN SMALL LETTER S}tore", "lambda", "import", "{store}", "store=", "\\",
]  # fmt: skip


@pytest.mark.parametrize("name", INJECTIONS)
def test_names_that_are_code_are_refused(notebook: Maker, name: str) -> None:
    with pytest.raises(InvalidInput, match=r"is not declared by own\.ipynb"):
        check({name: "1"}, load(notebook(SOURCE)), "own.ipynb")


def test_an_unknown_name_lists_the_declared_and_the_closest(notebook: Maker) -> None:
    with pytest.raises(InvalidInput, match=r"it takes store, limit.*did you mean 'limit'"):
        check({"limits": 1}, load(notebook(SOURCE)), "own.ipynb")


@given(st.text(max_size=12))
def test_only_declared_identifiers_get_through(name: str) -> None:
    document = {"cells": [{"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": SOURCE}]}
    known = {"store", "limit", "share", "names", "deep", "free", "flag"}
    try:
        check({name: None}, document, "n")
    except InvalidInput:
        return
    assert name in known
