"""Play one scenario and write its recording."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from datasets.shop.card import write_card
from datasets.shop.decoys import Decoy, plan_decoys, play_decoy
from datasets.shop.events import EventLog, timestamp
from datasets.shop.faults import Fault
from datasets.shop.framing import write_recording
from datasets.shop.load import Load
from datasets.shop.plan import Outcome, Plan
from datasets.shop.priority import raise_own_priority
from datasets.shop.receiver import Receiver
from datasets.shop.scenarios import Scenario
from datasets.shop.supervisor import Shop


def _wait_until(began: float, offset_s: float) -> None:
    time.sleep(max(0.0, began + offset_s - time.monotonic()))


def _play_decoys(decoys: list[Decoy], began: float, shop: Shop, events: EventLog) -> threading.Thread:
    def play() -> None:
        for decoy in decoys:
            _wait_until(began, decoy.offset_s)
            play_decoy(decoy, shop, events)

    thread = threading.Thread(target=play, name="decoys", daemon=True)
    thread.start()
    return thread


def _play(scenario: Scenario, plan: Plan, receiver: Receiver, events: EventLog) -> Outcome:
    """Run the shop through all phases while the receiver records."""
    permitted = raise_own_priority()
    with Shop(receiver.address) as shop:
        load = Load(lambda: shop.routes["gateway"], plan.rate, plan.seed)
        load.start()
        try:
            time.sleep(plan.warm_up_s)
            load.statuses.clear()
            receiver.recording = True
            start, began = datetime.now(UTC), time.monotonic()
            decoys = _play_decoys(plan_decoys(scenario, plan.seed, plan.total_s), began, shop, events)
            fault = Fault(scenario, shop, load, events) if scenario.kind else None
            _wait_until(began, plan.normal_s)
            fault_start = fault.begin() if fault else None
            _wait_until(began, plan.normal_s + plan.fault_s)
            fault_end = fault.end() if fault else None
            _wait_until(began, plan.total_s)
            decoys.join(30)
            shop.check_alive()
            receiver.recording = False
            end = datetime.now(UTC)
        finally:
            load.stop()
    return Outcome(start, end, fault_start, fault_end, dict(load.statuses), permitted)


def record(scenario: Scenario, plan: Plan, out: Path) -> Path:
    """Play `scenario` and write the recording to the folder `out`/NAME, which must not exist.

    Raises
    ------
    FileExistsError
        There is a recording of that name already; recordings are never changed.
    """
    target = out / scenario.name
    if target.exists():
        raise FileExistsError(f"{target} exists already; choose another --out folder or remove it first")
    receiver, events = Receiver(), EventLog()
    try:
        outcome = _play(scenario, plan, receiver, events)
    finally:
        receiver.close()
    # Written elsewhere first, so that nobody finds half a recording among the finished ones.
    with tempfile.TemporaryDirectory(prefix="shop-recording-") as folder:
        finished = Path(folder) / scenario.name
        finished.mkdir()
        _write(finished, scenario, plan, outcome, receiver, events)
        out.mkdir(parents=True, exist_ok=True)
        shutil.copytree(finished, target)
    return target


def _write(
    folder: Path, scenario: Scenario, plan: Plan, outcome: Outcome, receiver: Receiver, events: EventLog
) -> None:
    """Write the files of a recording into an empty folder."""
    for name, bodies in receiver.bodies.items():
        write_recording(folder / name, bodies)
    truth = {
        "name": scenario.name,
        "service": scenario.service,
        "kind": scenario.kind,
        "start": timestamp(outcome.fault_start) if outcome.fault_start else None,
        "end": timestamp(outcome.fault_end) if outcome.fault_end else None,
    }
    (folder / "truth.json").write_text(json.dumps(truth, indent=2) + "\n", encoding="utf-8")
    (folder / "events.json").write_text(json.dumps(events.rows(), indent=2) + "\n", encoding="utf-8")
    write_card(folder, scenario, plan, outcome, receiver.compressed_requests)
