"""One file per family of faults; each check reads a `Scene` and returns `Evidence`, or nothing when it does not apply.

Enters: a `Scene`. Leaves: evidence, each piece naming a service, a kind of fault, figures before and during, the query
that shows the rows, and its strength in decibans. The one idea: a check judges only against the fault-free part of the
same telemetry, and silence is not evidence. Evidence of kind "" speaks of damage, whatever the cause; the other kinds
are mechanisms. Read `latency.py` first.
"""

from typing import Protocol

from workbench.diagnose.investigation import Evidence
from workbench.diagnose.scene import Scene

__all__ = ["Check"]


class Check(Protocol):
    """The contract of a diagnosis check."""

    name: str
    """Name under which the check is registered and its evidence is shown."""

    def run(self, scene: Scene) -> list[Evidence]:
        """Return what the check found, [] when it does not apply."""
        ...
