"""The commands `workbench evaluate ...`: conclusions and scores compared with a known truth."""

from __future__ import annotations

import json as json_module
from pathlib import Path

import click

from workbench.cli.options import JSON, print_json
from workbench.errors import InvalidInput

__all__ = ["evaluate"]

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group()
def evaluate() -> None:
    """Score diagnosis and forecasts on data whose truth is known."""


@evaluate.command()
@click.option("--dataset", type=click.Choice(["incidents"]), default="incidents", show_default=True)
@click.option("--data", type=_FOLDER, help="Folder of recordings.")
@click.option("--predictions", type=click.Path(path_type=Path), help="Also write what was predicted to this file.")
@JSON
def diagnose(dataset: str, data: Path | None, predictions: Path | None, as_json: bool) -> None:
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
        print_json(score.to_json())
    else:
        click.echo(str(score))
