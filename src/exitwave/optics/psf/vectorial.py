"""The image of a point behind a lens of high aperture: polarised light."""

from __future__ import annotations

import torch
from torch import Tensor

from exitwave.lattice import Lattice
from exitwave.model import Value
from exitwave.optics.psf.bessel import bessel, second
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


class VectorialPSF(Value):
    """A point behind an aplanatic lens, a dipole that turns freely while it emits: right at all apertures.

    h = |I_0|^2 + 2 |I_1|^2 + |I_2|^2 with I_m the integral over the pupil of g_m J_m(2 pi f r) exp(i phase(f, z)) /
    sqrt(cos theta) 2 pi f df, where g_0 = t_s + t_p cos, g_1 = t_p sin, g_2 = t_s - t_p cos of the angle in the
    specimen and t_s, t_p are Fresnel's transmissions between immersion, coverslip and specimen: Richards and Wolf,
    Proc. R. Soc. A 253, 358 (1959); Toeroek and Varga, Appl. Opt. 36, 2305 (1997). `index` is that of the immersion
    and `medium` that of the specimen, the same where it is not given; the emitter lies `depth` micrometres behind the
    coverslip. z is how far the lens was moved, so that a deep emitter in a medium of lower index comes into focus below
    its own height. Apertures beyond the medium's index take in no light: what tunnels to the coverslip is left out.

    >>> psf = VectorialPSF(na=1.4, wavelength=0.52, index=1.515, medium=1.33, depth=5.0)
    >>> [round(cutoff, 2) for cutoff in psf.band(1e-3)]
    [1.52, 5.12, 5.12]
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
        check_aperture("VectorialPSF", self.na, self.index)
        check_coverslip("VectorialPSF", self.coverslip)

    def _layers(self) -> Layers:
        return layers_of(self.na, self.wavelength, self.index, self.medium, self.depth, self.coverslip)

    def at(self, z: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """Return h (Z, H, W) in 1/um^3 at distances z (Z,), y (H,), x (W,) in micrometres."""
        distance, place = radii(y, x)
        rays = pencil(self._layers(), z, float(distance.amax()))
        argument = 2 * torch.pi * rays.frequency[:, None] * distance
        zeroth, first = bessel(argument)
        waves = (zeroth, first, second(argument, zeroth, first))
        cosine, sine = torch.cos(rays.phase), torch.sin(rays.phase)
        found = z.new_zeros(len(z), len(distance))
        parts = _parts(rays)
        for wave, part, share in zip(waves, parts, (1.0, 2.0, 1.0), strict=True):
            given = torch.cat([part * cosine, part * sine]).to(z.dtype) @ wave.to(z.dtype)
            found = found + share * (given[: len(z)].square() + given[len(z) :].square())
        found = found / (2 * span_of(rays.layers) * _energy(rays, parts)).to(z.dtype)
        return found[:, place].reshape(len(z), len(y), len(x))

    def lateral(self, z: Tensor) -> Tensor:
        """Return the integral of h over each plane (Z,), in 1/um: the same for all."""
        return (0.5 / span_of(self._layers())).to(z) * torch.ones_like(z)

    def focus(self) -> Focus:
        """Return the sizes of the focus."""
        rays = pencil(self._layers(), torch.zeros(1, dtype=torch.float64, device=self.na.device), 0.0)
        parts = _parts(rays)
        return focus_of(rays.layers, parts[0].sum(), _energy(rays, parts))

    def band(self, rtol: float) -> tuple[float, float, float]:
        """Return the cut-off frequencies along z, y, x in 1/um."""
        return band(self._layers().na, self.wavelength, self.index)

    def reach(self, rtol: float, depth: float) -> tuple[float, float, float]:
        """Return the distances along z, y, x in micrometres beyond which h may be left out."""
        return reach(self._layers(), rtol, depth)

    def transfer(self, lattice: Lattice, like: Tensor) -> Tensor:
        """Return the Fourier transform of h (of `lattice.bands`) over one period of the lattice."""
        return sampled_transfer(self.at, lattice, like)


def _parts(rays: Pencil) -> tuple[Tensor, Tensor, Tensor]:
    """Return what every ray adds to I_0, I_1 and I_2, less Bessel function and phase."""
    across, along = rays.transmission()
    cosine = rays.layers.cosine(rays.layers.medium, rays.frequency)
    sine = rays.frequency * rays.layers.wavelength / rays.layers.medium
    return (
        rays.weight * (across + along * cosine),
        rays.weight * along * sine,
        rays.weight * (across - along * cosine),
    )


def _energy(rays: Pencil, parts: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Return the integral of the squared amplitudes over the pupil: the light in every plane."""
    return ((parts[0].square() + 2 * parts[1].square() + parts[2].square()) / rays.area).sum()
