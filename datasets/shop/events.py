"""Changes made to the shop during a recording, as an operator's change log would have them."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Any

from datasets.shop.supervisor import ENVIRONMENT

INFO = 9


def timestamp(moment: datetime) -> str:
    """Return a moment as ISO 8601 in UTC with microseconds and a Z."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


class EventLog:
    """Collects events; safe to use from several threads."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def rows(self) -> list[dict[str, Any]]:
        """Return the events so far in the order of their time."""
        with self._lock:
            return sorted(self._rows, key=lambda row: str(row["time"]))

    def _add(self, moment: datetime, kind: str, service: str, title: str, source: str, **attributes: object) -> None:
        row = {
            "time": timestamp(moment),
            "end": None,
            "kind": kind,
            "service": service,
            "env": ENVIRONMENT,
            "title": title,
            "severity": INFO,
            "source": source,
            **attributes,
        }
        with self._lock:
            self._rows.append(row)

    def deploy(self, moment: datetime, service: str, version: str) -> None:
        """Note that a version of a service took over the traffic."""
        self._add(moment, "deploy", service, f"Deployed {service} {version}", "deployer", version=version)

    def flag(self, moment: datetime, service: str, flag: str, on: bool) -> None:
        """Note that a feature flag was switched."""
        state = "on" if on else "off"
        self._add(moment, "flag", service, f"Flag {flag} switched {state}", "flags", flag=flag, state=state)

    def config(self, moment: datetime, service: str, key: str, value: str) -> None:
        """Note that a configuration value was changed."""
        self._add(moment, "config", service, f"Changed {key} to {value}", "config-repository", key=key, value=value)
