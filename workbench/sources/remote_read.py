"""Remote read: raw samples, stale markers included, as protobuf packed with snappy.

References
----------
Prometheus remote-read protocol, `prompb/remote.proto` (`ReadRequest`, `ReadResponse`; the sampled response).
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from workbench.errors import LimitExceeded, SourceError
from workbench.signals import Matcher
from workbench.signals.names import to_prometheus
from workbench.sources.prometheus_client import PrometheusClient, TooLargeError
from workbench.sources.remote_write import Request, read_request, unpack_request
from workbench.sources.source import ReadOptions
from workbench.sources.wire import split_entries, varint_bytes

__all__ = ["read_remotely", "request_bytes"]

_TYPES = {"=": 0, "!=": 1, "=~": 2, "!~": 3}
_HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "Accept-Encoding": "snappy",
    "X-Prometheus-Remote-Read-Version": "0.1.0",
}
_MOST_BYTES = 128 * 2**20
"""Most bytes of one answer, unpacked."""


def _field(number: int, content: bytes) -> bytes:
    return varint_bytes(number << 3 | 2) + varint_bytes(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return varint_bytes(number << 3) + varint_bytes(value % 2**64)


def request_bytes(matchers: Sequence[Matcher], start: int, end: int) -> bytes:
    """Return a `ReadRequest` for the samples of [start, end], ms."""
    query = _number(1, start) + _number(2, end)
    for matcher in matchers:
        said = _number(1, _TYPES[matcher.op]) + _field(2, to_prometheus(matcher.name).encode())
        query += _field(3, said + _field(3, matcher.value.encode()))
    return _field(1, query)


def read_remotely(
    client: PrometheusClient, matchers: Sequence[Matcher], start: int, end: int, options: ReadOptions
) -> Request:
    """Return the samples of [start, end], ms.

    Raises
    ------
    RefusedError, TooLargeError, SourceError
        As `PrometheusClient.ask`; also when the answer is damaged.
    """
    body = pa.Codec("snappy").compress(request_bytes(matchers, start, end), asbytes=True)
    try:
        plain = unpack_request(client.post("/api/v1/read", body, _HEADERS), _MOST_BYTES)
    except LimitExceeded as error:
        raise TooLargeError(str(error)) from error
    results, rest = split_entries(plain)
    if rest or len(results) != 1:
        raise SourceError(f"{client.address.name} answers remote read with a damaged message: ask with ?via=query.")
    return read_request(results[0], newer=False, options=options)
