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

from workbench.cli.agent import agent
from workbench.cli.evaluate import evaluate
from workbench.cli.forecast import forecast
from workbench.cli.options import END, JSON, START, STORE, open_bench, print_json, printable
from workbench.cli.store import store_group
from workbench.errors import InvalidInput, QueryError, WorkbenchError

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


def main() -> None:
    """Run the command line and exit with its code."""
    warnings.filterwarnings("default", category=UserWarning, module="workbench")
    try:
        cli.main(prog_name="workbench", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show(shown := io.StringIO())
        click.echo(printable(shown.getvalue()), err=True, nl=False)
        sys.exit(error.exit_code)
    except (WorkbenchError, OSError) as error:
        own_lines = isinstance(error, QueryError)  # it points at a character on lines of its own
        click.echo("workbench: " + printable(str(error), "\n" if own_lines else ""), err=True)
        sys.exit(2 if isinstance(error, InvalidInput) else 1)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="workbench-observability", prog_name="workbench")
def cli() -> None:
    """Investigate incidents from your own telemetry: ingest it, query it, find what broke."""


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
@START
@END
@click.option("--format", "format_", default=None, metavar="NAME", help="Read as this format instead of detecting it.")
@click.option("--map", "mapping", multiple=True, metavar="COLUMN=FIELD", help="Table column mapping, such as time=ts.")
@STORE
@JSON
def ingest(
    sources: tuple[str, ...],
    start: str | None,
    end: str | None,
    format_: str | None,
    mapping: tuple[str, ...],
    store: str | None,
    as_json: bool,
) -> None:
    """Read telemetry into the store: files, folders, a Prometheus data directory or address; the format is detected."""
    from workbench.intake import check_sources

    pairs = dict(_pair(item) for item in mapping)
    check_sources(sources, format_)
    with open_bench(store, create=True) as bench:
        report = bench.ingest(
            *sources,
            format=format_,
            mapping=pairs or None,
            start=start,
            end=end,
            progress=not as_json,
        )
        if as_json:
            print_json(report.to_json())
        else:
            click.echo(f"{report}\n" + printable(f"store: {bench.store.path}"))


def _pair(item: str) -> tuple[str, str]:
    column, equals, field = item.partition("=")
    if not (column and equals and field):
        raise InvalidInput(f"mapping {item!r} is not COLUMN=FIELD: write for example --map time=ts.")
    return column, field


@cli.command()
@click.argument("signal", type=click.Choice(["metrics", "logs", "spans", "events"]))
@click.argument("expr", default="")
@START
@END
@click.option("--step", default=None, metavar="D", help="Distance of the steps, such as 30s (metrics).")
@click.option("--at", default=None, metavar="T", help="One instant instead of a window (metrics).")
@click.option("--format", "format_", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
@click.option("--limit", default=50, type=click.IntRange(min=0), show_default=True, help="Most rows of a table.")
@STORE
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
    with open_bench(store) as bench:
        if signal == "metrics":
            frame = _metrics_frame(bench, expr, start, end, step, at)
        else:
            frame = getattr(bench, signal)(expr, start=start, end=end)
    if format_ == "table":
        shown = frame[[c for c in _SHOWN.get(signal, frame.columns) if c in frame.columns]].head(limit)
        if len(shown) or not len(frame):
            click.echo(printable(shown.to_string(max_colwidth=80, index=False) if len(frame) else "no rows"))
        if len(frame) > limit:
            click.echo(f"... {len(frame) - limit:,} more rows (--limit)")
    elif format_ == "csv":
        click.echo(portable(frame).to_csv(index=False), nl=False)
    else:
        print_json(json_module.loads(portable(frame).to_json(orient="records", double_precision=15)))


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
@START
@END
@click.option("--at", default=None, metavar="T", help="Investigate the 30 minutes around one instant.")
@click.option("--service", default=None, metavar="S", help="Only this service and what it calls.")
@click.option(
    "--out", default=None, type=click.Path(path_type=Path), help="Also write notebooks and HTML into this folder."
)
@STORE
@JSON
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
    with open_bench(store) as bench:
        found = bench.investigate(start, end, service)
        if as_json:
            print_json(found.to_json())
        else:
            click.echo(printable(str(found.show("hypotheses").text())))
        if out is not None:
            from workbench.runbooks import demo as demonstration

            written = demonstration.write(bench.store.path, found, out, service=service)
            click.echo("\n".join(f"wrote {path}" for path in written), err=as_json)


def _around(at: str) -> tuple[str, str]:
    import numpy as np

    from workbench.signals import parse_time

    instant, half = parse_time(at), np.timedelta64(15, "m")
    return str(instant - half), str(instant + half)


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


cli.add_command(agent)
cli.add_command(evaluate)
evaluate.add_command(forecast)
cli.add_command(store_group)
