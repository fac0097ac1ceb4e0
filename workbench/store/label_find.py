"""Looking for series in the parts of the label index: which match, which have the very same labels, what their labels are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from workbench.signals import Matcher
from workbench.store.label_block import Held, Part, Read
from workbench.store.label_known import Keyring
from workbench.store.label_rows import Pantry
from workbench.store.labels import Codes, Column

__all__ = ["find", "frame", "literals", "match", "objects", "prefix", "said_of"]

_Ints = npt.NDArray[np.int64]
_Rows = npt.NDArray[np.intp]

_STR: Any = pd.StringDtype(na_value=np.nan)
_PLAIN = re.compile(r"(?:[\w \-:/,=@%#~!'\"<>;&]|\\[.\-/:+*?|()\[\]{}^$\\])*", re.ASCII)
_FEW = 4
_RARE = 16


def prefix(pattern: str) -> str:
    """Return a text that every match of a regular expression (RE2) begins with."""
    if "|" in pattern:
        return ""
    found = _PLAIN.match(pattern)
    text = found.group() if found else ""
    if len(text) < len(pattern) and pattern[len(text)] in "?*{+":  # the last letter may be repeated or left out
        text = text[: -2 if text[-2:-1] == "\\" else -1]
    return re.sub(r"\\(.)", r"\1", text)


def literals(pattern: str) -> list[str] | None:
    """Return the texts a regular expression matches when it is a list of plain ones, else None."""
    words = re.split(r"(?<!\\)\|", pattern)
    if any(_PLAIN.fullmatch(word) is None for word in words):
        return None
    return [re.sub(r"\\(.)", r"\1", word) for word in words]


def _stored(texts: Sequence[str]) -> Any:
    """Return Arrow text of those texts that can be a stored value."""
    return pa.array([text for text in texts if text.isascii() or _utf8_holds(text)], pa.large_string())


def _utf8_holds(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _chosen(column: Read, matcher: Matcher) -> npt.NDArray[np.int64]:
    """Return the codes whose values satisfy a matcher, or for a negated one those that do not; increasing."""
    texts = [matcher.value] if "~" not in matcher.op else literals(matcher.value)
    if texts is not None:
        codes = np.unique(column.lookup(_stored(texts)))
        return codes[codes >= 0]
    first, values = column.span(prefix(matcher.value))
    hit = matcher.mask(np.append(values.to_numpy(zero_copy_only=False), ""))
    hit = hit ^ (matcher.op[0] == "!")
    blank = np.zeros(int(hit[-1]), np.int64)
    return np.concatenate([blank, np.flatnonzero(hit[:-1]) + first])


def _among(codes: Codes, chosen: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.bool_]:
    """Return which codes are among some; `chosen` is increasing."""
    if len(chosen) > 1 and chosen[-1] - chosen[0] == len(chosen) - 1:
        inside: npt.NDArray[np.bool_] = (codes >= chosen[0]) & (codes <= chosen[-1])
        return inside
    if len(chosen) <= _FEW:
        keep: npt.NDArray[np.bool_] = np.zeros(len(codes), bool)
        for code in chosen.tolist():
            keep |= codes == code
        return keep
    table = np.zeros(size + 1, bool)
    table[chosen] = True
    return table.take(codes)


def _cost(matcher: Matcher) -> int:
    """Return how late a matcher should be asked: what leaves few series comes first."""
    return (2 if "~" in matcher.op else 0) + (matcher.op[0] == "!" or not matcher.value)


def _match(part: Part, matchers: Sequence[Matcher], memo: dict[Any, _Ints]) -> _Rows:
    """Return the places in a part of the series that satisfy every matcher."""
    keep: npt.NDArray[np.bool_] | None = None
    rows: _Rows | None = None
    blank = np.array([""], dtype=object)
    for matcher in matchers:
        column = part.columns.get(matcher.name)
        if column is None:
            if not matcher.mask(blank)[0]:
                return np.empty(0, np.intp)
            continue
        values = column.dictionary()
        chosen = memo.get((matcher, values)) if values is not None else None
        if chosen is None:
            chosen = memo[(matcher, values)] = _chosen(column, matcher)
        codes = column.codes() if rows is None else column.codes_at(rows)
        hit = _among(codes, chosen, column.size)
        hit = ~hit if matcher.op[0] == "!" else hit
        if rows is not None:
            rows = rows[hit]
            continue
        keep = hit if keep is None else keep & hit
        if _RARE * np.count_nonzero(keep) < part.count:
            rows = np.flatnonzero(keep)
            if not len(rows):
                break
    if rows is not None:
        return rows
    return np.arange(part.count) if keep is None else np.flatnonzero(keep)


def match(parts: Sequence[Part], matchers: Sequence[Matcher]) -> _Ints:
    """Return the numbers of the series that satisfy every matcher, increasing."""
    order = sorted(matchers, key=_cost)
    memo: dict[Any, _Ints] = {}
    found = [_match(part, order, memo) + part.first for part in parts]
    return np.concatenate(found).astype(np.int64, copy=False) if found else np.empty(0, np.int64)


def _split(parts: Sequence[Part], ids: _Ints) -> list[tuple[Part, _Rows, _Rows]]:
    """Return for each part that has some of the series: where they stand in `ids`, and where in the part."""
    owner = np.searchsorted([part.first for part in parts], ids, side="right") - 1
    found = []
    for i in np.unique(owner).tolist():
        at = np.flatnonzero(owner == i)
        found.append((parts[i], at, ids[at] - parts[i].first))
    return found


def _ordered(pieces: Sequence[Any], at: Sequence[_Rows]) -> Any:
    """Return pieces of Arrow text in the order their places say."""
    if len(pieces) == 1:
        return pieces[0]
    places = np.concatenate([np.empty(0, np.intp), *at])
    whole = pa.concat_arrays([pa.array([], pa.large_string()), *pieces])
    return whole if (np.diff(places) > 0).all() else whole.take(pa.array(np.argsort(places)))


def frame(parts: Sequence[Part], ids: _Ints) -> pd.DataFrame:
    """Return the labels of some series: sorted names that any of them has (`metric` always), "" where absent."""
    split = _split(parts, ids)
    data: dict[str, Any] = {}
    for name in _names(split):
        pieces, used = [], name == "metric"
        for part, at, rows in split:
            column = part.columns.get(name)
            if column is None:
                pieces.append(pa.array([""], pa.large_string()).take(pa.array(np.zeros(len(at), np.int8))))
                continue
            codes = column.codes_at(rows)
            used = used or bool(codes.any())
            pieces.append(column.texts(codes))
        if used:
            data[name] = _STR.__from_arrow__(_ordered(pieces, [at for _, at, _ in split]))
    return pd.DataFrame(data, index=pd.RangeIndex(len(ids)))


def objects(parts: Sequence[Part], ids: _Ints) -> dict[str, npt.NDArray[np.object_]]:
    """Return what `frame` returns, as arrays of str objects by name."""
    split = _split(parts, ids)
    data = {}
    for name in _names(split):
        out, used = np.full(len(ids), "", object), name == "metric"
        for part, at, rows in split:
            column = part.columns.get(name)
            codes = np.zeros(0, np.uint8) if column is None else column.codes_at(rows)
            if column is not None and codes.any():
                out[at], used = column.objects(codes), True
        if used:
            data[name] = out
    return data


def _names(split: Sequence[tuple[Part, _Rows, _Rows]]) -> list[str]:
    return sorted({"metric", *(name for part, _, _ in split for name in part.columns)})


def said_of(
    parts: Sequence[Part], ids: _Ints, learned: Mapping[int, tuple[str, str]]
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]]:
    """Return kind and unit of some series; `learned` is what is newer than the parts."""
    out = (np.full(len(ids), "", object), np.full(len(ids), "", object))
    for part, at, rows in _split(parts, ids):
        for i, column in enumerate(part.about):
            codes = column.codes_at(rows)
            if codes.any():
                out[i][at] = column.objects(codes)
    if learned:
        known = np.fromiter(learned, np.int64, len(learned))
        for i in np.flatnonzero(np.isin(ids, known)).tolist():
            out[0][i], out[1][i] = learned[int(ids[i])]
    return out


def _sorted_keys(part: Part, pantry: Pantry, keyring: Keyring) -> tuple[npt.NDArray[np.uint64], _Rows]:
    def make() -> tuple[int, tuple[npt.NDArray[np.uint64], _Rows]]:
        keys = keyring.series(part)
        order = np.argsort(keys)
        return 16 * part.count, (keys[order], order)

    return pantry.get((part.number, keyring), make) if part.number else make()[1]


def _same(part: Part, rows: _Rows, columns: Mapping[str, Column], sets: _Rows) -> npt.NDArray[np.bool_]:
    """Return which series of a part have exactly the labels of the sets beside them."""
    same = np.ones(len(rows), bool)
    for name in {**part.columns, **columns}:
        read, column = part.columns.get(name), columns.get(name)
        if read is None or column is None:
            held = read.codes_at(rows) if read is not None else columns[name].codes[sets]
            same &= held == 0
        else:
            there = read.texts(read.codes_at(rows))
            same &= pc.equal(there, Held(column).texts(column.codes[sets])).to_numpy(zero_copy_only=False)
    return same


def find(
    parts: Sequence[Part], columns: Mapping[str, Column], keys: npt.NDArray[np.uint64], keyring: Keyring, pantry: Pantry
) -> _Ints:
    """Return the number of the series that has the very same labels, per label set; 0 where there is none.

    Parameters
    ----------
    parts : sequence of Part
    columns : mapping of str to Column
        Labels of n sets.
    keys : ndarray of uint64, shape (n,)
        The first lane of their keys. The keys of a block are made when they are first needed, 0.4 s for a million.
    keyring : Keyring
        What made the keys.
    pantry : Pantry
        Where the keys of blocks are kept, in order.
    """
    out = np.zeros(len(keys), np.int64)
    for part in reversed(parts):
        alive = np.flatnonzero(out == 0)
        if not len(alive):
            break
        known, order = _sorted_keys(part, pantry, keyring)
        at = np.searchsorted(known, keys[alive])
        while len(alive):
            inside = at < part.count
            inside[inside] = known[at[inside]] == keys[alive[inside]]
            alive, at = alive[inside], at[inside]
            same = _same(part, order[at], columns, alive) if len(alive) else np.empty(0, bool)
            out[alive[same]] = order[at[same]] + part.first
            alive, at = alive[~same], at[~same] + 1  # other labels under the same key: look on
    return out
