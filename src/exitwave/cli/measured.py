"""Measured images: the planes of image files, with what the files tell of pixel, light and medium."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from exitwave.cli.hdf5 import HDF5, read_hdf5
from exitwave.cli.images import planes_of, read
from exitwave.data.volumes.files import TIFF, explained

# A microscope's pixel, seen in the specimen, is below it; one of 72 or 300 dots per inch is a screen's or a printer's.
_LARGEST_PIXEL = 20.0
# Micrometres per centimetre and inch, by the number that stands for the unit in a TIFF.
_RESOLUTION_UNITS = {2: 25_400.0, 3: 10_000.0}
_LENGTHS = {"m": 1e6, "cm": 1e4, "inch": 25_400.0, "mm": 1e3, "um": 1.0, "micron": 1.0, "nm": 1e-3}
_LENGTHS |= {"microns": 1.0, "micrometer": 1.0, "\u00b5m": 1.0, "\u03bcm": 1.0, r"\u00b5m": 1.0, "pm": 1e-6}


@dataclass(frozen=True)
class Measured:
    """Images (H, W) as they are stored, and what their file tells of them in micrometres.

    `pixel` is (dy, dx), `step` the distance of planes, `facts` other numbers by name: "wavelength", "medium".
    """

    planes: tuple[np.ndarray, ...]
    pixel: tuple[float, float] | None = None
    step: float | None = None
    facts: Mapping[str, float] = field(default_factory=dict)


def measured(files: Sequence[Path]) -> Measured:
    """Return the planes of all files in order, with what the first one tells of them."""
    found = [_measured(file) for file in files]
    planes = tuple(plane for one in found for plane in one.planes)
    for file, one in zip(files, found, strict=True):
        if one.planes[0].shape != planes[0].shape:
            raise ValueError(f"images must have one size, got {one.planes[0].shape} in {file} and {planes[0].shape}")
    return Measured(planes, found[0].pixel, found[0].step if len(files) == 1 else None, found[0].facts)


def _measured(path: Path) -> Measured:
    if HDF5.fullmatch(str(path)):
        planes, pixel, facts = read_hdf5(path)
        return Measured(planes, pixel, None, facts)
    if path.suffix.lower() in TIFF:
        return _tiff(path)
    image = grey(read(path), path)
    with explained(path), Image.open(path) as file:
        dots = file.info.get("dpi", (0, 0))
    return Measured((image,), _plausible([_RESOLUTION_UNITS[2] / float(dot) if dot else 0.0 for dot in dots[::-1]]))


def grey(data: np.ndarray, path: Path) -> np.ndarray:
    """Return an image of one channel; colours are refused."""
    if data.ndim == 3 and data.shape[2] == 1:
        data = data[:, :, 0]
    if data.ndim != 2:
        raise ValueError(f"expected a grey image (H, W) in {path}, got {data.shape}; save one of its channels")
    return data


def _tiff(path: Path) -> Measured:
    with explained(path), tifffile.TiffFile(path) as file:
        count = planes_of(path, file)
        if count == 1:
            planes = (grey(file.pages.first.asarray(maxworkers=1), path),)
        else:
            stack = np.squeeze(file.series[0].asarray(maxworkers=1))
            if stack.ndim != 3 or len(stack) != count or "S" in file.series[0].axes or "C" in file.series[0].axes:
                raise ValueError(
                    f"expected one stack of {count} grey planes in {path}, got axes {file.series[0].axes} of "
                    f"{file.series[0].shape}; save one channel alone"
                )
            planes = tuple(stack)
        pixel, step = _ome(file) or _imagej(file) or (_resolution(file, None), None)
        return Measured(planes, pixel, step)


def _ome(file: tifffile.TiffFile) -> tuple[tuple[float, float] | None, float | None] | None:
    """Return pixel and step of OME metadata; None where there are none."""
    text = file.ome_metadata
    if text is None:
        return None
    # The first image's; an XML parser for three attributes would be one more door.
    start = text.find("<Pixels")
    found = dict(re.findall(r'(PhysicalSize[XYZ](?:Unit)?)="([^"]*)"', text[start : text.find(">", start)]))
    sizes = []
    for axis in "YXZ":
        unit = _LENGTHS.get(html.unescape(found.get(f"PhysicalSize{axis}Unit", "um")))
        size = found.get(f"PhysicalSize{axis}")
        sizes.append(_number(size) * unit if size is not None and unit is not None else 0.0)
    return _plausible(sizes[:2]), sizes[2] if 0 < sizes[2] < math.inf else None


def _imagej(file: tifffile.TiffFile) -> tuple[tuple[float, float] | None, float | None] | None:
    """Return pixel and step in the way of ImageJ, whose unit stands apart from the resolution; None without."""
    told = file.imagej_metadata or {}
    scale = _LENGTHS.get(str(told.get("unit", "")))
    if scale is None:
        return None
    step = _number(told.get("spacing", 0)) * scale
    return _resolution(file, scale), step if 0 < abs(step) < math.inf else None


def _resolution(file: tifffile.TiffFile, scale: float | None) -> tuple[float, float] | None:
    """Return the pixel by the tags of resolution, in units of `scale` micrometres or by the tag of the unit."""
    tags = file.pages.first.tags
    if scale is None:
        unit = tags.get("ResolutionUnit")
        scale = _RESOLUTION_UNITS.get(int(unit.value)) if unit is not None else None
    sizes = []
    for name in ("YResolution", "XResolution"):
        tag = tags.get(name)
        if tag is None or scale is None:
            return None
        dots, per = tag.value
        sizes.append(scale * per / dots if dots else 0.0)
    return _plausible(sizes)


def _plausible(sizes: Sequence[float]) -> tuple[float, float] | None:
    return (sizes[0], sizes[1]) if all(0 < size < _LARGEST_PIXEL for size in sizes) else None


def _number(text: object) -> float:
    try:
        return float(str(text))
    except ValueError:
        return 0.0
