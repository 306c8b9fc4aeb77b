"""The size of a voxel in the headers of TIFF files: OME, ImageJ, and the plain tags of resolution."""

from __future__ import annotations

import html
import math
import re

import tifffile

Sizes = tuple[float | None, float | None, float | None]
"""Lengths along z, y and x in micrometres; None where a file does not tell."""

# A microscope's pixel, seen in the specimen, is below it; one of 72 or 300 dots per inch is a screen's or a printer's.
_LARGEST_PIXEL = 20.0
# Micrometres per centimetre and inch, by the number that stands for the unit in a TIFF.
_RESOLUTION_UNITS = {2: 25_400.0, 3: 10_000.0}
_LENGTHS = {
    "m": 1e6, "cm": 1e4, "inch": 25_400.0, "in": 25_400.0, "mm": 1e3, "um": 1.0, "micron": 1.0, "micrometer": 1.0,
    "micrometre": 1.0, "nm": 1e-3, "nanometer": 1e-3, "nanometre": 1e-3, "\u00e5": 1e-4, "pm": 1e-6,
}  # fmt: skip


def micrometres_per(unit: str) -> float | None:
    r"""Return the length of a unit as programs write it, in micrometres; None where it is no length.

    >>> micrometres_per("nm"), micrometres_per("microns"), micrometres_per(r"\u00B5m"), micrometres_per("pixel")
    (0.001, 1.0, 1.0, None)
    """
    # ImageJ escapes what is not ASCII; of the two characters for "micro" either is used.
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), html.unescape(unit)).strip().lower()
    text = text.replace("\u00b5", "u").replace("\u03bc", "u")
    return _LENGTHS.get(text, _LENGTHS.get(text.removesuffix("s")))


def voxel_of_tiff(file: tifffile.TiffFile) -> Sizes:
    """Return what a TIFF file tells of the size of its voxels.

    OME counts before ImageJ, and that before the tags of resolution, which have no depth. The depth is negative where
    the planes of a stack run downwards.
    """
    if file.ome_metadata is not None:
        return _ome(file.ome_metadata)
    told = file.imagej_metadata or {}
    scale = micrometres_per(str(told.get("unit", "")))
    if scale is None:
        return None, *_resolution(file, None)
    return _length(told.get("spacing"), scale), *_resolution(file, scale)


def checked(sizes: Sizes) -> tuple[Sizes, tuple[str, ...]]:
    """Return sizes without those that cannot be, and what to say about it."""
    kept = tuple(size if size is not None and 0 < size < math.inf else None for size in sizes)
    wrong = [f"d{axis} = {size:g}" for axis, size, keep in zip("zyx", sizes, kept, strict=True) if size is not keep]
    notes = (f"the file says {' and '.join(wrong)} um, which is no size of a voxel: ignored",) if wrong else ()
    return (kept[0], kept[1], kept[2]), notes


def _ome(text: str) -> Sizes:
    # The first image's; an XML parser for three attributes would be one more door.
    start = text.find("<Pixels")
    found = dict(re.findall(r'(PhysicalSize[XYZ](?:Unit)?)="([^"]*)"', text[start : text.find(">", start)]))
    z, y, x = (
        # The schema's unit where none is given is the micrometre.
        _length(found.get(f"PhysicalSize{axis}"), micrometres_per(found.get(f"PhysicalSize{axis}Unit", "um")))
        for axis in "ZYX"
    )
    return z, y, x


def _resolution(file: tifffile.TiffFile, scale: float | None) -> tuple[float | None, float | None]:
    """Return the pixel by the tags of resolution, in units of `scale` micrometres or by the tag of the unit."""
    tags = file.pages.first.tags
    if scale is None:
        unit = tags.get("ResolutionUnit")
        scale = _RESOLUTION_UNITS.get(int(unit.value)) if unit is not None else None
    sizes: list[float] = []
    for name in ("YResolution", "XResolution"):
        tag = tags.get(name)
        dots, per = (0, 0) if tag is None else tag.value
        sizes.append(scale * per / dots if scale is not None and dots else 0.0)
    return (sizes[0], sizes[1]) if all(0 < size < _LARGEST_PIXEL for size in sizes) else (None, None)


def _length(size: object, scale: float | None) -> float | None:
    if size is None or scale is None:
        return None
    try:
        return float(str(size)) * scale
    except ValueError:
        return None
