"""Rings and halves of the condenser's aperture."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from exitwave.field import Source
from exitwave.illumination.sampling import (
    check_method,
    check_rings,
    check_spectrum,
    even,
    kernels_of,
    refined,
    ring_points,
)
from exitwave.model import Value
from exitwave.quantity import Quantity, param


class Annulus(Value):
    """A ring in the condenser's aperture, for darkfield and phase contrast.

    `rings` circles of `points` points each between `inner_na` and `outer_na`, all standing for the same area. An
    annulus outside the objective's aperture gives darkfield. `method` as for `Koehler`.

    >>> Annulus(inner_na=0.3, outer_na=0.4, points=12).source().direction.shape
    torch.Size([12, 2])
    """

    inner_na: Quantity = param("1", low=0.0, high=1.6, default=0.25, doc="aperture of the inner edge")
    outer_na: Quantity = param("1", low=0.0, high=1.6, default=0.35, doc="aperture of the outer edge")
    wavelength: Quantity = param("um", low=0.0, exclusive=True, dims=("L",), default=0.55, doc="vacuum wavelengths")
    spectrum: Quantity = param("1", low=0.0, dims=("L",), default=None, doc="relative strength of each wavelength")
    points: int = 24
    rings: int = 1
    method: str = "abbe"
    kernels: int = 16

    def fill(self) -> dict[str, Tensor]:
        return {"spectrum": even(self.wavelength)}

    def check(self) -> None:
        check_spectrum(self.spectrum)
        check_rings("Annulus.rings", self.rings, 1)
        check_rings("Annulus.points", self.points, 1, 10000)
        check_method("Annulus", self.method, self.kernels)
        _check_edges("Annulus", self.inner_na, self.outer_na)

    def source(self) -> Source:
        """Return the plane waves of the source."""
        direction = ring_points(self.inner_na, self.outer_na, self.rings, self.points, 2 * math.pi)
        weight = torch.full((len(direction),), 1 / len(direction), dtype=torch.float64).to(direction)
        strength = self.spectrum / self.spectrum.sum()
        return Source(direction, weight, self.wavelength, strength, kernels_of(self.method, self.kernels))


class HalfDisk(Value):
    """Half of the condenser's disk, or of a ring in it: oblique illumination, and one of a pair for phase contrast.

    The bright half lies towards `azimuth`, counted from x towards y; a pair pi apart gives differential phase
    contrast (Mehta and Sheppard, Opt. Lett. 34, 1924, 2009). `rings` half circles of `points` points between
    `inner_na` and `condenser_na`. `method` as for `Koehler`.
    """

    condenser_na: Quantity = param("1", low=0.0, high=1.6, default=0.3, doc="numerical aperture of the condenser")
    inner_na: Quantity = param("1", low=0.0, high=1.6, default=0.0, doc="aperture of a central stop")
    azimuth: Quantity = param("rad", low=-10.0, high=10.0, default=0.0, doc="middle of the bright half")
    wavelength: Quantity = param("um", low=0.0, exclusive=True, dims=("L",), default=0.55, doc="vacuum wavelengths")
    spectrum: Quantity = param("1", low=0.0, dims=("L",), default=None, doc="relative strength of each wavelength")
    points: int = 8
    rings: int = 4
    method: str = "abbe"
    kernels: int = 16

    def fill(self) -> dict[str, Tensor]:
        return {"spectrum": even(self.wavelength)}

    def check(self) -> None:
        check_spectrum(self.spectrum)
        check_rings("HalfDisk.rings", self.rings, 1)
        check_rings("HalfDisk.points", self.points, 1, 10000)
        check_method("HalfDisk", self.method, self.kernels)
        _check_edges("HalfDisk", self.inner_na, self.condenser_na)

    def source(self) -> Source:
        """Return the plane waves of the source."""
        flat = ring_points(self.inner_na, self.condenser_na, self.rings, self.points, math.pi)
        cosine, sine = torch.cos(self.azimuth), torch.sin(self.azimuth)
        y, x = flat.unbind(-1)
        direction = torch.stack([sine * x + cosine * y, cosine * x - sine * y], -1)
        weight = torch.full((len(direction),), 1 / len(direction), dtype=torch.float64).to(direction)
        strength = self.spectrum / self.spectrum.sum()
        return Source(direction, weight, self.wavelength, strength, kernels_of(self.method, self.kernels))


def _check_edges(name: str, inner: Tensor, outer: Tensor) -> None:
    if float(inner.detach()) >= float(outer.detach()):
        raise ValueError(
            f"{name} needs an inner edge below its outer one, got {float(inner):g} and {float(outer):g}; swap them"
        )


@refined.register
def _(illumination: Annulus) -> Annulus:
    return replace(
        illumination,
        points=min(2 * illumination.points, 10000),
        rings=min(2 * illumination.rings + 1, 100),
        method="abbe",
    )


@refined.register
def _(illumination: HalfDisk) -> HalfDisk:
    return replace(
        illumination,
        points=min(2 * illumination.points, 10000),
        rings=min(2 * illumination.rings + 1, 100),
        method="abbe",
    )
