"""Numbers as text, in the ways labels and messages have them."""

from __future__ import annotations

from typing import Literal

import numpy as np

__all__ = ["number_text"]


def number_text(value: float, *, trim: Literal["-", "0"] = "-", exponent: bool = True) -> str:
    """Return the shortest text that reads back as the number.

    Parameters
    ----------
    value : float
    trim : str
        "-" for whole numbers without a point, "0" for `1.0`, as the labels of OpenMetrics have them.
    exponent : bool
        Whether numbers below 1e-4 and from 1e21 have an exponent, as Go's `%g` writes them.
    """
    if np.isnan(value):
        return "NaN"
    if np.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if not exponent or value == 0 or 1e-4 <= abs(value) < 1e21:
        return np.format_float_positional(value, trim=trim)
    return np.format_float_scientific(value, trim="-", exp_digits=2)
