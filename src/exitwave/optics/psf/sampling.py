"""What a point spread function must be able to do, and its spectrum from its samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from exitwave.lattice import Lattice

RANGE = 10.0
"""Depths of field on either side of the focus over which the light of a lens is counted."""


AIRY = 0.609835
"""The radius of the first dark ring of a focus in units of wavelength / NA."""


@dataclass(frozen=True)
class Focus:
    """Sizes of a focus: what it would hold unaberrated, `peak` in 1/um^3, the Airy disc's `radius` in um, and `span`.

    Light up to `span` micrometres on either side of the focus is counted: over that range the PSF integrates to 1.
    """

    peak: Tensor
    radius: Tensor
    span: Tensor


class PSF(Protocol):
    """How light from a point spreads over the planes of an image, by the distance from the point.

    h(z, y, x) is the intensity in 1/um^3 that an emitter of one photon sends to a distance of z, y, x micrometres from
    it; z is the height of the plane in focus above the emitter. h integrates to 1 over all space. Behind a lens every
    plane gets the same light and this integral does not exist; there h integrates to 1 over `RANGE` depths of field
    n lambda / NA^2 on either side of the focus. Numbers depend on the optics only, never on the grid of an image.
    """

    def at(self, z: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """Return h (Z, H, W) in 1/um^3 at distances z (Z,), y (H,) and x (W,) in micrometres."""
        ...

    def lateral(self, z: Tensor) -> Tensor:
        """Return the integral of h over the plane at a distance z (Z,), in 1/um."""
        ...

    def focus(self) -> Focus:
        """Return the sizes of the focus."""
        ...

    def band(self, rtol: float) -> tuple[float, float, float]:
        """Return the frequencies along z, y, x in 1/um beyond which the transfer is below `rtol`."""
        ...

    def reach(self, rtol: float, depth: float) -> tuple[float, float, float]:
        """Return the distances along z, y, x beyond which h may be left out, for planes within `depth` micrometres.

        Infinite along z where every plane gets the same light.
        """
        ...

    def transfer(self, lattice: Lattice, like: Tensor) -> Tensor:
        """Return the Fourier transform of h at the frequencies of a lattice, with the precision of `like`."""
        ...


def sampled_transfer(function: Callable[[Tensor, Tensor, Tensor], Tensor], lattice: Lattice, like: Tensor) -> Tensor:
    """Return the Fourier transform (of `lattice.bands`) of a function h of the distances z, y, x over one period.

    The integral of h(r) exp(-2 pi i f . r) is its samples' Fourier transform times the volume of a sample, exactly so
    where h holds no frequencies beyond the lattice's; the phase is that of the first distance.
    """
    lattice = centred(lattice)
    samples = function(*lattice.lags(like))
    if any(lattice.fade):
        for factor in lattice.fading(like):
            samples = samples * factor
    found = torch.fft.rfftn(samples) * (math.prod(lattice.period) / samples.numel())
    for frequency, nearest in zip(lattice.frequencies(like), lattice.nearest, strict=True):
        phase = (-2 * math.pi * nearest) * frequency
        found = found * torch.complex(torch.cos(phase), torch.sin(phase))
    return found


def centred(lattice: Lattice) -> Lattice:
    """Return a lattice whose distances are whole multiples of their step, moved by half a step at most.

    Those on either side of the axis are then the same, which makes a round PSF several times cheaper.
    """
    steps = (period / (2 * order + 1) for period, order in zip(lattice.period, lattice.order, strict=True))
    z, y, x = (round(first / step) * step for first, step in zip(lattice.nearest, steps, strict=True))
    return replace(lattice, nearest=(z, y, x))


def airy_reach(rtol: float) -> float:
    """Return the radius, in units of wavelength / NA, where the rings of a focus fall below `rtol` of its peak.

    (2 J_1(v) / v)^2 stays below 8 / (pi v^3), with v = 2 pi r NA / lambda; less than three rings are never left.
    """
    return max((8 / (math.pi * rtol)) ** (1 / 3) / (2 * math.pi), 2.0)
