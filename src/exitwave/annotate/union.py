"""Unions: silhouettes that are put together from convex pieces, such as the capsules of a wire."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
import torch
from torch import Tensor

from exitwave.annotate.outline import outline
from exitwave.annotate.rectangle import turned
from exitwave.annotate.spans import Spans, spans_of
from exitwave.grid import Grid
from exitwave.specimen.shapes import smallest_rectangle

# Bodies whose smallest rectangles are sought at a time.
_BLOCK = 64


@dataclass(frozen=True, eq=False)
class Union:
    """The silhouettes of n bodies, each the union of the pieces that it owns.

    `corners` (m, k, 2) are lines or triangles in micrometres (y, x), `owner` (m,) the body of each, and all that is
    nearer to them than the `radius` (n,) of the body belongs to it. Every body has a piece.
    """

    corners: np.ndarray
    owner: np.ndarray
    radius: np.ndarray

    def __len__(self) -> int:
        return len(self.radius)

    def spans(self, grid: Grid) -> Spans:
        """Return the runs of pixels that the bodies cover, none of their pixels twice."""
        found = spans_of(self.corners, self.radius[self.owner], grid)
        return found._replace(owner=self.owner[found.owner]).merged()

    def counts(self, grid: Grid) -> Tensor:
        """Return the pixels (2, n) of the silhouettes in all and in the image."""
        spans = self.spans(grid)
        both = [some.counted(len(self)) for some in (spans, spans.clipped(grid))]
        return torch.from_numpy(np.stack(both))

    def mask(self, number: int, grid: Grid) -> np.ndarray:
        """Return the part of one silhouette that lies in the image, (H, W) booleans."""
        found = np.zeros(grid.shape, dtype=bool)
        _, flat = self._only(number).spans(grid).clipped(grid).pixels(grid)
        found.reshape(-1)[flat] = True
        return found

    def boxes(self, grid: Grid) -> np.ndarray:
        """Return the exact boxes (n, 4) of the silhouettes in pixels."""
        low, high = np.full((len(self), 2), np.inf), np.full((len(self), 2), -np.inf)
        np.minimum.at(low, self.owner, self.corners.min(1))
        np.maximum.at(high, self.owner, self.corners.max(1))
        wide = self.radius[:, None]
        return np.concatenate([_pixels(low - wide, grid), _pixels(high + wide, grid)], 1)

    def oriented_boxes(self, grid: Grid) -> np.ndarray:
        """Return the corners (n, 4, 2) in pixels of the smallest rectangles around the silhouettes.

        The body reaches as far as its pieces' hull, and by the radius more. Where that is a circle in pixels, too, one
        side of the smallest rectangle is along an edge of the hull: between these directions height and width are
        concave, and so is the logarithm of the area.
        """
        step = torch.tensor(grid.spacing, dtype=torch.float64)
        found = [torch.zeros(0, 4, 2, dtype=torch.float64)]
        hulls = self._hulls()
        for first in range(0, len(self), _BLOCK):
            some = hulls[first : first + _BLOCK]
            longest = max(map(len, some))
            # The last corner again and again, where a hull has fewer than others.
            padded = [np.pad(hull, ((0, longest - len(hull)), (0, 0)), "edge") for hull in some]
            corners = torch.from_numpy(np.stack(padded))
            radius = torch.from_numpy(self.radius[first : first + _BLOCK])[:, None]

            def support(along: Tensor, corners: Tensor = corners, radius: Tensor = radius) -> Tensor:
                along = along / step
                reach = torch.einsum("nhk,ndk->nhd", corners, along).amax(1)
                return reach + radius * torch.linalg.vector_norm(along, dim=-1)

            box = smallest_rectangle(support, (torch.roll(corners, -1, 1) - corners) / step)
            found.append(box if grid.spacing[0] == grid.spacing[1] else turned(support, box))
        return torch.cat(found).numpy() + [n // 2 for n in grid.shape]

    def outlines(self, grid: Grid) -> list[np.ndarray]:
        """Return the outlines, n polygons (V, 2) in pixels; see `outline`."""
        return [
            _pixels(outline(self._only(number).corners, float(self.radius[number])), grid)
            for number in range(len(self))
        ]

    def _hulls(self) -> list[np.ndarray]:
        """Return the corners (V, 2) of the convex hull of every body's pieces, in micrometres."""
        order = np.argsort(self.owner, kind="stable")
        places = self.corners[order].reshape(-1, 2)
        clouds = shapely.multipoints(places, indices=np.repeat(self.owner[order], self.corners.shape[1]))
        corners, owner = shapely.get_coordinates(shapely.convex_hull(clouds), return_index=True)
        return np.split(corners, np.cumsum(np.bincount(owner, minlength=len(self)))[:-1])

    def _only(self, number: int) -> Union:
        """Return the union of one body alone."""
        own = self.owner == number
        return Union(self.corners[own], np.zeros(int(own.sum()), dtype=np.int64), self.radius[number : number + 1])


def _pixels(places: np.ndarray, grid: Grid) -> np.ndarray:
    """Return places (..., 2) in micrometres as row and column; the centres of pixels are integers."""
    return places / grid.spacing + [n // 2 for n in grid.shape]
