"""The scalar image of a point behind a lens."""

from __future__ import annotations

import torch
from torch import Tensor

from exitwave.lattice import Lattice
from exitwave.model import Value
from exitwave.optics.psf.bessel import bessel
from exitwave.optics.psf.radii import radii
from exitwave.optics.psf.rays import (
    Coverslip,
    Layers,
    Pencil,
    band,
    check_aperture,
    check_coverslip,
    focus_of,
    layers_of,
    pencil,
    reach,
    span_of,
)
from exitwave.optics.psf.sampling import Focus, sampled_transfer
from exitwave.quantity import Quantity, param


class ScalarPSF(Value):
    """A point behind an aplanatic lens, light taken as a scalar: right where the aperture is small.

    h = |integral over the pupil of exp(i phase(f, z)) J_0(2 pi f r) / sqrt(cos theta) 2 pi f df|^2, which every plane
    gets the same light of. `index` is that of the immersion and `medium` that of the specimen, the same where it is
    not given; the emitter lies `depth` micrometres behind the coverslip. z is how far the lens was moved, so that a
    deep emitter in a medium of lower index comes into focus below its own height. Apertures beyond the medium's index
    take in no light: what tunnels to the coverslip is left out.

    >>> psf = ScalarPSF(na=1.2, wavelength=0.52, index=1.33)
    >>> lags = torch.tensor([-0.1, 0.0, 0.1])
    >>> psf.at(torch.tensor([0.0, 1.0]), lags, lags).shape
    torch.Size([2, 3, 3])
    """

    na: Quantity = param("1", low=0.0, high=1.7, exclusive=True, default=1.0, doc="numerical aperture")
    wavelength: Quantity = param("um", low=0.0, exclusive=True, default=0.52, doc="vacuum wavelength")
    index: Quantity = param("1", low=1.0, high=2.5, default=1.33, doc="refractive index of the immersion")
    medium: Quantity = param(
        "1", low=1.0, high=2.5, default=None, doc="index of the specimen; None for the immersion's"
    )
    depth: Quantity = param("um", low=0.0, high=1e4, default=0.0, doc="the emitter's distance from the coverslip")
    coverslip: Coverslip | None = None

    def check(self) -> None:
        check_aperture("ScalarPSF", self.na, self.index)
        check_coverslip("ScalarPSF", self.coverslip)

    def _layers(self) -> Layers:
        return layers_of(self.na, self.wavelength, self.index, self.medium, self.depth, self.coverslip)

    def at(self, z: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """Return h (Z, H, W) in 1/um^3 at distances z (Z,), y (H,), x (W,) in micrometres."""
        distance, place = radii(y, x)
        rays = pencil(self._layers(), z, float(distance.amax()))
        wave = bessel(2 * torch.pi * rays.frequency[:, None] * distance)[0].to(z.dtype)
        real = (rays.weight * torch.cos(rays.phase)).to(z.dtype) @ wave
        imaginary = (rays.weight * torch.sin(rays.phase)).to(z.dtype) @ wave
        found = (real.square() + imaginary.square()) / (2 * span_of(rays.layers) * _energy(rays)).to(z.dtype)
        return found[:, place].reshape(len(z), len(y), len(x))

    def lateral(self, z: Tensor) -> Tensor:
        """Return the integral of h over each plane (Z,), in 1/um: the same for all."""
        return (0.5 / span_of(self._layers())).to(z) * torch.ones_like(z)

    def focus(self) -> Focus:
        """Return the sizes of the focus."""
        rays = pencil(self._layers(), torch.zeros(1, dtype=torch.float64, device=self.na.device), 0.0)
        return focus_of(rays.layers, rays.weight.sum(), _energy(rays))

    def band(self, rtol: float) -> tuple[float, float, float]:
        """Return the cut-off frequencies along z, y, x in 1/um."""
        return band(self._layers().na, self.wavelength, self.index)

    def reach(self, rtol: float, depth: float) -> tuple[float, float, float]:
        """Return the distances along z, y, x in micrometres beyond which h may be left out."""
        return reach(self._layers(), rtol, depth)

    def transfer(self, lattice: Lattice, like: Tensor) -> Tensor:
        """Return the Fourier transform of h (of `lattice.bands`) over one period of the lattice."""
        return sampled_transfer(self.at, lattice, like)


def _energy(rays: Pencil) -> Tensor:
    """Return the integral of the squared amplitude over the pupil."""
    return (rays.weight.square() / rays.area).sum()
