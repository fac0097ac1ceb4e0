"""Outside to shapes: one file per format.

Enters: files and folders of telemetry as other systems write it. Leaves: `Batch` after `Batch`, each some tens of
thousands of rows, with a count of what could not be kept and why. The one idea: content is hostile; it is recognised by
its bytes, unpacked under caps, decoded into whole columns, judged, and what is bad is counted while the rest goes on.
Folders
that another program keeps (`tsdb/`) and systems asked over the network are sources too. `FORMATS.md` beside this file
says what each format becomes. Read `reading.py` first, then `source.py`.
"""

from workbench.sources.otlp import decode_otlp
from workbench.sources.reading import address_source, read
from workbench.sources.source import AddressSource, FolderSource, ReadOptions, Source

__all__ = ["AddressSource", "FolderSource", "ReadOptions", "Source", "address_source", "decode_otlp", "read"]
