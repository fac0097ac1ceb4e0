"""Small unsigned numbers at the head of a blob: seven bits a byte, the lowest first, the high bit for "more follows"."""

from __future__ import annotations

__all__ = ["read", "write"]


def write(number: int) -> bytes:
    """Return the bytes of a number of at least 0."""
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def read(data: bytes, at: int, most: int = 5) -> tuple[int, int]:
    """Return the number that begins at byte `at` and takes `most` bytes at most, and where the next thing begins.

    Raises
    ------
    ValueError
        If the bytes end before the number does, or it takes more of them.
    """
    number = 0
    for i, byte in enumerate(data[at : at + most]):
        number |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return number, at + i + 1
    raise ValueError("a number at the head of a chunk does not end")
