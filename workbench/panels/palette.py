"""The colours of every panel, light and dark, as style variables and as values for live charts."""

from __future__ import annotations

__all__ = ["DARK", "KIND_MARK", "LIGHT", "SERIES", "SERIES_DARK"]

LIGHT = {
    "bg": "#ffffff", "raised": "#f7f8fa", "line": "#e2e6ec", "grid": "#eceff3", "text": "#1d2530", "muted": "#5f6b7a",
    "faint": "#8a95a3", "accent": "#5457c8", "accent-soft": "#eceafd", "ok": "#2b8a64", "ok-soft": "#d9f0e6",
    "warn": "#b7700f", "warn-soft": "#fdf0d9", "bad": "#cf3b47", "bad-soft": "#fde5e6", "info": "#2f74b5",
    "info-soft": "#e0edf9", "band": "#5457c8", "edge": "#a3adba", "node": "#ffffff", "up": "#d8525c", "down": "#4a86c5",
    "same": "#d5dae1", "on-up": "#ffffff", "frame-text": "#1d2530",
}  # fmt: skip
"""Style variables on a light ground."""

DARK = {
    "bg": "#14181e", "raised": "#1b2129", "line": "#2c343f", "grid": "#222933", "text": "#e3e8ef", "muted": "#9aa6b5",
    "faint": "#76828f", "accent": "#9b9ef5", "accent-soft": "#272a4a", "ok": "#4fbf92", "ok-soft": "#17362b",
    "warn": "#e3a449", "warn-soft": "#3b2e17", "bad": "#f0727b", "bad-soft": "#43212a", "info": "#68a8e3",
    "info-soft": "#1a3049", "band": "#8f93f2", "edge": "#566170", "node": "#1b2129", "up": "#c9505a", "down": "#3f78b4",
    "same": "#39424e", "on-up": "#ffffff", "frame-text": "#e9edf3",
}  # fmt: skip
"""Style variables on a dark ground."""

SERIES = ("#5a67d8", "#d9822b", "#2f9e8f", "#c2557e", "#7d9b2f", "#3c8dc4", "#9a6bc9", "#8b7355")
"""Colours of the lines of one chart on a light ground, and the base of package colours."""

SERIES_DARK = ("#8d97f7", "#f0a557", "#56c4b4", "#e483a6", "#a9c95c", "#6db5ea", "#be95ea", "#b9a184")
"""The same on a dark ground."""

KIND_MARK = {
    "deploy": "info", "config": "accent", "scale": "ok", "flag": "accent", "alert": "warn", "anomaly": "bad",
    "incident": "bad", "note": "muted",
}  # fmt: skip
"""Style variable that colours each kind of event."""
