"""Arrays to bytes and back, bit for bit.

Enters: float64 values or int64 timestamps of one chunk. Leaves: a codec id and bytes, and the same array again.
The one idea: every applicable codec is tried, the result is decoded and compared by its bits, the smallest is kept; the
id stored beside the bytes never changes its meaning, so old bytes always read (`tests/golden/`).
Read `choose.py` first, then the codecs it chooses from, one per file.
"""

from workbench.codecs.choose import decode, decode_into, encode
from workbench.codecs.codec import Codec, same_bits
from workbench.codecs.table import by_id

__all__ = ["Codec", "by_id", "decode", "decode_into", "encode", "same_bits"]
