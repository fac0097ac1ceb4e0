"""How a scenario is played, and what is known once it has been."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Plan:
    """How a scenario is played: its seed, the load in requests per second, and the seconds of each phase."""

    seed: int
    rate: float = 4.0
    warm_up_s: float = 25.0
    normal_s: float = 150.0
    fault_s: float = 80.0
    recovery_s: float = 45.0

    @property
    def total_s(self) -> float:
        """Seconds that are recorded."""
        return self.normal_s + self.fault_s + self.recovery_s


@dataclass
class Outcome:
    """What is known after playing: the recorded window, the span of the fault, answers by status, the priority."""

    start: datetime
    end: datetime
    fault_start: datetime | None
    fault_end: datetime | None
    statuses: dict[str, int]
    raised_priority: bool
