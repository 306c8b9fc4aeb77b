"""Tetrahedra: fluorescent volumes whose density differs from place to place."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from exitwave.model import Value
from exitwave.quantity import Quantity, Table, indices, param
from exitwave.specimen.tables import check_table


class Tetrahedra(Value):
    """T tetrahedra filled with fluorophores; `density` is the emission per cubic micrometre of each.

    >>> corner = Tetrahedra(vertices=[[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], cells=[[0, 1, 2, 3]])
    >>> round(float(corner.volumes()), 4)
    0.1667
    """

    vertices: Quantity = param("um", dims=("V", 3), doc="positions (z, y, x)")
    cells: Table = indices("T", 4, doc="the four vertices of every tetrahedron")
    density: Quantity = param("photon/um^3", low=0.0, high=1e12, dims=("T",), default=None, doc="emission per volume")
    label: str = "cell"

    def fill(self) -> dict[str, Any]:
        return {"density": torch.ones_like(self.vertices[:1, 0]).expand(len(self.cells)).clone()}

    def check(self) -> None:
        check_table("Tetrahedra.cells", self.cells, len(self.vertices))

    def volumes(self) -> Tensor:
        """Return the volume of every tetrahedron (T,) in cubic micrometres, whichever way its vertices turn."""
        a, b, c, d = self.vertices[self.cells].unbind(1)
        return (torch.linalg.cross(b - a, c - a) * (d - a)).sum(-1).abs() / 6
