"""Remote write: what a Prometheus sends goes into the store before it is told that it has.

References
----------
Prometheus remote-write specifications 1.0 and 2.0, "Protocol".
"""

from __future__ import annotations

from collections import Counter
from email.message import Message

from workbench.api.parameters import Refused
from workbench.errors import LimitExceeded, ShapeError, SourceError, StoreError
from workbench.signals import Batch
from workbench.sources.remote_write import read_request, unpack_request
from workbench.sources.source import ReadOptions
from workbench.store import Store

__all__ = ["receive"]

_VERSIONS = {"prometheus.WriteRequest": False, "io.prometheus.write.v2.Request": True}
SOURCE = "remote-write"
"""Who brings the samples, for the store's limit of series."""


def receive(
    store: Store, body: bytes, content_type: str, encoding: str, options: ReadOptions, skips: Counter[str]
) -> dict[str, str]:
    """Store the samples of a request and return the headers of the answer, whose status is 204.

    Parameters
    ----------
    store : Store
    body : bytes
    content_type, encoding : str
        The headers of these names.
    options : ReadOptions
    skips : Counter of str
        Gets what was left out.

    Raises
    ------
    Refused
        With 415 for another format, 413 for too much, 400 when something of it was left out (the rest is stored), 503
        when the store cannot take it now: only then is the request to be sent again.
    """
    newer = _version(content_type, encoding)
    try:
        plain = unpack_request(body, options.max_body_bytes)
        request = read_request(plain, newer=newer, options=options)
    except LimitExceeded as error:
        raise Refused("bad_data", str(error), 413) from error
    except SourceError as error:
        raise Refused("bad_data", str(error), 400) from error
    stored, left_out = 0, Counter(request.skips)
    try:
        for samples in request.samples:
            batch = Batch(metrics=samples)
            stored += store.write(batch, source=SOURCE)["metrics"]
            left_out.update(batch.skips)
    except ShapeError as error:
        raise Refused("bad_data", str(error), 400) from error
    except StoreError as error:
        raise Refused("unavailable", str(error), 503) from error
    skips.update(left_out)
    skips["exemplar, which is not stored"] += request.exemplars
    wrong = {reason: count for reason, count in left_out.items() if "has already" not in reason}
    if wrong:
        told = "; ".join(f"{count} x {reason}" for reason, count in wrong.items())
        raise Refused("bad_data", f"{stored} samples were stored, not all: {told}", 400)
    histograms = sum(int((s.row >= 0).sum()) for s in request.samples if s.row is not None)
    return _written(stored - histograms, histograms) if newer else {}


def _version(content_type: str, encoding: str) -> bool:
    """Return whether a request is of version 2."""
    said = Message()
    said["Content-Type"] = content_type or "application/x-protobuf"
    proto = said.get_param("proto", "prometheus.WriteRequest")
    if said.get_content_type() != "application/x-protobuf" or proto not in _VERSIONS:
        raise Refused(
            "bad_data",
            f"content type {content_type!r} is not taken: send application/x-protobuf, of {' or '.join(_VERSIONS)}",
            415,
        )
    if encoding.lower() not in ("", "snappy"):
        raise Refused("bad_data", f"content encoding {encoding!r} is not taken: compress with snappy", 415)
    return _VERSIONS[str(proto)]


def _written(samples: int, histograms: int) -> dict[str, str]:
    name = "X-Prometheus-Remote-Write-{}-Written"
    counts = (("Samples", samples), ("Histograms", histograms), ("Exemplars", 0))
    return {name.format(what): str(n) for what, n in counts}
