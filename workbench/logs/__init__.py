"""Understand logs: which lines say the same thing.

Enters: log bodies, a Series of text. Leaves: `Mined`, a template id per line and the text of every template.
The one idea: distinct lines are masked by looks in Arrow, distinct masked lines are looked up in a dictionary, and only
forms never seen before reach Python code; ids never change, merges are aliases. Read `templates.py` first.
"""

from workbench.logs.templates import Mined, TemplateMiner, mine

__all__ = ["Mined", "TemplateMiner", "mine"]
