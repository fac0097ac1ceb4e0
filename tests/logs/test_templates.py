"""Template mining."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.logs.loghub import evaluate
from workbench.errors import InvalidInput
from workbench.logs import TemplateMiner, mine
from workbench.logs.masks import LONGEST, VARIABLE, tokens

WORDS = st.sampled_from(
    ["open", "close", "for", "user", "alice", "bob", "7", "12", "10.0.0.1", "id=5", "ok", ",", "()"]
)
LINES = st.lists(st.lists(WORDS, max_size=7).map(" ".join), max_size=40)


def one(line: str) -> str:
    return mine([line]).templates[0]


@pytest.mark.parametrize(
    ("line", "template"),
    [
        ("GET took 12 ms", "GET took <*> ms"),
        ("order 7f1b1c9e-3f0a-4b1e-9a53-1f0c5a1d2e3f stored", "order <*> stored"),
        ("client 10.1.2.3:5544 closed", "client <*> closed"),
        ("at Mon Jan  3 07:12:55 2026 it began", "at <*> it began"),
        ("at 2026-01-03T07:12:55.123Z it began", "at <*> it began"),
        ("pages 0x7ffe12ab freed", "pages <*> freed"),
        ("checksum deadbeef is wrong", "checksum <*> is wrong"),
        ("opened /var/lib/data/part.bin now", "opened <*> now"),
        ("see https://example.org/a?b=c for help", "see <*> for help"),
        ("read 1,024 bytes (1.00 KB) of it", "read <*> of it"),
        ("block blk_123456, blk_234567, blk_345678 gone", "block <*> gone"),
        ("retry 3 of 5.", "retry <*> of <*>."),
        ("two  blanks\tand a tab", "two blanks and a tab"),
        ("<*> literally", "<*> literally"),
        ("", ""),
    ],
)
def test_golden_lines(line: str, template: str) -> None:
    assert one(line) == template


def test_what_looks_like_a_variable_stays_while_it_has_one_value() -> None:
    assert one("Accepted protocol ssh2 state=idle") == "Accepted protocol ssh2 state=idle"
    mined = mine(["Accepted protocol ssh2 state=idle", "Accepted protocol ssh1 state=idle"])
    assert mined.templates[mined.ids[0]] == "Accepted protocol <*> state=idle"


def test_exceptions_keep_their_names() -> None:
    mined = mine(["failed: java.io.IOException: no", "failed: java.lang.NullPointerException: no"])
    assert mined.ids[0] != mined.ids[1]


def test_words_merge_when_they_vary_and_ids_stay() -> None:
    miner = TemplateMiner(most_words=3)
    names = ["ann", "bob", "cyd", "dan", "eve"]
    given_out = [int(miner.mine([f"session opened for user {name}"]).ids[0]) for name in names]
    assert given_out == [0, 1, 2, 0, 0]
    assert miner.resolve(np.array(given_out[:3], np.int32)).tolist() == [0, 0, 0]
    assert set(miner.texts()) == {"session opened for user <*>"}
    assert miner.mine(["session opened for user root"]).ids.tolist() == [0]


def test_few_constant_words_do_not_merge() -> None:
    mined = mine([f"{verb} done" for verb in ("start", "stop", "pause", "flush", "merge", "split")])
    assert len(set(mined.ids.tolist())) == 6


@settings(max_examples=40)
@given(LINES)
def test_lines_at_once_group_like_lines_one_by_one(lines: list[str]) -> None:
    slow = TemplateMiner()
    for line in lines:
        slow.mine([line])
    again = np.array([slow.mine([line]).ids[0] for line in lines], np.int32)
    fast = mine(lines)
    assert pd.factorize(fast.ids)[0].tolist() == pd.factorize(again)[0].tolist()
    assert fast.templates == slow.texts()


@settings(max_examples=40)
@given(LINES, LINES)
def test_an_id_never_changes_but_by_merging(first: list[str], second: list[str]) -> None:
    miner = TemplateMiner()
    before = miner.mine(first)
    miner.mine(second)
    after = miner.mine(first)
    assert miner.resolve(before.ids).tolist() == after.ids.tolist()


@given(st.lists(st.text(), max_size=20))
def test_any_text_is_taken(lines: list[str]) -> None:
    mined = mine(lines)
    assert len(mined.ids) == len(lines)
    assert not any(VARIABLE in text for text in mined.templates)
    assert mined.counts()["count"].sum() == len(lines)


@given(st.text(alphabet="ab,=:()[]{} \t'\"" + VARIABLE))
def test_tokens_join_to_the_text(text: str) -> None:
    assert "".join(tokens(text)) == text


def test_stack_traces_have_the_template_of_their_first_line() -> None:
    bodies = [f"Request {i} failed\nTraceback:\n  line {i} in f\n" for i in range(4)] + ["\n\nRequest 9 failed\r\nx"]
    mined = mine(bodies)
    assert mined.texts().unique().tolist() == ["Request <*> failed"]


def test_huge_and_broken_lines_are_safe() -> None:
    bodies = pd.Series(
        ["x" * 10_000_000, "a" * LONGEST + "b", "a" * LONGEST + "c", "bad \ud800 half", None, np.nan, b"\xff"]
    )
    mined = mine(bodies)
    assert mined.ids[1] == mined.ids[2]
    assert mined.templates[mined.ids[4]] == ""
    assert mined.ids[4] == mined.ids[5]
    many = mine(["word " * 2_000_000])
    assert len(many.templates[0]) <= LONGEST


def test_empty_input_and_bad_options() -> None:
    mined = mine([])
    assert (len(mined.ids), mined.templates, len(mined.texts()), len(mined.counts())) == (0, [], 0, 0)
    with pytest.raises(InvalidInput, match="most_words=0"):
        TemplateMiner(most_words=0)


@pytest.mark.parametrize("most_words", [2, 3, 4])
def test_accuracy_on_eight_systems_in_one_configuration(shared_data: Path, most_words: int) -> None:
    table = evaluate(shared_data / "logs", most_words=most_words)
    mean = table.loc["mean"]
    assert mean["GA"] >= 0.9, table.to_string()
    assert mean["PA"] >= 0.88, table.to_string()
    assert mean["FTA"] >= 0.75, table.to_string()
