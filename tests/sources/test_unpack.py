"""Decompression under caps, text with bad bytes, messages by length."""

from __future__ import annotations

import gzip
import io
import tracemalloc
from collections import Counter
from typing import Any

import pytest
import zstandard

from workbench import settings
from workbench.errors import LimitExceeded, SourceError
from workbench.sources.source import ReadOptions
from workbench.sources.unpack import document, lines, look_ahead, messages, text_document, unpack


def options(**values: int) -> ReadOptions:
    return ReadOptions(settings.load({f"intake.{name}": value for name, value in values.items()}))


def unpacked(data: bytes, cap: int = 20 * 2**20) -> bytes:
    return document(unpack(io.BytesIO(data), "file", options()), "file", cap)


def zstd(data: bytes, **parameters: Any) -> bytes:
    return zstandard.ZstdCompressor(**parameters).compress(data)


@pytest.mark.parametrize("pack", [gzip.compress, zstd, bytes])
def test_plain_content_comes_back(pack: Any) -> None:
    data = bytes(range(256)) * 1000
    assert unpacked(pack(data)) == data
    assert unpacked(pack(data) + pack(b"more") if pack is not bytes else data + b"more") == data + b"more"


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
@pytest.mark.parametrize("cut", [1, 5, 20])
def test_truncated_content_is_refused(pack: Any, cut: int) -> None:
    with pytest.raises(SourceError, match="damaged"):
        unpacked(pack(b"some text of little repetition 123456789")[:-cut])


def test_corrupt_gzip_and_garbage_behind_it_are_refused() -> None:
    packed = bytearray(gzip.compress(b"abc" * 1000))
    packed[-6] ^= 1
    with pytest.raises(SourceError, match="damaged gzip"):
        unpacked(bytes(packed))
    with pytest.raises(SourceError, match="damaged gzip"):
        unpacked(gzip.compress(b"abc") + b"garbage")


def drain(stream: Any) -> None:
    """Read to the end, keeping nothing."""
    while stream.read(2**20):
        pass


@pytest.mark.parametrize("pack", [lambda d: gzip.compress(d, 9), lambda d: zstd(d, level=3)])
def test_a_bomb_costs_the_cap_and_not_the_memory(pack: Any) -> None:
    bomb = pack(bytes(256 * 2**20))
    tracemalloc.start()
    with pytest.raises(LimitExceeded, match=r"intake\.max_body_bytes"):
        drain(unpack(io.BytesIO(bomb), "bomb", options()))
    with pytest.raises(LimitExceeded, match="more than"):
        document(unpack(io.BytesIO(bomb), "bomb", options()), "bomb", 2**20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20


def test_expansion_is_bounded_above_a_body() -> None:
    text = b"".join(b"%d,%d\n" % (i, i * i) for i in range(20_000))
    assert len(text) > 100_000
    assert document(unpack(io.BytesIO(gzip.compress(text)), "t", options(max_body_bytes=1000)), "t", 2**30) == text
    with pytest.raises(LimitExceeded):
        document(unpack(io.BytesIO(gzip.compress(bytes(10**6))), "t", options(max_body_bytes=1000)), "t", 2**30)
    with pytest.raises(LimitExceeded):
        document(
            unpack(io.BytesIO(gzip.compress(text)), "t", options(max_body_bytes=10, max_stream_bytes=50_000)),
            "t",
            2**30,
        )


def test_a_large_zstd_window_or_a_lying_size_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    with pytest.raises(SourceError, match="window"):
        unpack(io.BytesIO(packer.compress(b"x" * 100) + packer.flush()), "w", options())
    header = bytearray(zstd(b"y" * 300))
    with pytest.raises(SourceError, match="window"):
        unpack(io.BytesIO(b"\x28\xb5\x2f\xfd\xe0" + b"\xff" * 7 + b"\x7f" + bytes(header[7:])), "lie", options())
    header[5] ^= 0x40
    with pytest.raises(SourceError, match="damaged zstd"):
        unpacked(bytes(header))
    with pytest.raises(SourceError, match="zstd"):
        unpack(io.BytesIO(b"\x28\xb5\x2f\xfd"), "short", options())


def test_documents_are_capped() -> None:
    assert document(io.BytesIO(b"12345"), "d", 5) == b"12345"
    with pytest.raises(LimitExceeded, match="more than 4 bytes"):
        document(io.BytesIO(b"12345"), "d", 4)


def test_text_in_every_encoding() -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le"):
        bom = b"\xff\xfe" if encoding == "utf-16-le" else b""
        data = bom + "a;b 1\r\nü 2\n\nlast".encode(encoding)
        skips: Counter[str] = Counter()
        assert list(lines(io.BytesIO(data), 100, skips)) == ["a;b 1", "ü 2", "", "last"], encoding
        assert text_document(io.BytesIO(data), "t", 100, skips).replace("\r", "").split("\n")[1] == "ü 2"
        assert not skips


def test_bad_bytes_become_replacement_characters() -> None:
    skips: Counter[str] = Counter()
    assert list(lines(io.BytesIO(b"good\nb\xffd\nb\xfed\n"), 100, skips)) == ["good", "b\ufffdd", "b\ufffdd"]
    assert skips == {"invalid UTF-8 replaced": 2}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_line_beyond_the_cap_is_left_out(encoding: str) -> None:
    skips: Counter[str] = Counter()
    text = "short\n" + "x" * 300_000 + "\nafter\n" + "y" * 101
    assert list(lines(io.BytesIO(text.encode(encoding)), 100, skips)) == ["short", "after"]
    assert skips == {"line longer than intake.max_body_bytes": 2}


def test_messages() -> None:
    skips: Counter[str] = Counter()
    assert list(messages(io.BytesIO(b"\x00\x02ab\x01c"), "m", 10, skips)) == [b"", b"ab", b"c"]
    assert list(messages(io.BytesIO(b"\x05abcde\x01c"), "m", 4, skips)) == [b"c"]
    assert skips == {"message larger than intake.max_body_bytes": 1}
    for broken in (b"\x05abc", b"\x80", b"\xff" * 12, b"\x7fabc"):
        with pytest.raises(SourceError):
            list(messages(io.BytesIO(broken), "m", 4, Counter()))


def test_look_ahead_gives_everything_again() -> None:
    data = bytes(range(256)) * 1000
    head, stream = look_ahead(io.BytesIO(data))
    assert head == data[:65_536]
    assert stream.read() == data
