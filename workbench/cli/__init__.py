"""The `workbench` command.

Enters: what was typed. Leaves: text or one JSON document, and an exit code: 0 success, 2 bad usage, 1 failure.
The one idea: a command parses its words, asks a `Bench`, and prints; what it knows is in the rooms below.
Read `main.py` first; `store.py` has the commands that look after a store, `options.py` what all of them share.
"""

from workbench.cli.main import cli, main

__all__ = ["cli", "main"]
