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
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from xarray.core.indexing import IndexSelResult

from workbench.errors import NotFound, ShapeError

__all__ = ["LabelIndex"]


class LabelIndex(xr.Index):
    """Index of n series by k labels.

    Parameters
    ----------
    table : DataFrame of str objects, shape (n, k)
        One column per label; an absent label is "".
    dim : str
        The dimension indexed, `"series"`.
    """

    def __init__(self, table: pd.DataFrame, dim: str = "series") -> None:
        self.table = table.astype("object").reset_index(drop=True)
        self.dim = dim

    @classmethod
    def from_variables(cls, variables: Mapping[Any, xr.Variable], *, options: Mapping[str, Any]) -> LabelIndex:
        """Build from coordinate variables that share one dimension (called by `Dataset.set_xindex`)."""
        dims = {dim for variable in variables.values() for dim in variable.dims}
        if len(dims) != 1:
            raise ShapeError(f"labels must all lie on one dimension; these lie on {sorted(map(str, dims))}.")
        return cls(pd.DataFrame({str(k): v.values.astype(object) for k, v in variables.items()}), str(dims.pop()))

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
        return {
            name: xr.Variable(
                (self.dim,), self.table[name].to_numpy(dtype=object), old[name].attrs if name in old else None
            )
            for name in self.table.columns
        }

    def isel(self, indexers: Mapping[Any, int | slice | np.ndarray | xr.Variable]) -> LabelIndex | None:
        """Return the index of the chosen positions, or None when the dimension goes."""
        where = indexers[self.dim]
        if isinstance(where, xr.Variable):
            where = where.values
        if isinstance(where, int | np.integer) or (isinstance(where, np.ndarray) and where.ndim != 1):
            return None
        return LabelIndex(self.table.iloc[where], self.dim)

    def sel(self, labels: dict[Any, Any], method: Any = None, tolerance: Any = None) -> IndexSelResult:
        """Return the positions where every given label has the given value, or one of the given values.

        Raises
        ------
        NotFound
            If no series has them; the message lists values that exist.
        """
        keep = np.ones(len(self.table), bool)
        for name, wanted in labels.items():
            values = self.table[name]
            if isinstance(wanted, slice):
                raise NotFound(f"label {name!r} cannot be sliced: give one value or a list of values.")
            choices = [wanted] if isinstance(wanted, str) else np.atleast_1d(np.asarray(wanted, object)).tolist()
            hit = values.isin(choices).to_numpy()
            if not hit.any():
                known = ", ".join(map(repr, sorted(set(values))[:8]))
                raise NotFound(f"no series has {name}={wanted!r}: values are {known}.")
            keep &= hit
        if not keep.any():
            raise NotFound(f"no series has {labels!r} together: select fewer labels.")
        return IndexSelResult({self.dim: np.flatnonzero(keep)})

    def _keys(self, columns: Sequence[str]) -> pd.MultiIndex:
        return pd.MultiIndex.from_frame(self.table[list(columns)])

    def _check_alike(self, other: LabelIndex) -> list[str]:
        mine, theirs = set(self.table.columns), set(other.table.columns)
        if mine != theirs:
            raise ShapeError(
                f"arrays have different labels: only the left has {sorted(mine - theirs)}, only the right has"
                f" {sorted(theirs - mine)}; drop or aggregate them first."
            )
        return sorted(mine)

    def equals(self, other: xr.Index, *, exclude: frozenset[Hashable] | None = None) -> bool:
        """Return whether both have the same labels in the same order."""
        return (
            isinstance(other, LabelIndex)
            and set(self.table.columns) == set(other.table.columns)
            and self.table.equals(other.table[list(self.table.columns)])
        )

    def join(self, other: LabelIndex, how: str = "inner") -> LabelIndex:
        """Return the index both arrays align to; `how` is inner, outer, left or right."""
        columns = self._check_alike(other)
        mine, theirs = self._keys(columns), other._keys(columns)
        if how == "left":
            return self
        if how == "right":
            return other
        if how == "inner":
            return LabelIndex(self.table[mine.isin(theirs)], self.dim)
        extra = other.table[~theirs.isin(mine)]
        return LabelIndex(pd.concat([self.table, extra[list(self.table.columns)]]), self.dim)

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
        table = self.table.rename(columns={k: str(v) for k, v in name_dict.items()})
        return LabelIndex(table, str(dims_dict.get(self.dim, self.dim)))

    def copy(self, deep: bool = True) -> LabelIndex:
        """Return a copy."""
        return LabelIndex(self.table.copy(deep=deep), self.dim)

    def __repr__(self) -> str:
        """Return a one-line summary."""
        return f"LabelIndex({len(self.table)} series, labels {', '.join(map(str, self.table.columns))})"
