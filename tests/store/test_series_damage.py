"""Damage in the label index: one flipped bit in any row is told by name, and never becomes a wrong label."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from tests.store.test_series import about, count, folded, pods, refreshed, sound, tiny
from workbench.errors import StoreError
from workbench.signals import Matcher
from workbench.store import label_fold
from workbench.store.catalog import open_catalog
from workbench.store.place import CATALOG
from workbench.store.series import SeriesIndex, SeriesWriter, cardinality

EVERYTHING = np.arange(1, 45)


def answers(index: SeriesIndex) -> tuple:
    kind, unit = index.describe(EVERYTHING)
    found = [index.match([Matcher("zone", "!~", "a|c"), Matcher("pod", "=~", "pod-0000[0-3].*")]).tolist()]
    found += [index.match([Matcher("pod", "=", f"pod-{i:06}")]).tolist() for i in range(44)]
    return index.texts(EVERYTHING), kind.tolist(), unit.tolist(), found


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with blocks of many rows, recent series, corrections and a source, and what it answers."""
    folder = tmp_path_factory.mktemp("whole") / "s"
    folder.mkdir()
    with tiny(), closing(open_catalog(folder)) as one:
        writer = SeriesWriter(one)
        writer.resolve(pods(42), *about(42, "unknown", ""), source="scrape", limit=100)
        folded(one)
        writer.resolve(pods(2), *about(2, "counter", "By"))
        writer.resolve(pods(44), *about(44, "unknown", ""))
        assert sound(one) == []
        assert count(one, "SELECT count(*) FROM labels") > 100
        assert count(one, "SELECT count(*) FROM recent") == 2 + 2
        truth = answers(refreshed(one))
    return folder, truth


def damaged(place: Path, statement: str, *values: object) -> bool:
    with closing(sqlite3.connect(place / CATALOG)) as connection:
        try:
            connection.execute(statement, values)
        except sqlite3.IntegrityError:  # SQLite itself would not have it
            return False
        connection.commit()
    return True


def flipped(value: object, rng: np.random.Generator) -> object:
    if isinstance(value, int):
        return value ^ (1 << int(rng.integers(40)))
    data = bytearray(value if isinstance(value, bytes) else str(value).encode())
    data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    return bytes(data)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("labels", "id"), ("labels", "data"), ("labels", "crc32"), ("recent", "id"), ("recent", "text"),
        ("recent", "crc32"), ("sources", "name"), ("sources", "series"), ("sources", "refused"), ("sources", "crc32"),
    ],
)  # fmt: skip
def test_a_flipped_bit_in_any_row_is_told_and_never_a_wrong_label(whole, tmp_path, table, column):
    folder, truth = whole
    rng = np.random.default_rng(sum(map(ord, table + column)))
    with closing(sqlite3.connect(folder / CATALOG)) as connection:
        rows = connection.execute(f"SELECT rowid, {column} FROM {table}" if table != "sources" else
                                  f"SELECT name, {column} FROM {table}").fetchall()  # fmt: skip
    key = "name" if table == "sources" else "id"
    for row in rng.permutation(len(rows))[:25].tolist():
        number, value = rows[row]
        place = tmp_path / f"{row}"
        shutil.copytree(folder, place)
        kind = "TEXT" if isinstance(value, str) else "BLOB" if isinstance(value, bytes) else "INTEGER"
        change = f"UPDATE {table} SET {column} = CAST(? AS {kind}) WHERE {key} = ?"
        if not damaged(place, change, flipped(value, rng), number):
            continue
        said, got = [], None
        try:
            with tiny(), closing(open_catalog(place)) as one:
                said = sound(one)
                got = answers(refreshed(one))
        except StoreError as error:
            said.append(str(error))
        assert said, (table, column, number)
        assert got is None or got == truth
        shutil.rmtree(place)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("DELETE FROM labels WHERE id < 0", "gap"),
        ("DELETE FROM labels WHERE id = (SELECT min(id) FROM labels WHERE id > 0)", "lacks rows"),
        ("DELETE FROM recent WHERE id = 44", "gap"),
        ("UPDATE meta SET value = value + 1 WHERE name = 'series'", "gap"),
        ("UPDATE meta SET value = value - 1 WHERE name = 'series'", "gap"),
        ("DELETE FROM meta WHERE name = 'series'", "lost its counter"),
        ("INSERT INTO labels SELECT 1000000, data, crc32 FROM labels LIMIT 1", "damaged|belongs to no block"),
        ("UPDATE meta SET value = 3 WHERE name = 'labels'", "counter"),
    ],
)
def test_rows_that_are_gone_or_too_many_are_told(whole, tmp_path, statement, told):
    folder, truth = whole
    shutil.copytree(folder, tmp_path / "s")
    assert damaged(tmp_path / "s", statement)
    with tiny(), closing(open_catalog(tmp_path / "s")) as one:
        said = " ".join(sound(one))
        assert any(word in said for word in told.split("|")), said
        got = None
        with suppress(StoreError):
            got = answers(refreshed(one))
        assert got in (None, truth)


def test_damage_is_told_by_label_and_block_and_the_rest_can_be_asked(whole, tmp_path):
    folder, _ = whole
    shutil.copytree(folder, tmp_path / "s")
    with tiny(), closing(open_catalog(tmp_path / "s")) as one:
        index = refreshed(one)
        block = index.ask(lambda state, pantry: state.blocks[0])
        row = block.columns["pod"].text[0]
        assert damaged(tmp_path / "s", "UPDATE labels SET crc32 = crc32 + 1 WHERE id = ?", row)
        where = f"label 'pod' of series 1 to {block.count}"
        with pytest.raises(StoreError, match=where):
            index.frame(EVERYTHING)
        assert index.match([Matcher("zone", "=", "b"), Matcher("metric", "=", "m1")]).tolist() == [
            n for n in EVERYTHING.tolist() if (n - 1) % 3 == 1 and (n - 1) % 7 == 1
        ]
        assert index.frame(np.array([44]))["pod"].tolist() == ["pod-000043"]
        assert [where in sentence for sentence in sound(one)] == [True]
        folded(one)  # blocks that are not joined are left as they are, and so is what is wrong with them
        assert [where in sentence for sentence in sound(one)] == [True]
        with patch.object(label_fold, "MOST", 1000), pytest.raises(StoreError, match=where):
            folded(one)
        assert count(one, "SELECT count(*) FROM labels WHERE id < 0") > 1


def test_a_damaged_count_of_a_source_is_no_reason_to_admit_more(whole, tmp_path):
    folder, _ = whole
    shutil.copytree(folder, tmp_path / "s")
    assert damaged(tmp_path / "s", "UPDATE sources SET series = 0")
    with closing(open_catalog(tmp_path / "s")) as one:
        with pytest.raises(StoreError, match="scrape"):
            SeriesWriter(one).resolve(pods(60), *about(60), source="scrape", limit=50)
        with one.read() as connection, pytest.raises(StoreError, match="scrape"):
            cardinality(connection)
        assert SeriesWriter(one).resolve(pods(44), *about(44), source="scrape", limit=50)[1].all()


def test_a_damaged_series_of_format_1_is_told_and_the_old_store_is_left_as_it_was(tmp_path):
    shutil.copytree(Path(__file__).parents[1] / "golden" / "store-1", tmp_path / "s")
    assert damaged(tmp_path / "s", "UPDATE series SET unit = 'forged' WHERE id = 2")
    for _ in range(2):
        with pytest.raises(StoreError, match="series 2 is damaged"):
            open_catalog(tmp_path / "s", create=False)
