"""`workbench evaluate forecast`: forecasts scored on hourly series."""

from __future__ import annotations

from pathlib import Path

import click

from workbench.cli.options import print_json
from workbench.errors import InvalidInput

__all__ = ["evaluate_forecast"]


def evaluate_forecast(data: Path | None, predictions: Path | None, as_json: bool) -> None:
    """Forecast the hourly series of a folder at weekly origins and print how far off that was, beside simple ones."""
    from workbench import evaluate as scoring

    if data is None:
        raise InvalidInput("evaluate forecast needs series: give --data DIR, a folder of CSV files timestamp,value.")
    if predictions is not None and not predictions.absolute().parent.is_dir():
        raise InvalidInput(f"--predictions {predictions} lies in a folder that does not exist: make it first.")
    cases = scoring.hourly_cases(data)
    made = scoring.predict_hourly(cases)
    if predictions is not None:
        made.write(predictions, cases)
    score = scoring.score_hourly(cases, made)
    if as_json:
        print_json(score.to_json())
    else:
        click.echo(str(score))
