"""Detection: the particles that an image shows, as a start for a fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from exitwave.fit.emitters import emitters_in
from exitwave.fit.rings import rings
from exitwave.fit.silhouettes import roundness, silhouettes
from exitwave.fit.spots import spots
from exitwave.fit.template import Template, background, gray, template_of
from exitwave.scene import Scene, require_numbers
from exitwave.specimen import Particles
from exitwave.stages import Sensor

# A silhouette whose inner radius is at least that share of the outer one counts as round.
_ROUND = 0.8


def detect(scene: Scene, image: Tensor | np.ndarray, count: int | None = None) -> Scene:
    """Return `scene` with its first particles replaced by those found in `image`, the strongest first.

    The first particle of the scene is the template: the new ones have its shape, label and material, and their own
    centres, sizes and in-plane rotations. Its size is taken as right within a factor 2 either way; all other scales
    come from the scene, and the noise from the image, whose brightness and contrast are free. `count` keeps the
    strongest ones; otherwise all are returned that stand out of the noise. NaN pixels are background.

    Which way they are sought follows from the scene:

    - along coherent light, `rings`: heights are found too, whatever the template's;
    - bodies that look round, `spots`: by renderings of the template, at its height, in any contrast;
    - other bodies, in coherent light if the template is in focus, `silhouettes`: by their outlines;
    - in volumes, `emitters_in`: fluorescent `Points`, with their emission and the microscope's background.

    In a thin specimen (`Transmission`) all particles get one height, the middle one of those found.

    >>> import torch, exitwave as ew
    >>> beads = ew.Particles(ew.Sphere(), center=[[0, -2, 1.5], [0, 1, -2]], size=[[0.8], [1.1]], index=[1.45, 1.45])
    >>> microscope = ew.brightfield(na=0.8, defocus=1.0, sensor=ew.Camera())
    >>> scene = ew.Scene(ew.Specimen((beads,), medium=1.33), microscope, ew.Grid((96, 96), 0.1))
    >>> found = detect(scene, ew.render(scene, torch.Generator().manual_seed(0)))
    >>> found.specimen.parts[0].size.flatten().sort().values.round(decimals=1)
    tensor([0.8000, 1.1000])
    """
    require_numbers(scene)
    if len(scene.grid.shape) == 3:
        return emitters_in(scene, image, count)
    data = _checked(scene, image, count)
    template = template_of(scene)
    _check_model(template)
    center, size, rotation = _way(template)(template, data, count)
    if not len(center):
        raise ValueError(
            "nothing stands out of the noise: expected particles like the scene's first one within a factor 2 of its "
            "size, got none; check pixel, defocus and index of the scene, or the template's size"
        )
    if _thin(template):
        center[:, 0] = np.median(center[:, 0])
    given: Particles = scene.specimen.parts[template.place]
    found = template.copies(center, size, rotation).to(given.center.dtype).to(given.center.device)
    parts = tuple(found if place == template.place else part for place, part in enumerate(scene.specimen.parts))
    return replace(scene, specimen=replace(scene.specimen, parts=parts))


Found = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Centres (N, 3) and sizes (N, k) in micrometres, rotations (N, 4)."""


def _way(template: Template) -> Callable[[Template, np.ndarray, int | None], Found]:
    """Return the way to look for particles like the template."""
    source = template.scene.microscope.illumination.source()
    sensor: Sensor = template.scene.microscope.sensor
    along = len(source.weight) == 1 and float(torch.linalg.vector_norm(source.direction)) < 1e-6
    flat = roundness(template) < _ROUND
    depth = template.wavelength * template.medium / template.na**2
    focused = abs(template.height - float(template.scene.microscope.optics.defocus)) <= depth
    if along and not sensor.coherent and not (flat and focused):
        return rings
    return silhouettes if flat else spots


def _checked(scene: Scene, image: Tensor | np.ndarray, count: int | None) -> np.ndarray:
    """Return the image (H, W) in double precision, NaN where it is not finite."""
    array = torch.as_tensor(image)
    want = tuple(scene.grid.shape)
    if array.is_complex() or array.ndim not in (2, 3) or tuple(array.shape[-2:]) != want:
        raise ValueError(
            f"the image must be a real one of the scene's shape {want}, or (channels, height, width), got "
            f"{tuple(array.shape)} {array.dtype}; crop it or set grid.shape"
        )
    if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 1):
        raise ValueError(f"count must be a positive integer, or None for all, got {count!r}")
    data = gray(array)
    data = np.where(np.isfinite(data), data, np.nan)
    if not np.isfinite(data).any():
        raise ValueError(f"the image must have finite pixels, got NaN or infinity in all {data.size}; load it again")
    if np.nanmin(data) == np.nanmax(data):
        raise ValueError(f"nothing stands out of the noise: the image is {np.nanmin(data):g} everywhere; check it")
    return data


def _check_model(template: Template) -> None:
    """Refuse templates without contrast, and scenes whose empty image has structure, such as a reference's fringes."""
    empty = template.image(None, template.scene.grid)
    largest = float(np.abs(empty).max())
    ripple = float((empty - background(empty, np.isfinite(empty))).std())
    if ripple > 0.02 * largest + 1e-9:
        raise ValueError(
            f"detect needs a smooth empty field, got one that varies by {ripple:.3g} RMS; take the reference beam's "
            "fringes off the image and the scene first"
        )
    contrast = template.contrast(1.0, template.patch(template.radius))
    # Single precision of indices and images makes up that much.
    if float(np.abs(contrast).max()) <= 1e-5 * largest + 1e-9:
        raise ValueError(
            f"the template must show in its image, got no contrast from index {float(template.part.index[0]):g} in "
            f"{template.medium:g}; change its index or absorption"
        )


def _thin(template: Template) -> bool:
    """Return whether the scene has one plane for all particles."""
    depth = 10 * template.wavelength * template.medium / template.na**2
    pair = template.copies(
        np.array([[0.0, 0.0, 0.0], [depth, 0.0, 0.0]]), template.part.size.numpy().repeat(2, 0), template.rotations(2)
    )
    scene = template.alone(pair, template.scene.grid)
    microscope = scene.microscope
    wavelength = microscope.illumination.source().wavelength
    low, high = microscope.interaction.span(scene.specimen, wavelength, microscope.optics.na)
    return math.isclose(low, high)
