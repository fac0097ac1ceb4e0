"""Everything observed, kept: compressed, durable, shared by several processes, readable a year later.

Enters: `Batch`. Leaves: samples, logs, spans, events and profiles of a window, exactly as written.
The one idea: immutable Parquet segments and small hot rows, both named by one transactional catalog (SQLite); what the
catalog does not name does not exist, so every change is one transaction.
Read `FORMAT.md` first, then `store.py`, `write.py`, `seal.py`.
"""

from workbench.store.store import Store

__all__ = ["Store"]
