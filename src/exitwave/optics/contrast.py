"""What turns phase and polarisation into contrast: plates in the pupil, polarisers, a reference beam."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from exitwave.model import Value
from exitwave.quantity import Quantity, param


class PhaseRing(Value):
    """A ring in the pupil that shifts and dims the light in it: Zernike's phase contrast.

    The ring lies on the image of an annular condenser aperture, whose undiffracted light it changes by the factor
    sqrt(transmission) exp(i phase). A phase of -pi/2 shows what delays light dark (positive contrast), +pi/2 bright
    (negative contrast); the empty field has the irradiance `transmission`. Zernike, Physica 9, 686 (1942).
    """

    inner_na: Quantity = param("1", low=0.0, high=1.6, default=0.25, doc="aperture of the ring's inner edge")
    outer_na: Quantity = param("1", low=0.0, high=1.6, default=0.35, doc="aperture of the ring's outer edge")
    phase: Quantity = param("rad", low=-math.pi, high=math.pi, default=-math.pi / 2, doc="phase added in the ring")
    transmission: Quantity = param("1", low=0.0, high=1.0, default=0.25, doc="transmitted share of the irradiance")

    def check(self) -> None:
        inner, outer = float(self.inner_na.detach()), float(self.outer_na.detach())
        if inner >= outer:
            raise ValueError(f"PhaseRing.inner_na must be below outer_na {outer:g}, got {inner:g}; swap them")

    def factor(
        self, fy: Tensor, fx: Tensor, tilt: Tensor, wavelength: Tensor, step: tuple[float, float]
    ) -> tuple[Tensor, Tensor]:
        """Return the real and imaginary factor at pupil frequencies (1/um); edges are one frequency step soft."""
        radius = torch.sqrt(fy * fy + fx * fx + 1e-20)
        width = (step[0] * step[1]) ** 0.5
        inner, outer = self.inner_na.to(fy) / wavelength, self.outer_na.to(fy) / wavelength
        outside = ((radius - outer) / width + 0.5).clamp(0.0, 1.0)
        within = ((inner - radius) / width + 0.5).clamp(0.0, 1.0)
        # An inner edge at zero is none: the ring is a dot.
        within = torch.where(inner > 0, within, torch.zeros_like(within))
        ring = (1.0 - outside) * (1.0 - within)
        dim = torch.sqrt(self.transmission.to(fy).clamp(min=1e-20))
        phase = self.phase.to(fy)
        return 1.0 + ring * (dim * torch.cos(phase) - 1.0), ring * dim * torch.sin(phase)

    @property
    def spread(self) -> float:
        """How far in micrometres the plate moves light in the image: not at all."""
        return 0.0

    def check_field(self, extent: tuple[float, ...]) -> None:
        """A ring suits every field."""


class Shear(Value):
    """Two images of the specimen, apart by `shear`, that interfere: Nomarski's differential interference contrast.

    t(r + d/2) exp(i b/2) - t(r - d/2) exp(-i b/2) over 2i is a factor sin(pi f . d + b/2) on the specimen's spectrum,
    the same for every direction of incidence, because the prisms on both sides of it compensate each other. The
    empty field has the irradiance sin^2(bias / 2). Cogswell and Sheppard, J. Microsc. 165, 81 (1992).
    """

    shear: Quantity = param("um", low=-1e3, high=1e3, dims=(2,), default=(0.0, 0.2), doc="shear d along (y, x)")
    bias: Quantity = param("rad", low=-2 * math.pi, high=2 * math.pi, default=math.pi / 2, doc="phase b between both")

    def factor(
        self, fy: Tensor, fx: Tensor, tilt: Tensor, wavelength: Tensor, step: tuple[float, float]
    ) -> tuple[Tensor, Tensor]:
        """Return the real and imaginary factor at pupil frequencies (1/um) for light that falls in at `tilt` (1/um)."""
        shear = self.shear.to(fy)
        cycles = (fy - tilt[0]) * shear[0] + (fx - tilt[1]) * shear[1]
        wave = torch.sin(math.pi * cycles + 0.5 * self.bias.to(fy))
        return wave, torch.zeros_like(wave)

    @property
    def spread(self) -> float:
        """How far in micrometres the plate moves light in the image: half the shear either way."""
        return 0.5 * float(torch.linalg.vector_norm(self.shear.detach()))

    def check_field(self, extent: tuple[float, ...]) -> None:
        """Refuse a shear beyond the field (height, width) in micrometres."""
        worst = [abs(float(part)) for part in self.shear.detach()]
        if worst[0] >= extent[-2] or worst[1] >= extent[-1]:
            raise ValueError(
                f"the shear must be smaller than the field {extent[-2]:g} x {extent[-1]:g} um, got {worst[0]:g} x "
                f"{worst[1]:g} um; a real prism shears by about the resolution, 0.1 to 0.5 um"
            )


class Polarization(Value):
    """A linear polariser before the specimen, and a compensator and an analyser behind it.

    Angles are azimuths from the x axis towards y. The compensator delays light polarised along its `azimuth` by
    `retardance` micrometres more than light across it. The image is relative to the polarised light that falls in:
    the empty field is 1 between parallel polars and 0 between crossed ones.
    """

    polarizer: Quantity = param("rad", low=-10.0, high=10.0, default=0.0, doc="azimuth of the polariser")
    analyzer: Quantity = param("rad", low=-10.0, high=10.0, default=math.pi / 2, doc="azimuth of the analyser")
    retardance: Quantity = param("um", low=-100.0, high=100.0, default=0.0, doc="path difference of the compensator")
    azimuth: Quantity = param("rad", low=-10.0, high=10.0, default=math.pi / 4, doc="slow axis of the compensator")

    def weights(self, wavelength: Tensor) -> Tensor:
        """Return what the identity and i times the three Pauli matrices of a wave contribute, (4,) complex.

        analyser^T compensator M polariser for every M of the basis.
        """
        p, a = self.polarizer.to(wavelength), self.analyzer.to(wavelength)
        slow = 2 * self.azimuth.to(wavelength)
        half = math.pi * self.retardance.to(wavelength) / wavelength
        cosine, sine = torch.cos(half), torch.sin(half)
        # a^T C = a^T cos + i sin a^T (cos 2phi, sin 2phi; sin 2phi, -cos 2phi): a vector with real and imaginary part.
        a_x, a_y = torch.cos(a), torch.sin(a)
        left_x = torch.complex(cosine * a_x, sine * (a_x * torch.cos(slow) + a_y * torch.sin(slow)))
        left_y = torch.complex(cosine * a_y, sine * (a_x * torch.sin(slow) - a_y * torch.cos(slow)))
        p_x, p_y = torch.cos(p), torch.sin(p)
        return torch.stack(
            [
                left_x * p_x + left_y * p_y,
                1j * (left_x * p_x - left_y * p_y),
                1j * (left_x * p_y + left_y * p_x),
                left_x * p_y - left_y * p_x,
            ]
        )


class Reference(Value):
    """A plane wave that interferes with the image: off-axis holography.

    `direction` is index times sine of its angle to the axis along (y, x), on the side of the specimen. The fringes have
    the frequency (direction - that of the illumination) / wavelength; from 3 NA / wavelength on the sidebands stand
    clear of the rest. `amplitude` is relative to the light that falls in.
    """

    direction: Quantity = param("1", low=-10.0, high=10.0, dims=(2,), default=(1.1, 1.1), doc="tilt along (y, x)")
    amplitude: Quantity = param("1", low=0.0, high=100.0, default=1.0, doc="amplitude of the reference")

    def carrier(self, tilt: Tensor, wavelength: Tensor, spacing: tuple[float, ...]) -> Tensor:
        """Return the fringes' frequency (2,) in 1/um along (y, x), for light that falls in at `tilt` (1/um).

        Refuses fringes that the pixels cannot sample.
        """
        carrier = self.direction.to(wavelength) / wavelength - tilt
        for axis in range(2):
            if abs(float(carrier[axis].detach())) * spacing[axis] > 0.5:
                raise ValueError(
                    f"the fringes must be at least two pixels wide, got {1 / abs(float(carrier[axis])):.3g} um at a "
                    f"pixel of {spacing[axis]:g} um; tilt the reference less or use a finer pixel"
                )
        return carrier
