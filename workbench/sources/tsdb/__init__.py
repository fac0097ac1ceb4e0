"""A Prometheus data directory, or a part of one, read without Prometheus.

Enters: a folder. Leaves: batches of samples, bit for bit as Prometheus reads them, and what could not be read, named and
counted. The one idea: every byte is looked at by a compiled loop that is told where its input ends; what a checksum does
not cover is never believed; labels are put on a whole block at once. Read `folder.py` first, then `block.py` (with
`index.py`, `chunks.py`, `tombstones.py`) and `head.py` (with `wal.py`, `records.py`).
"""

from workbench.sources.tsdb.folder import PrometheusData

__all__ = ["PrometheusData"]
