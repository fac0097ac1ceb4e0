"""The main job in one call: a recorded incident from raw telemetry to two rendered pages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from workbench import resources, session
from workbench.diagnose import Investigation
from workbench.errors import NotFound
from workbench.runbooks.runner import Job, run_all

__all__ = ["DEFAULT", "run", "write"]

DEFAULT = "payment-latency"
"""The recorded incident that is played when none is named."""


def run(name: str | None, out: Path, *, echo: Callable[[str], object] = print, progress: bool = True) -> Investigation:
    """Ingest a recorded incident, investigate it, write notebooks and pages, and tell what was found.

    Parameters
    ----------
    name : str or None
        A recorded incident; `DEFAULT` when None.
    out : Path
        Folder for the store, the executed notebooks and the pages; made if needed.
    echo : callable, optional
        Takes each line for people.
    progress : bool, optional
        Show progress bars where there is a terminal.

    Raises
    ------
    NotFound
        If no recorded incident has that name.
    """
    chosen = name or (DEFAULT if DEFAULT in resources.incidents() else next(iter(resources.incidents()), ""))
    if not chosen:
        raise NotFound("no recorded incident is installed: record one with `python -m datasets.shop record NAME`.")
    folder = resources.incident(chosen)
    echo(f"incident {chosen}")
    with session.open(out / f"{chosen}.store") as bench:
        report = bench.ingest(folder, progress=progress)
        echo(str(report) if not report.known else f"{report}\n(read before; kept in {bench.store.path})")
        found = bench.investigate()
        echo("")
        echo(str(found.show("hypotheses").text()))
        store = bench.store.path
    echo("")
    for path in write(store, found, out, title=chosen, progress=progress):
        echo(f"wrote {path}")
    return found


def write(
    store: Path,
    found: Investigation,
    out: Path,
    *,
    title: str | None = None,
    service: str | None = None,
    progress: bool = True,
) -> list[Path]:
    """Run the investigation and postmortem notebooks over a store and render both.

    Parameters
    ----------
    store : Path
        The store that was investigated.
    found : Investigation
        Its window is used again, so that the pages tell of the same minutes.
    out : Path
        Folder to write `investigation.ipynb`, `postmortem.ipynb` and their `.html` into.
    title : str, optional
        What the headings of the pages say after their kind.
    service : str, optional
        The service the investigation was narrowed to; the pages are narrowed likewise.

    Returns
    -------
    list of Path
        The two pages.
    """
    out.mkdir(parents=True, exist_ok=True)
    given = {"store": str(store.resolve()), "start": str(found.window[0]), "end": str(found.window[1])}
    if service is not None:
        given["service"] = service
    jobs = [
        Job(
            notebook,
            given,
            out / f"{stem}.ipynb",
            page=out / f"{stem}.html",
            title=f"{heading}: {title}" if title else heading,
        )
        for notebook, stem, heading in (
            ("investigate", "investigation", "Investigation"),
            ("postmortem", "postmortem", "Postmortem"),
        )
    ]
    run_all(jobs, progress=progress)
    return [job.page for job in jobs if job.page is not None]
