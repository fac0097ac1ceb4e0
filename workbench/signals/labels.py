"""One xarray index over all label coordinates of `series`.

Plain coordinates would add arrays by position and lose their labels; one index per label breaks arithmetic. This single
index makes `.sel(service="checkout", env="prod")` work on any labels at once, aligns arithmetic by the whole label set,
and refuses to combine arrays whose labels differ, naming the labels that do.

References
----------
xarray, "How to create a custom index".
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from xarray.core.indexing import IndexSelResult

from workbench.errors import InvalidInput, NotFound, ShapeError

__all__ = ["LabelIndex"]

_Columns: TypeAlias = dict[str, npt.NDArray[np.object_]]


class LabelIndex(xr.Index):
    """Index of n series by k labels.

    Parameters
    ----------
    table : DataFrame of str objects, shape (n, k), or mapping of str to object arrays of shape (n,)
        One column per label; an absent label is "".
    dim : str
        The dimension indexed, `"series"`.
    """

    def __init__(self, table: pd.DataFrame | Mapping[str, npt.NDArray[np.object_]], dim: str = "series") -> None:
        self._columns: _Columns = {str(name): np.asarray(values, object) for name, values in table.items()}
        self._size = len(table) if isinstance(table, pd.DataFrame) else len(next(iter(self._columns.values()), ()))
        self.dim = dim

    @property
    def table(self) -> pd.DataFrame:
        """The labels as a frame of str objects, shape (n, k)."""
        return pd.DataFrame(self._columns, index=pd.RangeIndex(self._size), dtype="object")

    @classmethod
    def from_variables(cls, variables: Mapping[Any, xr.Variable], *, options: Mapping[str, Any]) -> LabelIndex:
        """Build from coordinate variables that share one dimension (called by `Dataset.set_xindex`)."""
        dims = {dim for variable in variables.values() for dim in variable.dims}
        if len(dims) != 1:
            raise ShapeError(f"labels must all lie on one dimension; these lie on {sorted(map(str, dims))}.")
        return cls({str(k): v.values.astype(object) for k, v in variables.items()}, str(dims.pop()))

    @classmethod
    def concat(
        cls, indexes: Sequence[LabelIndex], dim: Hashable, positions: Iterable[Iterable[int]] | None = None
    ) -> LabelIndex:
        """Return one index over the series of all; labels that one lacks are "" there."""
        table = pd.concat([index.table for index in indexes], ignore_index=True).fillna("")
        if positions is not None:
            table = table.iloc[np.argsort(np.concatenate([np.asarray(list(p), int) for p in positions]))]
        return cls(table, indexes[0].dim)

    def create_variables(self, variables: Mapping[Any, xr.Variable] | None = None) -> dict[Hashable, xr.Variable]:
        """Return one coordinate variable per label, keeping attributes of the variables given."""
        old = variables or {}
        # Without fastpath xarray makes a pandas Series of every column to see whether it holds times.
        return {
            name: xr.Variable((self.dim,), values, old[name].attrs if name in old else None, fastpath=True)
            for name, values in self._columns.items()
        }

    def to_pandas_index(self) -> pd.MultiIndex:
        """Return the label sets as a `MultiIndex` with one level per label (called by `DataArray.indexes`)."""
        return self._keys(list(self._columns))

    def isel(self, indexers: Mapping[Any, int | slice | np.ndarray | xr.Variable]) -> LabelIndex | None:
        """Return the index of the chosen positions, or None when the dimension goes."""
        where = indexers[self.dim]
        if isinstance(where, xr.Variable):
            if where.dims != (self.dim,):
                return None
            where = where.values
        if isinstance(where, int | np.integer) or (isinstance(where, np.ndarray) and where.ndim != 1):
            return None
        return self._at(where)

    def roll(self, shifts: Mapping[Any, int]) -> LabelIndex:
        """Return the index with its series rolled by `shifts[dim]` positions."""
        return self._at(np.roll(np.arange(self._size), shifts[self.dim]))

    def sel(self, labels: dict[Any, Any], method: Any = None, tolerance: Any = None) -> IndexSelResult:
        """Return the positions where every given label has the given value, or one of the given values.

        Raises
        ------
        NotFound
            If no series has them; the message lists values that exist.
        InvalidInput
            If a range or a nearest value is asked for: labels have no order.
        """
        if method is not None or tolerance is not None:
            raise InvalidInput("labels have no order, so method= and tolerance= mean nothing: give values that exist.")
        keep = np.ones(self._size, bool)
        for name, wanted in labels.items():
            hit = self._hit(str(name), wanted)
            if not hit.any():
                known = ", ".join(map(repr, sorted(set(self._columns[str(name)]))[:8]))
                raise NotFound(f"no series has {name}={_shown(wanted)}: values are {known or 'none'}.")
            keep &= hit
        if not keep.any():
            raise NotFound(f"no series has {_shown(labels)} together: select fewer labels.")
        return IndexSelResult({self.dim: np.flatnonzero(keep)})

    def _hit(self, name: str, wanted: Any) -> npt.NDArray[np.bool_]:
        if isinstance(wanted, slice):
            raise InvalidInput(f"label {name!r} cannot be sliced: give one value or a list of values.")
        values = self._columns[name]
        choices = [wanted] if isinstance(wanted, str) else np.atleast_1d(np.asarray(wanted, object)).tolist()
        if len(choices) == 1:
            return np.asarray(values == str(choices[0]), bool)
        return pd.Series(values).isin([str(choice) for choice in choices]).to_numpy()

    def _at(self, where: slice | np.ndarray) -> LabelIndex:
        return LabelIndex({name: values[where] for name, values in self._columns.items()}, self.dim)

    def _keys(self, columns: list[str]) -> pd.MultiIndex:
        return pd.MultiIndex.from_arrays([self._columns[name] for name in columns], names=columns)

    def _check_alike(self, other: LabelIndex) -> list[str]:
        mine, theirs = set(self._columns), set(other._columns)
        if mine != theirs:
            lack = [
                f"{side} lacks {', '.join(map(repr, sorted(names)))}"
                for side, names in (("the first", theirs - mine), ("the second", mine - theirs))
                if names
            ]
            raise ShapeError(
                f"two arrays have different labels ({'; '.join(lack)}): aggregate those labels away first, for example"
                " with sum by (...) in the query."
            )
        return sorted(mine)

    def equals(self, other: xr.Index, *, exclude: frozenset[Hashable] | None = None) -> bool:
        """Return whether both have the same labels in the same order of series.

        xarray asks this before it combines two arrays, also when their labels have different names; that is the one
        place where the error can say which.

        Raises
        ------
        ShapeError
            If the names of the labels differ, or differ in order and the series differ too.
        """
        if not isinstance(other, LabelIndex) or self.dim != other.dim:
            return False
        columns = other._check_alike(self)  # xarray asks the later array first
        if self._size == other._size and all(np.array_equal(self._columns[n], other._columns[n]) for n in columns):
            return True
        if list(self._columns) != list(other._columns):
            raise ShapeError(
                f"two arrays have the same labels in different order ({', '.join(self._columns)}; "
                f"{', '.join(other._columns)}): build one anew with build_metrics(a.values, a.time, labels_of(a))."
            )
        return False

    def join(self, other: LabelIndex, how: str = "inner") -> LabelIndex:
        """Return the index both arrays align to; `how` is inner, outer, left or right."""
        columns = self._check_alike(other)
        mine, theirs = self._keys(columns), other._keys(columns)
        if how == "left":
            return self
        if how == "right":
            return other
        if how == "inner":
            return self._at(mine.isin(theirs))
        extra = ~theirs.isin(mine)
        return LabelIndex(
            {name: np.concatenate([self._columns[name], other._columns[name][extra]]) for name in self._columns},
            self.dim,
        )

    def reindex_like(self, other: LabelIndex) -> dict[Hashable, Any]:
        """Return where each series of `other` lies here, -1 where it does not."""
        columns = self._check_alike(other)
        mine = self._keys(columns)
        if mine.has_duplicates:
            row = mine[mine.duplicated()][0]
            raise ShapeError(
                f"labels are not unique: {dict(zip(columns, row, strict=True))} occurs twice; aggregate first."
            )
        where: npt.NDArray[np.intp] = mine.get_indexer(other._keys(columns))
        return {self.dim: where}

    def rename(self, name_dict: Mapping[Any, Hashable], dims_dict: Mapping[Any, Hashable]) -> LabelIndex:
        """Return the index with labels and dimension renamed."""
        columns = {str(name_dict.get(name, name)): values for name, values in self._columns.items()}
        return LabelIndex(columns, str(dims_dict.get(self.dim, self.dim)))

    def copy(self, deep: bool = True) -> LabelIndex:
        """Return a copy."""
        columns = {name: values.copy() if deep else values for name, values in self._columns.items()}
        return LabelIndex(columns, self.dim)

    def __repr__(self) -> str:
        """Return a one-line summary."""
        return f"LabelIndex({self._size} series, labels {', '.join(self._columns)})"


def _shown(wanted: Any) -> str:
    text = repr(wanted)
    return text if len(text) <= 200 else text[:197] + "..."
