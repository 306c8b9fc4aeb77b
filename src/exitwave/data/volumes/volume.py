"""Volumes from files: their samples, and the size of a voxel where it is known."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from exitwave.data.volumes.axes import Choice, Cut, cut
from exitwave.data.volumes.files import TIFF, explained
from exitwave.data.volumes.hdf5 import HDF5, axes_of, dataset_of, sizes_of
from exitwave.data.volumes.metadata import Sizes, checked, voxel_of_tiff

# Relative difference of two sizes of a voxel that a reader should know of; headers round.
_APART = 0.005


@dataclass(frozen=True)
class Volume:
    """A stack of planes as a file holds it: `data` (Z, H, W), integers as they are stored or float32.

    `voxel` is (dz, dy, dx) in micrometres, None where it is unknown; `told` is what the file itself says of it, axis
    by axis. `source` names the file, and `notes` are sentences that a user of the numbers must read.
    """

    data: np.ndarray
    voxel: tuple[float, float, float] | None
    source: str
    told: Sizes = (None, None, None)
    notes: tuple[str, ...] = ()


def require_voxel(volume: Volume) -> tuple[float, float, float]:
    """Return the size (dz, dy, dx) of a voxel in micrometres; an error that asks for it where it is unknown.

    >>> require_voxel(Volume(np.zeros((2, 3, 4)), (0.3, 0.1, 0.1), "cells.tif"))
    (0.3, 0.1, 0.1)
    """
    if volume.voxel is not None:
        return volume.voxel
    known = [f"d{axis} = {size:g} um" for axis, size in zip("zyx", volume.told, strict=True) if size is not None]
    only = f", only {' and '.join(known)}" if known else ""
    raise ValueError(
        f"the voxel size of {volume.source} is not in the file{only}; pass voxel=(dz, dy, dx) in um / --voxel"
    )


def read_volume(
    path: str | Path,
    voxel: Sequence[float] | None = None,
    *,
    channel: int | None = None,
    frame: int | None = None,
    axes: str | None = None,
) -> Volume:
    """Return the volume in a TIFF (OME, ImageJ, plain), .npy or HDF5 file ("FILE.h5", "FILE.h5:/dataset").

    `voxel` (dz, dy, dx) in micrometres stands above what the file says. Of several channels or points in time one is
    chosen by `channel` or `frame`, counted from 0. `axes`, one letter of TCZYX for every axis, is for files that do
    not tell them, or wrongly. The voxel of a file that does not tell it is unknown, never assumed: `require_voxel`.

    >>> import tempfile
    >>> from exitwave.data.volumes import write_volume
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_volume(Path(folder) / "cells.ome.tif", np.ones((4, 8, 8), np.uint16), (0.3, 0.1, 0.1))
    ...     volume = read_volume(path)
    >>> volume.data.shape, volume.voxel
    ((4, 8, 8), (0.3, 0.1, 0.1))
    """
    path, given = Path(path), None if voxel is None else checked_voxel(voxel)
    choice = Choice(channel, frame, axes)
    if HDF5.fullmatch(str(path)):
        data, told, notes = _hdf5(path, choice)
    elif path.suffix.lower() in TIFF:
        data, told, notes = _tiff(path, choice)
    elif path.suffix.lower() == ".npy":
        data, told, notes = _npy(path, choice)
    else:
        raise ValueError(f"expected a volume in .tif, .npy, .h5 or .h5:/DATASET, got {path}; convert it")
    told, more = checked(told)
    size = given or _whole(told)
    apart = [a for a, b in zip(told, given or (), strict=False) if a is not None and abs(a / b - 1) > _APART]
    if apart:
        more += (f"voxel {_size(given)} as given; the file says {_size(told)}",)
    data, missing = _numbers(str(path), data)
    return Volume(data, size, str(path), told, (*notes, *more, *missing))


def checked_voxel(voxel: Sequence[float]) -> tuple[float, float, float]:
    """Return the size of a voxel as three numbers; an error where they are no lengths.

    >>> checked_voxel([0.3, 0.1, 0.1])
    (0.3, 0.1, 0.1)
    """
    try:
        z, y, x = (float(size) for size in voxel)
    except (TypeError, ValueError):
        raise ValueError(f"voxel must be three lengths (dz, dy, dx) in um, got {voxel!r:.60}") from None
    if not all(0 < size < math.inf for size in (z, y, x)):
        raise ValueError(f"voxel must be positive and finite, got {(z, y, x)} um; pass (dz, dy, dx)")
    return z, y, x


Found = tuple[np.ndarray, Sizes, tuple[str, ...]]


def _tiff(path: Path, choice: Choice) -> Found:
    with explained(path), tifffile.TiffFile(path) as file:
        series = file.series[0]
        (depth, *pixel), notes = voxel_of_tiff(file), ()
        if depth is not None and depth < 0:
            depth, notes = -depth, (f"the file has its planes {depth:g} um apart, downwards: their order is kept",)
        told, more = checked((depth, pixel[0], pixel[1]))
        axes, shape = series.axes, tuple(series.shape)
        if choice.axes is None and axes == "YX" and told[0] is not None:
            axes, shape = "ZYX", (1, *shape)  # one plane is a volume where it has a depth
        _require_numbers(str(path), series.dtype)
        where = cut(str(path), shape, axes, choice)
        _require_whole(path, file, series)
        if len(file.series) > 1:
            notes += (f"the first of {len(file.series)} images in the file is read",)
        return _samples(file, series, shape, where), told, (*notes, *more, *where.notes)


def _samples(
    file: tifffile.TiffFile, series: tifffile.TiffPageSeries, shape: tuple[int, ...], where: Cut
) -> np.ndarray:
    """Return what a cut takes of a series, reading no more than its pages."""
    page = tuple(series.keyframe.shape)
    lead = shape[: len(shape) - len(page)]
    if series.dataoffset is not None and series.keyframe.is_memmappable:
        return where.of(file.asarray(series=0, out="memmap").reshape(shape))
    if shape[len(lead) :] != page or math.prod(lead) != len(series.pages):
        return where.of(file.asarray(series=0, maxworkers=1).reshape(shape))
    numbers = np.arange(math.prod(lead)).reshape(lead)[where.take[: len(lead)]]
    pages = file.asarray(key=[int(number) for number in numbers.ravel()], series=0, maxworkers=1)
    inner = (slice(None),) * numbers.ndim
    return np.asarray(pages.reshape(*numbers.shape, *page)[inner + where.take[len(lead) :]]).transpose(where.order)


def _require_whole(path: Path, file: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> None:
    """Raise an error where pages lie beyond the end of the file, or are not there at all."""
    held, dtype = file.filehandle.size, series.dtype
    end = 0 if series.dataoffset is None else series.dataoffset + math.prod(series.shape) * dtype.itemsize
    missing = 0
    if series.dataoffset is None:
        for page in series.pages:
            if page is None or not len(page.databytecounts) or min(page.databytecounts) < 1:
                missing += 1
            elif page.parent is file:  # the pages of a set of files may lie in another one
                end = max(end, *(a + b for a, b in zip(page.dataoffsets, page.databytecounts, strict=False)))
    if missing or end > held or not _chained(file):
        what = f"{missing} planes without pixels" if missing else f"a file of {held:,} bytes that ends before them"
        raise ValueError(
            f"expected {' x '.join(map(str, series.shape))} samples of {dtype} in {path}, got {what}; "
            "it is truncated or a part of a set: copy it again"
        )


def _chained(file: tifffile.TiffFile) -> bool:
    """Return whether the directories of a file follow one another to the last: readers pass over those that lack."""
    handle, form, offset, seen = file.filehandle, file.tiff, file.pages.first.offset, set[int]()
    while offset:
        seen.add(offset)
        count = _number_at(handle, offset, form.tagnosize, form.tagnoformat)
        following = None if count is None else offset + form.tagnosize + count * form.tagsize
        found = None if following is None else _number_at(handle, following, form.offsetsize, form.offsetformat)
        if found is None or found in seen:
            return False
        offset = found
    return True


def _number_at(handle: tifffile.FileHandle, offset: int, size: int, form: str) -> int | None:
    handle.seek(offset)
    held = handle.read(size)
    return struct.unpack(form, held)[0] if len(held) == size else None


def _npy(path: Path, choice: Choice) -> Found:
    with explained(path):
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError as error:
            raise ValueError(f"cannot read {path}: {error}; it is damaged or no array of numbers") from None
        _require_numbers(str(path), array.dtype)
        where = cut(str(path), array.shape, None, choice)
        return where.of(array), (None, None, None), where.notes


def _hdf5(path: Path, choice: Choice) -> Found:
    with dataset_of(path, 3) as (name, dataset):
        _require_numbers(name, dataset.dtype)
        where = cut(name, dataset.shape, axes_of(dataset), choice)
        sizes = [size for size, take in zip(sizes_of(dataset), where.take, strict=True) if isinstance(take, slice)]
        told = tuple(sizes[place] for place in where.order)
        return where.of(dataset), (told[0], told[1], told[2]), where.notes


def _require_numbers(name: str, dtype: np.dtype | None) -> None:
    if dtype is None or dtype.kind not in "buif":
        raise ValueError(f"expected integers or floats in {name}, got {dtype or 'samples of an odd size'}; convert it")


def _numbers(name: str, data: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return samples in the order of this machine's bytes, floats as float32, and a note where some are no numbers."""
    if data.dtype.kind == "f":
        with np.errstate(over="ignore"):
            data = _own(data, np.dtype(np.float32))
        missing = data.size - int(np.isfinite(data).sum())
        if missing == data.size:
            raise ValueError(f"expected numbers in {name}, got NaN or infinity in every voxel; save it anew")
        return data, (f"{missing:,} of {data.size:,} voxels are not finite",) if missing else ()
    return _own(data, np.dtype(np.uint8) if data.dtype.kind == "b" else data.dtype.newbyteorder("=")), ()


def _own(data: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return samples in memory, contiguous and writable: what is mapped from a file ends with it."""
    return np.require(data, dtype, ["C", "W"])


def _whole(sizes: Sizes) -> tuple[float, float, float] | None:
    z, y, x = sizes
    return None if z is None or y is None or x is None else (z, y, x)


def _size(sizes: Sequence[float | None] | None) -> str:
    return " x ".join("?" if size is None else f"{size:.5g}" for size in sizes or ()) + " um"
