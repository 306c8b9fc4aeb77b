"""Rendering: from a scene to its image."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from exitwave.field import Canvas, Light, Source, Wave
from exitwave.grid import fast_length
from exitwave.illumination import refined
from exitwave.model import substitute
from exitwave.scene import Illumination, Interaction, Optics, Scene, Sensor, require_numbers


def render(scene: Scene, generator: torch.Generator | None = None) -> Tensor:
    """Return the image of `scene`: (H, W), or (C, H, W) from a colour sensor, in the sensor's unit.

    Without a generator this is the expectation, differentiable with respect to every parameter of the scene; with
    one, the sensor's noise is drawn from it.

    >>> import torch, exitwave as ew
    >>> bead = ew.Particles(ew.Sphere(), center=[[0, 0, 0]], size=[[1.0]], index=[1.59])
    >>> scene = ew.Scene(ew.Specimen((bead,), medium=1.33), ew.brightfield(na=0.5), ew.Grid((64, 64), 0.1))
    >>> bool(abs(ew.render(scene)[0, 0] - 1) < 0.1)
    True
    """
    sensor: Sensor = scene.microscope.sensor
    optics: Optics = scene.microscope.optics
    wave, source = _expose(scene)
    if sensor.coherent:
        data = optics.field(wave, source)
    else:
        pixel = (scene.grid.spacing[0], scene.grid.spacing[1])
        data = optics.irradiance(wave, source, lambda fy, fx: sensor.transfer(fy, fx, pixel))
    return sensor.read(Light(data, source.spectrum, scene.grid), generator)


def optical_field(scene: Scene) -> Tensor:
    """Return the complex amplitude in the image plane relative to the empty field: (H, W), or (L, H, W) in colours.

    The illumination must be coherent. "Empty" is a clear pupil without polarisers: what a plate or polarisers do to
    undiffracted light stays in.
    """
    wave, source = _expose(scene)
    field = scene.microscope.optics.field(wave, source)
    return field[0] if len(field) == 1 else field


def source_error(scene: Scene) -> float:
    """Return the estimated error of the sum over the source, relative to the contrast of the image.

    |I - I'| / |I' - mean(I')|, both norms over the image, where I' images every point of the source sampled more
    finely than in `scene`. It tells whether more rings, points or kernels are worth their time. Sources given point
    by point cannot be refined: theirs is the error of the kernels alone.

    >>> import exitwave as ew
    >>> bead = ew.Particles(ew.Sphere(), center=[[0, 0, 0]], size=[[1.0]], index=[1.59])
    >>> scene = ew.Scene(ew.Specimen((bead,), medium=1.33), ew.brightfield(na=0.5), ew.Grid((64, 64), 0.1))
    >>> source_error(scene) < 0.05
    True
    """
    finer = substitute(scene, {"microscope.illumination": refined(scene.microscope.illumination)})
    with torch.no_grad():
        image, reference = render(scene), render(finer)
    contrast = float(torch.linalg.vector_norm(reference - reference.mean()))
    # Without contrast there is nothing that points could miss.
    flat = 1e-5 * float(torch.linalg.vector_norm(torch.ones_like(reference)))
    return float(torch.linalg.vector_norm(image - reference)) / max(contrast, flat)


def kernel_loss(scene: Scene) -> float:
    """Return a bound of the mean irradiance that the kernels (method "socs") of a scene's source leave out.

    Relative to the light that leaves the specimen; `source_error` measures the error of one image instead.

    >>> import exitwave as ew
    >>> microscope = ew.Microscope(ew.Koehler(0.3, method="socs"), ew.Transmission(), ew.Objective(na=0.5), ew.Ideal())
    >>> kernel_loss(ew.Scene(ew.Specimen((), medium=1.33), microscope, ew.Grid((64, 64), 0.1))) < 0.1
    True
    """
    wave, source = _expose(scene)
    return scene.microscope.optics.loss(wave, source)


def canvas_of(scene: Scene) -> Canvas:
    """Return the canvas that `scene` is computed on: its grid and a margin of the optics' reach on every side."""
    grid = scene.grid
    if len(grid.shape) != 2:
        raise ValueError(f"transmitted light needs a grid (height, width), got {grid.shape}; drop the depth")
    source = scene.microscope.illumination.source()
    specimen, optics = scene.specimen, scene.microscope.optics
    heights = scene.microscope.interaction.span(specimen, source.wavelength.detach(), optics.na.detach())
    reach = optics.reach(source, specimen.medium.detach(), heights)
    sizes, corners = [], []
    for n, step in zip(grid.shape, grid.spacing, strict=True):
        # Rounded up to 16 samples, so that a fit that moves the focus does not change the canvas at every step.
        margin = 16 * math.ceil(reach / step / 16)
        size = n + 2 * margin
        size = fast_length(size) if size <= _LARGEST else size
        sizes.append(size)
        corners.append((size - n) // 2)
    if math.prod(sizes) > _LARGEST:
        raise ValueError(
            f"the image with its margin must stay below {_LARGEST:,} samples, got {sizes[0]} x {sizes[1]} for a reach "
            f"of {reach:.4g} um; use a smaller grid, a coarser pixel or less defocus"
        )
    return Canvas(
        type(grid)((sizes[0], sizes[1]), grid.pixel), (corners[0], corners[1]), (grid.shape[0], grid.shape[1])
    )


_LARGEST = 1 << 29


def _expose(scene: Scene) -> tuple[Wave, Source]:
    """Return the wave that leaves the specimen and the source that lights it."""
    require_numbers(scene)
    illumination: Illumination = scene.microscope.illumination
    interaction: Interaction = scene.microscope.interaction
    optics: Optics = scene.microscope.optics
    like = torch.zeros((), dtype=scene.specimen.dtype, device=scene.specimen.device)
    source = illumination.source()
    farthest = float(torch.linalg.vector_norm(source.direction.detach(), dim=-1).max())
    medium = float(scene.specimen.medium.detach())
    if farthest >= medium:
        raise ValueError(
            f"light must fall in at less than the medium's index {medium:g} times the sine of a right angle, got "
            f"{farthest:.4g}; it cannot travel there: use a smaller condenser aperture"
        )
    source = source.to(like)
    return interaction.wave(scene.specimen, canvas_of(scene), source.wavelength, optics.na), source
