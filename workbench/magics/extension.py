"""`%load_ext workbench`: puts `workbench` into the notebook, with its magics; `%bench` opens a store there."""

from __future__ import annotations

from typing import Any

from workbench.magics.promql import add_promql, remove_promql

__all__ = ["load_ipython_extension", "unload_ipython_extension"]


def load_ipython_extension(ipython: Any) -> None:
    """Make `workbench` available, turn on interactive panels, and add the magics `%bench`, `%promql`, `%%promql`.

    In a notebook page the scripts of the charts are sent inline, each time anew, because a page loaded again on a
    living kernel has lost them: `%reload_ext workbench` brings the charts back. A kernel that loads the extension as it
    starts has no page yet to send them to.

    Parameters
    ----------
    ipython : InteractiveShell
    """
    import workbench
    from workbench.panels import live

    ipython.push({"workbench": workbench}, interactive=False)
    ipython.register_magic_function(_bench_magic(ipython), "line", "bench")
    add_promql(ipython)
    live(True)
    if getattr(ipython, "parent_header", None):
        from workbench.panels.interactive.display import load_charts

        load_charts()


def unload_ipython_extension(ipython: Any) -> None:
    """Turn interactive panels and completion of queries off again."""
    from workbench.panels import live

    live(False)
    remove_promql(ipython)


def _bench_magic(ipython: Any) -> Any:
    def bench(line: str) -> Any:
        """Open a store as `bench`: `%bench` or `%bench PATH`."""
        import workbench

        opened = workbench.open(line.strip() or None)
        ipython.push({"bench": opened})
        return opened

    return bench
