"""Prometheus' files written byte by byte, as its documents draw them: blocks, logs, chunks of a head."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import zstandard

from tests import naive

Labels = Mapping[str, str]
Chunk = tuple[Sequence[int], Sequence[int]]
"""Times in ms and the bits of the values."""

ULID = "01BKGV7JBM69T2G1BGBGM6KB12"


def uvarint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def varint(number: int) -> bytes:
    return uvarint(number << 1 if number >= 0 else ~number << 1 | 1)


def text(given: str) -> bytes:
    data = given.encode()
    return uvarint(len(data)) + data


def crc(data: bytes) -> bytes:
    return naive.crc32c(data).to_bytes(4, "big")


def framed(content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + content + crc(content)


def segment(chunks: Sequence[tuple[int, bytes]]) -> tuple[bytes, list[int]]:
    """A segment file of (encoding, data), and where each chunk begins."""
    out, places = bytearray(bytes.fromhex("85bd40dd01000000")), []
    for encoding, data in chunks:
        places.append(len(out))
        body = bytes([encoding]) + data
        out += uvarint(len(data)) + body + crc(body)
    return bytes(out), places


def entry(labels: Labels, symbols: Sequence[str], chunks: Sequence[tuple[int, int, int]]) -> bytes:
    """The content of a series entry; chunks are (first ms, last ms, reference)."""
    out = uvarint(len(labels))
    for name in sorted(labels):
        out += uvarint(symbols.index(name)) + uvarint(symbols.index(labels[name]))
    out += uvarint(len(chunks))
    last = ref = 0
    for i, (low, high, place) in enumerate(chunks):
        out += varint(low) if i == 0 else uvarint((low - last) % 2**64)
        out += uvarint((high - low) % 2**64)
        out += uvarint(place) if i == 0 else varint(place - ref)
        last, ref = high, place
    return out


def index(series: Sequence[tuple[Labels, Sequence[tuple[int, int, int]]]], version: int = 2) -> bytes:
    symbols = sorted({"", *(word for labels, _ in series for pair in labels.items() for word in pair)})
    out = bytearray(bytes.fromhex("baaad700") + bytes([version]))
    places = [len(out)]
    out += framed(len(symbols).to_bytes(4, "big") + b"".join(map(text, symbols)))
    out += bytes(-len(out) % 16)
    places.append(len(out))
    refs = []
    for labels, chunks in series:
        out += bytes(-len(out) % 16)
        refs.append(len(out) // 16)
        body = entry(labels, symbols, chunks)
        out += uvarint(len(body)) + body + crc(body)
    out += bytes(-len(out) % 4)
    postings = {("", ""): refs}
    for (labels, _), ref in zip(series, refs, strict=True):
        for pair in labels.items():
            postings.setdefault(pair, []).append(ref)
    table = bytearray(len(postings).to_bytes(4, "big"))
    start = len(out)
    for (name, value), held in sorted(postings.items()):
        table += uvarint(2) + text(name) + text(value) + uvarint(len(out))
        out += framed(len(held).to_bytes(4, "big") + b"".join(ref.to_bytes(4, "big") for ref in held))
    label_table = len(out)
    out += framed((0).to_bytes(4, "big"))
    postings_table = len(out)
    out += framed(bytes(table))
    toc = b"".join(place.to_bytes(8, "big") for place in (*places, start, label_table, start, postings_table))
    return bytes(out + toc + crc(toc))


def tombstones(stones: Sequence[tuple[int, int, int]]) -> bytes:
    body = b"".join(uvarint(ref) + varint(low) + varint(high) for ref, low, high in stones)
    return bytes.fromhex("0130ba3001") + body + (crc(body) if body else bytes(4))


def block(
    folder: Path,
    series: Sequence[tuple[Labels, Sequence[Chunk]]],
    stones: Sequence[tuple[int, int, int]] = (),
    histograms: Sequence[tuple[int, bytes]] = (),
) -> Path:
    """A block of float chunks at `folder / ULID`; `histograms` are encodings and chunks of one series more, the last."""
    flat = [chunk for _, chunks in series for chunk in chunks]
    raw = [(1, naive.xor_chunk(list(times), list(bits))) for times, bits in flat]
    data, places = segment([*raw, *histograms])
    more = [({"__name__": "~"}, [(2**42 + i, 2**42 + i, place) for i, place in enumerate(places[len(flat) :])])]
    places = places[: len(flat)]
    spans = iter([(times[0], times[-1], place) for (times, _), place in zip(flat, places, strict=True)])
    listed = [(labels, [next(spans) for _ in chunks]) for labels, chunks in series]
    at = folder / ULID
    (at / "chunks").mkdir(parents=True)
    (at / "chunks" / "000001").write_bytes(data)
    (at / "index").write_bytes(index(listed + more if histograms else listed))
    (at / "tombstones").write_bytes(tombstones(stones))
    low, high = min((t[0] for t, _ in flat), default=0), max((t[-1] for t, _ in flat), default=0) + 1
    stats = {"numSamples": sum(len(t) for t, _ in flat), "numSeries": len(series), "numChunks": len(flat)}
    made = {"level": 1, "sources": [ULID]}
    meta = {"ulid": ULID, "minTime": low, "maxTime": high, "stats": stats, "compaction": made, "version": 1}
    (at / "meta.json").write_text(json.dumps(meta))
    return at


def series_record(series: Sequence[tuple[int, Labels]]) -> bytes:
    out = b"\x01"
    for ref, labels in series:
        out += ref.to_bytes(8, "big") + uvarint(len(labels))
        out += b"".join(text(name) + text(labels[name]) for name in sorted(labels))
    return out


def samples_record(samples: Sequence[tuple[int, int, int]]) -> bytes:
    """Version 1, of (reference, ms, bits of the value)."""
    out = b"\x02"
    if samples:
        ref, time, _ = samples[0]
        out += ref.to_bytes(8, "big") + time.to_bytes(8, "big", signed=True)
        out += b"".join(varint(r - ref) + varint(t - time) + v.to_bytes(8, "big") for r, t, v in samples)
    return out


def newer_samples_record(samples: Sequence[tuple[int, int, int]], start: int = 7) -> bytes:
    """Version 2, with start times told in each of the three ways."""
    out = b"\x0b"
    for i, (ref, time, bits) in enumerate(samples):
        if i == 0:
            out += varint(ref) + varint(time) + varint(start)
        else:
            mark = (b"\x00", b"\x01", b"\x02" + varint(i))[i % 3]
            out += varint(ref - samples[i - 1][0]) + varint(time - samples[0][1]) + mark
        out += bits.to_bytes(8, "big")
    return out


def stones_record(stones: Sequence[tuple[int, int, int]]) -> bytes:
    return b"\x03" + b"".join(ref.to_bytes(8, "big") + varint(low) + varint(high) for ref, low, high in stones)


def metadata_record(said: Sequence[tuple[int, int, str]]) -> bytes:
    """Of (reference, kind, unit)."""
    return b"\x06" + b"".join(
        uvarint(ref) + bytes([kind, 2]) + text("UNIT") + text(unit) + text("HELP") + text("Says something.")
        for ref, kind, unit in said
    )


def log_segment(records: Sequence[tuple[bytes, str]]) -> bytes:
    """A segment of (record, "", "snappy" or "zstd")."""
    out = bytearray()
    for record, codec in records:
        flag = {"": 0, "snappy": 8, "zstd": 16}[codec]
        if codec == "snappy":
            record = pa.Codec("snappy").compress(record, asbytes=True)
        elif codec == "zstd":
            record = zstandard.compress(record)
        begun = False
        while record or not begun:
            left = 32_768 - len(out) % 32_768
            if left < 7:
                out += bytes(left)
                left = 32_768
            part, record = record[: left - 7], record[left - 7 :]
            kind = (3 if record else 4) if begun else (2 if record else 1)
            out += bytes([kind | flag]) + len(part).to_bytes(2, "big") + crc(part) + part
            begun = True
    return bytes(out)


def head_chunks(chunks: Sequence[tuple[int, Chunk, bool]]) -> bytes:
    """A file of the head, of (reference, chunk, whether it came late)."""
    out = bytearray(bytes.fromhex("0130bc9101000000"))
    for ref, (times, bits), late in chunks:
        data = naive.xor_chunk(list(times), list(bits))
        body = ref.to_bytes(8, "big") + times[0].to_bytes(8, "big") + times[-1].to_bytes(8, "big")
        body += bytes([1 | (128 if late else 0)]) + uvarint(len(data)) + data
        out += body + crc(body)
    return bytes(out)
