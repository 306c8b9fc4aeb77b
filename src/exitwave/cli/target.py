"""Targets: measured images and volumes made into what the recipe's sensor would read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import typer

from exitwave.cli.images import read
from exitwave.cli.measured import Measured, grey, measured
from exitwave.data.volumes import Volume, read_volume, require_voxel
from exitwave.model import get
from exitwave.render import render
from exitwave.scene import Scene

_WHITES = [2**bits - 1 for bits in (8, 10, 12, 14, 16)]


@dataclass(frozen=True)
class Preparation:
    """What is done to every image, in this order: `normalise` by a file, `crop`, `bin`, `normalise` by a number."""

    normalise: str = "none"
    crop: tuple[int, ...] | None = None
    bin: int = 1
    mask: Path | None = None


@dataclass(frozen=True)
class Target:
    """Images (H, W) or one volume (Z, H, W) in double precision, and which of their pixels are left out."""

    images: tuple[np.ndarray, ...]
    masks: tuple[np.ndarray, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Height and width, before them the depth of a volume."""
        return self.images[0].shape


def crop_of(text: str, axes: int = 2) -> tuple[int, ...] | None:
    """Return ROW,COL,HEIGHT,WIDTH as numbers, for volumes PLANE,ROW,COL,DEPTH,HEIGHT,WIDTH; None for an empty text.

    >>> crop_of("0,108,111,25,40,40", axes=3)
    (0, 108, 111, 25, 40, 40)
    """
    if not text:
        return None
    names = "ROW,COL,HEIGHT,WIDTH in pixels" if axes == 2 else "PLANE,ROW,COL,DEPTH,HEIGHT,WIDTH in voxels"
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 2 * axes:
        raise typer.BadParameter(f"expected --crop {names}, got '{text}'")
    if min(numbers[:axes]) < 0 or min(numbers[axes:]) < 1:
        raise typer.BadParameter(f"expected --crop of at least one pixel from 0,0 on, got '{text}'")
    return numbers


def prepared(source: Measured, how: Preparation) -> Target:
    """Return images cut, averaged and divided; `scaled` makes them the sensor's."""
    shape = source.planes[0].shape
    masks = [white(plane) for plane in source.planes]
    if how.mask is not None:
        given = _alike(how.mask, shape, "the mask")
        masks = [mask | (np.nan_to_num(given, nan=1.0) != 0) for mask in masks]
    images = [plane.astype("float64") for plane in source.planes]
    if how.normalise not in ("none", "mean", "median"):
        background = _alike(Path(how.normalise), shape, "the background")
        with np.errstate(divide="ignore", invalid="ignore"):
            # Where the background is dark, nothing is known.
            images = [np.where(background > 0, image / background, np.nan) for image in images]
    images = [binned(_cropped(image, how.crop), how.bin) for image in images]
    # What holds a pixel that is left out is left out.
    masks = [binned(_cropped(mask.astype("float64"), how.crop), how.bin) > 0 for mask in masks]
    if how.normalise in ("mean", "median"):
        images = [image / _level(image, mask, how.normalise) for image, mask in zip(images, masks, strict=True)]
    return Target(tuple(images), tuple(masks))


def prepared_volume(volume: Volume, how: Preparation) -> Target:
    """Return a volume cut, and its planes averaged."""
    if how.normalise != "none":
        raise ValueError("--normalise divides by the empty field, which is dark in fluorescence; leave it out")
    hidden = white(volume.data)
    if how.mask is not None:
        given = read_volume(how.mask, (1.0, 1.0, 1.0)).data
        if given.shape != volume.data.shape:
            raise ValueError(
                f"the mask {how.mask} must be of the volume's size {volume.data.shape}, got {given.shape}; save it "
                "uncropped"
            )
        hidden = hidden | (np.nan_to_num(given, nan=1.0) != 0)
    data, out = (_cropped(array.astype("float64"), how.crop) for array in (volume.data, hidden))
    return Target((binned(data, how.bin),), (binned(out, how.bin) > 0,))


def white(plane: np.ndarray) -> np.ndarray:
    """Return which counts say no more than "at least that": those at the end of a converter's range."""
    if plane.dtype.kind not in "ui" or int(plane.max()) not in _WHITES:
        return np.zeros(plane.shape, dtype=bool)
    return plane == plane.max()


def scaled(target: Target, scene: Scene, normalise: str) -> Target:
    """Return normalised images times what the scene's sensor reads in an empty field, others as they are."""
    if normalise == "none":
        return target
    if scene.microscope.sensor.coherent:
        raise ValueError(
            "--normalise makes relative irradiance, but the recipe's sensor reads the light's phase; leave it out"
        )
    with torch.no_grad():
        empty = float(render(replace(scene, specimen=replace(scene.specimen, parts=()))).mean())
    if empty <= 0:
        raise ValueError("--normalise divides by the empty field, but that of this microscope is dark; leave it out")
    return replace(target, images=tuple(image * empty for image in target.images))


