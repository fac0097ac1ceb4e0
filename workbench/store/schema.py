"""The catalog's tables, one text for SQLite and PostgreSQL, and the way from format 1 to format 2.

Few b-trees and no index that only saves a scan of a small table: in SQLite each costs a page even when it is empty, and
the catalog counts in the bytes per sample of a small store. Ids come from counters in `meta`, in both databases.
"""

from __future__ import annotations

import sqlite3

__all__ = ["COUNTERS", "statements", "upgrade"]

COUNTERS = ("seq", "segment", "hot", "series", "labels", "series_changed", "sealing_until")
"""Names in `meta` that begin at 0: last write, last ids, changes of series, and until when (ns) one seals."""

_TABLES = """
CREATE TABLE meta (name {text} PRIMARY KEY, value {integer} NOT NULL){rowless};
CREATE TABLE hot (id {integer} PRIMARY KEY, signal {text} NOT NULL, seq {integer} NOT NULL, t_min {integer} NOT NULL,
 t_max {integer} NOT NULL, rows {integer} NOT NULL, bytes {integer} NOT NULL, crc32 {integer} NOT NULL,
 payload {blob} NOT NULL);
CREATE TABLE segments (id {integer} PRIMARY KEY, signal {text} NOT NULL, step {integer} NOT NULL DEFAULT 0,
 tier {text} NOT NULL, seq_min {integer} NOT NULL, seq_max {integer} NOT NULL, t_min {integer} NOT NULL,
 t_max {integer} NOT NULL, series_min {integer}, series_max {integer}, rows {integer} NOT NULL, bytes {integer} NOT NULL,
 replaces {text} NOT NULL DEFAULT '[]', made {integer} NOT NULL, crc32 {integer} NOT NULL, retired {integer});
CREATE TABLE files (segment {integer} NOT NULL, role {text} NOT NULL, path {text} NOT NULL, bytes {integer} NOT NULL,
 crc32 {integer} NOT NULL, PRIMARY KEY (segment, role)){rowless};
CREATE TABLE chunks (segment {integer} PRIMARY KEY, blob {blob} NOT NULL, crc32 {integer} NOT NULL);
CREATE TABLE keys (key {text} PRIMARY KEY, seq {integer} NOT NULL){rowless};
CREATE TABLE notes (kind {text}, name {text}, at {integer} NOT NULL, text {text} NOT NULL, PRIMARY KEY (kind, name)){rowless};
"""

# ---- The series tables: label_state.py says what is in them, and has the only say in how they look. ----
_SERIES = """
CREATE TABLE labels (id {integer} PRIMARY KEY, data {blob} NOT NULL, crc32 {integer} NOT NULL);
CREATE TABLE recent (id {integer} PRIMARY KEY, text {text} NOT NULL, crc32 {integer} NOT NULL);
CREATE TABLE sources (name {text} PRIMARY KEY, series {integer} NOT NULL, refused {integer} NOT NULL,
 crc32 {integer} NOT NULL){rowless};
"""
# ---- End of the series tables. ----

_SQLITE = {"integer": "INTEGER", "blob": "BLOB", "text": "TEXT", "rowless": " WITHOUT ROWID"}
_POSTGRES = {"integer": "BIGINT", "blob": "BYTEA", "text": 'TEXT COLLATE "C"', "rowless": ""}


def statements(database: str) -> list[str]:
    """Return the statements that make an empty catalog of the newest format.

    Parameters
    ----------
    database : {"sqlite", "postgresql"}
    """
    words = _POSTGRES if database == "postgresql" else _SQLITE
    text = (_TABLES + _SERIES).format(**words)
    counters = ", ".join(f"('{name}', 0)" for name in COUNTERS)
    made = [statement.strip().replace("\n", "") for statement in text.split(";") if statement.strip()]
    return [*made, f"INSERT INTO meta (name, value) VALUES {counters}"]


_KEPT = {
    "meta": "name, value",
    "hot": "id, signal, seq, t_min, t_max, rows, bytes, crc32, payload",
    "segments": "id, signal, tier, seq_min, seq_max, t_min, t_max, series_min, series_max, rows, bytes, replaces, made,"
    " crc32, retired",
    "files": "segment, role, path, bytes, crc32",
    "keys": "key, seq",
}


def upgrade(connection: sqlite3.Connection) -> None:
    """Turn a format-1 catalog into a format-2 one, inside the caller's transaction.

    Rows keep their ids and checksums; ids go on where SQLite's own counters stood. Segment files stay as they are.
    """
    last = {"hot": 0, "segments": 0}
    last |= dict(connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
    connection.execute("DROP INDEX hot_by_signal")
    for table in _KEPT:
        connection.execute(f"ALTER TABLE {table} RENAME TO {table}_1")
    for statement in statements("sqlite"):
        connection.execute(statement)
    for table, columns in _KEPT.items():
        verb = "INSERT OR REPLACE" if table == "meta" else "INSERT"
        connection.execute(f"{verb} INTO {table} ({columns}) SELECT {columns} FROM {table}_1")
        connection.execute(f"DROP TABLE {table}_1")
    for name, number in (("segment", last["segments"]), ("hot", last["hot"])):
        connection.execute("UPDATE meta SET value = ? WHERE name = ?", (number, name))
    from workbench.store.label_upgrade import upgrade_series

    upgrade_series(connection)
