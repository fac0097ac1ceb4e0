"""The commands `workbench evaluate ...`: conclusions and scores compared with a known truth."""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from workbench.cli.options import JSON, print_json, printable
from workbench.errors import InvalidInput

__all__ = ["evaluate"]

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group()
def evaluate() -> None:
    """Score diagnosis and detectors on data whose truth is known."""


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


@evaluate.command()
@click.option(
    "--dataset",
    type=click.Choice(["nab", "series", "injected"]),
    required=True,
    help="nab: data/<category>/*.csv and labels/; series: any folder of timestamp,value files and windows.json; "
    "injected: faults of known size in generated series.",
)
@click.option("--data", type=_FOLDER, help="Folder of the data set (nab, series).")
@click.option("--detector", "names", multiple=True, metavar="NAME", help="Only this detector; may be given again.")
@click.option("--predictions", type=click.Path(path_type=Path), metavar="PATH", help="Folder to write all scores into.")
@click.option(
    "--raw", is_flag=True, help="Write scores as the detector gave them, also those that only follow an alarm."
)
@click.option("--threshold", type=click.FloatRange(0, 1), default=None, help="Fire from this score on.")
@click.option("--threshold-from", type=_FOLDER, metavar="DATA", help="Learn the threshold on this labelled set.")
@click.option(
    "--series",
    "count",
    type=click.IntRange(1, 500),
    default=20,
    show_default=True,
    help="Per kind and size (injected).",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the generated series (injected).")
@JSON
def detect(
    dataset: str,
    data: Path | None,
    names: tuple[str, ...],
    predictions: Path | None,
    raw: bool,
    threshold: float | None,
    threshold_from: Path | None,
    count: int,
    seed: int,
    as_json: bool,
) -> None:
    """Score detectors, built in and plugged in, on labelled series."""
    if threshold is not None and threshold_from is not None:
        raise InvalidInput("--threshold was given with --threshold-from: give one of them.")
    if (data is None) != (dataset == "injected"):
        raise InvalidInput("--data goes with --dataset nab and series, which need it, and not with injected.")
    if dataset == "injected" and predictions is not None:
        raise InvalidInput("--predictions does not go with --dataset injected: its series are made and thrown away.")
    if data is None:
        document, text = _injected(names, threshold, threshold_from, count, seed, not as_json)
    else:
        document, text = _labelled(dataset, data, names, predictions, raw, threshold, threshold_from, not as_json)
    if as_json:
        print_json(document)
    else:
        click.echo(printable(text))


def _labelled(
    dataset: str,
    folder: Path,
    names: tuple[str, ...],
    predictions: Path | None,
    raw: bool,
    threshold: float | None,
    threshold_from: Path | None,
    progress: bool,
) -> tuple[dict[str, Any], str]:
    """Return the scoreboard of a folder as JSON and as text."""
    from workbench import evaluate as scoring

    root = (scoring.find_nab(folder) or folder) / "data" if dataset == "nab" else folder
    _check_predictions(predictions, root)
    data = scoring.load_nab(folder) if dataset == "nab" else scoring.load_series(folder)
    if not data.labelled and predictions is None:
        raise InvalidInput(f"{folder} has no labels to score by: give --predictions PATH to write the scores instead.")
    detectors = scoring.detectors(names)
    # Before the work on the data: a set without labels would waste it.
    thresholds = _learn(threshold_from, detectors, progress)
    if threshold is not None:
        thresholds = {name: dict.fromkeys(scoring.PROFILES, threshold) for name in detectors}
    ran = []
    for name, detector in detectors.items():
        ran.append(scoring.run(name, detector, data, progress=progress))
        if predictions is not None:
            target = predictions if len(names) == 1 else predictions / name
            scoring.write_predictions(target, data, ran[-1].raw if raw else ran[-1].scores)
    board = scoring.score_detectors(data, ran, thresholds)
    document = {
        "dataset": dataset,
        "data": str(folder),
        "threshold_from": str(threshold_from) if threshold_from else None,
        "thresholds": None if thresholds is None else {name: _finite(levels) for name, levels in thresholds.items()},
        **board.to_json(),
        "predictions": str(predictions) if predictions else None,
    }
    wrote = [f"wrote scores of {len(data.series):,} files to {predictions}"] if predictions else []
    return document, "\n".join([str(board), *wrote]).strip()


def _finite(levels: Mapping[str, float]) -> dict[str, float | None]:
    """Return thresholds as JSON has them: None never fires."""
    return {name: None if level == float("inf") else level for name, level in levels.items()}


def _check_predictions(predictions: Path | None, folder: Path) -> None:
    if predictions is None:
        return
    if predictions.exists() and not predictions.is_dir():
        raise InvalidInput(f"--predictions {predictions} is a file: name a folder.")
    if predictions.resolve().is_relative_to(folder.resolve()):
        raise InvalidInput(f"--predictions {predictions} lies among the data, which it would change: name another.")


def _learn(folder: Path | None, detectors: dict[str, Any], progress: bool) -> dict[str, dict[str, float]] | None:
    """Return the thresholds that each detector has its best scores with on a labelled folder."""
    from workbench import evaluate as scoring

    if folder is None:
        return None
    data = scoring.load_labelled(folder)
    if not any(len(one.windows) for one in data.series):
        raise InvalidInput(f"--threshold-from {folder} has no labelled window to learn from: give a labelled set.")
    return {
        name: scoring.learn_thresholds(data, scoring.run(name, detector, data, progress=progress).scores)
        for name, detector in detectors.items()
    }


def _injected(
    names: tuple[str, ...],
    threshold: float | None,
    threshold_from: Path | None,
    count: int,
    seed: int,
    progress: bool,
) -> tuple[dict[str, Any], str]:
    """Return detection curves as JSON and as text."""
    from workbench import evaluate as scoring

    detectors = scoring.detectors(names)
    learned = _learn(threshold_from, detectors, progress)
    curves = []
    for name, detector in detectors.items():
        level = threshold if learned is None else learned[name]["standard"]
        curves.append(scoring.detection_curves(name, detector, level, count=count, seed=seed, progress=progress))
    document = {"dataset": "injected", "seed": seed, "detectors": [one.to_json() for one in curves]}
    return document, "\n\n".join(map(str, curves))
