"""One way to say that a promise is broken."""

from __future__ import annotations

__all__ = ["require"]


def require(holds: bool, sentence: str) -> None:
    """Raise `AssertionError` with the sentence unless the condition holds (also under `python -O`)."""
    if not holds:
        raise AssertionError(sentence)
