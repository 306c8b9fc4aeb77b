"""Readings: what a fit is given, from files and options: an image, a focus series, or a volume, and where to start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import typer

import exitwave as ew
from exitwave.cli.fit import series
from exitwave.cli.measured import Measured, measured
from exitwave.cli.shapes import lengths
from exitwave.cli.target import (
    Preparation,
    Target,
    contradictions,
    crop_of,
    pixel_of,
    prepared,
    prepared_volume,
    scaled,
    voxel_of,
)
from exitwave.cli.unknowns import length
from exitwave.data.volumes import read_volume
from exitwave.fit.detect import detect
from exitwave.model import fields
from exitwave.scene import Scene


@dataclass(frozen=True)
class Asked:
    """What options say of the images; `how` is without the crop, whose numbers are as many as the image's axes."""

    images: Sequence[Path]
    assignments: Sequence[str]
    how: Preparation
    crop: str = ""
    voxel: str = ""
    step: str = ""
    init: str = "recipe"
    count: int | None = None


@dataclass(frozen=True)
class Reading:
    """Scenes to start from, what they are to explain, the distance of planes in um, and sentences to print."""

    scenes: tuple[Scene, ...]
    target: Target
    spacing: float
    told: list[str]


def reading(begun: Scene, asked: Asked) -> Reading:
    """Return what is read for a recipe: a volume where its grid has three axes, else an image or a focus series."""
    return _volume(begun, asked) if len(begun.grid.shape) == 3 else _series(begun, asked)


def _series(begun: Scene, asked: Asked) -> Reading:
    if asked.voxel:
        raise typer.BadParameter(
            f"--voxel {asked.voxel} is for recipes with a grid (depth, height, width); of images, --set grid.pixel"
        )
    how = replace(asked.how, crop=crop_of(asked.crop))
    source = measured(asked.images)
    pixel, told = pixel_of(source, begun, asked.assignments)
    target = prepared(source, how)
    start = _placed(begun, target, tuple(size * how.bin for size in pixel))
    target = scaled(target, start, how.normalise)
    spacing = _spacing(source, asked.step)
    if asked.init == "detect":
        start = _detected(start, target, asked.count)
    scenes = series(start, len(target.images), spacing)
    told += contradictions(source, start)
    if len(scenes) > 1:
        told.append(f"{len(scenes)} planes {spacing:.4g} um apart; microscope.optics.defocus is that of the first")
    return Reading(scenes, target, spacing, [*told, *_found(start, asked)])


def _volume(begun: Scene, asked: Asked) -> Reading:
    if asked.step:
        raise typer.BadParameter(f"--step {asked.step} is for focus series; the voxel of a volume is --voxel DZ,DY,DX")
    if len(asked.images) > 1:
        raise ValueError(f"expected one volume for a grid (depth, height, width), got {len(asked.images)} files")
    how = replace(asked.how, crop=crop_of(asked.crop, axes=3))
    source = read_volume(asked.images[0], lengths(asked.voxel, "--voxel"))
    (dz, dy, dx), told = voxel_of(source, begun, asked.assignments)
    target = prepared_volume(source, how)
    start = _placed(begun, target, (dz, how.bin * dy, how.bin * dx))
    if asked.init == "detect":
        start = _detected(start, target, asked.count)
    return Reading((start,), target, 0.0, [*told, *_found(start, asked)])


def _placed(begun: Scene, target: Target, pixel: tuple[float, ...]) -> Scene:
    """Return a recipe on the grid of its target, its priors drawn."""
    return ew.sample(ew.substitute(begun, {"grid.shape": target.shape, "grid.pixel": pixel}), ew.Key(0, 0))


def _spacing(source: Measured, step: str) -> float:
    """Return the distance of planes in micrometres: the option's, or the file's; 0 for one plane."""
    count, given = len(source.planes), length(step, "--step")
    if count == 1:
        return 0.0
    spacing = source.step if given is None else given
    if not spacing:
        raise ValueError(
            f"expected one image, got {count} planes; for a focus series say how far apart, such as --step '0.3 um', "
            "or save one of them alone"
        )
    return spacing


def _detected(start: Scene, target: Target, count: int | None) -> Scene:
    """Return the scene with the particles that the middle plane, or the volume, shows."""
    middle = len(target.images) // 2
    return detect(start, np.where(target.masks[middle], np.nan, target.images[middle]), count)


def _found(start: Scene, asked: Asked) -> list[str]:
    """Return how many particles were found, if they were sought."""
    if asked.init != "detect":
        return []
    counts = [part.center.shape[0] for part in start.specimen.parts if "center" in fields(type(part))]
    return [f"{counts[0]} particles found" if counts[0] != 1 else "1 particle found"]
