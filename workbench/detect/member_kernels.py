"""The loops of the members that are not in the default, compiled; as `kernels.py`, import it late.

All take blocks of n series by c steps and state arrays with a row per series, which they bring up to date in place.
A ring holds the past twice, side by side, so that any window of it lies in one piece; a gap repeats the last value.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.codecs.compiled import compiled

__all__ = ["agile", "residual", "saliency", "subspace", "together", "windows", "zprofile"]

_TINY = 1e-9
"""Differences below this share of a value's size are rounding, not behaviour."""
_ALIKE = 1e-3
"""Distances of z-normalised stretches below this are rounding: they are roots of small differences."""
_SILENT = 1e-6
"""Amplitudes below this share of the greatest are rounding."""


@compiled
def agile(values: Any, rate: Any, level: Any, seen: Any, distance: Any) -> None:
    """Measure how far each value is from the exponentially weighted mean of those before it.

    The mean begins as a plain one: the newest weighs `rate`, or its share of all where that is more.
    """
    n, steps = values.shape
    for i in range(n):
        for j in range(steps):
            x = values[i, j]
            distance[i, j] = np.nan
            if np.isnan(x):
                continue
            if seen[i] > 0:
                v = abs(x - level[i])
                distance[i, j] = v if v > _TINY * abs(x) else 0.0
            seen[i] += 1
            level[i] += max(rate, 1.0 / seen[i]) * (x - level[i])


@compiled
def _enter(ring: Any, tick: Any, value: Any, seen: Any, i: Any) -> Any:
    """Put a value, or the last one where it is NaN, into a ring; return where the newest is, -1 before the first."""
    history = ring.shape[1] // 2
    p = tick % history
    if np.isnan(value):
        if seen[i] == 0:
            return -1
        value = ring[i, (p - 1) % history]
    ring[i, p] = ring[i, p + history] = value
    seen[i] += 1
    return p + history


@compiled
def _shape(past: Any, newest: Any, shape: Any) -> Any:
    """Write the window that ends at `newest`, newest first, freed of mean and size; return mean and 1 / size, 0 if flat."""
    m = len(shape)
    mean, total, most = 0.0, 0.0, 0.0
    for k in range(m):
        mean += past[newest - k]
    mean /= m
    for k in range(m):
        shape[k] = past[newest - k] - mean
        total += shape[k] * shape[k]
        most = max(most, abs(past[newest - k]))
    size = np.sqrt(total / m)
    if size <= _TINY * most:
        return mean, 0.0
    for k in range(m):
        shape[k] /= size
    return mean, 1.0 / size


@compiled
def _products(past: Any, begin: Any, shape: Any, first: Any, mean: Any, count: Any, total: Any) -> None:
    """Add eight products of a shape with the windows that end at each of `count` places from `begin`, freed of `mean`."""
    p0, p1 = past[begin : begin + count], past[begin - 1 : begin - 1 + count]
    p2, p3 = past[begin - 2 : begin - 2 + count], past[begin - 3 : begin - 3 + count]
    p4, p5 = past[begin - 4 : begin - 4 + count], past[begin - 5 : begin - 5 + count]
    p6, p7 = past[begin - 6 : begin - 6 + count], past[begin - 7 : begin - 7 + count]
    q0, q1, q2, q3 = shape[first], shape[first + 1], shape[first + 2], shape[first + 3]
    q4, q5, q6, q7 = shape[first + 4], shape[first + 5], shape[first + 6], shape[first + 7]
    for e in range(count):
        a = (q0 * (p0[e] - mean) + q1 * (p1[e] - mean)) + (q2 * (p2[e] - mean) + q3 * (p3[e] - mean))
        b = (q4 * (p4[e] - mean) + q5 * (p5[e] - mean)) + (q6 * (p6[e] - mean) + q7 * (p7[e] - mean))
        total[e] += a + b


@compiled
def _closest(total: Any, sizes: Any, count: Any, m: Any, flat: Any) -> Any:
    """Return the greatest correlation with any of `count` windows: two flat ones have 1, a flat and another one 1/2."""
    best = -np.inf
    for e in range(count):
        alike = 0.5
        if flat == (sizes[e] == 0.0):
            alike = 1.0 if flat else total[e] * sizes[e] / m
        best = max(best, alike)
    return best


