"""Transmission: the exit wave of a thin specimen."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from exitwave.field import Canvas
from exitwave.model import Value
from exitwave.raster import deposit
from exitwave.specimen import Specimen

SODIUM = 0.5893
"""Wavelength of the sodium D line in micrometres, where refractive indices are given."""


class Transmission(Value):
    """The thin-specimen exit wave, t = exp(2 pi i OPD / lambda - A / 2) in one plane.

    Optical path differences and absorbances of all particles add along the line of sight, are exponentiated once and
    stand in the plane of the particles' mean height. Valid while every particle lies within the depth of field
    lambda n / NA^2 of that plane (Born and Wolf, Principles of Optics, 8.8.3); deeper specimens are refused.
    """

    def wave(self, specimen: Specimen, canvas: Canvas, wavelength: Tensor, na: Tensor) -> ThinWave:
        """Return the wave that leaves `specimen` at the given vacuum wavelengths (L,) in micrometres."""
        like = torch.zeros((), dtype=specimen.dtype, device=specimen.device)
        height, width = canvas.grid.shape
        opd = absorbance = like.new_zeros(height, width)
        dispersive = None
        for part in specimen.parts:
            path, stain, slope = deposit(part, specimen, canvas, like)
            opd = opd + path
            absorbance = absorbance if stain is None else absorbance + stain
            if slope is not None:
                dispersive = slope if dispersive is None else dispersive + slope
        line = 1 / wavelength**2 - 1 / SODIUM**2
        medium = (specimen.medium + specimen.dispersion * line).to(like)
        plane = _plane(specimen, like, medium, wavelength, na)
        return ThinWave(canvas, wavelength.to(like), medium, plane, opd, absorbance, dispersive, {})


@dataclass(frozen=True)
class ThinWave:
    """A wave that is the same for every direction of incidence, apart from the incident wave itself."""

    canvas: Canvas
    wavelength: Tensor
    medium: Tensor
    plane: Tensor
    opd: Tensor
    absorbance: Tensor
    dispersive: Tensor | None
    cache: dict[int, Tensor]

    def path(self, colour: int) -> Tensor:
        """Return the optical path difference in wavelengths, (H, W)."""
        if self.dispersive is None:
            return self.opd / self.wavelength[colour]
        slope = 1 / self.wavelength[colour] ** 2 - 1 / SODIUM**2
        return (self.opd + slope * self.dispersive) / self.wavelength[colour]

    def transmission(self, colour: int) -> Tensor:
        """Return the complex amplitude transmission, (H, W)."""
        cycles = self.path(colour)
        amplitude = torch.exp(-0.5 * self.absorbance) * resolved(cycles)
        phase = 2 * math.pi * cycles
        return torch.complex(amplitude * torch.cos(phase), amplitude * torch.sin(phase))

    def spectrum(self, colour: int, direction: Tensor) -> Tensor:
        """Return the Fourier transform of the transmission; one transform serves every direction."""
        if colour not in self.cache:
            self.cache.clear()  # colours are imaged one after the other
            self.cache[colour] = torch.fft.fft2(self.transmission(colour))
        return self.cache[colour]


def resolved(cycles: Tensor) -> Tensor:
    """Return the amplitude (H, W) of light that the grid can carry away: 1 on gentle slopes, 0 on steep ones.

    A facet that adds g cycles per sample refracts light to the spatial frequency g / pixel. Beyond half a cycle that
    direction cannot be represented; it would come back at a wrong angle. Such light misses every pupil that the grid
    resolves, so it is taken out, with a smooth step from 0.4 to 0.6 cycles. This is what makes crystal edges dark.
    """
    gy = torch.nn.functional.pad((cycles[2:] - cycles[:-2]).abs() * 0.5, (0, 0, 1, 1))
    gx = torch.nn.functional.pad((cycles[:, 2:] - cycles[:, :-2]).abs() * 0.5, (1, 1))
    excess = ((torch.maximum(gy, gx) - 0.4) / 0.2).clamp(0.0, 1.0)
    return 1.0 - excess * excess * (3.0 - 2.0 * excess)


def _plane(specimen: Specimen, like: Tensor, medium: Tensor, wavelength: Tensor, na: Tensor) -> Tensor:
    """Return the mean height of all particles in micrometres; refuse specimens deeper than the depth of field."""
    height = specimen.heights()
    if not len(height):
        return like.new_zeros(())
    plane = height.mean()
    with torch.no_grad():
        depth = float(wavelength.min().to(like) * medium.min() / na.to(like) ** 2)
        farthest = float((height - plane).abs().max())
    if farthest > depth:
        raise ValueError(
            f"a thin specimen must lie within the depth of field {depth:.3g} um of one plane, got a particle "
            f"{farthest:.3g} um from it; bring the centres together along z or lower the NA"
        )
    return plane
