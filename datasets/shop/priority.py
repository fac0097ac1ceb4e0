"""Ask the scheduler to prefer the shop: it shares its machine with other work, whose load must not look like an incident."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

NICENESS = -10


def raise_own_priority() -> bool:
    """Raise this process and those it will start; return whether that is permitted."""
    try:
        if os.getpriority(os.PRIO_PROCESS, 0) > NICENESS:
            os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    except PermissionError:
        return False
    return True


def prefer_session(pid: int) -> None:
    """Give the scheduling group of a process that leads its own session the same niceness.

    Linux shares the processor among sessions first ("autogroup") and looks at niceness only inside one, so that
    the niceness of a process alone does nothing against other sessions.
    """
    if os.getpriority(os.PRIO_PROCESS, pid) == NICENESS:
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/autogroup").write_text(str(NICENESS), encoding="ascii")
