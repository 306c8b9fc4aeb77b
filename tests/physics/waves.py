"""Waves given by their transmission, without particles: what the closed forms of imaging are written for."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from exitwave.field import Canvas, Source
from exitwave.fourier import Band
from exitwave.grid import Grid
from exitwave.model import Value
from exitwave.optics import Objective


@dataclass(frozen=True)
class Plate:
    """A periodic plate of given amplitude transmission (H, W) in one plane; the canvas is the image."""

    data: Tensor
    pixel: tuple[float, float]
    wavelength: Tensor
    medium: Tensor
    plane: Tensor

    @property
    def canvas(self) -> Canvas:
        shape = (self.data.shape[0], self.data.shape[1])
        return Canvas(Grid(shape, self.pixel), (0, 0), shape)

    @property
    def thin(self) -> bool:
        return True

    def spectrum(self, colour: int, direction: Tensor, band: Band) -> Tensor:
        """Every frequency, and then those of the band: a second route to the pruned transform."""
        full = torch.fft.fft2(self.data)
        rows, columns = (
            torch.arange(first, first + count) % n
            for first, count, n in zip(band.first, band.shape, full.shape, strict=True)
        )
        return full[rows][:, columns][None]


def plate(data: Tensor, pixel: float | tuple[float, float], wavelength: float = 0.5, medium: float = 1.33) -> Plate:
    steps = pixel if isinstance(pixel, tuple) else (pixel, pixel)
    real = data.real
    return Plate(
        data.to(torch.complex128), steps, real.new_tensor([wavelength]), real.new_tensor([medium]), real.new_zeros(())
    )


def field(wave: Plate, objective: Objective, lamp: Value) -> Tensor:
    """Return the complex image (H, W) of a plate."""
    return objective.field(wave, source(lamp, wave))[0]


def irradiance(wave: Plate, objective: Objective, lamp: Value) -> Tensor:
    """Return the point-sampled irradiance (H, W) of a plate."""
    return objective.irradiance(wave, source(lamp, wave), lambda fy, fx: None)[0]


def source(lamp: Value, wave: Plate) -> Source:
    found: Source = lamp.source()  # pyright: ignore[reportAttributeAccessIssue]
    direction, weight, spectrum = (part.to(wave.medium) for part in (found.direction, found.weight, found.spectrum))
    return Source(direction, weight, wave.wavelength, spectrum, found.kernels)


def cosine(samples: int, periods: int) -> Tensor:
    """Return a cosine grating (H, W) along x with whole periods in the field."""
    row = torch.cos(2 * math.pi * periods * torch.arange(samples, dtype=torch.float64) / samples)
    return row.expand(samples, samples)


def modulation(image: Tensor, periods: int) -> float:
    """Return the signed amplitude of the cosine with `periods` in the field, in the mean row of an image."""
    return float(torch.fft.fft(image.mean(0))[periods].real) * 2 / image.shape[1]


def speckle(samples: int, seed: int) -> Tensor:
    """Return a random transmission (samples, samples) with strong phase and absorption."""
    noise = torch.randn(2, samples, samples, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return torch.exp(2j * noise[0] - noise[1].abs())


def smooth_disk(samples: int, pixel: float, radius: float, edge: float) -> Tensor:
    """Return a disk (samples, samples) of height 1 whose rim falls as an error function over `edge` micrometres."""
    x = (torch.arange(samples, dtype=torch.float64) - samples // 2) * pixel
    return 0.5 * torch.erfc((torch.hypot(x[:, None], x[None]) - radius) / edge)
