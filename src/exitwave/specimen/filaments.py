"""Filaments: thin fluorescent curves made of straight segments."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from exitwave.model import Value
from exitwave.quantity import Quantity, Table, indices, param
from exitwave.specimen.tables import check_table


class Filaments(Value):
    """Straight segments between vertices, as thin as the light cannot tell: microtubules, actin, DNA.

    `density` is the emission per micrometre of every segment. Without `segments`, the vertices are one curve.

    >>> bent = Filaments(vertices=[[0, 0, 0], [0, 0, 3.0], [0, 4.0, 3.0]])
    >>> bent.segments.tolist(), bent.lengths().tolist()
    ([[0, 1], [1, 2]], [3.0, 4.0])
    """

    vertices: Quantity = param("um", dims=("V", 3), doc="positions (z, y, x)")
    segments: Table = indices("S", 2, default=None, doc="the two vertices of every segment")
    density: Quantity = param("photon/um", low=0.0, high=1e12, dims=("S",), default=None, doc="emission per length")
    label: str = "filament"

    def fill(self) -> dict[str, Any]:
        count = max(len(self.vertices) - 1, 0)
        given: Any = self.segments
        if given is None:
            given = torch.arange(count, device=self.vertices.device)[:, None] + torch.tensor([0, 1])
        return {"segments": given, "density": torch.ones_like(self.vertices[:1, 0]).expand(len(given)).clone()}

    def check(self) -> None:
        check_table("Filaments.segments", self.segments, len(self.vertices))

    def lengths(self) -> Tensor:
        """Return the length of every segment (S,) in micrometres; its slope is zero where a segment has none."""
        first, last = self.vertices[self.segments[:, 0]], self.vertices[self.segments[:, 1]]
        square = (last - first).square().sum(-1)
        empty = square == 0
        return torch.where(empty, square, torch.where(empty, torch.ones_like(square), square).sqrt())
