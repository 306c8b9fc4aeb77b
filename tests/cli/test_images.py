"""Images that are read: TIFF files of any kind, and those that are none."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile
from cli.commands import refused

from exitwave.cli.images import read_tiff


def _directory(width: int, height: int, **more: int) -> bytes:
    """Return a TIFF of one byte per sample that claims any size, with 100 bytes of pixels."""
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 140, 277: 1, 278: height, 279: 100}
    tags |= {int(name.removeprefix("tag")): value for name, value in more.items()}
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    return struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", len(tags)) + body + bytes(4 + 140)


BAD_TIFFS: dict[str, tuple[bytes, str]] = {
    "absurdly large": (_directory(10**6, 10**6), "at most 268,435,456 samples, got 1,000,000 x 1,000,000"),
    "of no size": (_directory(0, 10), "got an array of"),
    "beyond its end": (_directory(10, 10, tag273=10**9), "truncated"),
    "with too few bytes": (_directory(100, 10), "truncated"),
    "of one bit": (_directory(10, 10, tag258=1), "expected integers or floats"),
    "of a strange compression": (_directory(10, 10, tag259=34712), "cannot read image.tif"),
    "without a directory": (b"II*\0\x08\0\0\0", "cannot read image.tif"),
    "of no bytes": (b"", "not a TIFF file"),
    "of text": (b"Not an image at all", "not a TIFF file"),
}


@pytest.mark.parametrize("kind", BAD_TIFFS)
def test_bad_tiffs_are_refused_before_memory_is_taken(kind: str) -> None:
    content, said = BAD_TIFFS[kind]
    Path("image.tif").write_bytes(content)
    tracemalloc.start()
    try:
        assert said in refused("fit", "bead.toml", "image.tif", "--free", "specimen.medium")
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert not Path("image-fit").exists()


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((3, 9, 9), np.uint8), "got 3 planes"),
        (np.zeros((9, 9), np.complex64), "expected integers or floats"),
        (np.zeros((9, 9, 3), np.uint8), "expected a grey image"),
        (np.full((9, 9), np.nan, np.float32), "must be finite, got 81 pixels"),
    ],
)
def test_tiffs_of_the_wrong_kind_are_refused(array: np.ndarray, said: str) -> None:
    tifffile.imwrite("image.tif", array, photometric="rgb" if array.shape[-1] == 3 else "minisblack")
    assert said in refused("fit", "bead.toml", "image.tif", "--free", "specimen.medium")


def test_stacks_in_the_way_of_imagej_are_refused() -> None:
    tifffile.imwrite("image.tif", np.zeros((4, 9, 9), np.uint8), imagej=True)
    assert "got 4 planes" in refused("fit", "bead.toml", "image.tif", "--free", "specimen.medium")


def test_truncated_tiffs_are_refused_wherever_they_end() -> None:
    tifffile.imwrite("whole.tif", np.random.default_rng(0).random((16, 16)), compression="zlib")
    whole = Path("whole.tif").read_bytes()
    for size in range(0, len(whole), 37):
        Path("image.tif").write_bytes(whole[:size])
        with pytest.raises((ValueError, OSError), match=r"image\.tif"):
            read_tiff(Path("image.tif"))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64", ">f4"])
def test_tiffs_of_any_number_type_are_read(dtype: str) -> None:
    array = np.arange(12).reshape(3, 4).astype(dtype)
    tifffile.imwrite("image.tif", array)
    np.testing.assert_array_equal(read_tiff(Path("image.tif")), array)
