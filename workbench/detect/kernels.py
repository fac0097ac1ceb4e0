"""The loops of detection, compiled. Import this inside the function that needs it: numba takes long to load.

All take blocks of n series by c steps and state arrays with a row per series, which they bring up to date in place;
a block of one step and a block of all steps run through the same instructions, so streaming and batch agree to the
last bit. Lengths come from the shapes of the arrays. NaN is "no sample": it leaves state alone and scores NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.codecs.compiled import compiled

__all__ = ["calibrate", "change", "envelope", "hold", "profile", "season"]

_TINY = 1e-9
"""Differences below this share of a value's size are rounding, not behaviour."""
_LOG10 = 2.302585092994046
_LOG2 = 0.6931471805599453
_PER_OCTAVE = 8
_OFFSET = 0.043
_LOWEST = -16.0
"""Octaves from the unit to where bin 1 of a histogram of strangeness begins."""


@compiled
def _place(ratio: Any, octave: Any) -> Any:
    """Return where a ratio to the unit lies in a histogram whose bin 1 begins `_LOWEST` + `octave` octaves up.

    The offset keeps edges of bins away from ratios that are common, such as 1 and 2.
    """
    return (np.log2(ratio) + _OFFSET - _LOWEST - octave) * _PER_OCTAVE + 1.0


@compiled
def _lift(count: Any, octaves: Any) -> None:
    """Move a histogram up by whole octaves: the lowest bins become one."""
    bins = len(count)
    move = octaves * _PER_OCTAVE
    for k in range(1, min(move + 1, bins)):
        count[0] += count[k]
    for k in range(1, bins):
        count[k] = count[k + move] if k + move < bins else 0.0


@compiled
def _tail(
    count: Any, size: Any, unit: Any, octave: Any, floor: Any, quantile: Any, most: Any, shape: Any, weight: Any
) -> Any:
    """Return where the tail of a histogram begins, what it holds, and the mean of log(v / beginning) in it.

    It holds at most 1 - quantile of the past and `most` samples, and begins at `floor` at least. The mean (Hill's
    estimator of the Pareto index) is drawn towards `shape` with the weight of `weight` samples.
    """
    bins = len(count)
    first, above = bins, 0.0
    room = min((1.0 - quantile) * size, most)
    while first > 1 and above + count[first - 1] <= room:
        first -= 1
        above += count[first]
    low = unit * 2.0 ** ((first - 1) / _PER_OCTAVE + _LOWEST + octave - _OFFSET)
    if low < floor:
        low = floor
        least = min(max(int(np.floor(_place(floor / unit, octave))) + 1, 1), bins)
        while first < least:
            above -= count[first]
            first += 1
    base = np.log(low / unit)
    spread = 0.0
    for k in range(first, bins):
        if count[k] > 0.0:
            middle = ((k - 0.5) / _PER_OCTAVE + _LOWEST + octave - _OFFSET) * _LOG2
            spread += count[k] * max(middle - base, 0.25 * _LOG2 / _PER_OCTAVE)
    return low, above, (spread + shape * weight) / (above + weight)


@compiled
def _enter(v: Any, count: Any, unit: Any, octave: Any, i: Any) -> Any:
    """Return the bin of a strangeness; the first one above 0 becomes the unit of its series."""
    if v <= 0.0:
        return 0
    if unit[i] == 0.0:
        unit[i] = v
    bins = count.shape[1]
    place = _place(v / unit[i], octave[i])
    if place >= bins:
        up = int((place - bins) / _PER_OCTAVE) + 1
        _lift(count[i], up)
        octave[i] += up
        place -= up * _PER_OCTAVE
    return min(max(int(np.floor(place)), 0), bins - 1)


