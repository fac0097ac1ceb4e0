"""`workbench store ...`: say what a store holds, and look after it."""

from __future__ import annotations

import sys

import click

from workbench.cli.options import JSON, STORE, open_bench, print_json

__all__ = ["store_group"]


@click.group("store")
def store_group() -> None:
    """Look after the store."""


@store_group.command("status")
@STORE
@JSON
def store_status(store: str | None, as_json: bool) -> None:
    """Say what the store holds and how large it is."""
    with open_bench(store) as bench:
        status = bench.store.status()
        if as_json:
            print_json(status)
            return
        click.echo(f"store {bench.store.path}")
        click.echo(f"{status['samples']:,} samples of {status['series']:,} series, {status['bytes']['total']:,} bytes")
        for signal, row in status["signals"].items():
            click.echo(f"  {signal:9} " + ", ".join(f"{key} {value}" for key, value in row.items()))


@store_group.command("seal")
@STORE
def store_seal(store: str | None) -> None:
    """Turn hot rows into segments."""
    with open_bench(store) as bench:
        sealed = bench.store.seal()
        click.echo("sealed " + (", ".join(f"{n:,} {signal}" for signal, n in sealed.items() if n) or "nothing"))


@store_group.command("verify")
@STORE
def store_verify(store: str | None) -> None:
    """Check every checksum; exit 1 and name the damage if there is any."""
    with open_bench(store) as bench:
        damage = bench.store.verify()
    click.echo("\n".join(damage) or "sound")
    sys.exit(1 if damage else 0)
