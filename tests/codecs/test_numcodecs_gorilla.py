"""Gorilla for users of numcodecs and Zarr."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from tests.codecs.patterns import SPECIAL, bits_of, floats
from workbench.codecs.numcodecs_gorilla import GorillaCodec

WALK = np.random.default_rng(3).normal(size=(60, 50)).round(2).cumsum(axis=0)


@pytest.mark.parametrize(
    "array", [WALK, floats(SPECIAL), np.empty(0), WALK.T[::2]], ids=["walk", "special", "none", "T"]
)
def test_arrays_come_back_in_c_order(array):
    codec = GorillaCodec()
    data = codec.encode(array)
    expected = bits_of(np.ascontiguousarray(array).reshape(-1))
    assert bits_of(codec.decode(data)) == expected
    out = np.empty(array.shape)
    assert codec.decode(bytearray(data), out) is out
    assert bits_of(out.reshape(-1)) == expected


def test_what_does_not_fit_is_refused():
    codec = GorillaCodec()
    with pytest.raises(ValueError, match="12 bytes are not a whole number"):
        codec.encode(b"twelve bytes")
    with pytest.raises(ValueError, match="3000 values do not fit into a buffer of 80 bytes"):
        codec.decode(codec.encode(WALK), np.empty(10))
    for wrong in (b"", b"\xff\xff\xff\xff\x0f", codec.encode(WALK)[:-9]):
        with pytest.raises(ValueError, match=r"\w"):
            codec.decode(wrong)


def test_entry_point_leads_to_it():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    module, name = project["entry-points"]["numcodecs.codecs"][GorillaCodec.codec_id].split(":")
    assert getattr(import_module(module), name) is GorillaCodec


def test_it_loads_without_numcodecs():
    code = (
        "import sys; sys.modules['numcodecs'] = None; sys.modules['numcodecs.abc'] = None\n"
        "import numpy as np; from workbench.codecs.numcodecs_gorilla import GorillaCodec as G\n"
        "assert G().decode(G().encode(np.arange(9.0))).tolist() == list(range(9))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_zarr_arrays_come_back(tmp_path):
    zarr = pytest.importorskip("zarr")
    registry = pytest.importorskip("numcodecs.registry")
    registry.register_codec(GorillaCodec)
    array = zarr.create_array(
        tmp_path / "walk.zarr", shape=WALK.shape, chunks=(60, 7), dtype="f8", zarr_format=2, compressors=GorillaCodec()
    )
    array[:] = WALK
    again = zarr.open_array(tmp_path / "walk.zarr", mode="r")
    assert again.metadata.compressor.get_config() == {"id": "workbench.gorilla"}
    assert bits_of(np.ascontiguousarray(again[:]).reshape(-1)) == bits_of(WALK.reshape(-1))
