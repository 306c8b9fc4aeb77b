"""Transmission: the exit wave of a thin specimen."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from exitwave.field import Canvas, Light
from exitwave.fourier import Band
from exitwave.grid import Grid
from exitwave.interaction.exit_spectrum import exit_spectrum
from exitwave.interaction.exit_wave import exit_wave
from exitwave.interaction.passing import passed_light, require_passing
from exitwave.model import Value
from exitwave.raster import Maps, maps_of
from exitwave.specimen import Specimen
from exitwave.specimen.shapes import root
from exitwave.stages import Sensor

SODIUM = 0.5893
"""Wavelength of the sodium D line in micrometres, where refractive indices are given."""


class Transmission(Value):
    """The thin-specimen exit wave, t = exp(2 pi i OPD / lambda - A / 2) in one plane.

    Optical path differences and absorbances of all particles add along the line of sight, are exponentiated once and
    stand in the plane of the particles' mean height. Valid while the specimen lies within the depth of field
    lambda n / NA^2 of that plane (Born and Wolf, Principles of Optics, 8.8.3); centres beyond it are refused and want
    `Multislice`, and so do bodies that are thicker, whose error grows with thickness and index step. Of birefringent
    particles the retardances add as vectors of twice the azimuth, which is exact for one particle and for particles of
    parallel or crossed axes.
    """

    def require(self, illumination: object, optics: object, sensor: object) -> None:
        """Raise a one-line error where the other stages are not those of transmitted light."""
        require_passing(illumination, optics, sensor)

    def light(self, specimen: Specimen, illumination: Any, optics: Any, sensor: Sensor, grid: Grid) -> Light:
        """Return the light on the sensor, relative to the empty field."""
        return passed_light(self, specimen, illumination, optics, sensor, grid)

    def span(self, specimen: Specimen, wavelength: Tensor, na: Tensor) -> tuple[float, float]:
        """Return the lowest and the highest plane that stands for the specimen, in micrometres."""
        height = specimen.heights().detach()
        plane = float(height.mean()) if len(height) else 0.0
        return plane, plane

    def wave(self, specimen: Specimen, canvas: Canvas, wavelength: Tensor, na: Tensor) -> ThinWave:
        """Return the wave that leaves `specimen` at the given vacuum wavelengths (L,) in micrometres."""
        like = torch.zeros((), dtype=specimen.dtype, device=specimen.device)
        medium = indices(specimen, wavelength).to(like)
        plane = _plane(specimen, like, medium, wavelength, na)
        return ThinWave(canvas, wavelength.to(like), medium, plane, maps_of(specimen, canvas, None, like))


@dataclass(frozen=True)
class ThinWave:
    """A wave that is the same for every direction of incidence, apart from the incident wave itself."""

    canvas: Canvas
    wavelength: Tensor
    medium: Tensor
    plane: Tensor
    maps: Maps
    thin: bool = True
    _cache: dict[tuple[int, Band], Tensor] = field(default_factory=dict)

    def spectrum(self, colour: int, direction: Tensor, band: Band) -> Tensor:
        """Return the Fourier transform (K, n, m) of the transmission; one transform serves every direction."""
        key = colour, band
        if key not in self._cache:
            self._cache.clear()  # colours are imaged one after the other
            self._cache[key] = exit_spectrum(_planes, self.wavelength[colour], self.maps, band)
        return self._cache[key]


def _planes(wavelength: Tensor, *maps: Tensor) -> Tensor:
    return jones(Maps(*maps), wavelength)


def indices(specimen: Specimen, wavelength: Tensor) -> Tensor:
    """Return the medium's index (L,) at vacuum wavelengths in micrometres, by Cauchy's law."""
    return specimen.medium + specimen.dispersion * (1 / wavelength**2 - 1 / SODIUM**2)


def jones(maps: Maps, wavelength: Tensor, obliquity: Tensor | float = 1.0) -> Tensor:
    """Return the real and imaginary part (2, K, ..., H, W) of the transmission of maps (..., H, W) at a wavelength.

    K is 1, or 3 for birefringent maps: the components of the Jones matrix exp(i Gamma / 2 (cos 2phi sigma_z + sin 2phi
    sigma_x)) by the identity and i times Pauli's matrices. `obliquity` is 1 / cos of the direction in the medium:
    tilted light passes that much more of a layer.
    """
    opd = maps.opd if maps.dispersive is None else maps.opd + (1 / wavelength**2 - 1 / SODIUM**2) * maps.dispersive
    scale = obliquity / wavelength
    absorbance = None if maps.absorbance is None else maps.absorbance * obliquity
    planes = exit_wave(opd * scale, absorbance)
    if maps.retardance_cosine is None or maps.retardance_sine is None:
        return planes[:, None]
    along, across = (math.pi * scale * part for part in (maps.retardance_cosine, maps.retardance_sine))
    angle = root(along**2 + across**2)
    sinc = torch.sin(angle) / angle
    return planes[:, None] * torch.stack([torch.cos(angle), sinc * along, sinc * across])


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
            f"{farthest:.3g} um from it; use Multislice() as the microscope's interaction"
        )
    return plane
