from __future__ import annotations

import json
from pathlib import Path

import pytest

from workbench import resources
from workbench.errors import InvalidInput, NotFound
from workbench.runbooks import resolve
from workbench.runbooks.catalogue import load

TRAVERSAL = [
    "../investigate", "../../etc/passwd", "..", ".", "", "/etc/passwd", "investigate/../postmortem", "a/b", "a\\b", "..\\x",
    "investigate.ipynb", "./investigate", "~/x", "~root", "%2e%2e/x", "investigate\n", "investigate\x00", " investigate",
    "http://127.0.0.1/x.ipynb", "https://example.org/x.ipynb", "s3://bucket/x", "gs://b/x", "abs://c/x", "hdfs://n/x",
    "adl://x", "file:///etc/passwd", "{store}", "{store.__class__}", "investigate{0}", "\N{FULLWIDTH SOLIDUS}etc",
    "CON:", "a" * 65, "\N{CYRILLIC SMALL LETTER A}bc", "-p", "--help", "$HOME", "`id`", "investigate;ls",
]  # fmt: skip


@pytest.mark.parametrize("name", TRAVERSAL)
def test_a_name_is_never_a_path(name: str) -> None:
    with pytest.raises(InvalidInput, match="is not a name"):
        resolve(name)


def test_a_name_finds_the_shipped_notebook() -> None:
    assert resolve("investigate") == resources.notebook("investigate").resolve()


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(NotFound, match=r"investigate, postmortem.*; did you mean 'postmortem'"):
        resolve("postmorten")


def test_links_out_of_the_folder_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = tmp_path / "outside.ipynb"
    outside.write_text("{}")
    root = tmp_path / "notebooks"
    root.mkdir()
    (root / "inside.ipynb").write_text("{}")
    (root / "leads_out.ipynb").symlink_to(outside)
    (root / "alias.ipynb").symlink_to(root / "inside.ipynb")
    monkeypatch.setattr(resources, "_folder", lambda inside, checkout: root)
    with pytest.raises(InvalidInput, match="points outside the notebooks folder"):
        resolve("leads_out")
    assert resolve("alias") == (root / "inside.ipynb").resolve()


def test_a_path_must_be_an_existing_local_notebook(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no notebook"):
        resolve(tmp_path / "missing.ipynb")
    (tmp_path / "plain.txt").write_text("{}")
    with pytest.raises(InvalidInput, match=r"does not end in \.ipynb"):
        resolve(tmp_path / "plain.txt")
    with pytest.raises(NotFound):
        resolve(Path("https://example.org/x.ipynb"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("not json", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "is not of format 4"),
        (json.dumps({"cells": [], "nbformat": 3}), "is not of format 4"),
        (json.dumps({"cells": [1], "nbformat": 4}), "is not of format 4"),
        (json.dumps({"cells": [], "nbformat": 4, "metadata": {"kernelspec": {"language": "R"}}}), "written in 'r'"),
    ],
)
def test_what_is_no_python_notebook_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "x.ipynb"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=says):
        load(path)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.ipynb"
    with path.open("wb") as stream:
        stream.truncate(65 * 2**20)
    with pytest.raises(InvalidInput, match="at most"):
        load(path)
