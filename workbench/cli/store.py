"""`workbench store ...`: say what a store holds, and look after it."""

from __future__ import annotations

import sys
from pathlib import Path

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
    """Say what the store holds, how large it is, and what its policy will do next."""
    with open_bench(store) as bench:
        status = bench.store.status(detail=True)
        if as_json:
            print_json(status)
            return
        size = status["bytes"]
        click.echo(f"store {bench.store.path}")
        click.echo(f"{status['samples']:,} samples of {status['series']:,} series, {size['total']:,} bytes")
        click.echo("  tiers     " + ", ".join(f"{tier} {n:,}" for tier, n in size.items() if tier != "total"))
        ratio = status["compression"]
        click.echo(f"  samples   {ratio['bytes_per_sample']:.3f} B each, {ratio['ratio']:.1f} times smaller than raw")
        for signal, row in status["signals"].items():
            click.echo(f"  {signal:9} " + ", ".join(f"{key} {value}" for key, value in row.items()))
        for codec, row in status["codecs"].items():
            click.echo(f"  codec {codec:10} {row['chunks']:,} chunks, {row['bytes']:,} bytes")
        for what, row in status["next"].items():
            click.echo(f"  next: {what} {row['segments']} segments, {row['bytes']:,} bytes")


@store_group.command("seal")
@STORE
def store_seal(store: str | None) -> None:
    """Turn hot rows into segments."""
    with open_bench(store) as bench:
        sealed = bench.store.seal()
        click.echo("sealed " + (", ".join(f"{n:,} {signal}" for signal, n in sealed.items() if n) or "nothing"))


@store_group.command("compact")
@STORE
@click.option("--all", "everything", is_flag=True, help="Also days that are not over yet.")
def store_compact(store: str | None, everything: bool) -> None:
    """Join small segments into large ones, and roll up the days that are over."""
    with open_bench(store) as bench:
        done = bench.store.compact(everything=everything)
        told = ", ".join(f"{n:,} segments of {signal}" for signal, n in done.items() if n)
        click.echo("joined " + (told or "nothing"))


@store_group.command("tier")
@STORE
@JSON
@click.option("--to", "url", default=None, metavar="URL", help="Cold place; else store.cold_url of the settings.")
def store_tier(store: str | None, as_json: bool, url: str | None) -> None:
    """Move what is old to the cold place and retire what is too old, as the settings say."""
    with open_bench(store) as bench:
        done = bench.store.tier(url)
    if as_json:
        print_json(done)
    else:
        click.echo(f"moved {len(done['moved'])} segments ({done['bytes']:,} bytes), retired {len(done['retired'])}")
        for problem in done["problems"]:
            click.echo(problem, err=True)
    sys.exit(1 if done["problems"] else 0)


@store_group.command("vacuum")
@STORE
@click.option("--now", "at_once", is_flag=True, help="Do not wait for readers: nobody else has the store open.")
def store_vacuum(store: str | None, at_once: bool) -> None:
    """Remove files that no reader can hold any more, and make the catalog small."""
    with open_bench(store) as bench:
        click.echo(f"removed {bench.store.vacuum(grace_s=0 if at_once else None)} files")


@store_group.command("verify")
@STORE
def store_verify(store: str | None) -> None:
    """Check every checksum; exit 1 and name the damage if there is any."""
    with open_bench(store) as bench:
        damage = bench.store.verify()
    click.echo("\n".join(damage) or "sound")
    sys.exit(1 if damage else 0)


@store_group.command("rebuild")
@STORE
@JSON
def store_rebuild(store: str | None, as_json: bool) -> None:
    """Make a lost or damaged catalog anew from the segments; nobody may have the store open."""
    from workbench import session
    from workbench.store import Store

    report = Store.rebuild(session.find_store() if store is None else Path(store))
    if as_json:
        print_json(report)
        return
    click.echo(f"named {report['segments']} segments; took over {report['hot']} hot rows and {report['keys']} keys")
    for sentence in report["lost"]:
        click.echo(f"lost: {sentence}", err=True)
