"""Slow, obvious twins of every fast path, compared with it by property tests. One section per room."""

from __future__ import annotations
