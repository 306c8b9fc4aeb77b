"""Specimens: parts in a medium."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from exitwave.model import Value, leaves
from exitwave.quantity import Quantity, param


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

    def _arrays(self, field: str = "") -> list[Tensor]:
        """Return the arrays over particles, vertices and the like of all parts, or those of one field."""
        found = ((path, item) for path, spec, item in leaves(self) if spec.many)
        return [item for path, item in found if path.endswith(field) and isinstance(item, Tensor)]

    @property
    def dtype(self) -> torch.dtype:
        """The dtype that a rendering is computed in: that of the first particles, single precision without any."""
        return next((array.dtype for array in self._arrays()), torch.float32)

    @property
    def device(self) -> torch.device:
        """The device that a rendering is computed on: that of the particles, or of the medium's index without any."""
        return next((array.device for array in self._arrays()), self.medium.device)

    def heights(self) -> Tensor:
        """Return the z of the centres of all particles (N,) in micrometres; empty without any."""
        centers = self._arrays(".center")
        return torch.cat([center[:, 0] for center in centers]) if centers else self.medium.new_zeros(0)

    def extent(self) -> tuple[list[float], list[float]]:
        """Return the lowest and the highest coordinates (z, y, x) of points and vertices, in micrometres."""
        places = [place.detach() for place in (*self._arrays(".center"), *self._arrays(".vertices")) if len(place)]
        if not places:
            return [0.0] * 3, [0.0] * 3
        low = torch.stack([place.amin(0).double() for place in places]).amin(0)
        high = torch.stack([place.amax(0).double() for place in places]).amax(0)
        return low.tolist(), high.tolist()
