"""Templates: the image that the model gives of one particle, and the noise that it must stand out of."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import scipy.ndimage
import torch
from torch import Tensor

from exitwave.grid import Grid
from exitwave.model import Value, get, params, substitute
from exitwave.quantity import ANY_SHAPE
from exitwave.render import render
from exitwave.scene import Scene
from exitwave.specimen import Particles, Specimen

FACTOR = 2.0
"""A template's size is taken as right within this factor either way."""

# Standard deviation of a normal distribution over its median absolute deviation.
_MAD = 1.4826


@dataclass(frozen=True)
class Template:
    """One particle that stands for those to be found, and the scene that they are seen in.

    `part` holds the particle alone; `place` is the number of its part in the scene's specimen. Everything is in double
    precision on the CPU.
    """

    scene: Scene
    part: Particles
    place: int

    @property
    def pixel(self) -> tuple[float, float]:
        """The size of a pixel (dy, dx) in micrometres."""
        return self.scene.grid.spacing[0], self.scene.grid.spacing[1]

    @property
    def radius(self) -> float:
        """The radius of the smallest sphere around the template, in micrometres."""
        return float(self.part.shape.radius(self.part.size)[0])

    @property
    def height(self) -> float:
        """The template's z in micrometres."""
        return float(self.part.center[0, 0])

    @property
    def wavelength(self) -> float:
        """The longest vacuum wavelength of the light, in micrometres."""
        return float(self.scene.microscope.illumination.source().wavelength.max())

    @property
    def na(self) -> float:
        """The numerical aperture of the objective."""
        return float(self.scene.microscope.optics.na)

    @property
    def medium(self) -> float:
        """The refractive index of the medium."""
        return float(self.scene.specimen.medium)

    def copies(self, center: np.ndarray, size: np.ndarray, rotation: np.ndarray) -> Particles:
        """Return particles like the template at `center` (N, 3) with `size` (N, k) and `rotation` (N, 4)."""
        count = len(center)
        rows = {
            name: getattr(self.part, name).expand(count, *getattr(self.part, name).shape[1:]).clone()
            for name, spec in params(Particles).items()
            if spec.dims[:1] == ("N",) and name not in ("center", "size", "rotation")
        }
        arrays = {"center": center, "size": size, "rotation": rotation}
        return replace(self.part, **rows, **{name: torch.from_numpy(array) for name, array in arrays.items()})

    def rotations(self, count: int) -> np.ndarray:
        """Return the template's rotation as often as asked for: (N, 4)."""
        return self.part.rotation.numpy().repeat(count, 0)

    def alone(self, part: Particles | None, grid: Grid, changes: dict[str, Tensor] | None = None) -> Scene:
        """Return the scene on another grid with `part` only, or with nothing in it."""
        specimen: Specimen = replace(self.scene.specimen, parts=() if part is None else (part,))
        microscope = replace(self.scene.microscope, sensor=_uniform(self.scene.microscope.sensor))
        return substitute(replace(self.scene, specimen=specimen, microscope=microscope, grid=grid), changes or {})

    def contrast(self, factor: float, grid: Grid, empty: np.ndarray | None = None) -> np.ndarray:
        """Return what the template, `factor` times as large, adds to the `empty` image of a grid: (H, W)."""
        return self.image(self.scaled(factor), grid) - (self.image(None, grid) if empty is None else empty)

    def image(self, part: Particles | None, grid: Grid) -> np.ndarray:
        """Return the expected image of `part`, or of nothing, on a grid: (H, W), colours averaged."""
        with torch.no_grad():
            return gray(render(self.alone(part, grid)))

    def scaled(self, factor: float) -> Particles:
        """Return the template in the middle of the field, `factor` times as large."""
        center = np.array([[self.height, 0.0, 0.0]])
        return self.copies(center, self.part.size.numpy() * factor, self.rotations(1))

    def patch(self, radius: float) -> Grid:
        """Return a grid that holds the image of a body of `radius` micrometres, tails included, in its middle.

        It has an odd number of samples and is at most three times as large as the image.
        """
        scene = self.scene
        source, optics = scene.microscope.illumination.source(), scene.microscope.optics
        spread = optics.reach(source, scene.specimen.medium, (self.height, self.height))
        half = [math.ceil((radius + spread) / step) for step in self.pixel]
        shape = tuple(2 * min(n, 3 * m // 2) + 1 for n, m in zip(half, scene.grid.shape, strict=True))
        return Grid(shape, self.pixel)


def template_of(scene: Scene) -> Template:
    """Return the first particle of the scene's first `Particles`."""
    for place, part in enumerate(scene.specimen.parts):
        if isinstance(part, Particles) and part.count:
            scene = scene.to(torch.float64).to("cpu")
            own: Particles = get(scene, f"specimen.parts.{place}")
            rows = {
                name: getattr(own, name)[:1].detach()
                for name, spec in params(Particles).items()
                if spec.dims[:1] == ("N",)
            }
            return Template(scene, replace(own, **rows), place)
    raise ValueError(
        f"detect needs a particle to look for, got a specimen of {len(scene.specimen.parts)} parts without any; put "
        "Particles of the right shape, index and rough size first"
    )


def gray(image: Tensor | np.ndarray) -> np.ndarray:
    """Return an image (H, W) or (C, H, W) in double precision with its colours averaged: (H, W)."""
    array = np.asarray(image.detach().cpu() if isinstance(image, Tensor) else image, dtype=np.float64)
    return array if array.ndim == 2 else array.mean(0)


def spread_of(values: np.ndarray) -> float:
    """Return the standard deviation of the bulk of some numbers, by their median absolute deviation."""
    return float(_MAD * np.median(np.abs(values - np.median(values))))


def noise_of(image: np.ndarray) -> float:
    """Return the standard deviation of white noise in an image.

    By the median deviation of the product of second differences along both axes, which structure wider than a few
    pixels does not reach (Immerkaer, Comput. Vis. Image Underst. 64, 300, 1996).
    """
    mask = np.array([1.0, -2.0, 1.0])
    second = scipy.ndimage.convolve1d(scipy.ndimage.convolve1d(image, mask, axis=0), mask, axis=1)
    # The squares of the mask's weights sum to 36. A share of the contrast stands for rounding in noiseless images.
    return max(spread_of(second) / 6.0, 1e-4 * float(image.std()), 1e-12)


def vertex(before: float, peak: float, after: float) -> float:
    """Return where the parabola through three equidistant values has its summit, in (-0.5, 0.5) steps.

    >>> float(vertex(-1.0, 0.0, -1.0)), float(vertex(-2.25, -0.25, -0.25))
    (0.0, 0.5)
    """
    curvature = before + after - 2 * peak
    return 0.0 if curvature >= 0 else float(np.clip(0.5 * (before - after) / curvature, -0.5, 0.5))


def background(image: np.ndarray, known: np.ndarray, order: int = 2) -> np.ndarray:
    """Return the smooth background of an image: the polynomial in y and x that most pixels lie on.

    Pixels beyond three standard deviations of the bulk take no part; it ends when they no longer change.
    """
    height, width = image.shape
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    terms = [y**i * x**j for i in range(order + 1) for j in range(order + 1 - i)]
    rows = np.stack([np.broadcast_to(term, image.shape) for term in terms], -1)
    # A few ten thousand pixels tell as much about ten numbers as all do.
    step = max(1, math.isqrt(image.size // 10_000))
    sparse, values, valid = rows[::step, ::step], image[::step, ::step], known[::step, ::step]
    level, coefficients = np.full(values.shape, np.median(values[valid])), np.zeros(len(terms))
    for _ in range(10):
        apart = np.abs(values - level)
        bulk = valid & (apart <= 3 * _MAD * np.median(apart[valid]) + 1e-12)
        coefficients = np.linalg.lstsq(sparse[bulk], values[bulk], rcond=None)[0]
        level = sparse @ coefficients
    return rows @ coefficients


def _uniform(sensor: Value) -> Value:
    """Return a sensor with the means of its maps over the image, one per colour: a patch has other pixels."""
    maps = [name for name, spec in params(type(sensor)).items() if spec.dims == ANY_SHAPE]
    means = {name: getattr(sensor, name) for name in maps}
    means = {name: map_.mean((-2, -1), keepdim=True) for name, map_ in means.items() if map_.ndim > 1}
    return replace(sensor, **means)