@compiled
def calibrate(
    strange: Any, count: Any, unit: Any, octave: Any, total: Any, top: Any, out: Any, edge: Any,
    least: Any, quantile: Any, most: Any, shape: Any, weight: Any, share: Any, memory: Any, highest: Any, level: Any,
) -> None:  # fmt: skip
    """Turn strangeness into surprise by the histogram of each series' past strangeness, and add it to the past.

    Above a high quantile the tail is taken as Pareto, below it the histogram speaks. Where `edge` has rows it gets the
    strangeness whose surprise is `level`.
    """
    n, steps = strange.shape
    bins = count.shape[1]
    edges = edge.shape[0] > 0
    for i in range(n):
        for j in range(steps):
            v = strange[i, j]
            out[i, j] = np.nan
            if np.isnan(v):
                continue
            b = _enter(v, count, unit, octave, i)
            size = total[i]
            score = 0.0
            if size >= least and unit[i] > 0.0 and (b > 0 or edges):
                low, above, mean = _tail(
                    count[i], size, unit[i], octave[i], share * top[i], quantile, most, shape, weight
                )
                beyond = -np.log10((above + 1.0) / (size + 1.0))
                if v > low:
                    score = beyond + np.log(v / low) / mean / _LOG10
                elif b > 0:
                    rarer = 0.5 * count[i, b]
                    for k in range(b + 1, bins):
                        rarer += count[i, k]
                    score = -np.log10((rarer + 1.0) / (size + 1.0))
                if edges:
                    edge[i, j] = low * np.exp(max(level - beyond, 0.0) * mean * _LOG10)
            out[i, j] = min(max(score, 0.0), highest)
            count[i, b] += 1.0
            total[i] = size + 1.0
            top[i] = max(top[i], v)
            if total[i] >= memory:  # forget by halves; what is left weighs the same
                for k in range(bins):
                    count[i, k] *= 0.5
                total[i] *= 0.5
                top[i] *= 0.5


@compiled
def _insert(ordered: Any, size: Any, value: Any) -> None:
    """Put a value into the first `size` sorted ones, which become one more."""
    k = size
    while k > 0 and ordered[k - 1] > value:
        ordered[k] = ordered[k - 1]
        k -= 1
    ordered[k] = value


@compiled
def _remove(ordered: Any, size: Any, value: Any) -> None:
    """Take a value out of the first `size` sorted ones."""
    k = 0
    while k < size - 1 and ordered[k] != value:
        k += 1
    for m in range(k, size - 1):
        ordered[m] = ordered[m + 1]


@compiled
def _median(ordered: Any, size: Any) -> Any:
    half = size // 2
    return ordered[half] if size % 2 else 0.5 * (ordered[half - 1] + ordered[half])


@compiled
def envelope(values: Any, tick: Any, per: Any, blocks: Any, reach: Any, low: Any, high: Any, beyond: Any) -> None:
    """Measure how far each value lies outside all that the days before showed around the same time.

    `low` and `high` are rings of the extremes of blocks of `per` steps, `blocks` to a day, with a day more than is
    looked back; `reach` blocks on either side count as the same time.
    """
    n, steps = values.shape
    ring = low.shape[1]
    days = ring // blocks - 1
    for i in range(n):
        for j in range(steps):
            t = tick + j
            block = t // per
            here = block % ring
            if t % per == 0:
                low[i, here], high[i, here] = np.inf, -np.inf
            x = values[i, j]
            beyond[i, j] = np.nan
            if np.isnan(x):
                continue
            least, most = np.inf, -np.inf
            for day in range(1, days + 1):
                first = block - day * blocks - reach
                if first + 2 * reach < 0:
                    break
                at = first % ring
                for _ in range(2 * reach + 1):
                    least, most = min(least, low[i, at]), max(most, high[i, at])
                    at = at + 1 if at + 1 < ring else 0
            if most >= least:
                v = max(x - most, least - x, 0.0)
                beyond[i, j] = v if v > _TINY * abs(x) else 0.0
            low[i, here], high[i, here] = min(low[i, here], x), max(high[i, here], x)


@compiled
def _usual(middle: Any, slot: Any, back: Any, times: Any, reach: Any, ordered: Any) -> Any:
    """Return the median of the same slot, and `reach` more on either side, `times` periods back; NaN for too few."""
    size = 0
    ring = len(middle)
    for k in range(1, times + 1):
        for at in range(slot - k * back - reach, slot - k * back + reach + 1):
            if at >= 0:
                usual = middle[at % ring]
                if not np.isnan(usual):
                    _insert(ordered, size, usual)
                    size += 1
    return _median(ordered, size) if size >= 3 else np.nan


@compiled
def _burst(off: Any, drift: Any, lately: Any, long: Any, tiny: Any) -> Any:
    """Return how well the last three residuals fit a jump three samples ago, in noise that remembers; NaN for too few.

    `drift` is the level of the residuals before, the last four, the sums that give the noise's autocorrelation, and how
    many there were. Each residual is freed of what the one before it foretold; of a jump that leaves 1, and 1 - phi
    after, which is what the last three are multiplied with (a matched filter). Residuals of size `tiny` are rounding.
    """
    seen = drift[7]
    drift[7] = seen + 1.0
    fit = np.nan
    if seen >= 4.0:
        rate = 1.0 / (seen - 3.0)
        drift[0] += max(lately, rate) * (drift[1] - drift[0])
        y0, y1, y2, y3 = drift[1] - drift[0], drift[2] - drift[0], drift[3] - drift[0], drift[4] - drift[0]
        phi = min(max(drift[5] / drift[6], 0.0), 0.95) if drift[6] > tiny * tiny else 0.0
        f = 1.0 - phi
        e1, e2, e3 = y2 - phi * y1, y3 - phi * y2, off - drift[0] - phi * y3
        fit = abs(e1 + f * (e2 + e3)) / np.sqrt(1.0 + 2.0 * f * f)
        drift[5] += max(long, rate) * (y1 * y0 - drift[5])
        drift[6] += max(long, rate) * (y0 * y0 - drift[6])
    for k in range(1, 4):
        drift[k] = drift[k + 1]
    drift[4] = off
    return fit


