"""Detectors of one idea each; read `seasonal.py` first. What each scored on labelled series is in docs/detection.md."""
