"""The IPython extension: `%load_ext workbench` puts `workbench` and an open `bench` into the notebook."""

from __future__ import annotations

from typing import Any

__all__ = ["load_ipython_extension", "unload_ipython_extension"]


def load_ipython_extension(ipython: Any) -> None:
    """Make `workbench`, and `bench` where a store is found, available; turn on interactive panels; add `%bench`.

    Parameters
    ----------
    ipython : InteractiveShell
    """
    import workbench
    from workbench.panels import live

    names: dict[str, Any] = {"workbench": workbench}
    ipython.push(names, interactive=False)
    ipython.register_magic_function(_bench_magic(ipython), "line", "bench")
    live(True)


def unload_ipython_extension(ipython: Any) -> None:
    """Turn interactive panels off again."""
    from workbench.panels import live

    live(False)


def _bench_magic(ipython: Any) -> Any:
    def bench(line: str) -> Any:
        """Open a store as `bench`: `%bench` or `%bench PATH`."""
        import workbench

        opened = workbench.open(line.strip() or None)
        ipython.push({"bench": opened})
        return opened

    return bench
