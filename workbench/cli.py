"""The `workbench` command.

Exit codes: 0 success, 2 bad usage, 1 failure with one sentence on standard error. With `--json` exactly one JSON
document goes to standard output.
"""

from __future__ import annotations

import io
import json as json_module
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workbench.errors import InvalidInput, QueryError, StoreError, WorkbenchError

if TYPE_CHECKING:
    import pandas as pd

    from workbench.session import Bench

__all__ = ["cli", "main"]

_SHOWN = {
    "logs": ["time", "severity", "service", "body"],
    "spans": ["time", "service", "name", "kind", "status", "duration_ns", "trace_id"],
    "events": ["time", "end", "kind", "service", "title"],
}
"""Columns of a table in the terminal; the other formats hold all."""

_STORE_HELP = (
    "Folder of the store; else $WORKBENCH_STORE, the nearest .workbench folder, or one in the user's data folder."
)
_STORE = click.option("--store", default=None, metavar="PATH", help=_STORE_HELP)
_START = click.option("--start", default=None, metavar="T", help="ISO 8601 time, 'now', or -6h: so long before now.")
_END = click.option("--end", default=None, metavar="T", help="End of the window, as --start.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def main() -> None:
    """Run the command line and exit with its code."""
    warnings.filterwarnings("default", category=UserWarning, module="workbench")
    try:
        cli.main(prog_name="workbench", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show(shown := io.StringIO())
        click.echo(_printable(shown.getvalue()), err=True, nl=False)
        sys.exit(error.exit_code)
    except (WorkbenchError, OSError) as error:
        own_lines = isinstance(error, QueryError)  # it points at a character on lines of its own
        click.echo("workbench: " + _printable(str(error), "\n" if own_lines else ""), err=True)
        sys.exit(2 if isinstance(error, InvalidInput) else 1)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="workbench-observability", prog_name="workbench")
def cli() -> None:
    """Investigate incidents from your own telemetry: ingest it, query it, find what broke."""


def _open(store: str | None, *, create: bool = False) -> Bench:
    from workbench import session
    from workbench.store.place import CATALOG

    folder = session.find_store() if store is None else Path(store).expanduser()
    if not create and "://" not in (store or "") and not folder.is_file() and not (folder / CATALOG).exists():
        raise StoreError(
            f"there is no store at {folder}: ingest telemetry into it first, or name another with --store."
        )
    return session.open(store, create=create)


def _print_json(document: Any) -> None:
    click.echo(json_module.dumps(document, indent=2, default=str, allow_nan=False))


@cli.command()
@click.argument("name", required=False, metavar="[INCIDENT]")
@click.option(
    "--out", default="investigation", show_default=True, type=click.Path(path_type=Path), help="Folder to write."
)
@click.option("--lab", "lab_after", is_flag=True, help="Open the executed notebook in JupyterLab afterwards.")
def demo(name: str | None, out: Path, lab_after: bool) -> None:
    """Ingest a recorded incident, investigate it, write investigation.html and postmortem.html."""
    from workbench.runbooks import demo as demonstration

    demonstration.run(name, out, echo=click.echo)
    if lab_after:
        _start_lab(out)


@cli.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@_START
@_END
@click.option("--format", "format_", default=None, metavar="NAME", help="Read as this format instead of detecting it.")
@click.option("--map", "mapping", multiple=True, metavar="COLUMN=FIELD", help="Table column mapping, such as time=ts.")
@_STORE
@_JSON
def ingest(
    sources: tuple[str, ...],
    start: str | None,
    end: str | None,
    format_: str | None,
    mapping: tuple[str, ...],
    store: str | None,
    as_json: bool,
) -> None:
    """Read telemetry files and folders into the store; the format is detected."""
    from workbench.intake import check_sources

    pairs = dict(_pair(item) for item in mapping)
    check_sources(sources, format_)
    with _open(store, create=True) as bench:
        report = bench.ingest(
            *sources,
            format=format_,
            mapping=pairs or None,
            start=start,
            end=end,
            progress=not as_json,
        )
        if as_json:
            _print_json(report.to_json())
        else:
            click.echo(f"{report}\n" + _printable(f"store: {bench.store.path}"))


def _pair(item: str) -> tuple[str, str]:
    column, equals, field = item.partition("=")
    if not (column and equals and field):
        raise InvalidInput(f"mapping {item!r} is not COLUMN=FIELD: write for example --map time=ts.")
    return column, field


@cli.command()
@click.argument("signal", type=click.Choice(["metrics", "logs", "spans", "events"]))
@click.argument("expr", default="")
@_START
@_END
@click.option("--step", default=None, metavar="D", help="Distance of the steps, such as 30s (metrics).")
@click.option("--at", default=None, metavar="T", help="One instant instead of a window (metrics).")
@click.option("--format", "format_", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
@click.option("--limit", default=50, type=click.IntRange(min=0), show_default=True, help="Most rows of a table.")
@_STORE
def query(
    signal: str,
    expr: str,
    start: str | None,
    end: str | None,
    step: str | None,
    at: str | None,
    format_: str,
    limit: int,
    store: str | None,
) -> None:
    """Query the store: PromQL for metrics, the search language for logs, spans and events."""
    from workbench.session import portable

    if signal != "metrics" and (at or step) is not None:
        raise InvalidInput(f"--at and --step are for metrics, {signal} have no steps: give --start and --end.")
    with _open(store) as bench:
        if signal == "metrics":
            frame = _metrics_frame(bench, expr, start, end, step, at)
        else:
            frame = getattr(bench, signal)(expr, start=start, end=end)
    if format_ == "table":
        shown = frame[[c for c in _SHOWN.get(signal, frame.columns) if c in frame.columns]].head(limit)
        if len(shown) or not len(frame):
            click.echo(_printable(shown.to_string(max_colwidth=80, index=False) if len(frame) else "no rows"))
        if len(frame) > limit:
            click.echo(f"... {len(frame) - limit:,} more rows (--limit)")
    elif format_ == "csv":
        click.echo(portable(frame).to_csv(index=False), nl=False)
    else:
        _print_json(json_module.loads(portable(frame).to_json(orient="records", double_precision=15)))


def _printable(text: str, kept: str = "\n\t") -> str:
    """Replace control characters, which telemetry and names of files could use to drive the terminal."""
    return "".join(c if c in kept or c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _metrics_frame(
    bench: Bench, expr: str, start: str | None, end: str | None, step: str | None, at: str | None
) -> pd.DataFrame:
    import numpy as np

    from workbench.session import metrics_table
    from workbench.signals import parse_time

    if not expr:
        raise InvalidInput("the metrics query is empty: give a PromQL expression.")
    if at is None:
        return metrics_table(bench.metrics(expr, start, end, step))
    instant = parse_time(at)
    return metrics_table(bench.metrics(expr, instant, instant + np.timedelta64(1, "ns"), step="1s"))


@cli.command()
@_START
@_END
@click.option("--at", default=None, metavar="T", help="Investigate the 30 minutes around one instant.")
@click.option("--service", default=None, metavar="S", help="Only this service and what it calls.")
@click.option(
    "--out", default=None, type=click.Path(path_type=Path), help="Also write notebooks and HTML into this folder."
)
@_STORE
@_JSON
def investigate(
    start: str | None,
    end: str | None,
    at: str | None,
    service: str | None,
    out: Path | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Find the onset, the suspects and the evidence for each; without times, over the whole store."""
    if at is not None:
        if start or end:
            raise InvalidInput("--at was given with --start or --end: give either the instant or the window.")
        start, end = _around(at)
    with _open(store) as bench:
        found = bench.investigate(start, end, service)
        if as_json:
            _print_json(found.to_json())
        else:
            click.echo(_printable(str(found.show("hypotheses").text())))
        if out is not None:
            from workbench.runbooks import demo as demonstration

            written = demonstration.write(bench.store.path, found, out, service=service)
            click.echo("\n".join(f"wrote {path}" for path in written), err=as_json)


def _around(at: str) -> tuple[str, str]:
    import numpy as np

    from workbench.signals import parse_time

    instant, half = parse_time(at), np.timedelta64(15, "m")
    return str(instant - half), str(instant + half)


@cli.command()
@click.argument("task", type=click.Choice(["diagnose"]))
@click.option("--dataset", type=click.Choice(["incidents"]), default="incidents", show_default=True)
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of recordings.")
@click.option("--predictions", type=click.Path(path_type=Path), help="Also write what was predicted to this file.")
@_JSON
def evaluate(task: str, dataset: str, data: Path | None, predictions: Path | None, as_json: bool) -> None:
    """Score diagnosis on recorded incidents; the truth is kept out of sight until the predictions are made."""
    from workbench import evaluate as scoring
    from workbench import resources

    folder = data or resources.incidents_folder()
    if predictions is not None and not predictions.absolute().parent.is_dir():
        raise InvalidInput(f"--predictions {predictions} lies in a folder that does not exist: make it first.")
    scoring.read_truths(folder)  # before the work: a truth that cannot be read would waste it
    made = scoring.predict_incidents(folder)
    if predictions is not None:
        predictions.write_text(json_module.dumps(made, indent=1))
    score = scoring.score_incidents(folder, made)
    if as_json:
        _print_json(score.to_json())
    else:
        click.echo(str(score))


@cli.group()
def runbook() -> None:
    """List, show and run the shipped notebooks."""


@runbook.command("list")
def runbook_list() -> None:
    """List the shipped notebooks."""
    from workbench import resources

    for name, path in resources.notebooks().items():
        click.echo(f"{name:16} {path}")


@runbook.command("show")
@click.argument("name")
def runbook_show(name: str) -> None:
    """Show the parameters that a notebook declares, with their defaults."""
    from workbench import resources, runbooks

    for parameter, default in runbooks.parameters(resources.notebook(name)).items():
        click.echo(f"{parameter} = {default!r}")


@runbook.command("run")
@click.argument("name")
@click.option(
    "-p", "pairs", nargs=2, multiple=True, metavar="KEY VALUE", help="A parameter; VALUE is JSON or else text."
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Executed notebook to write; .html beside it."
)
def runbook_run(name: str, pairs: tuple[tuple[str, str], ...], out: Path) -> None:
    """Run a shipped notebook with parameters and render it."""
    from workbench import resources, runbooks

    notebook = resources.notebook(name)
    declared = runbooks.declared(notebook)
    given = {key: _value(text, declared[key].types if key in declared else ()) for key, text in pairs}
    executed = runbooks.run(notebook, given, out)
    page = runbooks.render(executed, executed.with_suffix(".html"))
    click.echo(f"wrote {executed}\nwrote {page}")


def _value(text: str, types: tuple[type, ...]) -> Any:
    """Return what was typed as JSON where that fits the declared types, else as the text itself."""
    try:
        value = json_module.loads(text)
    except ValueError:
        return text
    return value if not types or isinstance(value, types) or str not in types else text


@cli.group("store")
def store_group() -> None:
    """Look after the store."""


@store_group.command("status")
@_STORE
@_JSON
def store_status(store: str | None, as_json: bool) -> None:
    """Say what the store holds and how large it is."""
    with _open(store) as bench:
        status = bench.store.status()
        if as_json:
            _print_json(status)
            return
        click.echo(f"store {bench.store.path}")
        click.echo(f"{status['samples']:,} samples of {status['series']:,} series, {status['bytes']['total']:,} bytes")
        for signal, row in status["signals"].items():
            click.echo(f"  {signal:9} " + ", ".join(f"{key} {value}" for key, value in row.items()))


@store_group.command("seal")
@_STORE
def store_seal(store: str | None) -> None:
    """Turn hot rows into segments."""
    with _open(store) as bench:
        sealed = bench.store.seal()
        click.echo("sealed " + (", ".join(f"{n:,} {signal}" for signal, n in sealed.items() if n) or "nothing"))


@store_group.command("verify")
@_STORE
def store_verify(store: str | None) -> None:
    """Check every checksum; exit 1 and name the damage if there is any."""
    with _open(store) as bench:
        damage = bench.store.verify()
    click.echo("\n".join(damage) or "sound")
    sys.exit(1 if damage else 0)


@cli.command()
@click.argument("folder", default=".", type=click.Path(exists=True, file_okay=False, path_type=Path))
def lab(folder: Path) -> None:
    """Start JupyterLab with the workbench kernel, on loopback, asking for a token."""
    _start_lab(folder)


def _start_lab(folder: Path) -> None:
    import subprocess

    from workbench import settings

    where = ["--ip=127.0.0.1", f"--port={settings.load()['lab.port']}", f"--ServerApp.root_dir={folder.resolve()}"]
    sys.exit(subprocess.call([sys.executable, "-m", "jupyterlab", *where]))


@cli.command()
def plugins() -> None:
    """List every plug-in by group, built in or installed."""
    from workbench import registry

    for group in registry.GROUPS:
        click.echo(group)
        for name, target in sorted(registry.plugins(group).items()):
            click.echo(f"  {name:14} {target}")


if __name__ == "__main__":
    main()
