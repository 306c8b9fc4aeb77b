"""Köhler illumination, and its closed aperture."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from exitwave.field import Source
from exitwave.illumination.sampling import check_method, check_rings, check_spectrum, even, kernels_of, refined
from exitwave.model import Value
from exitwave.quantity import Quantity, param


class Koehler(Value):
    """Köhler illumination: a uniformly bright disk in the condenser's aperture, each point of it a plane wave.

    The disk is sampled by `rings` rings of 6, 12, 18, ... points about the centre, all of the same area (1, 7, 19, 37,
    ... points), so that the points move with `condenser_na` and the image is differentiable in it. `method` "abbe"
    images every point; "socs" lets the strongest `kernels` coherent modes of all points stand for them, which is
    faster with many points and has no derivative by source or pupil.

    >>> len(Koehler(condenser_na=0.3, wavelength=0.55, rings=2).source().weight)
    19
    """

    condenser_na: Quantity = param("1", low=0.0, high=1.6, default=0.3, doc="numerical aperture of the condenser")
    wavelength: Quantity = param("um", low=0.0, exclusive=True, dims=("L",), default=0.55, doc="vacuum wavelengths")
    spectrum: Quantity = param("1", low=0.0, dims=("L",), default=None, doc="relative strength of each wavelength")
    rings: int = 3
    method: str = "abbe"
    kernels: int = 16

    def fill(self) -> dict[str, Tensor]:
        return {"spectrum": even(self.wavelength)}

    def check(self) -> None:
        check_spectrum(self.spectrum)
        check_rings("Koehler.rings", self.rings, 0)
        check_method("Koehler", self.method, self.kernels)

    def source(self) -> Source:
        """Return the plane waves of the source."""
        pattern = disk_points(self.rings).to(self.condenser_na)
        weight = torch.full((len(pattern),), 1 / len(pattern), dtype=torch.float64).to(self.condenser_na)
        return Source(
            pattern * self.condenser_na,
            weight,
            self.wavelength,
            self.spectrum / self.spectrum.sum(),
            kernels_of(self.method, self.kernels),
        )


class Coherent(Value):
    """One plane wave, along the axis unless tilted: a laser, or a closed condenser aperture."""

    wavelength: Quantity = param("um", low=0.0, exclusive=True, dims=("L",), default=0.55, doc="vacuum wavelengths")
    spectrum: Quantity = param("1", low=0.0, dims=("L",), default=None, doc="relative strength of each wavelength")
    direction: Quantity = param(
        "1", low=-1.6, high=1.6, dims=(2,), default=(0.0, 0.0), doc="index times sine of the incidence along (y, x)"
    )

    def fill(self) -> dict[str, Tensor]:
        return {"spectrum": even(self.wavelength)}

    def check(self) -> None:
        check_spectrum(self.spectrum)

    def source(self) -> Source:
        """Return the single plane wave."""
        weight = torch.ones_like(self.direction[:1])
        return Source(self.direction[None], weight, self.wavelength, self.spectrum / self.spectrum.sum())


@cache
def disk_points(rings: int) -> Tensor:
    """Return points (S, 2) that stand for equal areas of the unit disk: a centre and rings of 6 k points."""
    points = [(0.0, 0.0)]
    count = 1 + 3 * rings * (rings + 1)
    inner = 1.0 / count
    for ring in range(1, rings + 1):
        outer = inner + 6 * ring / count
        radius = math.sqrt((inner + outer) / 2)  # the ring's mean squared radius
        for step in range(6 * ring):
            angle = 2 * math.pi * (step + 0.5 * (ring % 2)) / (6 * ring)
            points.append((radius * math.sin(angle), radius * math.cos(angle)))
        inner = outer
    return torch.tensor(points, dtype=torch.float64)


@refined.register
def _(illumination: Koehler) -> Koehler:
    return replace(illumination, rings=min(2 * illumination.rings + 2, 100), method="abbe")


@refined.register
def _(illumination: Coherent) -> Coherent:
    return illumination
