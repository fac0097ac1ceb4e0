"""The cache of remote bytes: bounded whoever writes, and nothing damaged is ever served."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from workbench.store.blocks import BLOCK, BlockCache
from workbench.store.remote import Remote

DATA = np.random.default_rng(4).bytes(2 * BLOCK + 50)


def files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("??/*") if p.is_file())


def test_a_block_comes_back_with_the_size_of_its_object(tmp_path: Path) -> None:
    cache = BlockCache(tmp_path / "made" / "later", 2**20)
    assert cache.get("a", 0) is None
    cache.put("a", 0, b"abc", 3)
    cache.put("a", 1, b"", 3)
    assert cache.get("a", 0) == (b"abc", 3)
    assert cache.get("a", 1) == (b"", 3)
    assert cache.get("a", 2) is None
    assert cache.get("b", 0) is None


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_bit_anywhere_is_noticed_and_fetched_anew(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    place = Remote("memory://poisoned", BlockCache(tmp_path, 2**30))
    place.put("x", DATA)
    assert place.cache is not None
    for count in range(1, 25):
        assert place.read("x", [(0, len(DATA))]) == [DATA]
        assert place.cache.damaged == count - 1
        victim = files(tmp_path)[rng.integers(3)]
        raw = bytearray(victim.read_bytes())
        at = int(rng.integers(len(raw))) if count % 2 else int(rng.integers(36))  # the head of a block every other time
        raw[at] ^= 1 << int(rng.integers(8))
        victim.write_bytes(raw)


def test_a_block_cut_short_or_under_a_wrong_name_is_not_served(tmp_path: Path) -> None:
    cache = BlockCache(tmp_path, 2**20)
    cache.put("a", 0, b"abc", 3)
    cache.put("a", 1, b"def", 3)
    one, two = files(tmp_path)
    one.write_bytes(two.read_bytes())
    two.write_bytes(two.read_bytes()[:-1])
    assert (cache.get("a", 0), cache.get("a", 1)) == (None, None)
    assert cache.damaged == 2
    assert files(tmp_path) == []


def test_the_bound_holds_and_what_was_used_last_stays(tmp_path: Path) -> None:
    cache = BlockCache(tmp_path, 10 * BLOCK)
    for number in range(9):
        cache.put("a", number, bytes(BLOCK), 0)
        place, _ = cache._place("a", number)
        os.utime(place, (1000 + number, 1000 + number))
    assert cache.get("a", 0) is not None, "read, so that it counts as used now"
    for number in range(9, 12):
        cache.put("a", number, bytes(BLOCK), 0)
        assert cache.bytes_on_disk() <= 10 * BLOCK
    held = [n for n in range(12) if cache.get("a", n)]
    assert held[0] == 0
    assert 1 not in held
    assert held[-3:] == [9, 10, 11]


def test_a_lost_account_is_made_anew(tmp_path: Path) -> None:
    cache = BlockCache(tmp_path, 5 * BLOCK)
    for number in range(4):
        cache.put("a", number, bytes(BLOCK), 0)
    (tmp_path / "used").write_text("rubbish")
    for number in range(4, 9):
        cache.put("a", number, bytes(BLOCK), 0)
        assert cache.bytes_on_disk() <= 5 * BLOCK
    assert cache.get("a", 8) is not None


def test_no_room_means_no_cache_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for cache in (BlockCache(tmp_path / "a", 1000), BlockCache(tmp_path / "file" / "below", 2**30)):
        place = Remote("memory://roomless", cache)
        place.put("x", DATA)
        assert place.read("x", [(0, 10)]) == [DATA[:10]]
        assert cache.get("memory://roomless/x", 0) is None
        assert cache.bytes_on_disk() == 0


def share(folder: Path, name: str) -> None:
    cache = BlockCache(folder, 8 * BLOCK)
    for number in range(40):
        cache.put(name, number, bytes([number]) * BLOCK, BLOCK)
        found = cache.get(name, number)
        assert found is None or found == (bytes([number]) * BLOCK, BLOCK)
        assert cache.bytes_on_disk() <= 8 * BLOCK
    assert cache.damaged == 0


def test_processes_share_one_bound(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    running = [fork.Process(target=share, args=(tmp_path, str(n))) for n in range(3)]
    for process in running:
        process.start()
    for process in running:
        process.join(120)
    assert [process.exitcode for process in running] == [0, 0, 0]
    assert 0 < BlockCache(tmp_path, 8 * BLOCK).bytes_on_disk() <= 8 * BLOCK
