"""Rendering: from a scene to its image."""

from __future__ import annotations

import torch
from torch import Tensor

from exitwave.field import Source, Wave
from exitwave.illumination import refined
from exitwave.interaction import Emission, expose
from exitwave.model import substitute
from exitwave.scene import Scene, require_numbers
from exitwave.sensor import Ideal
from exitwave.specimen import Points
from exitwave.stages import Passing, require


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
    require_numbers(scene)
    stages = scene.microscope
    light = stages.interaction.light(scene.specimen, stages.illumination, stages.optics, stages.sensor, scene.grid)
    return stages.sensor.read(light, generator)


def psf(scene: Scene) -> Tensor:
    """Return the point spread function of a fluorescence scene on its grid: the image of one point of emission 1.

    The point lies at the origin, sample n // 2 of every axis. Excitation, pinhole and depth are those of the scene;
    sensor, bleaching and background are left out.

    >>> import exitwave as ew
    >>> microscope = ew.widefield(ew.GaussianPSF(sigma=(0.4, 0.2, 0.2)))
    >>> scene = ew.Scene(ew.Specimen(()), microscope, ew.Grid((32, 24, 24), 0.1))
    >>> round(float(ew.psf(scene).sum()), 3)
    1.0
    """
    require(scene.microscope.interaction, Emission, "interaction", _NO_EMISSION)
    like = scene.specimen.medium.new_zeros(1, 3, dtype=scene.specimen.dtype)
    changes = {"specimen.parts": (Points(like),), "microscope.sensor": Ideal()}
    still = {"microscope.interaction.bleaching": 0.0, "microscope.interaction.background": 0.0}
    return render(substitute(scene, {**changes, **still}))


def optical_field(scene: Scene) -> Tensor:
    """Return the complex amplitude in the image plane relative to the empty field: (H, W), or (L, H, W) in colours.

    The illumination must be coherent. "Empty" is a clear pupil without polarisers: what a plate or polarisers do to
    undiffracted light stays in.
    """
    wave, source = _exposed(scene)
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
    require(scene.microscope.interaction, Passing, "interaction", _NO_WAVE)
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
    wave, source = _exposed(scene)
    return scene.microscope.optics.loss(wave, source)


def _exposed(scene: Scene) -> tuple[Wave, Source]:
    """Return the wave that leaves the specimen of a scene in transmitted light, and the source that lights it."""
    require_numbers(scene)
    stages = scene.microscope
    require(stages.interaction, Passing, "interaction", _NO_WAVE)
    return expose(stages.interaction, scene.specimen, stages.illumination, stages.optics, scene.grid)


_NO_WAVE = "only light that passes the specimen has a field and a source; use Transmission() or Multislice()"
_NO_EMISSION = "light that passes the specimen has no point spread function; use a preset such as widefield()"
