"""Volumes written as OME-TIFF: plane by plane, whole or not at all, the same bytes every time."""

from __future__ import annotations

import html
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
import tifffile
from isal import isal_zlib
from torch import Tensor

from exitwave.data.volumes.files import TIFF
from exitwave.data.volumes.volume import checked_voxel

Array = np.ndarray | Tensor

# The names that OME has for types of samples.
_TYPES = {
    "uint8": "uint8", "uint16": "uint16", "uint32": "uint32", "int8": "int8", "int16": "int16", "int32": "int32",
    "float32": "float", "float64": "double",
}  # fmt: skip
# Offsets of a plain TIFF are 32 bits wide; a plane more than it needs has room for the directories.
_PLAIN = 2**32 - 2**25


class VolumeWriter:
    """A context manager that writes an OME-TIFF of `shape` (Z, H, W), with `write` for one plane or slab after another.

    Only one slab is held in memory. The file appears when it is complete: until then it is PATH.part, which is removed
    when something goes wrong. `voxel` is (dz, dy, dx) in micrometres. With names of `channels`, all planes of the first
    channel come first. `compressed` files are in zlib's format, whose checksum notices every flipped bit. Beyond 4 GB
    it is a BigTIFF. Neither dates nor random identifiers are written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "cells.ome.tif"
    ...     with VolumeWriter(path, (4, 8, 8), "uint16", (0.3, 0.1, 0.1)) as writer:
    ...         writer.write(np.zeros((3, 8, 8), np.uint16))
    ...         writer.write(np.ones((8, 8), np.uint16))
    ...     tifffile.imread(path).mean()
    np.float64(0.25)
    """

    def __init__(
        self,
        path: str | Path,
        shape: tuple[int, int, int],
        dtype: np.dtype | type | str,
        voxel: Sequence[float],
        channels: Sequence[str] | None = None,
        compressed: bool = True,
    ) -> None:
        self.path, self.shape, self.dtype = Path(path), tuple(int(n) for n in shape), np.dtype(dtype)
        self.voxel, self.channels = checked_voxel(voxel), tuple(channels or ("",))
        self.compressed = compressed
        if self.path.suffix.lower() not in TIFF:
            raise ValueError(f"a volume is written as .ome.tif or .tif, got {self.path.name}; rename it")
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise ValueError(f"a volume must have a shape (Z, H, W) of at least one voxel, got {shape}")
        _require_type(self.dtype)
        self._files, self._done = ExitStack(), 0

    @property
    def planes(self) -> int:
        """The number of planes that are to be written, those of all channels."""
        return self.shape[0] * len(self.channels)

    def __enter__(self) -> VolumeWriter:
        big = math.prod(self.shape) * len(self.channels) * self.dtype.itemsize > _PLAIN
        with ExitStack() as files:
            file = files.enter_context(_appearing(self.path))
            self._pages = files.enter_context(tifffile.TiffWriter(file, bigtiff=big, byteorder="<"))
            self._files = files.pop_all()
        return self

    def write(self, slab: Array) -> None:
        """Write the next plane (H, W) or planes (n, H, W)."""
        array = slab.detach().cpu().numpy() if isinstance(slab, Tensor) else np.asarray(slab)
        if array.shape[-2:] != self.shape[1:] or array.ndim not in (2, 3):
            raise ValueError(
                f"expected planes of {self.shape[1:]} for {self.path}, got an array of {array.shape}; write (H, W) or "
                "(n, H, W)"
            )
        if not np.can_cast(array.dtype, self.dtype, "safe"):
            raise TypeError(f"expected {self.dtype} for {self.path}, got {array.dtype}; round or convert it")
        planes = array.reshape(-1, *self.shape[1:])
        if self._done + len(planes) > self.planes:
            raise ValueError(f"expected {self.planes} planes for {self.path}, got {self._done + len(planes)}")
        for plane in planes:
            self._plane(np.ascontiguousarray(plane, dtype=self.dtype.newbyteorder("<")))
            self._done += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._done < self.planes:
            missing = ValueError(f"expected {self.planes} planes for {self.path}, got {self._done}; write them all")
            self._files.__exit__(ValueError, missing, None)  # which takes back what is incomplete
            raise missing
        self._files.__exit__(kind, error, trace)

    def _plane(self, plane: np.ndarray) -> None:
        with _told(self.path):
            self._pages.write(
                iter([isal_zlib.compress(plane.data, 1)]) if self.compressed else plane,
                shape=plane.shape,
                dtype=plane.dtype,
                photometric="minisblack",
                compression="zlib" if self.compressed else None,
                rowsperstrip=len(plane),
                contiguous=False,
                metadata=None,
                description=self._ome() if self._done == 0 else None,
                resolution=(1e4 / self.voxel[2], 1e4 / self.voxel[1]),
                resolutionunit="CENTIMETER",
                software="exitwave" if self._done == 0 else False,
            )

    def _ome(self) -> str:
        """Return the description of the file, after the OME schema of June 2016."""
        depth, height, width = self.shape
        sizes = "".join(
            f' PhysicalSize{axis}="{size!r}" PhysicalSize{axis}Unit="&#181;m"'
            for axis, size in zip("XYZ", reversed(self.voxel), strict=True)
        )
        channels = "".join(
            f'<Channel ID="Channel:0:{number}"{_name(name)} SamplesPerPixel="1"/>'
            for number, name in enumerate(self.channels)
        )
        schema = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
        return (
            f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{schema}" '
            'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
            f'xsi:schemaLocation="{schema} {schema}/ome.xsd" Creator="exitwave">'
            f'<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="{_TYPES[self.dtype.name]}" '
            f'SizeX="{width}" SizeY="{height}" SizeZ="{depth}" SizeC="{len(self.channels)}" SizeT="1"{sizes}>'
            f'{channels}<TiffData IFD="0" PlaneCount="{self.planes}"/></Pixels></Image></OME>'
        )


