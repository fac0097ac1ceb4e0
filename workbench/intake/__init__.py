"""One way in for everything: read, check, write, and say what was left out.

Enters: paths of files and folders, or shapes made in a notebook. Leaves: a `Report` of counts and skips; the data is in
the store. The one idea: whatever the way in, a batch is judged once, here, and written in one transaction under a key of
its content, so that reading the same file twice stores it once. Read `ingest.py` first.
"""

from workbench.intake.ingest import Report, check_sources, ingest, write

__all__ = ["Report", "check_sources", "ingest", "write"]
