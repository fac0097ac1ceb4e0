"""`workbench agent`: the long-running process beside a store. Its one role so far is the Prometheus HTTP API."""

from __future__ import annotations

import os
from pathlib import Path

import click

from workbench.cli.options import STORE, open_bench

__all__ = ["agent"]


@click.command()
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Settings file, TOML, for this process.",
)
@click.option("--host", default=None, help="Address to listen on; loopback by default.")
@click.option("--port", default=None, type=click.IntRange(0, 65535), help="Port; 0 takes a free one.")
@click.option("--no-token", is_flag=True, help="Answer everybody who reaches the port.")
@STORE
def agent(config: Path | None, host: str | None, port: int | None, no_token: bool, store: str | None) -> None:
    """Serve the store over the HTTP API of Prometheus: queries, and remote write. It has no other role yet."""
    from workbench.api import serve
    from workbench.api.guard import token_file
    from workbench.settings import load

    if config is not None:
        os.environ["WORKBENCH_CONFIG"] = str(config)
    with open_bench(store, create=True) as bench, serve(bench, host=host, port=port, token=not no_token) as serving:
        click.echo(f"Prometheus API at {serving.url} for the store {bench.store.path}")
        if serving.token:
            click.echo(f"token: the one in {token_file(load()['api.token_file'])}, sent as Authorization: Bearer TOKEN")
        try:
            serving.wait()
        except KeyboardInterrupt:
            click.echo("stopping")
