"""Template mining: which log lines say the same thing.

A line is masked by looks (`masks.py`), split into words, and looked up. A form not seen before either fits a known
template or becomes one; templates that differ in one word merge once that place has held enough different words. A
template keeps its number for ever: when it is merged, its number becomes an alias.

References
----------
He et al., "Drain", ICWS 2017, and Yu et al., "Brain", TSC 2023, for what counts as a template; Khan et al., ICSE 2022,
for how accuracy is measured.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.errors import InvalidInput
from workbench.logs.masks import VARIABLE, distinct, masked, tokens

__all__ = ["Mined", "TemplateMiner", "mine"]

Key = tuple[str, ...]

_WORD = re.compile(r"[A-Za-z]")
_WEAK = re.compile(r"\d|^[\w$-]+(?:\.[\w$-]+){2,}$|^/")
_VALUE = re.compile(r"[A-Za-z0-9]")
_EXCEPTION = re.compile(r"(?:Exception|Error)$")
_LIST = re.compile(rf"{VARIABLE}(?:,? {VARIABLE}|,{VARIABLE}){{2,}}")
_MOST_TOKENS = 256
_MOST_CACHED = 200_000


@dataclass(frozen=True, eq=False)
class Mined:
    """Templates of n lines.

    Attributes
    ----------
    ids : ndarray of int32, shape (n,)
        Template of each line; row of `templates`.
    templates : list of str
        Text by id, variables as `<*>`; a merged template shows the text of what it was merged into.
    """

    ids: npt.NDArray[np.int32]
    templates: list[str]

    def texts(self) -> pd.Series:
        """Return the template text of every line, str of shape (n,)."""
        return pd.Series(np.array(self.templates, object)[self.ids] if len(self.ids) else [], dtype="str")

    def counts(self) -> pd.DataFrame:
        """Return one row per template that occurs: `id`, `template`, `count`, most frequent first."""
        number = np.bincount(self.ids, minlength=len(self.templates))
        seen = np.flatnonzero(number)
        order = seen[np.argsort(-number[seen], kind="stable")]
        text = pd.Series([self.templates[i] for i in order], dtype="str")
        return pd.DataFrame({"id": order.astype(np.int32), "template": text, "count": number[order]})


@dataclass
class _Template:
    key: Key
    shown: list[str]
    """Tokens as first seen; a word that varies has become a variable."""
    weak: dict[int, str] = field(default_factory=dict)
    """Places of the key that look like variables but have shown one value only so far."""


class TemplateMiner:
    """Finds templates and remembers them; ids stay valid from call to call.

    Parameters
    ----------
    most_words : int, optional
        A place where templates differ becomes a variable once it has held more than this many different words.
    least_words : int, optional
        Constant words a merged template must keep.
    """

    def __init__(self, most_words: int = 3, least_words: int = 2) -> None:
        if most_words < 1 or least_words < 0:
            raise InvalidInput(
                f"TemplateMiner has most_words={most_words}, least_words={least_words}: at least 1 and 0 are needed."
            )
        self._most_words = most_words
        self._least_words = least_words
        self._templates: list[_Template] = []
        self._alias: list[int] = []
        self._by_masked: dict[str, int] = {}
        self._by_key: dict[Key, int] = {}
        self._by_gap: dict[Key, set[Key]] = {}
        self._merged: dict[int, set[int]] = {}

    def __len__(self) -> int:
        """Return how many ids have been given out."""
        return len(self._templates)

    def mine(self, bodies: pd.Series | Sequence[str]) -> Mined:
        """Return the template of every line; work is done once per distinct line.

        Parameters
        ----------
        bodies : Series or sequence of str, length n
            Log bodies. Of a body of several lines (a stack trace) the first counts, of a long line its beginning.
        """
        row, texts = distinct(bodies if isinstance(bodies, pd.Series) else pd.Series(list(bodies), dtype="object"))
        if not len(row):
            return Mined(np.empty(0, np.int32), self.texts())
        forms = masked(texts).dictionary_encode()
        given = np.array([self._look_up(form) for form in forms.dictionary.to_pylist()], np.int32)
        ids = self.resolve(given)[forms.indices.to_numpy()][row]
        return Mined(ids, self.texts())

    def resolve(self, ids: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """Return the ids that earlier ids have been merged into, int32 of the same shape."""
        alias = np.array(self._alias, np.int32)
        while len(alias):
            further = alias[alias]
            if np.array_equal(further, alias):
                break
            alias = further
        return alias[ids] if len(alias) else ids.astype(np.int32)

    def texts(self) -> list[str]:
        """Return the text of every id."""
        root = self.resolve(np.arange(len(self._templates), dtype=np.int32))
        own = [_text(template) for template in self._templates]
        return [own[i] for i in root]

    def _look_up(self, form: str) -> int:
        known = self._by_masked.get(form)
        if known is not None:
            return known
        if len(self._by_masked) >= _MOST_CACHED:
            self._by_masked.clear()
        shown = tokens(_LIST.sub(VARIABLE, form))[:_MOST_TOKENS]
        key, weak = _key(shown)
        found = self._by_masked[form] = self._find(key, shown, weak)
        return found

    def _find(self, key: Key, shown: list[str], weak: dict[int, str]) -> int:
        """Return the id of a key: an equal one, one it fits into, or a new one."""
        known = self._by_key.get(key)
        if known is None:
            known = next((i for i in self._merged.get(len(key), ()) if _fits(key, self._templates[i].key)), None)
        if known is None:
            known = self._widened(key)
        if known is not None:
            root = self._root(known)
            _widen(self._templates[root], shown, weak, key)
            return root
        number = len(self._templates)
        self._templates.append(_Template(key, shown, weak))
        self._alias.append(number)
        self._by_key[key] = number
        self._merge_around(key)
        return number

    def _widened(self, key: Key) -> int | None:
        """Return the template that is this key with one of its words a variable, if there is one."""
        for gap in self._gaps(key):
            known = self._by_key.get(gap)
            if known is not None:
                return known
        return None

    def _gaps(self, key: Key) -> list[Key]:
        """Return the key with each of its words a variable, one at a time, where enough words remain."""
        words = [i for i, token in enumerate(key) if _WORD.search(token)]
        if len(words) <= self._least_words:
            return []
        return [(*key[:i], VARIABLE, *key[i + 1 :]) for i in words]

    def _merge_around(self, key: Key) -> None:
        """Merge a new key with those that differ from it in one word, where that word has varied enough."""
        own = self._by_gap.get(key)
        if own and VARIABLE in key:
            self._merge(key, own)
            return
        for gap in self._gaps(key):
            members = self._by_gap.setdefault(gap, set())
            members.add(key)
            if len(members) > self._most_words:
                self._merge(gap, members)
                return

    def _merge(self, gap: Key, members: set[Key]) -> None:
        ids = sorted({self._root(self._by_key[member]) for member in (*members, gap) if member in self._by_key})
        first = self._templates[ids[0]]
        for number in ids[1:]:
            other = self._templates[number]
            _widen(first, other.shown, other.weak, other.key)
            self._alias[number] = ids[0]
            self._merged.get(len(gap), set()).discard(number)
        known = gap in self._by_key
        first.key = gap
        self._by_key[gap] = ids[0]
        self._merged.setdefault(len(gap), set()).add(ids[0])
        if not known:
            self._merge_around(gap)

    def _root(self, number: int) -> int:
        while self._alias[number] != number:
            number = self._alias[number]
        return number


def mine(bodies: pd.Series | Sequence[str]) -> Mined:
    """Return the template of every log body; see `TemplateMiner.mine` for a miner that remembers."""
    return TemplateMiner().mine(bodies)


def _key(shown: list[str]) -> tuple[Key, dict[int, str]]:
    """Return (what lines of one template share, places that only look like variables and their value).

    Neighbouring variables, with blanks and commas between them, count as one: lists have any length. Empty brackets
    hold an empty variable.
    """
    key: list[str] = []
    weak: dict[int, str] = {}
    for i, token in enumerate(shown):
        variable = token == VARIABLE
        if not variable and _looks_variable(shown, i):
            weak[len(key)] = token
            variable = True
        if variable:
            back = len(key)
            while back and key[back - 1] in " ,":
                back -= 1
            if back and back < len(key) and key[back - 1] == VARIABLE:
                weak.pop(len(key), None)
                weak.pop(back - 1, None)
                del key[back:]
                continue
            token = VARIABLE
        elif token == ")" and shown[max(i - 2, 0) : i] == [" ", "("]:
            key.append(VARIABLE)
        key.append(token)
    return tuple(key), weak


def _looks_variable(shown: list[str], i: int) -> bool:
    """Return whether a word may be a value: it holds a digit, is a dotted name, a path, quoted, or follows a "="."""
    token = shown[i]
    if not _VALUE.search(token):
        return False
    if _WEAK.search(token):
        return not _EXCEPTION.search(token)
    before = shown[i - 1] if i else ""
    return before == "=" or (before in "\"'" and before != "" and shown[i + 1 : i + 2] == [before])


def _fits(key: Key, template: Key) -> bool:
    return all(t in (VARIABLE, k) for k, t in zip(key, template, strict=True))


def _widen(template: _Template, shown: list[str], weak: dict[int, str], key: Key) -> None:
    """Take one more form into a template: what differs becomes a variable in its text."""
    for place, value in list(template.weak.items()):
        if weak.get(place) != value:
            del template.weak[place]
    if len(shown) == len(template.shown):
        template.shown = [a if a == b else VARIABLE for a, b in zip(template.shown, shown, strict=True)]
    elif len(key) == len(template.key):
        pairs = zip(template.key, key, strict=True)
        template.shown = [
            template.weak.get(i, VARIABLE) if a != b or a == VARIABLE else a for i, (a, b) in enumerate(pairs)
        ]


def _text(template: _Template) -> str:
    text = "".join(template.shown)
    return text.replace(VARIABLE, "<*>")
