"""Waves given by their transmission, without particles: what the closed forms of imaging are written for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from exitwave.field import Canvas, Source
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

    def spectrum(self, colour: int, direction: Tensor) -> Tensor:
        return torch.fft.fft2(self.data)


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
    found = lamp.source()  # pyright: ignore[reportAttributeAccessIssue]
    return Source(*(part.to(wave.medium) for part in (found.direction, found.weight, wave.wavelength, found.spectrum)))