@compiled
def zprofile(values: Any, tick: Any, m: Any, ring: Any, size: Any, seen: Any, distance: Any) -> None:
    """Measure how far the last `m` samples are from the nearest stretch of the past, each freed of mean and size.

    `size` is a ring as `ring` is: 1 / standard deviation of the window that ends there, 0 if it is flat. A distance is
    sqrt(2 m (1 - correlation)).
    """
    n, steps = values.shape
    history = ring.shape[1] // 2
    total, shape = np.empty(history), np.empty(m)
    for i in range(n):
        for j in range(steps):
            distance[i, j] = np.nan
            newest = _enter(ring, tick + j, values[i, j], seen, i)
            if newest < 0 or seen[i] < m:
                continue
            p = newest - history
            mean, one = _shape(ring[i], newest, shape)
            size[i, p] = size[i, newest] = one
            begin, end = p + max(history - seen[i], 0) + m, p + 1 + history - m
            count = end - begin
            if np.isnan(values[i, j]) or count <= 0:
                continue
            for k in range(count):
                total[k] = 0.0
            if one > 0.0:
                for group in range(0, m, 8):
                    _products(ring[i], begin - group, shape, group, mean, count, total)
            best = _closest(total, size[i, begin:end], count, m, one == 0.0)
            v = np.sqrt(2.0 * m * max(1.0 - best, 0.0))
            distance[i, j] = v if v > _ALIKE else 0.0


@compiled
def _extend(past: Any, newest: Any, ahead: Any, window: Any) -> Any:
    """Write the trailing window, freed of its mean, and what its slope foretells `ahead` times; return the greatest size."""
    real = len(window) - ahead
    mean, slope, most = 0.0, 0.0, 0.0
    for k in range(real):
        mean += past[newest - k]
        most = max(most, abs(past[newest - k]))
    mean /= real
    for k in range(real):
        window[k] = past[newest - real + 1 + k] - mean
    for k in range(1, ahead + 1):
        slope += (window[real - 1] - window[real - 1 - k]) / k
    for k in range(ahead):
        window[real + k] = window[real - ahead] + slope
    return most


@compiled
def _whiten(window: Any, cosine: Any, sine: Any, real: Any, imag: Any, amplitude: Any) -> Any:
    """Replace each amplitude of a window's spectrum by its ratio to its neighbours'; return the greatest amplitude."""
    half = len(amplitude)
    for f in range(half):
        real[f] = imag[f] = 0.0
    for k in range(len(window)):
        x = window[k]
        for f in range(half):
            real[f] += x * cosine[k, f]
            imag[f] += x * sine[k, f]
    top = 0.0
    for f in range(half):
        amplitude[f] = np.sqrt(real[f] * real[f] + imag[f] * imag[f])
        top = max(top, amplitude[f])
    if top == 0.0:
        return top
    for f in range(half):
        amplitude[f] = np.log(max(amplitude[f] / top, _SILENT))
    for f in range(half):
        first, last = max(f - 1, 0), min(f + 1, half - 1)
        usual = 0.0
        for g in range(first, last + 1):
            usual += amplitude[g]
        # the amplitude goes, and its ratio to the geometric mean of its neighbours comes; the phase stays
        gain = np.exp(-usual / (last - first + 1)) / top
        real[f] *= gain
        imag[f] *= gain
    return top


@compiled
def saliency(
    values: Any, tick: Any, ahead: Any, near: Any, cosine: Any, sine: Any, ring: Any, seen: Any, ratio: Any
) -> None:
    """Compare the newest place of the spectral residual's map with the `near` places before it.

    `cosine` and `sine` have a row per place of the window and a column per frequency above 0, up to the middle one,
    which counts half.
    """
    n, steps = values.shape
    w, half = cosine.shape
    window, real, imag, amplitude = np.empty(w), np.empty(half), np.empty(half), np.empty(half)
    last = w - ahead - 1
    for i in range(n):
        for j in range(steps):
            ratio[i, j] = np.nan
            newest = _enter(ring, tick + j, values[i, j], seen, i)
            if np.isnan(values[i, j]) or seen[i] <= last:
                continue
            ratio[i, j] = 0.0
            most = _extend(ring[i], newest, ahead, window)
            if _whiten(window, cosine, sine, real, imag, amplitude) <= _TINY * w * most:
                continue
            usual, here = 0.0, 0.0
            for at in range(last - near, last + 1):
                total = -0.5 * (real[half - 1] * cosine[at, half - 1] + imag[half - 1] * sine[at, half - 1])
                for f in range(half):
                    total += real[f] * cosine[at, f] + imag[f] * sine[at, f]
                here = abs(total)
                usual += here if at < last else 0.0
            if usual > 0.0:
                ratio[i, j] = here * near / usual


@compiled
def _components(past: Any, begin: Any, end: Any, share: Any, center: Any, factor: Any) -> None:
    """Learn from the windows that end at `begin` up to `end`: their mean, and the factor of 1 + covariance / cut.

    The cut is `share` of the mean variance of a place. Nothing varies: the factor is 1.
    """
    m = len(center)
    away = np.empty(m)
    for k in range(m):
        total = 0.0
        for e in range(begin, end):
            total += past[e - k]
        center[k] = total / (end - begin)
    for a in range(m):
        for b in range(m):
            factor[a, b] = 0.0
    for e in range(begin, end):
        for k in range(m):
            away[k] = past[e - k] - center[k]
        for a in range(m):
            x = away[a]
            for b in range(m):
                factor[a, b] += x * away[b]
    _decompose(factor, share)