@compiled
def season(
    values: Any, tick: Any, per: Any, slots: Any, rate: Any, favour: Any, lately: Any, long: Any,
    middle: Any, current: Any, recent: Any, seen: Any, error: Any, drift: Any,
    expected: Any, residual: Any, burst: Any,
) -> None:  # fmt: skip
    """Compare each value with what is usual at its time, by the period that told the past best so far.

    `middle` is a ring of the means of slots of `per` steps, `slots` to a day; `current` the sum and the number of
    samples of the slot now; `recent` a ring of the last samples. Four answers compete: the level of late (column 0 of
    `error`), the same minute of the last hours (1), the same time of the last days (2), and of a week ago (3). The one
    with the least mean absolute error, times its `favour`, is believed; `rate` is the weight of the newest error.
    """
    n, steps = values.shape
    ring, width = middle.shape[1], recent.shape[1]
    hour = slots // 24
    ordered, guess = np.empty(32), np.empty(4)
    for i in range(n):
        for j in range(steps):
            t = tick + j
            slot = t // per
            here = slot % ring
            if t % per == 0:
                middle[i, here] = np.nan
                current[i, 0], current[i, 1] = 0.0, 0.0
            x = values[i, j]
            residual[i, j] = expected[i, j] = burst[i, j] = np.nan
            if np.isnan(x):
                continue
            size = min(seen[i], width)
            for k in range(size):
                _insert(ordered, k, recent[i, k])
            guess[0] = _median(ordered, size) if size > 0 else np.nan
            guess[1] = _usual(middle[i], slot, hour, 5, 1, ordered) if hour >= 6 else np.nan
            guess[2] = _usual(middle[i], slot, slots, 5, 1, ordered) if slots > 1 else np.nan
            guess[3] = _usual(middle[i], slot, 7 * slots, 1, 2, ordered) if ring > 7 * slots + 2 else np.nan
            best = _best(guess, error[i], favour)
            if best >= 0:
                tiny = _TINY * abs(x)
                off = x - guess[best]
                expected[i, j] = guess[best]
                residual[i, j] = abs(off) if abs(off) > tiny else 0.0
                v = _burst(off, drift[i], lately, long, _TINY * max(abs(x), abs(off)))
                burst[i, j] = v if v > tiny or np.isnan(v) else 0.0
                for k in range(4):
                    if not np.isnan(guess[k]):
                        error[i, k] += rate * (abs(x - guess[k]) - error[i, k])
            current[i, 0] += x
            current[i, 1] += 1.0
            middle[i, here] = current[i, 0] / current[i, 1]
            recent[i, seen[i] % width] = x
            seen[i] += 1


@compiled
def _best(guess: Any, error: Any, favour: Any) -> Any:
    """Return which guess has the least error so far, -1 where there is none; of two alike but for rounding, the first."""
    best = -1
    for k in range(len(guess)):
        if not np.isnan(guess[k]) and (best < 0 or error[k] * favour[k] < (1.0 - _TINY) * error[best] * favour[best]):
            best = k
    return best


@compiled
def change(values: Any, short: Any, lags: Any, ring: Any, ordered: Any, seen: Any, shift: Any, spread: Any) -> None:
    """Compare the median of the last `short` samples with that of the window before, and measure how samples jump.

    `ring` holds the last samples, short + long of them; `ordered` the long window, sorted. `spread` is the root mean
    square of the last `lags` differences between neighbours.
    """
    n, steps = values.shape
    length = ring.shape[1]
    long = length - short
    newest = np.empty(short + 1)
    for i in range(n):
        for j in range(steps):
            x = values[i, j]
            shift[i, j] = spread[i, j] = np.nan
            if np.isnan(x):
                continue
            k = seen[i]
            if k >= short:  # the oldest of the short window moves on into the long one
                held = min(k - short, long)
                if held == long:
                    _remove(ordered[i], long, ring[i, k % length])
                    held -= 1
                _insert(ordered[i], held, ring[i, (k - short) % length])
            ring[i, k % length] = x
            seen[i] = k + 1
            held = min(k + 1 - short, long)
            tiny = _TINY * abs(x)
            if held > 5:
                for m in range(short):
                    _insert(newest, m, ring[i, (k - m) % length])
                v = abs(_median(newest, short) - _median(ordered[i], held))
                shift[i, j] = v if v > tiny else 0.0
            if k >= lags:
                total = 0.0
                for m in range(lags):
                    d = ring[i, (k - m) % length] - ring[i, (k - m - 1) % length]
                    total += d * d
                v = np.sqrt(total / lags)
                spread[i, j] = v if v > tiny else 0.0


