"""Image files: read back by other people's programs, number for number."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from data.datasets import beads_and_rods, picture
from PIL import Image

import exitwave as ew
from exitwave.data import generate
from exitwave.data.images import encode, stored, suffix

RANDOM = np.random.default_rng(1)
PIXEL = (0.1, 0.2)


@pytest.mark.parametrize("shape", [(5, 7), (1, 1), (6, 5, 3), (4, 3, 1)])
def test_png_of_bytes(shape: tuple[int, ...]) -> None:
    image = RANDOM.integers(0, 256, shape, dtype=np.uint8)
    assert suffix(image) == ".png"
    file = Image.open(io.BytesIO(encode(image, PIXEL)))
    np.testing.assert_array_equal(np.asarray(file), image.reshape(shape[:2] if shape[-1] == 1 else shape))
    x, y = file.info["dpi"]
    assert (25400 / x, 25400 / y) == pytest.approx((0.2, 0.1))


def test_png_of_words() -> None:
    image = RANDOM.integers(0, 65536, (9, 4), dtype=np.uint16)
    assert suffix(image) == ".png"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(encode(image, PIXEL)))), image)


def test_png_notices_a_flipped_bit() -> None:
    data = bytearray(encode(RANDOM.integers(0, 256, (64, 64), dtype=np.uint8), PIXEL))
    data[len(data) // 2] ^= 4
    with pytest.raises((OSError, SyntaxError)):
        Image.open(io.BytesIO(bytes(data))).load()


@pytest.mark.parametrize(
    "image",
    [
        RANDOM.integers(0, 65536, (6, 5, 3), dtype=np.uint16),
        RANDOM.integers(0, 2**32, (6, 5), dtype=np.uint32),
        RANDOM.normal(size=(6, 5)).astype(np.float32),
        RANDOM.normal(size=(6, 5, 3)).astype(np.float32),
        RANDOM.normal(size=(6, 5, 2)).astype(np.float32),
    ],
)
def test_everything_else_is_tiff(image: np.ndarray) -> None:
    assert suffix(image) == ".tif"
    data = encode(image, PIXEL)
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(data)), image)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        dots, centimetres = file.pages.first.tags["XResolution"].value
        assert 1e4 / (dots / centimetres) == pytest.approx(0.2, rel=1e-6)


@pytest.mark.parametrize(
    ("bits", "dtype"),
    [(1, np.uint8), (8, np.uint8), (12, np.uint16), (16, np.uint16), (17, np.uint32), (32, np.uint32)],
)
def test_counts_take_the_smallest_type(bits: int, dtype: type) -> None:
    counts = stored(torch.tensor([[-0.6, 0.0, 2**bits - 1, 2**bits + 5]], dtype=torch.float64), bits)
    assert counts.dtype == dtype
    assert counts.tolist() == [[0, 0, 2**bits - 1, 2**bits - 1]]


def test_colours_come_last_in_files() -> None:
    image = torch.rand(3, 4, 5)
    np.testing.assert_array_equal(stored(image, None), image.permute(1, 2, 0).numpy())


@pytest.mark.parametrize(
    ("recipe", "name", "shape", "dtype"),
    [
        (beads_and_rods(colours=3), "000000.png", (48, 64, 3), np.uint8),
        (beads_and_rods(bits=12), "000000.png", (48, 64), np.uint16),
        (beads_and_rods(bits=12, colours=3), "000000.tif", (48, 64, 3), np.uint16),
    ],
)
def test_cameras(recipe: ew.Scene, tmp_path: Path, name: str, shape: tuple[int, ...], dtype: type) -> None:
    generate(recipe, tmp_path, n=1)
    file = tmp_path / "images/train" / name
    image = tifffile.imread(file) if name.endswith("tif") else picture(file)
    assert (image.shape, image.dtype) == (shape, dtype)
    key = ew.Key(0, 0)
    expected = ew.render(ew.sample(recipe, key), key.generator("noise"))
    np.testing.assert_array_equal(image, expected.numpy() if len(shape) == 2 else expected.permute(1, 2, 0).numpy())
    assert picture(tmp_path / "sheet.png").size > 0


@pytest.mark.parametrize("microscope", [ew.brightfield(), ew.quantitative_phase()])
def test_sensors_that_do_not_count(recipe: ew.Scene, tmp_path: Path, microscope: ew.Microscope) -> None:
    scene = ew.Scene(recipe.specimen, microscope, recipe.grid)
    generate(scene, tmp_path, n=1)
    image = tifffile.imread(tmp_path / "images/train/000000.tif")
    key = ew.Key(0, 0)
    expected = ew.render(ew.sample(scene, key), key.generator("noise"))
    np.testing.assert_array_equal(image, expected.numpy())
