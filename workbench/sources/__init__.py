"""Outside to shapes: one file per format.

Enters: files and folders of telemetry as other systems write it. Leaves: `Batch` after `Batch`, each some tens of
thousands of rows, with a count of what could not be kept and why. The one idea: content is hostile; it is recognised by
its bytes, unpacked under caps, decoded into whole columns, judged, and what is bad is counted while the rest goes on.
`FORMATS.md` beside this file says what each format becomes. Read `reading.py` first, then `source.py`.
"""

from workbench.sources.otlp import decode_otlp
from workbench.sources.reading import read
from workbench.sources.source import ReadOptions, Source

__all__ = ["ReadOptions", "Source", "decode_otlp", "read"]
