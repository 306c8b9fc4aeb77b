"""Multislice: the exit wave of a deep specimen."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from exitwave.field import Canvas, Light, Slabs
from exitwave.fourier import Band, spectrum
from exitwave.grid import Grid
from exitwave.interaction.passing import passed_light, require_passing
from exitwave.interaction.transmission import indices, jones
from exitwave.model import Value
from exitwave.raster import Maps, bend, kept_channels, maps_of, span
from exitwave.specimen import Specimen
from exitwave.stages import Sensor

# Bytes that the maps of all slabs may take.
_LARGEST = 1 << 33


class Multislice(Value):
    """The exit wave of a deep specimen: thin slabs, and free propagation from one to the next.

    Every particle's chord is shared out over equidistant planes by linear splitting, which is smooth in z and lets
    large bodies act where they are; between planes light travels by the angular spectrum exp(i dz k_z(f)) in the
    medium (Cowley and Moodie, Acta Cryst. 10, 609, 1957). Every direction of incidence is propagated. `slabs` is the
    number of planes; without it, it follows from size, index step and aperture (`planes`). `depth` fixes the lowest
    and the highest plane; without it they enclose the specimen.
    """

    slabs: int | None = None
    depth: tuple[float, float] | None = field(default=None, metadata={"unit": "um"})

    def check(self) -> None:
        if self.slabs is not None and (
            not isinstance(self.slabs, int) or isinstance(self.slabs, bool) or self.slabs < 1
        ):
            raise ValueError(f"Multislice.slabs must be a positive integer, got {self.slabs!r}; leave it out to choose")
        if self.depth is None:
            return
        numbers = isinstance(self.depth, tuple) and all(isinstance(end, int | float) for end in self.depth)
        if not numbers or len(self.depth) != 2 or not -1e4 <= self.depth[0] < self.depth[1] <= 1e4:
            raise ValueError(
                f"Multislice.depth must be two rising heights (low, high) in um, got {self.depth}; sort them"
            )

    def require(self, illumination: object, optics: object, sensor: object) -> None:
        """Raise a one-line error where the other stages are not those of transmitted light."""
        require_passing(illumination, optics, sensor)

    def light(self, specimen: Specimen, illumination: Any, optics: Any, sensor: Sensor, grid: Grid) -> Light:
        """Return the light on the sensor, relative to the empty field."""
        return passed_light(self, specimen, illumination, optics, sensor, grid)

    def span(self, specimen: Specimen, wavelength: Tensor, na: Tensor) -> tuple[float, float]:
        """Return the lowest and the highest plane that stands for the specimen, in micrometres."""
        slabs = self.planes(specimen, wavelength, na)
        return slabs.first, slabs.last

    def planes(self, specimen: Specimen, wavelength: Tensor, na: Tensor) -> Slabs:
        """Return the planes that stand for `specimen`; refuse particles beyond a fixed `depth`."""
        with torch.no_grad():
            ends = [span(part) for part in specimen.parts]
            reached = torch.cat([end.double().cpu() for end in ends]) if ends else torch.zeros(0)
            low, high = (float(reached.min()), float(reached.max())) if len(reached) else (0.0, 0.0)
            if self.depth is not None:
                bottom, top = self.depth
                rounding = 1e-6 * (abs(low) + abs(high) + 1.0)  # single precision of the specimen
                if low < bottom - rounding or high > top + rounding:
                    raise ValueError(
                        f"the specimen must lie between the slabs at {bottom:g} and {top:g} um, got particles from "
                        f"{low:.4g} to {high:.4g} um; widen Multislice.depth or leave it out"
                    )
                low, high = bottom, top
            count = self.slabs
            if count is None:
                count = 1 + math.ceil((high - low) / _thickness(specimen, wavelength, na) - 1e-9)
            if count == 1:
                return Slabs((low + high) / 2, 1.0, 1)
            return Slabs(low, (high - low) / (count - 1) or 1.0, count)

    def wave(self, specimen: Specimen, canvas: Canvas, wavelength: Tensor, na: Tensor) -> DeepWave:
        """Return the wave that leaves `specimen` at the given vacuum wavelengths (L,) in micrometres."""
        like = torch.zeros((), dtype=specimen.dtype, device=specimen.device)
        slabs = self.planes(specimen, wavelength, na)
        layout = (slabs.count, len(kept_channels(specimen)), *canvas.grid.shape)
        need = math.prod(layout) * like.element_size()
        if need > _LARGEST:
            raise ValueError(
                f"the maps of all slabs must take at most {_LARGEST >> 30} GiB, got {need / 2**30:.3g} GiB for "
                f"{' x '.join(map(str, layout))} samples; use fewer slabs or a smaller grid"
            )
        maps = maps_of(specimen, canvas, slabs, like)
        medium = indices(specimen, wavelength).to(like)
        return DeepWave(canvas, wavelength.to(like), medium, like + slabs.last, maps, slabs)


def _thickness(specimen: Specimen, wavelength: Tensor, na: Tensor) -> float:
    """Return the distance in micrometres between planes at which slabs add little to the error of the field.

    Three tenths of the depth of field lambda n / NA^2, and no more than an eighth of the focal length n a / 2 dn of
    any body that delays light by more than half a radian; half a wavelength is fine enough for all. Splitting spreads
    a body over two planes, which costs most for small bodies, 3.6 % of the field for points, .3 % for spheres of 1 um.
    """
    medium, shortest = float(specimen.medium.detach()), float(wavelength.min())
    thickness = 0.3 * shortest * medium / float(na.detach()) ** 2
    for part in specimen.parts:
        half, step = bend(part, specimen)
        bending = 4 * math.pi * half * step / shortest > 0.5
        if bool(bending.any()):
            focal = float((medium * half / (2 * step))[bending].min())
            thickness = min(thickness, max(focal / 8, shortest / medium / 2))
    return thickness


@dataclass(frozen=True)
class DeepWave:
    """A wave that every direction of incidence makes anew: maps (S, H, W) in slabs, given at the last of them."""

    canvas: Canvas
    wavelength: Tensor
    medium: Tensor
    plane: Tensor
    maps: Maps
    slabs: Slabs
    thin: bool = False

    def spectrum(self, colour: int, direction: Tensor, band: Band) -> Tensor:
        """Return the Fourier transform (K, n, m) of the wave at the last plane, divided by its incident plane wave."""
        tilt = direction.to(self.medium) / self.wavelength[colour]
        step = self._step(colour, tilt)
        obliquity = self._obliquity(colour, tilt)
        wave: Tensor | None = None
        for number in range(self.slabs.count):
            slab = Maps(*(None if map is None else map[number] for map in self.maps))  # pyright: ignore[reportArgumentType]

            def through(before: Tensor | None, slab: Maps = slab, number: int = number) -> Tensor:
                after = _passed(jones(slab, self.wavelength[colour], obliquity), before)
                if number == self.slabs.count - 1:
                    return after
                return torch.fft.ifft2(torch.fft.fft2(after) * step)

            if torch.is_grad_enabled() and self.slabs.count > 1:
                # The backward pass computes every slab again from the wave that reached it.
                found = checkpoint(through, wave, use_reentrant=False)
                assert isinstance(found, Tensor)
                wave = found
            else:
                wave = through(wave)
        assert wave is not None
        return spectrum(torch.stack([wave.real, wave.imag]), band)

    def _cosine(self, colour: int, square: Tensor) -> Tensor:
        return torch.sqrt((1.0 - square * (self.wavelength[colour] / self.medium[colour]) ** 2).clamp(min=1e-6))

    def _obliquity(self, colour: int, tilt: Tensor) -> Tensor:
        return 1.0 / self._cosine(colour, (tilt * tilt).sum())

    def _step(self, colour: int, tilt: Tensor) -> Tensor:
        """Return the factor (H, W) from one plane to the next, relative to the incident plane wave's."""
        (height, width), (dy, dx) = self.canvas.grid.shape, self.canvas.grid.spacing
        like = self.medium
        fy = torch.fft.fftfreq(height, dy, dtype=like.dtype, device=like.device)[:, None] + tilt[0]
        fx = torch.fft.fftfreq(width, dx, dtype=like.dtype, device=like.device)[None] + tilt[1]
        square, own = fy * fy + fx * fx, (tilt * tilt).sum()
        waves = self.wavelength[colour] / self.medium[colour]
        # k_z(f) - k_z(tilt), without the cancellation of two large numbers.
        phase = -2 * math.pi * self.slabs.step * waves * (square - own)
        phase = phase / (self._cosine(colour, square) + self._cosine(colour, own))
        travels = (square * waves * waves < 1.0).to(like.dtype)  # evanescent waves are gone within a wavelength
        return torch.complex(travels * torch.cos(phase), travels * torch.sin(phase))


def _passed(planes: Tensor, before: Tensor | None) -> Tensor:
    """Return the Jones components of light behind a slab: those of the slab (2, K, H, W) times those before it."""
    slab = torch.complex(planes[0], planes[1])
    if before is None:
        return slab
    if len(slab) == 1:
        return slab * before
    # (a0 + i a . sigma)(b0 + i b . sigma) = a0 b0 - a . b + i (a0 b + b0 a - a x b) . sigma, in the order z, x, y:
    # cyclic like x, y, z.
    a = torch.cat([slab, torch.zeros_like(slab[:1])])
    b = before if len(before) == 4 else torch.cat([before, torch.zeros_like(before[:1])])
    cross = torch.linalg.cross(a[1:], b[1:], dim=0)
    scalar = a[0] * b[0] - (a[1:] * b[1:]).sum(0)
    return torch.cat([scalar[None], a[0] * b[1:] + b[0] * a[1:] - cross])
