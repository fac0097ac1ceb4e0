"""The process that runs one notebook, or renders one: `python -m workbench.runbooks.worker`.

It reads one JSON job from standard input and answers with JSON lines: progress, then the result. When standard input
closes, its parent is gone and it ends at once; the kernel then ends by itself.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

__all__ = ["main"]

_UNNEEDED = ("rfc3987_syntax", "isoduration", "pyarrow")
"""Optional imports that are most of the start-up of this process and that it never uses.

jsonschema takes the first two for formats of addresses and durations, which no notebook schema has; papermill takes the
third for notebooks on HDFS, which are out of reach here. Hidden in this process of ours only.
"""


def main() -> None:
    """Do one job."""
    for name in _UNNEEDED:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    job = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def say(**message: Any) -> None:
        answers.write(json.dumps(message) + "\n")

    say(**_do(job, say))
    answers.close()


def _end_with_parent() -> None:
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(1)


def _do(job: dict[str, Any], say: Any) -> dict[str, Any]:
    """Run and render as the job says; return what to answer."""
    result: dict[str, Any] = {"ok": True}
    if "source" in job:
        from workbench.runbooks.execute import execute

        if job["page"]:
            threading.Thread(target=_import_page, daemon=True).start()
        error = execute(job, say)
        if error:
            result = {"error": error}
    if job["page"]:
        from workbench.runbooks.page import write_page

        write_page(Path(job.get("executed") or job["output"]), Path(job["page"]), job["title"])
    return result


def _import_page() -> None:
    """Import what rendering needs while the kernel is busy."""
    import workbench.runbooks.page  # noqa: F401
    from workbench.runbooks import blocks

    blocks.warm()


if __name__ == "__main__":
    main()
