"""Specimens: parts in a medium."""

from __future__ import annotations

from typing import Any

import torch

from exitwave.model import Quantity, Value, param
from exitwave.specimen.particles import Particles


class Specimen(Value):
    """Parts (particles, films) in a medium of refractive index `medium` at the sodium D line.

    `dispersion` is the medium's Cauchy coefficient B, as for particles.
    """

    parts: tuple[Any, ...]
    medium: Quantity = param("1", low=0.5, high=5.0, default=1.0, doc="refractive index of the medium")
    dispersion: Quantity = param("um^2", low=-1.0, high=1.0, default=0.0, doc="Cauchy coefficient B of the medium")

    def check(self) -> None:
        if not isinstance(self.parts, tuple):
            raise TypeError(f"Specimen.parts must be a tuple, got {type(self.parts).__name__}; write (particles,)")
        for part in self.parts:
            if not isinstance(part, Value):
                raise TypeError(f"Specimen.parts must hold values such as Particles, got {type(part).__name__}")

    @property
    def dtype(self) -> torch.dtype:
        """The dtype that a rendering is computed in: that of the first particles, single precision without any."""
        return next((part.center.dtype for part in self.parts if isinstance(part, Particles)), torch.float32)

    @property
    def device(self) -> torch.device:
        """The device that a rendering is computed on: that of the medium's index or of the particles."""
        particles = next((part for part in self.parts if isinstance(part, Particles)), None)
        return self.medium.device if particles is None else particles.center.device
