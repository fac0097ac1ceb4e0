"""`workbench evaluate forecast`: forecasts scored on hourly series."""

from __future__ import annotations

from pathlib import Path

import click

from workbench.cli.options import JSON, print_json
from workbench.errors import InvalidInput

__all__ = ["forecast"]


@click.command()
@click.option("--dataset", type=click.Choice(["hourly"]), default="hourly", show_default=True)
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder with CSV files timestamp,value; of NAB's layout, those of realAdExchange.",
)
@click.option("--predictions", type=click.Path(path_type=Path), help="Also write what was predicted to this CSV file.")
@JSON
def forecast(dataset: str, data: Path, predictions: Path | None, as_json: bool) -> None:
    """Score forecasts of a week, from three weekly origins, beside simple forecasts."""
    from workbench.evaluate import forecast as scoring
    from workbench.evaluate.hourly import hourly_cases

    if predictions is not None and not predictions.absolute().parent.is_dir():
        raise InvalidInput(f"--predictions {predictions} lies in a folder that does not exist: make it first.")
    cases = hourly_cases(data)
    made = scoring.predict_hourly(cases)
    if predictions is not None:
        made.write(predictions, cases)
    score = scoring.score_hourly(cases, made)
    if as_json:
        print_json(score.to_json())
    else:
        click.echo(str(score))
