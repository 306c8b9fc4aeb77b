"""Images that are read: TIFF files of any kind, and those that are none."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from cli.commands import done, refused

from exitwave.cli.images import read_tiff
from exitwave.cli.measured import Measured, measured


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
        (np.full((9, 9), np.nan, np.float32), "at least 16 pixels that are finite"),
    ],
)
def test_tiffs_of_the_wrong_kind_are_refused(array: np.ndarray, said: str) -> None:
    tifffile.imwrite("image.tif", array, photometric="rgb" if array.shape[-1] == 3 else "minisblack")
    assert said in refused("fit", "bead.toml", "image.tif", "--free", "specimen.medium")


def test_stacks_in_the_way_of_imagej_are_refused() -> None:
    tifffile.imwrite("image.tif", np.zeros((4, 9, 9), np.uint8), imagej=True, metadata={"axes": "ZYX"})
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


def _read(**options: Any) -> Measured:
    tifffile.imwrite("image.tif", np.zeros((5, 9, 8), np.uint16), **options)
    return measured([Path("image.tif")])


def test_metadata_of_imagej_give_pixel_and_spacing() -> None:
    about = {"unit": "um", "spacing": 0.3, "axes": "ZYX"}
    found = _read(imagej=True, resolution=(1 / 0.1, 1 / 0.2), metadata=about)
    assert len(found.planes) == 5
    assert found.pixel == pytest.approx((0.2, 0.1), rel=1e-6)
    assert found.step == pytest.approx(0.3)


def test_metadata_of_ome_give_pixel_and_spacing_in_their_own_units() -> None:
    about = {"PhysicalSizeX": 0.1, "PhysicalSizeY": 120, "PhysicalSizeYUnit": "nm", "PhysicalSizeZ": 0.4, "axes": "ZYX"}
    found = _read(ome=True, metadata=about)
    assert found.pixel == pytest.approx((0.12, 0.1))
    assert found.step == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("options", "pixel"),
    [
        ({"resolution": (1e5, 5e4), "resolutionunit": "CENTIMETER"}, (0.2, 0.1)),
        ({"resolution": (254_000, 254_000), "resolutionunit": "INCH"}, (0.1, 0.1)),
        ({"resolution": (72, 72), "resolutionunit": "INCH"}, None),
        ({"resolution": (1, 1), "resolutionunit": "NONE"}, None),
        ({}, None),
    ],
)
def test_resolutions_without_a_unit_or_of_a_screen_tell_nothing(
    options: dict[str, Any], pixel: tuple[float, float] | None
) -> None:
    found = _read(**options).pixel
    assert found == (pixel if pixel is None else pytest.approx(pixel, rel=1e-6))


def test_png_tells_its_pixel() -> None:
    done("render", "bead.toml", "--out", "image.png")
    assert measured([Path("image.png")]).pixel == pytest.approx((0.1, 0.1), rel=1e-3)


def test_images_of_several_sizes_are_no_series() -> None:
    for size in (8, 9):
        tifffile.imwrite(f"{size}.tif", np.zeros((size, size)))
    with pytest.raises(ValueError, match="images must have one size"):
        measured([Path("8.tif"), Path("9.tif")])


def test_axes_of_hdf5_give_the_pixel_and_lengths_may_be_in_metres() -> None:
    with h5py.File("image.h5", "w") as file:
        data = file.create_dataset("data", data=np.zeros((1, 9, 8), np.uint8))
        for number, (name, step) in enumerate((("y", 1.151e-7), ("x", 2.302e-7)), start=1):
            axis = file.create_dataset(name, data=np.arange(data.shape[number]) * step)
            axis.make_scale(name)
            data.dims[number].attach_scale(axis)
        data.attrs["illum_wavelen"] = "6.58e-07\n...\n"
    found = measured([Path("image.h5")])
    assert found.planes[0].shape == (9, 8)
    assert found.pixel == pytest.approx((0.1151, 0.2302))
    assert found.facts == pytest.approx({"wavelength": 0.658})


BAD_HDF5: list[tuple[str, dict[str, Any], str]] = [
    ("image.h5", {}, "got 0; name one as image.h5:/NAME; it holds nothing"),
    ("image.h5", {"a": np.zeros((9, 9)), "b/c": np.zeros((8, 9))}, "it holds /a 9 x 9, /b/c 8 x 9"),
    ("image.h5", {"a": np.zeros((9, 9, 3)), "b": 3.0}, "it holds /a 9 x 9 x 3, /b one number"),
    ("image.h5:/other", {"a": np.zeros((9, 9))}, "no dataset '/other' in image.h5; it holds /a 9 x 9"),
    ("image.h5:/a", {"a": np.zeros((4, 9, 9))}, "got 4 planes"),
    ("image.h5:/a", {"a": np.zeros((2, 4, 9, 9))}, "expected an image of numbers"),
    ("image.h5:a", {"a": np.zeros((9, 9), np.complex64)}, "expected an image of numbers"),
    ("image.h5:/a", {"a": "text"}, "expected an image of numbers"),
    ("image.h5", {"a": np.zeros((9, 9))}, "must show something"),
    ("none.h5", {}, "cannot read none.h5"),
    ("empty.h5", {}, "cannot read empty.h5"),
    ("empty.png", {}, "cannot read empty.png"),
    (".", {}, "cannot read ."),
]


@pytest.mark.parametrize(("name", "datasets", "said"), BAD_HDF5)
def test_files_without_one_image_are_explained(name: str, datasets: dict[str, Any], said: str) -> None:
    for empty in ("empty.h5", "empty.png"):
        Path(empty).touch()
    with h5py.File("image.h5", "w") as file:
        for key, data in datasets.items():
            file[key] = data
    assert said in refused("fit", "bead.toml", name, "--free", "specimen.medium")
