"""Point spread functions of aberrated pupils."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from exitwave.lattice import Lattice
from exitwave.model import Value
from exitwave.optics.psf.quadrature import legendre, nodes_for
from exitwave.optics.psf.rays import band, check_aperture
from exitwave.optics.psf.sampling import AIRY, RANGE, Focus, airy_reach, sampled_transfer
from exitwave.optics.zernike import steepness, zernike
from exitwave.quantity import Quantity, param

# Complex numbers that one block of the pupil's rows may take.
_BLOCK = 1 << 23
# Digits that the amplitude is integrated to, with so many nodes at most.
_DIGITS = 9
_MOST = 200


class PupilPSF(Value):
    """A point behind a lens with aberrations, in units of Zernike's polynomials; light taken as a scalar.

    h = |integral of P(f) exp(i (k_z(f) - k_z(0)) (z - defocus) + 2 pi i f . r) d^2f|^2 with P = cos^(apodisation - 1)
    exp(2 pi i sum_j c_j Z_j(f lambda / na)); every plane gets the same light of it. `zernike` holds coefficients in
    waves RMS of Noll's terms 5, 6, 7, ...: piston is not observable, tilt is a shift, and focus is `defocus`, how far
    above the emitter it is sharp. `apodisation` is the power of cos theta in the amplitude per solid angle: 1/2 for an
    aplanatic lens.

    >>> psf = PupilPSF(na=0.85, wavelength=0.52, index=1.0, zernike=(0.0, 0.1))
    >>> psf.zernike.tolist()
    [0.0, 0.1]
    """

    na: Quantity = param("1", low=0.0, high=1.7, exclusive=True, default=1.0, doc="numerical aperture")
    wavelength: Quantity = param("um", low=0.0, exclusive=True, default=0.52, doc="vacuum wavelength")
    index: Quantity = param("1", low=1.0, high=2.5, default=1.33, doc="refractive index of the immersion")
    zernike: Quantity = param("wave", low=-10.0, high=10.0, dims=("K",), default=(), doc="Noll terms 5, 6, ...")
    defocus: Quantity = param("um", low=-1e4, high=1e4, default=0.0, doc="height of the sharp image over the emitter")
    apodisation: Quantity = param("1", low=-2.0, high=4.0, default=0.5, doc="power of cos theta per solid angle")

    def check(self) -> None:
        check_aperture("PupilPSF", self.na, self.index)

    def at(self, z: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """Return h (Z, H, W) in 1/um^3 at distances z (Z,), y (H,), x (W,) in micrometres.

        The Fourier integral over the disk row by row, by Gauss's rule over the chords and along each of them: two
        products of matrices per plane that wrap nothing around, and end exactly at the rim.
        """
        aside, far = self._aside(z), x.abs().amax()
        # From row to row a chord's length turns the phase as well, and in the middle rows are farther apart.
        rows = self._count(0.5 * math.pi * (aside + torch.hypot(y.abs().amax(), far)))
        chord = self._count(aside + far)
        nodes, row_weights = legendre(rows, z)
        across, chord_weights = legendre(chord, z)
        tilt = 0.5 * math.pi * nodes
        edge = self.na.double() / self.wavelength.double()
        fy = edge * torch.sin(tilt)
        half = edge * torch.cos(tilt)
        fx = half[:, None] * across
        area = (0.5 * math.pi * row_weights * half.square())[:, None] * chord_weights
        amplitude, phase, turn = self._pupil(fy[:, None], fx)
        heights = z.double() - self.defocus.double()
        wave = z.new_zeros(2, len(z), len(y), len(x))
        block = max(1, _BLOCK // (chord * (len(z) + len(x))))
        for part in torch.arange(rows, device=z.device).split(block):
            weight = area[part] * amplitude[part]
            lens = _wave((phase[part][:, None] + heights[:, None] * turn[part][:, None]).to(z.dtype))
            along = _wave((2 * math.pi * fx[part][..., None] * x.double()).to(z.dtype))
            down = _wave((2 * math.pi * y.double()[:, None] * fy[part]).to(z.dtype))
            lines = (lens * weight.to(z.dtype)[:, None]) @ along
            field = torch.einsum("hr,rzw->zhw", down, lines)
            wave = wave + torch.stack([field.real, field.imag])
        focus = self.focus()
        return wave.square().sum(0) / (2 * focus.span * self._energy()).to(z.dtype)

    def _pupil(self, fy: Tensor, fx: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the pupil's amplitude, its phase and its phase per micrometre of height, at frequencies in 1/um."""
        wavelength, index = self.wavelength.double(), self.index.double()
        square = fy.square() + fx.square()
        cosine = torch.sqrt(1 - square * (wavelength / index).square())
        turn = (-2 * math.pi) * square * (wavelength / index) / (1 + cosine)
        scale = wavelength / self.na.double()
        phase = torch.zeros_like(square)
        for number, coefficient in enumerate(self.zernike.double()):
            phase = phase + 2 * math.pi * coefficient * zernike(number + 5, fy * scale, fx * scale)
        return cosine ** (self.apodisation.double() - 1), phase, turn

    def _count(self, far: Tensor) -> int:
        """Return the nodes that resolve light from the whole pupil at a distance in micrometres.

        And its amplitude, a power of cos theta that is singular where the sine is 1: the nearer that is to the rim,
        the slower Gauss's rule converges.
        """
        beyond = float(self.index.detach() / self.na.detach())
        rate = math.log(beyond + math.sqrt(beyond * beyond - 1))
        turns = 2 * float(self.na.detach() / self.wavelength.detach()) * float(far)
        return max(nodes_for(2 * math.pi * turns), min(math.ceil(_DIGITS * math.log(10) / (2 * rate)), _MOST))

    def _aside(self, z: Tensor) -> float:
        """Return how far in micrometres rays land from the axis at heights z."""
        with torch.no_grad():
            sine = float(self.na / self.index)
            depth = float((z - self.defocus.to(z)).abs().amax())
            slope = sum(abs(float(c)) * steepness(number + 5) for number, c in enumerate(self.zernike))
            return depth * sine / math.sqrt(1 - sine * sine) + slope * float(self.wavelength / self.na)

    def _over_pupil(self, power: float) -> Tensor:
        """Return the integral over the pupil of the amplitude to a power."""
        nodes, weights = legendre(64, self.na)
        angle = torch.asin(self.na.double() / self.index.double())
        theta = 0.5 * angle * (nodes + 1)
        exponent = power * (self.apodisation.double() - 1)
        ring = torch.sin(theta) * torch.cos(theta) ** (1 + exponent)
        scale = (self.index.double() / self.wavelength.double()).square()
        return math.pi * scale * angle * (ring * weights).sum()

    def _energy(self) -> Tensor:
        return self._over_pupil(2.0)

    def lateral(self, z: Tensor) -> Tensor:
        """Return the integral of h over each plane (Z,), in 1/um: the same for all."""
        return (0.5 / self.focus().span).to(z) * torch.ones_like(z)

    def focus(self) -> Focus:
        """Return the sizes of the focus without aberrations."""
        na, wavelength = self.na.double(), self.wavelength.double()
        span = RANGE * self.index.double() * wavelength / na.square()
        peak = self._over_pupil(1.0).square() / (2 * span * self._energy())
        return Focus(peak, AIRY * wavelength / na, span)

    def band(self, rtol: float) -> tuple[float, float, float]:
        """Return the cut-off frequencies along z, y, x in 1/um."""
        return band(self.na, self.wavelength, self.index)

    def reach(self, rtol: float, depth: float) -> tuple[float, float, float]:
        """Return the distances along z, y, x in micrometres beyond which h may be left out."""
        ends = torch.tensor([-depth, depth], dtype=torch.float64, device=self.na.device)
        lateral = self._aside(ends) + airy_reach(rtol) * float((self.wavelength / self.na).detach())
        return math.inf, lateral, lateral

    def transfer(self, lattice: Lattice, like: Tensor) -> Tensor:
        """Return the Fourier transform of h (of `lattice.bands`) over one period of the lattice."""
        return sampled_transfer(self.at, lattice, like)


def _wave(phase: Tensor) -> Tensor:
    """Return exp(i phase)."""
    return torch.complex(torch.cos(phase), torch.sin(phase))
