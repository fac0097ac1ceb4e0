"""The command line of the shop: ``python -m datasets.shop record NAME`` and ``python -m datasets.shop list``."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from datasets.shop.scenarios import SCENARIOS, find_scenario

DEFAULT_OUT = Path(__file__).resolve().parents[1] / "incidents"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m datasets.shop", description="Record labelled incidents.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="list the scenarios with the service that breaks and the kind of fault")
    record = commands.add_parser("record", help="play scenarios and write their recordings")
    record.add_argument("names", nargs="+", metavar="NAME")
    record.add_argument("--seed", type=int, help="seed of load and decoys (default: the scenario's own)")
    record.add_argument("--out", type=Path, default=DEFAULT_OUT, help="folder for recordings (default: %(default)s)")
    record.add_argument("--rate", type=float, default=4.0, help="requests per second (default: %(default)s)")
    record.add_argument("--warm-up", type=float, default=25.0, help="seconds before recording (default: %(default)s)")
    record.add_argument("--normal", type=float, default=150.0, help="seconds before the fault (default: %(default)s)")
    record.add_argument("--fault", type=float, default=80.0, help="seconds of the fault (default: %(default)s)")
    record.add_argument("--recovery", type=float, default=45.0, help="seconds after the fault (default: %(default)s)")
    return parser


def _terminate(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    if options.command == "list":
        for scenario in SCENARIOS.values():
            print(f"{scenario.name:26} {scenario.service or '-':10} {scenario.kind or '-'}")
        return 0
    # Ended politely, the recorder must take its processes with it.
    signal.signal(signal.SIGTERM, _terminate)
    try:
        # The recorder needs the packages of the `shop` extra; the list above does not.
        from datasets.shop.plan import Plan
        from datasets.shop.record import record

        for scenario in [find_scenario(name) for name in options.names]:
            seed = scenario.seed if options.seed is None else options.seed
            plan = Plan(seed, options.rate, options.warm_up, options.normal, options.fault, options.recovery)
            print(f"{scenario.name}: recording {plan.total_s:g} s", file=sys.stderr, flush=True)
            print(record(scenario, plan, options.out), flush=True)
    except ImportError as error:
        print(f"recording needs the packages of the extra 'shop': {error.name} is missing", file=sys.stderr)
        return 1
    except (ValueError, OSError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, ValueError) else 1
    except KeyboardInterrupt:
        print("interrupted; nothing was kept", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
