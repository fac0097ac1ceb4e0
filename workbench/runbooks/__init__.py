"""Run notebooks with checked parameters, and turn executed ones into one self-contained page.

Enters: a shipped notebook's name or a notebook of your own, values for the parameters it declares. Leaves: the executed
notebook, and an HTML file that needs no network and opens under a strict content security policy.
The one idea: names and values are checked before anything starts, papermill and nbconvert live in a process of their
own, and everything telemetry wrote passes an allow-list on its way to the page. Read `runner.py` first, then `page.py`.
"""

from workbench.runbooks.catalogue import resolve
from workbench.runbooks.runner import Job, render, run, run_all
from workbench.runbooks.signature import Parameter, declared, parameters

__all__ = ["Job", "Parameter", "declared", "parameters", "render", "resolve", "run", "run_all"]
