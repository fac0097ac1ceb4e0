"""Understand profiles: call trees for flame graphs, functions by cost, and what changed between two windows.

Enters: `Profiles`, as they are stored, and a sample type (`cpu`, `wall`, ...). Leaves: frames; `flame` and `diff` give
one row per node of the call tree, laid out for drawing, `top` and `top_diff` one row per function.
The one idea: stacks are prefix trees with parents before children, so merging, totals and layout are one numpy pass per
level of depth. Read `tree.py` first, then `flame.py`.
"""

from workbench.profiles.flame import diff, flame, hot_path
from workbench.profiles.top import top, top_diff

__all__ = ["diff", "flame", "hot_path", "top", "top_diff"]