@compiled
def _squares(past: Any, begin: Any, newest: Any, count: Any, total: Any) -> None:
    """Add the squared differences of eight samples before `newest` and before each of `count` places from `begin`.

    Eight shifted views with one index each are what the compiler can make vectors of.
    """
    p0, p1 = past[begin : begin + count], past[begin - 1 : begin - 1 + count]
    p2, p3 = past[begin - 2 : begin - 2 + count], past[begin - 3 : begin - 3 + count]
    p4, p5 = past[begin - 4 : begin - 4 + count], past[begin - 5 : begin - 5 + count]
    p6, p7 = past[begin - 6 : begin - 6 + count], past[begin - 7 : begin - 7 + count]
    q0, q1, q2, q3 = past[newest], past[newest - 1], past[newest - 2], past[newest - 3]
    q4, q5, q6, q7 = past[newest - 4], past[newest - 5], past[newest - 6], past[newest - 7]
    for e in range(count):
        d0, d1, d2, d3 = p0[e] - q0, p1[e] - q1, p2[e] - q2, p3[e] - q3
        d4, d5, d6, d7 = p4[e] - q4, p5[e] - q5, p6[e] - q6, p7[e] - q7
        total[e] += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3) + ((d4 * d4 + d5 * d5) + (d6 * d6 + d7 * d7))


@compiled
def profile(values: Any, tick: Any, half: Any, ring: Any, seen: Any, distance: Any) -> None:
    """Measure how far the last 2 x `half` samples are from the nearest stretch of the past, on the raw scale.

    `ring` holds the past twice, side by side, so that any window of it lies in one piece. A gap repeats the last value.
    Eight samples are compared at a time: that is what compilers make into vectors.
    """
    n, steps = values.shape
    history = ring.shape[1] // 2
    m = 8 * half
    best = np.empty(history)
    for i in range(n):
        past = ring[i]
        for j in range(steps):
            p = (tick + j) % history
            x = values[i, j]
            distance[i, j] = np.nan
            missing = np.isnan(x)
            if missing:
                if seen[i] == 0:
                    continue
                x = ring[i, (p - 1) % history]
            ring[i, p] = ring[i, p + history] = x
            seen[i] += 1
            if missing or seen[i] < 2 * m:
                continue
            newest = p + history
            begin, end = p + 1 + max(history - seen[i], 0) + m - 1, p + 1 + history - m
            count = end - begin
            for k in range(count):
                best[k] = 0.0
            for group in range(half):
                _squares(past, begin - 8 * group, newest - 8 * group, count, best)
            n0 = n1 = n2 = n3 = np.inf
            for k in range(count // 4):  # four at once: one minimum alone would wait for the one before
                n0, n1 = min(n0, best[4 * k]), min(n1, best[4 * k + 1])
                n2, n3 = min(n2, best[4 * k + 2]), min(n3, best[4 * k + 3])
            for k in range(count // 4 * 4, count):
                n0 = min(n0, best[k])
            nearest = min(min(n0, n1), min(n2, n3))
            if nearest < np.inf:
                v = np.sqrt(nearest)
                distance[i, j] = v if v > _TINY * abs(x) else 0.0


@compiled
def hold(
    surprise: Any, tick: Any, held: Any, share: Any, decay: Any, escalate: Any, least: Any, most: Any,
    until: Any, height: Any, load: Any, out: Any,
) -> None:  # fmt: skip
    """Let through what is new: a surprise `escalate` times that of the alarm it follows, or none within `held` steps.

    From each is taken `share` of all that was let through of late (`load`, which shrinks by `decay` a step), `most` at
    most, so that a series which cries often has to cry louder.
    """
    n, steps = surprise.shape
    for i in range(n):
        for j in range(steps):
            s = surprise[i, j]
            load[i] *= decay
            out[i, j] = s if np.isnan(s) else 0.0
            if tick + j > until[i]:
                height[i] = 0.0
            left = s - min(share * load[i], most)
            if s >= least and left > 0.0 and s > escalate * height[i]:
                out[i, j] = left
                load[i] += left
                height[i], until[i] = s, tick + j + held
