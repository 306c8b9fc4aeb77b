"""Meshes: surfaces of triangles, fluorescent themselves or around fluorescent interiors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from exitwave.model import Value
from exitwave.quantity import Quantity, Table, indices, param
from exitwave.specimen.tables import check_table


class Mesh(Value):
    """Triangles between vertices: a membrane, the surface of a solid, or the walls between many cells.

    `density` is the emission per square micrometre of every face. Every face has a region on either side: `regions`
    (F, 2) are those behind and in front of it, and its normal, by the right-hand rule in (x, y, z), points from the
    first into the second. 0 is the outside. Without `regions` the faces are one surface around region 1. Where
    nothing else is given, a face between two cells has density 2, for two membranes lie there, and every other face 1.
    `fill` is the emission per cubic micrometre inside the regions 1, 2, ...; where it is given and `density` is not,
    the faces themselves are dark.

    >>> corner = Mesh(vertices=[[0, 0, 0], [0, 0, 3.0], [0, 4.0, 0]], faces=[[0, 1, 2]])
    >>> corner.density.tolist(), corner.areas().tolist()
    ([1.0], [6.0])
    """

    vertices: Quantity = param("um", dims=("V", 3), doc="positions (z, y, x)")
    faces: Table = indices("F", 3, doc="the three vertices of every face")
    density: Quantity = param("photon/um^2", low=0.0, high=1e12, dims=("F",), default=None, doc="emission per area")
    regions: Table = indices("F", 2, default=None, doc="regions behind and in front of every face; 0 is outside")
    fill_density: Quantity = param(
        "photon/um^3", low=0.0, high=1e12, dims=("R",), default=None, doc="emission per volume of regions 1, 2, ..."
    )
    label: str = "cell"
    secondary: Quantity = param("1", low=0.0, high=100.0, dims=("R",), default=None, doc="electron yield; support = 1")
    backscatter: Quantity = param("1", low=0.0, high=100.0, dims=("R",), default=None, doc="yield by backscattering")

    def fill(self) -> dict[str, Any]:
        given: Any = self.regions
        if given is None:
            given = torch.tensor([[1, 0]], device=self.faces.device).repeat(len(self.faces), 1)
        like = self.vertices[:1, 0].detach()
        walls = (given.min(-1).values > 0) if len(given) else given.new_zeros(0, dtype=torch.bool)
        dark = self.fill_density is not None
        density = torch.where(walls, 2.0, 1.0).to(like) * (0.0 if dark else 1.0)
        inside = torch.zeros(int(given.max()) if len(given) else 0, dtype=torch.float64, device=self.faces.device)
        one = torch.ones_like(inside if self.fill_density is None else self.fill_density.detach())
        return {
            "regions": given,
            "density": density,
            "fill_density": inside,
            "secondary": one,
            "backscatter": torch.zeros_like(one),
        }

    def check(self) -> None:
        check_table("Mesh.faces", self.faces, len(self.vertices))
        low, high = int(self.regions.min()), int(self.regions.max())
        if low < 0 or high > len(self.fill_density):
            raise ValueError(
                f"Mesh.regions must lie from 0, the outside, to {len(self.fill_density)}, the entries of fill_density, "
                f"got {low if low < 0 else high}; number the cells from 1"
            )
        same = (self.regions[:, 0] == self.regions[:, 1]).nonzero().flatten().tolist()
        if same:
            raise ValueError(
                f"Mesh.regions must be different on both sides of a face, got {int(self.regions[same[0], 0])} twice "
                f"for face {same[0]} and {len(same) - 1} others; drop faces inside of a region"
            )
        filled = self.fill_density.detach() != 0
        if bool(filled.any()):
            torn = (filled & ~self.closed()).nonzero().flatten().add(1).tolist()
            if torn:
                raise ValueError(
                    f"Mesh.fill_density must be 0 in regions that are not closed and oriented, got light in region "
                    f"{', '.join(map(str, torn[:5]))}{', ...' if len(torn) > 5 else ''}; repair the mesh first"
                )

    def closed(self) -> Tensor:
        """Return for regions 1, 2, ... whether faces enclose each (R,), all turned the same way.

        The boundary of a closed surface is nothing: along every edge its faces run forth as often as back.

        >>> Mesh(vertices=[[0, 0, 0], [0, 0, 3.0], [0, 4.0, 0]], faces=[[0, 1, 2]]).closed()
        tensor([False])
        """
        start, end = self.faces, self.faces.roll(-1, 1)
        edge = torch.minimum(start, end) * len(self.vertices) + torch.maximum(start, end)
        forth = (end - start).sign()
        # A face bounds the region in front of it the other way round.
        behind, before = self.regions[:, :1].expand_as(edge), self.regions[:, 1:].expand_as(edge)
        stride = len(self.vertices) ** 2
        keys, place = torch.cat([behind * stride + edge, before * stride + edge]).unique(return_inverse=True)
        balance = torch.zeros_like(keys).index_add_(0, place.flatten(), torch.cat([forth, -forth]).flatten())
        torn = torch.zeros(len(self.fill_density) + 1, dtype=torch.bool, device=keys.device)
        torn[keys[balance != 0] // stride] = True
        return ~torn[1:]

    def corners(self) -> Tensor:
        """Return the positions (F, 3, 3) of every face's vertices in micrometres."""
        # The slope of index_select adds up in the same order every time; that of indexing does not.
        return self.vertices.index_select(0, self.faces.flatten()).reshape(*self.faces.shape, 3)

    def area_vectors(self) -> Tensor:
        """Return the area times the unit normal of every face (F, 3) along (z, y, x) in square micrometres."""
        a, b, c = self.corners().unbind(1)
        # The right-hand rule in (x, y, z) is the left-hand rule in (z, y, x).
        return -0.5 * torch.linalg.cross(b - a, c - a)

    def areas(self) -> Tensor:
        """Return the area of every face (F,) in square micrometres; its slope is zero where a face has none."""
        square = self.area_vectors().square().sum(-1)
        empty = square == 0
        return torch.where(empty, square, torch.where(empty, torch.ones_like(square), square).sqrt())
