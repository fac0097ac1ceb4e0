"""Innocent changes at seeded times, so that the change nearest to an incident is not always the cause."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime

from datasets.shop.events import EventLog
from datasets.shop.scenarios import Scenario
from datasets.shop.supervisor import VERSIONS, Shop

_FLAGS = {
    "gateway": "new-confirmation-copy",
    "catalogue": "winter-banner",
    "cart": "gift-note-field",
    "payment": "receipt-footer",
    "stock": "warehouse-labels",
    "worker": "order-mail-preview",
}
_CONFIG = {"gateway": ("support_phone_hours", "08-18"), "catalogue": ("image_alt_language", "en")}


@dataclass(frozen=True)
class Decoy:
    """A change that harms nothing: `offset_s` seconds after the recording began."""

    offset_s: float
    kind: str
    service: str


def plan_decoys(scenario: Scenario, seed: int, total_s: float) -> list[Decoy]:
    """One to three decoys; at most one is a deploy, and never of the service that breaks."""
    rng = random.Random(f"decoys/{seed}")
    kinds = rng.sample(["flag", "deploy", "config", "flag"], rng.randint(1, 3))
    decoys = []
    for kind in kinds:
        choices = sorted(_CONFIG if kind == "config" else VERSIONS)
        if kind == "deploy":
            choices = [service for service in choices if service not in (scenario.service, "gateway")]
        decoys.append(Decoy(rng.uniform(0.08, 0.85) * total_s, kind, rng.choice(choices)))
    return sorted(decoys, key=lambda decoy: decoy.offset_s)


def play_decoy(decoy: Decoy, shop: Shop, events: EventLog) -> None:
    """Make the change and write its event."""
    if decoy.kind == "deploy":
        major, minor, patch = VERSIONS[decoy.service].split(".")
        version = f"{major}.{minor}.{int(patch) + 1}"
        events.deploy(shop.deploy(decoy.service, version), decoy.service, version)
    elif decoy.kind == "flag":
        events.flag(datetime.now(UTC), decoy.service, _FLAGS[decoy.service], on=True)
    else:
        events.config(datetime.now(UTC), decoy.service, *_CONFIG[decoy.service])
