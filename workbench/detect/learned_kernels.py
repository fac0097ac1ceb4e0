"""What members that learn say about windows, compiled: the trees or weights are arrays with a row per series.

Whatever taught them (scikit-learn, torch) is not needed here, and cannot change the last bit. All take windows of shape
(n, c, m), NaN for none.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.codecs.compiled import compiled

__all__ = ["autoencoder", "forest", "lstm"]


@compiled
def forest(windows: Any, feature: Any, threshold: Any, left: Any, right: Any, depth: Any, rarity: Any) -> None:
    """Send windows down trees: 2 to the minus mean depth of the leaves they end in. A leaf has no `left`: -1.

    Places are compared in single precision, as scikit-learn does.
    """
    n, steps, _ = windows.shape
    trees = feature.shape[1]
    for i in range(n):
        for j in range(steps):
            rarity[i, j] = np.nan
            if np.isnan(windows[i, j, 0]):
                continue
            total = 0.0
            for t in range(trees):
                node = 0
                while left[i, t, node] >= 0:
                    low = np.float32(windows[i, j, feature[i, t, node]]) <= threshold[i, t, node]
                    node = left[i, t, node] if low else right[i, t, node]
                total += depth[i, t, node]
            rarity[i, j] = 2.0 ** (-total / trees)


@compiled
def _sigmoid(x: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-x))


@compiled
def lstm(windows: Any, inward: Any, across: Any, bias: Any, outward: Any, offset: Any, error: Any) -> None:
    """Foretell the last place of each window from those before it; measure by how much it was missed.

    Gates are in the order input, forget, new, output; what comes out is the change from the last place but one.
    """
    n, steps, m = windows.shape
    h = outward.shape[1]
    gate, cell, hidden = np.empty(4 * h), np.empty(h), np.empty(h)
    for i in range(n):
        for j in range(steps):
            error[i, j] = np.nan
            if np.isnan(windows[i, j, 0]):
                continue
            cell[:] = 0.0
            hidden[:] = 0.0
            for k in range(m - 1):
                for g in range(4 * h):
                    total = bias[i, g] + inward[i, g] * windows[i, j, k]
                    for b in range(h):
                        total += across[i, g, b] * hidden[b]
                    gate[g] = total
                for b in range(h):
                    fresh = _sigmoid(gate[b]) * np.tanh(gate[2 * h + b])
                    cell[b] = _sigmoid(gate[h + b]) * cell[b] + fresh
                    hidden[b] = _sigmoid(gate[3 * h + b]) * np.tanh(cell[b])
            guess = windows[i, j, m - 2] + offset[i, 0]
            for b in range(h):
                guess += outward[i, b] * hidden[b]
            error[i, j] = abs(windows[i, j, m - 1] - guess)


@compiled
def autoencoder(windows: Any, narrow: Any, inner: Any, widen: Any, outer: Any, error: Any) -> None:
    """Press each window through a few numbers and measure how far (root mean square) it comes out changed."""
    n, steps, m = windows.shape
    h = inner.shape[1]
    code = np.empty(h)
    for i in range(n):
        for j in range(steps):
            error[i, j] = np.nan
            if np.isnan(windows[i, j, 0]):
                continue
            for b in range(h):
                total = inner[i, b]
                for k in range(m):
                    total += narrow[i, b, k] * windows[i, j, k]
                code[b] = np.tanh(total)
            squares = 0.0
            for k in range(m):
                back = outer[i, k]
                for b in range(h):
                    back += widen[i, k, b] * code[b]
                squares += (windows[i, j, k] - back) ** 2
            error[i, j] = np.sqrt(squares / m)
