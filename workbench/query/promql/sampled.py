"""The place of a series in [0, 1) that `limit_ratio` chooses by: Prometheus' hash of its labels.

References
----------
Y. Collet, "xxHash fast digest algorithm", specification of XXH64; Prometheus, `model/labels`, layout of label strings.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from workbench.query.promql.values import Floats, Labels

__all__ = ["ratio_offsets", "xxh64"]

_P1, _P2, _P3, _P4, _P5 = (
    0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5,
)  # fmt: skip
_MASK: Final = (1 << 64) - 1


def _rotl(x: int, r: int) -> int:
    return ((x << r) | (x >> (64 - r))) & _MASK


def _round(acc: int, lane: int) -> int:
    return _rotl((acc + lane * _P2) & _MASK, 31) * _P1 & _MASK


def xxh64(data: bytes) -> int:
    """Return the 64-bit xxHash of bytes, seed 0."""
    n, at = len(data), 0
    if n >= 32:
        lanes = [(_P1 + _P2) & _MASK, _P2, 0, -_P1 & _MASK]
        while at + 32 <= n:
            lanes = [
                _round(v, int.from_bytes(data[at + 8 * i : at + 8 * i + 8], "little")) for i, v in enumerate(lanes)
            ]
            at += 32
        h = sum(_rotl(v, r) for v, r in zip(lanes, (1, 7, 12, 18), strict=True)) & _MASK
        for v in lanes:
            h = ((h ^ _round(0, v)) * _P1 + _P4) & _MASK
    else:
        h = _P5
    h = (h + n) & _MASK
    while at + 8 <= n:
        h ^= _round(0, int.from_bytes(data[at : at + 8], "little"))
        h = (_rotl(h, 27) * _P1 + _P4) & _MASK
        at += 8
    if at + 4 <= n:
        h ^= int.from_bytes(data[at : at + 4], "little") * _P1 & _MASK
        h = (_rotl(h, 23) * _P2 + _P3) & _MASK
        at += 4
    for byte in data[at:]:
        h ^= byte * _P5 & _MASK
        h = _rotl(h, 11) * _P1 & _MASK
    h = (h ^ (h >> 33)) * _P2 & _MASK
    h = (h ^ (h >> 29)) * _P3 & _MASK
    return h ^ (h >> 32)


def _sized(text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    size = bytes([len(data)]) if len(data) < 255 else b"\xff" + len(data).to_bytes(3, "little")
    return size + data


def ratio_offsets(labels: Labels) -> Floats:
    """Return the place of every series, shape (n,)."""
    names = sorted(labels.columns)
    columns = [labels.columns[name].tolist() for name in names]
    keys = [_sized(name) for name in names]
    out = np.empty(labels.n)
    for i, values in enumerate(zip(*columns, strict=True) if columns else [()] * labels.n):
        data = b"".join(key + _sized(value) for key, value in zip(keys, values, strict=True) if value)
        out[i] = xxh64(data) / float(_MASK)
    return out
