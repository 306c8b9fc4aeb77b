"""Image files: read with care, because they come from anywhere, and written whole or not at all."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from torch import Tensor

from exitwave.data.images import png, stored, suffix, tiff
from exitwave.data.overlay import displayed
from exitwave.data.store import write
from exitwave.data.volumes import write_volume
from exitwave.data.volumes.files import TIFF, explained
from exitwave.fit.views import projection_views

LARGEST = 1 << 28
"""The most samples of an image that is read."""


def read(path: Path) -> np.ndarray:
    """Return an image file as an array (H, W), or (H, W, C) in colours: TIFF by its suffix, else PNG and the like."""
    return read_tiff(path) if path.suffix.lower() in TIFF else _read_other(path)


def read_tiff(path: Path) -> np.ndarray:
    """Return the single page of a TIFF file as an array of numbers, (H, W) or (H, W, C).

    Size, type and completeness are judged by the header, before memory is taken for the pixels.
    """
    with explained(path), tifffile.TiffFile(path) as file:
        count = planes_of(path, file)
        if count > 1:
            raise ValueError(f"expected one image in {path}, got {count} planes; save one of them alone")
        return file.pages.first.asarray(maxworkers=1)


def planes_of(path: Path, file: tifffile.TiffFile) -> int:
    """Return how many planes a TIFF file holds; an error where they are no images, too large or not all there."""
    page, series = file.pages.first, file.series[0]
    shape, dtype = tuple(page.shape), page.dtype
    size = " x ".join(f"{n:,}" for n in shape)
    if len(shape) < 2 or min(shape) < 1:
        raise ValueError(f"expected an image in {path}, got an array of {size or 'no'} samples; save it anew")
    if dtype is None or dtype.kind not in "uif":
        raise ValueError(f"expected integers or floats in {path}, got {dtype or 'samples of an odd size'}; convert it")
    apart = len(shape) > 3 or (len(shape) == 3 and page.planarconfig != 1)
    count = shape[0] if apart else max(len(file.pages), math.prod(series.shape) // math.prod(shape))
    if math.prod(shape) * (1 if apart else count) > LARGEST:
        many = "" if count == 1 or apart else f"{count:,} times "
        raise ValueError(
            f"expected an image of at most {LARGEST:,} samples, got {many}{size} in {path}; crop or bin it"
        )
    held = file.filehandle.size
    ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=False)]
    if series.dataoffset is not None:
        ends.append(series.dataoffset + math.prod(series.shape) * dtype.itemsize)
    short = page.compression == 1 and sum(page.databytecounts) < math.prod(shape) * dtype.itemsize
    if len(page.databytecounts) != len(page.dataoffsets) or not ends or short or min(page.databytecounts) < 1:
        ends = [held + 1]
    if max(ends) > held:
        raise ValueError(
            f"expected {size} pixels of {dtype} in {path}, got a file of {held:,} bytes that ends before them; "
            "it is truncated: copy it again"
        )
    return count


def _read_other(path: Path) -> np.ndarray:
    with explained(path), Image.open(path) as image:
        if math.prod(image.size) > LARGEST:
            raise ValueError(f"expected an image of at most {LARGEST:,} samples, got {image.size} in {path}; crop it")
        return np.asarray(image.convert("RGB") if image.mode in ("P", "RGBA", "CMYK", "YCbCr", "LA") else image)


def written(image: Tensor, bits: int | None, pixel: tuple[float, ...], path: Path, exact: bool) -> str:
    """Write an image (H, W) or (C, H, W), or a volume, in the format that the suffix of `path` names; return a line.

    A `pixel` of three lengths makes it a volume (Z, H, W): an OME-TIFF, or as PNG its maximum projections. TIFF holds
    counts as integers, or floats where nothing is counted or `exact` is asked for; NPY the numbers as they are; PNG is
    for looking at: what is not counted is stretched from black to white.
    """
    size, volume = " x ".join(str(n) for n in image.shape), len(pixel) == 3
    what = f"voxels of {pixel[0]:.4g} x {pixel[1]:.4g} x {pixel[2]:.4g}" if volume else f"pixels of {pixel[1]:.4g}"
    about = f"{path}: {size} {what} um, values from {float(image.min()):.4g} to {float(image.max()):.4g}"
    if path.suffix.lower() == ".npy":
        file = io.BytesIO()
        np.save(file, image.numpy())
        write(path, [file.getvalue()])
        return about
    if volume:
        return _written_volume(image, None if exact else bits, pixel, path, about)
    step = (pixel[0], pixel[1])
    array = stored(image, bits)
    if path.suffix.lower() in TIFF:
        write(path, [tiff(stored(image, None) if exact else array, step)])
        return about
    if suffix(array) != ".png":
        write(path, [png(displayed(array), step)])
        return f"{about}, stretched from black to white; a name in .tif keeps the numbers"
    write(path, [png(array, step)])
    return about


def _written_volume(volume: Tensor, bits: int | None, voxel: tuple[float, ...], path: Path, about: str) -> str:
    if path.suffix.lower() in TIFF:
        # Planes stored as channels are interleaved; a volume is plane after plane.
        write_volume(path, np.stack([stored(plane, bits) for plane in volume]), voxel)
        return about
    step = min(voxel)
    picture = projection_views(volume, voxel, step)
    write(path, [png(displayed(np.nan_to_num(picture)), (step, step))])
    return f"{about}, its maximum projections along z, x and y; a name in .tif keeps the numbers"


def write_png(path: Path, picture: Image.Image) -> None:
    """Write a picture as PNG."""
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=3)
    write(path, [file.getvalue()])
