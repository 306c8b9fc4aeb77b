"""Light that makes fluorophores emit."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from exitwave.model import Value
from exitwave.quantity import Quantity, param

# Light below this share of the focus in every factor, and frequencies below that, have no part in an integral.
_RTOL = 1e-4
_FINE = 1e-7


class Flood(Value):
    """The same light everywhere: widefield fluorescence.

    >>> Flood().relative(torch.zeros(1), torch.zeros(1), torch.zeros(1)) is None
    True
    """

    scanned: ClassVar[bool] = False

    def volume(self) -> Tensor | None:
        """Return None: it lights up whole planes."""
        return None

    def relative(self, z: Tensor, y: Tensor, x: Tensor) -> Tensor | None:
        """Return None: there is no factor."""
        return None

    def band(self, rtol: float) -> tuple[float, float, float]:
        """Return the frequencies that it brings, in 1/um: none."""
        return 0.0, 0.0, 0.0

    def reach(self, rtol: float, depth: float) -> tuple[float, float, float]:
        """Return the distances along z, y, x in micrometres beyond which it is dark: none."""
        return math.inf, math.inf, math.inf


class LightSheet(Value):
    """A sheet of light in the plane in focus, exp(-z^2 / (2 thickness^2)), that moves with it.

    >>> LightSheet(thickness=2.0).relative(torch.tensor([2.0]), torch.zeros(1), torch.zeros(1)).shape
    torch.Size([1, 1, 1])
    """

    thickness: Quantity = param("um", low=0.0, high=1e4, exclusive=True, default=1.0, doc="standard deviation along z")

    scanned: ClassVar[bool] = False

    def volume(self) -> Tensor | None:
        """Return None: it lights up whole planes."""
        return None

    def relative(self, z: Tensor, y: Tensor, x: Tensor) -> Tensor | None:
        """Return the light (Z, 1, 1) at distances z (Z,) in micrometres from the plane in focus, 1 in it."""
        return torch.exp(-0.5 * (z / self.thickness.to(z)).square())[:, None, None]

    def band(self, rtol: float) -> tuple[float, float, float]:
        """Return the frequencies along z, y, x in 1/um beyond which its spectrum is below `rtol`."""
        return math.sqrt(0.5 * math.log(1 / rtol)) / (math.pi * float(self.thickness.detach())), 0.0, 0.0

    def reach(self, rtol: float, depth: float) -> tuple[float, float, float]:
        """Return the distances along z, y, x in micrometres beyond which it is below `rtol`."""
        return math.sqrt(2 * math.log(1 / rtol)) * float(self.thickness.detach()), math.inf, math.inf


class ScannedSpot(Value):
    """A focus that is scanned over the specimen, absorbed by one, two or three photons at a time.

    `psf` is that of the lens at the wavelength of excitation. A fluorophore's emission goes with the power `photons`
    of the light; saturation and the light's polarisation are left out. One detector counts while the spot stays: what
    reaches it is decided by the detection's pinhole, and is everything where there is none.

    >>> from exitwave.optics.psf.gaussian import GaussianPSF
    >>> spot = ScannedSpot(GaussianPSF(sigma=(0.6, 0.2, 0.2)), photons=2)
    >>> zero = torch.zeros(1)
    >>> [round(float(spot.relative(zero, zero, x)), 3) for x in torch.tensor([[0.0], [0.2]])]
    [1.0, 0.368]
    """

    psf: Any
    photons: int = 1

    scanned: ClassVar[bool] = True

    def check(self) -> None:
        if not isinstance(self.psf, Value):
            raise TypeError(f"ScannedSpot.psf must be a PSF, got {type(self.psf).__name__}; pass for example ScalarPSF")
        if not isinstance(self.photons, int) or isinstance(self.photons, bool) or self.photons not in (1, 2, 3):
            raise ValueError(f"ScannedSpot.photons must be 1, 2 or 3, got {self.photons!r}; two-photon light is 2")

    def relative(self, z: Tensor, y: Tensor, x: Tensor) -> Tensor | None:
        """Return the excitation (Z, H, W) at distances in micrometres from the focus, 1 where that is perfect."""
        found = self.psf.at(z, y, x) / self.psf.focus().peak.to(z)
        return found if self.photons == 1 else found**self.photons

    def volume(self) -> Tensor | None:
        """Return the volume in um^3 that it lights up: the integral of `relative` over the range of its PSF.

        A power is summed over a grid just fine enough for its frequencies, of which only the zero must stay clear of
        the others.
        """
        focus = self.psf.focus()
        if self.photons == 1:
            return 1 / focus.peak
        steps = [1 / frequency for frequency in self.band(_FINE)]
        z, y, x = (
            torch.arange(-math.ceil(end / step), math.ceil(end / step) + 1).to(focus.span) * step
            for end, step in zip(self.reach(_RTOL, math.inf), steps, strict=True)
        )
        found = self.relative(z, y, x)
        assert found is not None
        return found.sum() * math.prod(steps)

    def band(self, rtol: float) -> tuple[float, float, float]:
        """Return the frequencies along z, y, x in 1/um beyond which its spectrum is below `rtol`."""
        z, y, x = self.psf.band(rtol)
        return self.photons * z, self.photons * y, self.photons * x

    def reach(self, rtol: float, depth: float) -> tuple[float, float, float]:
        """Return the distances along z, y, x in micrometres beyond which it is below `rtol`.

        A power is followed as far as it is counted.
        """
        if self.photons == 1:
            return self.psf.reach(rtol, depth)
        span = float(self.psf.focus().span.detach())
        z, y, x = self.psf.reach(rtol ** (1 / self.photons), min(depth, span))
        return min(z, span), y, x
