"""Label matchers: which series, by the values of their labels, as Prometheus' four operators ask for them.

Regular expressions run in RE2 (through Arrow), the engine Prometheus uses: no expression can make it slow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.errors import QueryError, check_one_of

__all__ = ["OPERATORS", "Matcher", "match"]

OPERATORS = ("=", "!=", "=~", "!~")
"""Equal, not equal, matches the whole value, does not."""


@dataclass(frozen=True)
class Matcher:
    """One condition on one label; a label that a series does not have counts as the empty string.

    Attributes
    ----------
    name : str
        Label name as it stands in `Samples.labels` (`metric` for the metric's name).
    op : str
        One of `OPERATORS`.
    value : str
        Text, or a regular expression that must match the whole value.
    """

    name: str
    op: str
    value: str

    def __post_init__(self) -> None:
        """Reject unknown operators and broken expressions at once."""
        check_one_of(self.op, OPERATORS, "label matcher operator")
        if "~" in self.op:
            self._search(self.value, np.array([""], object))  # alone first: "a)|(b" is sound only inside the anchors
            self._matches(np.array([""], object))

    def mask(self, values: npt.NDArray[np.object_]) -> npt.NDArray[np.bool_]:
        """Return which of the label values (str objects, shape (n,)) satisfy the condition, bool of shape (n,)."""
        if self.op in ("=", "!="):
            hit = np.asarray(values == self.value, bool)
        else:
            codes, distinct = pd.factorize(values)
            hit = self._matches(np.asarray(distinct, object))[codes]
        return ~hit if self.op[0] == "!" else hit

    def _matches(self, values: npt.NDArray[np.object_]) -> npt.NDArray[np.bool_]:
        return self._search(rf"\A(?s:{self.value})\z", values)

    def _search(self, pattern: str, values: npt.NDArray[np.object_]) -> npt.NDArray[np.bool_]:
        import pyarrow as pa
        import pyarrow.compute as pc

        try:
            hit = pc.match_substring_regex(pa.array(values, pa.string()), pattern)
        except (pa.ArrowInvalid, UnicodeEncodeError) as error:
            reason = str(error).removeprefix("Invalid regular expression: ").rstrip(".")
            raise QueryError(
                f"regular expression {self.value[:80]!r} of label {self.name!r} is broken ({reason[:200]}):"
                " write RE2 syntax."
            ) from error
        return np.asarray(hit.to_numpy(zero_copy_only=False), bool)


def match(labels: pd.DataFrame, matchers: Sequence[Matcher]) -> npt.NDArray[np.bool_]:
    """Return which rows of a label table satisfy every matcher, bool of shape (len(labels),)."""
    keep = np.ones(len(labels), bool)
    for matcher in matchers:
        held = matcher.name in labels.columns
        keep &= matcher.mask(labels[matcher.name].to_numpy(dtype=object) if held else np.full(len(labels), "", object))
    return keep