@compiled
def _decompose(factor: Any, share: Any) -> None:
    """Replace a covariance C by the triangle L with L L' = 1 + C / cut, the cut being `share` of C's mean diagonal."""
    m = len(factor)
    trace = 0.0
    for a in range(m):
        trace += factor[a, a] / m
    for a in range(m):
        for b in range(a + 1):
            total = factor[a, b] / trace / share if trace > 0.0 else 0.0
            total += 1.0 if a == b else 0.0
            for k in range(b):
                total -= factor[a, k] * factor[b, k]
            factor[a, b] = np.sqrt(max(total, 1.0)) if a == b else total / factor[b, b]
        for b in range(a + 1, m):
            factor[a, b] = 0.0


@compiled
def residual(past: Any, newest: Any, center: Any, factor: Any, rest: Any) -> Any:
    """Return the length of what the components leave of the window that ends at `newest`; `rest` is room to work in."""
    m = len(center)
    total, most = 0.0, 0.0
    for a in range(m):
        x = past[newest - a] - center[a]
        most = max(most, abs(past[newest - a]), abs(center[a]))
        for b in range(a):
            x -= factor[a, b] * rest[b]
        rest[a] = x / factor[a, a]
        total += rest[a] * rest[a]
    v = np.sqrt(total)
    return v if v > _TINY * most else 0.0


@compiled
def subspace(
    values: Any, tick: Any, every: Any, share: Any, ring: Any, seen: Any, center: Any, factor: Any, fitted: Any,
    rest: Any,
) -> None:  # fmt: skip
    """Measure what the components of the past leave of the last samples; they are learnt anew every `every` ticks."""
    n, steps = values.shape
    history, m = ring.shape[1] // 2, center.shape[1]
    room = np.empty(m)
    for i in range(n):
        for j in range(steps):
            p = (tick + j) % history
            if (tick + j) % every == 0 and seen[i] >= 4 * m:
                end = p + history  # where the newest will be: the windows end before it
                _components(ring[i], end - min(seen[i], history) + m - 1, end, share, center[i], factor[i])
                fitted[i] = 1
            rest[i, j] = np.nan
            newest = _enter(ring, tick + j, values[i, j], seen, i)
            if fitted[i] == 1 and not np.isnan(values[i, j]):
                rest[i, j] = residual(ring[i], newest, center[i], factor[i], room)


@compiled
def windows(
    values: Any, tick: Any, begin: Any, end: Any, ring: Any, seen: Any, center: Any, scale: Any, far: Any, out: Any
) -> None:
    """Write the standardised window behind each value of columns `begin` up to `end`, oldest first; NaN for none.

    It is none where the value is missing or `scale` is 0. No place of it is further than `far` from 0.
    """
    m = out.shape[2]
    for i in range(values.shape[0]):
        for j in range(begin, end):
            newest = _enter(ring, tick + j, values[i, j], seen, i)
            ready = newest >= 0 and seen[i] >= m and scale[i] > 0.0 and not np.isnan(values[i, j])
            for k in range(m):
                z = (ring[i, newest - m + 1 + k] - center[i]) / scale[i] if ready else np.nan
                out[i, j - begin, k] = min(max(z, -far), far) if ready else np.nan


@compiled
def together(
    values: Any, begin: Any, end: Any, entity: Any, center: Any, scale: Any, loading: Any, parts: Any, rest: Any
) -> None:
    """Measure what the components of each entity leave of each of its standardised values, columns `begin` to `end`.

    `entity` numbers that of each row, `parts` (entities, components) is room to work in. A value that is missing or has
    no `scale` takes no part.
    """
    n, k = loading.shape
    for j in range(begin, end):
        parts[:] = 0.0
        for i in range(n):
            if scale[i] > 0.0 and not np.isnan(values[i, j]):
                z = min(max((values[i, j] - center[i]) / scale[i], -1e12), 1e12)
                for c in range(k):
                    parts[entity[i], c] += loading[i, c] * z
        for i in range(n):
            rest[i, j] = np.nan
            if scale[i] > 0.0 and not np.isnan(values[i, j]):
                z = min(max((values[i, j] - center[i]) / scale[i], -1e12), 1e12)
                usual = 0.0
                for c in range(k):
                    usual += loading[i, c] * parts[entity[i], c]
                v = abs(z - usual)
                rest[i, j] = v if v > _TINY * (abs(z) + abs(values[i, j]) / scale[i]) else 0.0
