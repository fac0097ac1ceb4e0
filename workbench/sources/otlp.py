"""OTLP protobuf: request bodies (`.pb`), and recorded streams of bodies each after its length.

Bodies are decoded by protobuf's C parser and their rows collected over many bodies; a batch is given out when it holds
about `ROWS_PER_BATCH` rows. Which signal a file holds is told by its name, and checked against what decoding gives:
about a quarter of corrupt bodies are valid protobuf, so a decoded body is judged by its ids, times and names.

References
----------
opentelemetry-proto 1.x: collector/*/v1/*_service.proto; OTLP specification 1.x, "Binary Protobuf Encoding".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO, ClassVar

from workbench.errors import LimitExceeded, SourceError, check_one_of
from workbench.signals import Batch
from workbench.sources.otlp_parts import Parts
from workbench.sources.otlp_points import PointRows
from workbench.sources.otlp_repair import parse_body, plausible_request
from workbench.sources.otlp_rows import LogRows, SpanRows
from workbench.sources.otlp_schema import REQUESTS
from workbench.sources.source import ROWS_PER_BATCH, ReadOptions
from workbench.sources.unpack import document, look_ahead, messages
from workbench.sources.wire import is_delimited_stream, is_request

__all__ = ["OtlpProtobuf", "Rows", "decode_otlp", "signal_of_name"]

_WORDS = {
    "traces": re.compile(r"(?<![a-z])(traces?|spans?)(?![a-z])"),
    "metrics": re.compile(r"(?<![a-z])metrics?(?![a-z])"),
    "logs": re.compile(r"(?<![a-z])logs?(?![a-z])"),
}
_MAX_PENDING = 16 * 2**20


def signal_of_name(path: str) -> str:
    """Return "traces", "metrics" or "logs" where a file's name says so, else ""."""
    name = path.replace("\\", "/").rpartition("/")[2].lower()
    return next((signal for signal, word in _WORDS.items() if word.search(name)), "")


class Rows:
    """Rows of all three signals under way; decoded requests go in, batches come out."""

    def __init__(self, options: ReadOptions) -> None:
        self._options = options
        self._parts = Parts()
        self.skips = self._parts.skips
        self._points = PointRows(options, self._parts)
        self._renew()

    def _renew(self) -> None:
        self._spans, self._logs = SpanRows(self._options, self._parts), LogRows(self._options, self._parts)
        self.pending_bytes = 0

    def add(self, body: bytes, signal: str) -> None:
        """Take the rows of one request body, repairing what can be; raise `SourceError` where nothing can."""
        request = parse_body(body, signal, self.skips)
        target: SpanRows | LogRows | PointRows = self._points
        if signal != "metrics":
            target = self._spans if signal == "traces" else self._logs
        target.add(request)
        self.pending_bytes += len(body)

    @property
    def full(self) -> bool:
        """Whether it is time to give out a batch."""
        rows = len(self._spans) + len(self._logs) + len(self._points)
        return rows >= ROWS_PER_BATCH or self.pending_bytes >= _MAX_PENDING

    def flush(self) -> Batch:
        """Return what is there as a batch and begin anew; the series of metrics stay known."""
        batch = Batch(metrics=self._points.finish(), logs=self._logs.finish(), spans=self._spans.finish())
        batch.skips.update(self.skips)
        self.skips.clear()
        self._renew()
        return batch


def decode_otlp(body: bytes, signal: str, options: ReadOptions | None = None) -> Batch:
    """Return the rows of one uncompressed OTLP request body.

    Parameters
    ----------
    body : bytes
        `Export{Trace,Metrics,Logs}ServiceRequest` as protobuf.
    signal : str
        "traces", "metrics" or "logs".
    options : ReadOptions, optional
        Caps; the defaults of the settings otherwise.

    Raises
    ------
    InvalidInput
        If the signal is not one of the three.
    LimitExceeded
        If the body is larger than `intake.max_body_bytes`.
    SourceError
        If nothing of the body can be decoded.
    """
    check_one_of(signal, REQUESTS, "OTLP signal")
    options = options or ReadOptions()
    if len(body) > options.max_body_bytes:
        raise LimitExceeded(
            f"an OTLP body of {len(body)} bytes is larger than intake.max_body_bytes = {options.max_body_bytes}."
        )
    rows = Rows(options)
    rows.add(body, signal)
    return rows.flush()


def _judge(body: bytes, hint: str) -> str:
    """Return the signal a body holds: the named one if it decodes to plausible rows, else the most plausible one."""
    if hint and plausible_request(body, hint) > 0.5:
        return hint
    scores = {signal: plausible_request(body, signal) for signal in REQUESTS}
    best = max(scores, key=lambda signal: scores[signal])
    return best if scores[best] > 0.5 else hint


class OtlpProtobuf:
    """OTLP request bodies as protobuf, one in a file or many in a recorded stream."""

    name: ClassVar[str] = "otlp"

    def detect(self, head: bytes, path: str) -> bool:
        """Return whether the bytes have the nesting of an OTLP request, alone or in a delimited stream."""
        return is_request(head) or is_delimited_stream(head, is_request)

    def read(self, stream: BinaryIO, path: str, options: ReadOptions) -> Iterator[Batch]:
        """Yield the rows of one body or of a stream of bodies.

        Raises
        ------
        SourceError
            If no signal fits, nothing can be decoded, or a stream ends inside a message (after what came before it).
        """
        rows = Rows(options)
        head, stream = look_ahead(stream)
        hint = signal_of_name(path)
        good = bad = 0
        failure: SourceError | LimitExceeded | None = None
        try:
            for body in _bodies(head, stream, path, options, rows.skips):
                hint = hint if good else _judge(body, hint)
                kept = _try(rows, body, hint)
                good, bad = good + kept, bad + (not kept)
                if rows.full:
                    yield rows.flush()
            if bad and not good:
                raise SourceError(
                    f"{path} holds no OTLP that can be decoded: it is truncated, corrupt or something else."
                )
        except (SourceError, LimitExceeded) as error:
            failure = error
        batch = rows.flush()
        if not batch.empty() or (batch.skips and failure is None):
            yield batch
        if failure is not None:
            raise failure


def _bodies(head: bytes, stream: BinaryIO, path: str, options: ReadOptions, skips: Counter[str]) -> Iterator[bytes]:
    """Yield the bodies of a file: all of it, or the messages of a delimited stream."""
    if not is_request(head) and is_delimited_stream(head, is_request):
        yield from messages(stream, path, options.max_body_bytes, skips)
    else:
        yield document(stream, path, options.max_body_bytes)


def _try(rows: Rows, body: bytes, signal: str) -> bool:
    """Decode one body of a file; one that cannot be decoded is counted."""
    try:
        if not signal:
            raise SourceError("neither traces nor metrics nor logs")
        rows.add(body, signal)
    except SourceError:
        rows.skips["OTLP body that cannot be decoded"] += 1
        return False
    return True
