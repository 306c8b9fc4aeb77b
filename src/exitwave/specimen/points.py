"""Points: emitters that are far smaller than any wavelength."""

from __future__ import annotations

from typing import Any

import torch

from exitwave.model import Value
from exitwave.quantity import Quantity, param


class Points(Value):
    """N fluorescent molecules or beads far below the resolution: where they are and how much light each emits.

    `emission` is in photons, or whatever unit the image is to have: an image sums to the emission that falls into it.

    >>> Points(center=[[0, 0, 0], [1.0, 2.0, -1.0]]).emission
    tensor([1., 1.])
    """

    center: Quantity = param("um", dims=("N", 3), doc="positions (z, y, x)")
    emission: Quantity = param("photon", low=0.0, high=1e12, dims=("N",), default=None, doc="light of each point")
    label: str = "point"

    def fill(self) -> dict[str, Any]:
        return {"emission": torch.ones_like(self.center[:, 0])}

    @property
    def count(self) -> int:
        """The number of points."""
        return self.center.shape[0]
