"""The catalog's portable statements and values as PostgreSQL takes them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["adapt", "escaped", "translated", "unescaped"]

_MARKS = re.compile(r"'(?:[^']|'')*'|::|\?|%|:([A-Za-z_]\w*)")
_ESCAPE = "\U0010fffe"
"""A code point that is no character: the first half of what stands for NUL, which PostgreSQL's text cannot hold."""


@lru_cache(4096)
def translated(sql: str) -> str:
    """Return a statement with `%s` for `?` and `%(name)s` for `:name`; text in quotes stays as it is."""

    def mark(match: re.Match[str]) -> str:
        text = match.group(0)
        if match.group(1):
            return f"%({match.group(1)})s"
        return "%s" if text == "?" else text.replace("%", "%%")

    return _MARKS.sub(mark, sql)


def escaped(text: str) -> str:
    """Return text without NUL from which `unescaped` makes the same text again; ordinary text is not changed."""
    if "\x00" in text or _ESCAPE in text:
        return text.replace(_ESCAPE, f"{_ESCAPE}1").replace("\x00", f"{_ESCAPE}0")
    return text


def unescaped(text: str) -> str:
    """Return what `escaped` was given."""
    if _ESCAPE in text:
        return text.replace(f"{_ESCAPE}0", "\x00").replace(f"{_ESCAPE}1", _ESCAPE)
    return text


def adapt(connection: Connection[Any]) -> None:
    """Make a connection take and give the values SQLite does: any text, 64-bit numbers, sums as whole numbers."""
    from psycopg.types.numeric import Int8BinaryDumper, NumericBinaryLoader, NumericLoader
    from psycopg.types.string import StrDumperUnknown, TextBinaryLoader, TextLoader

    class Text(StrDumperUnknown):
        def dump(self, obj: str) -> Any:
            return super().dump(escaped(obj))

    class Read(TextLoader):
        def load(self, data: Any) -> str:
            return unescaped(str(super().load(data)))

    class ReadBinary(TextBinaryLoader):
        def load(self, data: Any) -> str:
            return unescaped(str(super().load(data)))

    class Sum(NumericLoader):
        def load(self, data: Any) -> Any:
            return int(super().load(data))

    class SumBinary(NumericBinaryLoader):
        def load(self, data: Any) -> Any:
            return int(super().load(data))

    for dumper, kind in ((Text, str), (Int8BinaryDumper, int)):
        connection.adapters.register_dumper(kind, dumper)
    for name, loader in (("text", Read), ("text", ReadBinary), ("numeric", Sum), ("numeric", SumBinary)):
        connection.adapters.register_loader(name, loader)