def _alike(path: Path, shape: tuple[int, ...], what: str) -> np.ndarray:
    """Return the one image of a file, which must be of the target's size."""
    if not path.exists() and path.suffix == "":
        raise ValueError(f"--normalise must be none, mean, median or the file of a background, got '{path}'")
    planes = measured([path]).planes if ".tif" not in path.suffix.lower() else (grey(read(path), path),)
    if len(planes) != 1 or planes[0].shape != shape:
        got = planes[0].shape if len(planes) == 1 else f"{len(planes)} planes"
        raise ValueError(f"{what} {path} must be of the image's size {shape}, got {got}; save it uncropped")
    return planes[0].astype("float64")


def _level(image: np.ndarray, mask: np.ndarray, how: str) -> float:
    seen = image[~mask & np.isfinite(image)]
    level = float((np.mean if how == "mean" else np.median)(seen)) if len(seen) else 0.0
    if level <= 0:
        raise ValueError(f"--normalise {how} needs an image that is bright on average, got {level:g}; leave it out")
    return level


def _cropped(data: np.ndarray, crop: tuple[int, ...] | None) -> np.ndarray:
    if crop is None:
        return data
    starts, sizes = crop[: data.ndim], crop[data.ndim :]
    ends = [start + size for start, size in zip(starts, sizes, strict=True)]
    if any(end > n for end, n in zip(ends, data.shape, strict=True)):
        names = ("rows", "columns") if data.ndim == 2 else ("planes", "rows", "columns")
        told = ", ".join(f"{name} to {end}" for name, end in zip(names, ends, strict=True))
        raise ValueError(f"--crop must lie in the image of {data.shape} pixels, got {told}")
    return data[tuple(slice(start, end) for start, end in zip(starts, ends, strict=True))]


def binned(data: np.ndarray, factor: int) -> np.ndarray:
    """Return the means of `factor` x `factor` pixels; rows and columns that are left over at the end are cut.

    >>> binned(np.arange(10.0).reshape(2, 5), 2)
    array([[3., 5.]])
    """
    height, width = (n // factor for n in data.shape[-2:])
    if min(height, width) < 1:
        raise ValueError(f"expected an image of at least {factor} x {factor} pixels, got {data.shape}; lower --bin")
    cut = data[..., : height * factor, : width * factor]
    return cut.reshape(*data.shape[:-2], height, factor, width, factor).mean((-3, -1))


# How far a file may be from the recipe without a word: rounding of headers, and of indices by temperature.
_TOLERANCE = {"wavelength": 0.02, "medium": 0.002}


def pixel_of(
    source: Measured, scene: Scene, assignments: Sequence[str] | None
) -> tuple[tuple[float, float], list[str]]:
    """Return the pixel (dy, dx) of the images in micrometres, and in a sentence where it comes from."""
    own = (scene.grid.spacing[-2], scene.grid.spacing[-1])
    fixed = any(text.partition("=")[0].strip().startswith("grid.pixel") for text in assignments or ())
    told = source.pixel
    if told is None:
        return own, [f"pixel {_length(own)}, from {'--set' if fixed else 'the recipe: the file tells none'}"]
    apart = max(abs(a / b - 1) for a, b in zip(told, own, strict=True))
    if fixed:
        return own, [f"pixel {_length(own)}, from --set" + (f": the file says {_length(told)}" if apart > 0.02 else "")]
    # A header rounds: what is the recipe's to four digits is the recipe's.
    used = own if apart < 1e-4 else told
    remedy = f"; the recipe says {_length(own)}: --set grid.pixel={own[0]:.6g} keeps it" if apart > 0.02 else ""
    return used, [f"pixel {_length(used)}, from the file{remedy}"]


def voxel_of(
    volume: Volume, scene: Scene, assignments: Sequence[str] | None
) -> tuple[tuple[float, float, float], list[str]]:
    """Return the voxel (dz, dy, dx) of a volume in micrometres, and in sentences where it comes from.

    That of --voxel or --set grid.pixel, or the file's; the recipe's own is not that of any stack.
    """
    if any(text.partition("=")[0].strip().startswith("grid.pixel") for text in assignments or ()):
        dz, dy, dx = scene.grid.spacing
        return (dz, dy, dx), [f"voxel {dz:.5g} x {dy:.5g} x {dx:.5g} um, from --set"]
    dz, dy, dx = require_voxel(volume)
    where = "from the file" if volume.voxel == volume.told else "from --voxel"
    return (dz, dy, dx), [f"voxel {dz:.5g} x {dy:.5g} x {dx:.5g} um, {where}", *volume.notes]


def contradictions(source: Measured, scene: Scene) -> list[str]:
    """Return a sentence for every number that the file gives otherwise than the recipe."""
    paths = {"wavelength": "microscope.illumination.wavelength", "medium": "specimen.medium"}
    found = []
    for name, number in source.facts.items():
        own = get(scene, paths[name])
        if own.numel() == 1 and abs(number / float(own) - 1) > _TOLERANCE[name]:
            took = f"the recipe's is used; --set {paths[name]}={number:.6g} takes the file's"
            found.append(f"the file says {name} {number:.6g}, the recipe {float(own):.6g}: {took}")
    return found


def _length(pixel: tuple[float, float]) -> str:
    return f"{pixel[0]:.5g} um" if abs(pixel[0] / pixel[1] - 1) < 1e-6 else f"{pixel[0]:.5g} x {pixel[1]:.5g} um"