def write_volume(path: str | Path, array: Array, voxel: Sequence[float]) -> Path:
    """Write a volume (Z, H, W) as OME-TIFF, compressed; `voxel` (dz, dy, dx) is in micrometres. Return the path."""
    array = array.detach().cpu().numpy() if isinstance(array, Tensor) else np.asarray(array)
    if array.ndim != 3:
        raise ValueError(f"expected a volume (Z, H, W) for {path}, got an array of {array.shape}; write it by channel")
    with VolumeWriter(path, (array.shape[0], array.shape[1], array.shape[2]), array.dtype, voxel) as writer:
        for plane in array:
            writer.write(plane)
    return writer.path


def write_labels(path: str | Path, labels: Array, voxel: Sequence[float]) -> Path:
    """Write labels (Z, H, W), 0 for the background, as OME-TIFF of uint16, or uint32 beyond 65,535; return the path."""
    array = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if array.dtype.kind not in "bui":
        raise TypeError(f"labels must be integers, got {array.dtype} for {path}; convert them")
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    if low < 0 or high >= 2**32:
        raise ValueError(f"labels must lie from 0 to {2**32 - 1:,}, got {low if low < 0 else high:,} for {path}")
    # Plane by plane, so that labels in 64 bits are not held twice.
    dtype = np.uint16 if high < 2**16 else np.uint32
    if array.ndim != 3:
        raise ValueError(f"expected labels (Z, H, W) for {path}, got an array of {array.shape}")
    with VolumeWriter(path, (array.shape[0], array.shape[1], array.shape[2]), dtype, voxel) as writer:
        for plane in array:
            writer.write(plane.astype(dtype))
    return writer.path


def _require_type(dtype: np.dtype) -> None:
    if dtype.name not in _TYPES:
        raise TypeError(f"a volume must be of {', '.join(_TYPES)}, got {dtype}; convert it")


def _name(name: str) -> str:
    # As the TIFF's field is ASCII, what is not becomes a number.
    escaped = html.escape(name).encode("ascii", "xmlcharrefreplace").decode()
    return f' Name="{escaped}"' if name else ""


@contextmanager
def _appearing(path: Path) -> Iterator[IO[bytes]]:
    """Yield an open file that becomes `path` when nothing went wrong, and else is gone."""
    part = path.with_name(f"{path.name}.part")
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = part.open("wb+")
    try:
        yield file
        with _told(path):
            file.flush()
            os.fsync(file.fileno())
            file.close()
            os.replace(part, path)
    except BaseException:
        with suppress(OSError):  # what could not be written before cannot be now
            file.close()
        with suppress(OSError):
            part.unlink()
        raise


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what goes wrong in writing into one line that names the file."""
    try:
        yield
    except OSError as error:
        told = OSError(f"cannot write {path}: {error.strerror or error}; make room, or choose another path")
        told.errno = error.errno
        raise told from None
