"""Image files: read with care, because they come from anywhere, and written whole or not at all."""

from __future__ import annotations

import io
import logging
import math
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from torch import Tensor

from exitwave.data.images import png, stored, suffix, tiff
from exitwave.data.overlay import displayed
from exitwave.data.store import write

LARGEST = 1 << 28
"""The most samples of an image that is read."""

TIFF = (".tif", ".tiff")


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


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what goes wrong in a reader of images into one line that names the file."""
    log = logging.getLogger("tifffile")  # it tells of every oddity of a header, in lines of its own
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(f"cannot read {path}: {reason}; pass the path of an image") from None
    except (
        tifffile.TiffFileError, struct.error, zlib.error, SyntaxError, LookupError, TypeError, ArithmeticError,
        RuntimeError, Image.DecompressionBombError, Image.DecompressionBombWarning,
    ) as error:  # fmt: skip
        raise ValueError(f"cannot read {path}: {error}; it is damaged or no image") from None
    except ValueError as error:
        named = str(error) if str(path) in str(error) else f"cannot read {path}: {error}; convert it to a plain TIFF"
        raise ValueError(named) from None
    finally:
        log.setLevel(level)


def written(image: Tensor, bits: int | None, pixel: tuple[float, ...], path: Path, exact: bool) -> str:
    """Write an image (H, W) or (C, H, W) in the format that the suffix of `path` names; return a line about it.

    TIFF holds counts as integers, or floats where nothing is counted or `exact` is asked for; NPY the numbers as they
    are; PNG is for looking at: what is not counted is stretched from black to white.
    """
    size = " x ".join(str(n) for n in image.shape)
    about = (
        f"{path}: {size} pixels of {pixel[1]:.4g} um, values from {float(image.min()):.4g} to {float(image.max()):.4g}"
    )
    step = (pixel[0], pixel[1])
    if path.suffix.lower() == ".npy":
        file = io.BytesIO()
        np.save(file, image.numpy())
        write(path, [file.getvalue()])
        return about
    array = stored(image, bits)
    if path.suffix.lower() in TIFF:
        write(path, [tiff(stored(image, None) if exact else array, step)])
        return about
    if suffix(array) != ".png":
        write(path, [png(displayed(array), step)])
        return f"{about}, stretched from black to white; a name in .tif keeps the numbers"
    write(path, [png(array, step)])
    return about


def write_png(path: Path, picture: Image.Image) -> None:
    """Write a picture as PNG."""
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=3)
    write(path, [file.getvalue()])
