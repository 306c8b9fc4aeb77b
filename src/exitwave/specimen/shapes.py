"""What every shape offers, and the geometry that shapes share.

A shape is a value without numbers: the numbers (`size`, `rotation`) are columns of `Particles`. It answers for N
particles at once, from rows of coefficients that `prepare` computes one time per particle:

- `chord(rows, y, x)`: where a line along z enters and leaves the body (z_in, z_out), in micrometres;
- `edge(rows, y, x)`: the signed distance to the silhouette in the (y, x) plane, positive inside, and its outward
  normal (distance, n_y, n_x);
- `reach`, `support`, `outline`, `oriented_box`: the exact extent and silhouette, for annotations.

`node` makes of the first two the chord averaged over a grid cell, the one formula behind every image.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Protocol

import torch
from torch import Tensor


class Shape(Protocol):
    """A body defined by a few sizes and a rotation; all methods take N particles at once."""

    rounded: ClassVar[bool]
    """Whether the chord starts like a square root at the silhouette (round rims), or linearly (facets)."""
    ratios: ClassVar[tuple[str, ...]]
    """Which of `lengths` are no lengths but ratios: they stay what they are where a body is made larger."""

    @property
    def lengths(self) -> tuple[str, ...]:
        """The names of the columns of `size`, one for each degree of freedom."""
        ...

    def check_size(self, size: Tensor) -> None: ...

    def unconstrained(self, size: Tensor) -> tuple[Shape, Tensor]: ...

    def volume(self, size: Tensor) -> Tensor: ...

    def radius(self, size: Tensor) -> Tensor: ...

    def prepare(self, size: Tensor, axes: Tensor, cell: float) -> tuple[Tensor, Tensor]: ...

    def chord(self, rows: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]: ...

    def edge(self, rows: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]: ...

    def reach(self, size: Tensor, axes: Tensor) -> Tensor: ...

    def support(self, size: Tensor, axes: Tensor, directions: Tensor) -> Tensor: ...

    def outline(self, size: Tensor, axes: Tensor) -> list[Tensor]: ...

    def oriented_box(self, size: Tensor, axes: Tensor) -> Tensor: ...


def node(shape: Shape, rows: Tensor, scale: Tensor, y: Tensor, x: Tensor, cell: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return where the chord that stands for a grid cell begins, its length, both in micrometres, and its share.

    All are broadcast over y (n, S, 1), x (n, 1, S). The share is that of the cell which the body covers, times `scale`.

    Across an edge the average over a cell of width p is that over the segment of length p along the edge's normal.
    A fraction `hit` of the segment lies inside, and there the chord is a constant (vertical wall), a line (slanted
    facet) or a square root (round rim). One node integrates each of them exactly: the middle of the inner part, for a
    square root a little further out, at e - 4/9 (e^3/2 - (e-1)^3/2)^2 of p where the segment reaches e p deep. Well
    inside the node is the cell's centre. The average keeps the body's volume.
    """
    distance, normal_y, normal_x = shape.edge(rows, y, x)
    deep = distance / cell + 0.5
    hit = deep.clamp(0.0, 1.0)
    offset = 0.5 * (1.0 - hit)
    if shape.rounded:
        # The square-root node to 1e-4, without its cancellation far inside.
        deep = deep.clamp(min=1.0)
        offset = offset - hit / (48.0 * (deep - 0.5) - 6.0 / deep**3)
    inward = cell * offset
    entry, leave = shape.chord(rows, y - inward * normal_y, x - inward * normal_x)
    return entry, (leave - entry).clamp(min=0.0), scale[:, None, None] * hit


def thickness(shape: Shape, rows: Tensor, scale: Tensor, y: Tensor, x: Tensor, cell: float) -> Tensor:
    """Return the chord along z averaged over the grid cell, in micrometres: the length at `node` times its share."""
    _, length, share = node(shape, rows, scale, y, x, cell)
    return share * length


def axes_of(rotation: Tensor) -> Tensor:
    """Return the body axes in the lab, (N, 3, 3): column k of [n] is body axis k; rows and columns in (z, y, x).

    `rotation` (N, 4) holds quaternions (w, x, y, z), normalised here so that a fit may move all four numbers.
    """
    w, x, y, z = rotation.unbind(-1)
    twice = 2.0 / (w * w + x * x + y * y + z * z)
    double_x, double_y, double_z = twice * x, twice * y, twice * z
    xx, yy, zz = double_x * x, double_y * y, double_z * z
    xy, yz, xz = double_x * y, double_y * z, double_x * z
    wx, wy, wz = double_x * w, double_y * w, double_z * w
    entries = (1 - (xx + yy), yz + wx, xz - wy, yz - wx, 1 - (xx + zz), xy + wz, xz + wy, xy - wz, 1 - (yy + zz))
    # Every entry lies densely in memory, so that arithmetic with columns of all bodies is fast.
    return torch.stack(entries).unflatten(0, (3, 3)).movedim(-1, 0)


def root(square: Tensor) -> Tensor:
    """Return the square root with a finite derivative at zero; negative arguments give (almost) zero."""
    tiny = 1e-14 if square.dtype == torch.float64 else 1e-10
    return torch.sqrt(square.clamp(min=0.0) + tiny)


def away_from_zero(number: Tensor, tiny: float = 1e-6) -> Tensor:
    """Return `number`, which is not negative, kept from zero so that it can be divided by."""
    return number.clamp(min=tiny)


def ridge_excess(share: float, squares: Tensor) -> Tensor:
    """Return the factor by which `thickness` overstates the volume of a facetted body, averaged over poses.

    Edges are averaged over the cell, ridges are not. `squares` is cell^2 / size^2 and `share` the excess that is
    measured per unit of it on large bodies; it levels off on bodies of the cell's own size.
    """
    return 1 + share * squares / (1 + 0.4 * squares)


def rectangle(middle: Tensor, along: Tensor, half_along: Tensor, half_across: Tensor) -> Tensor:
    """Return corners (N, 4, 2) of rectangles centred at `middle`, with unit vectors `along` (N, 2) in (y, x)."""
    across = torch.stack([along[:, 1], -along[:, 0]], -1)
    a, b = along * half_along[:, None], across * half_across[:, None]
    return torch.stack([middle - a - b, middle + a - b, middle + a + b, middle - a + b], 1)


def direction(vector: Tensor) -> Tensor:
    """Return unit vectors (..., 2); a vanishing vector gives the x axis."""
    length = torch.linalg.vector_norm(vector, dim=-1, keepdim=True)
    fallback = torch.zeros_like(vector)
    fallback[..., 1] = 1.0
    return torch.where(length > 1e-9, vector / length.clamp(min=1e-9), fallback)


def hull(points: Tensor) -> Tensor:
    """Return the convex hull of points (V, 2) as a polygon (E, 2) in order; Andrew's monotone chain."""
    unique = sorted(set(map(tuple, points.tolist())))
    if len(unique) < 3:
        return torch.tensor(unique, dtype=points.dtype)

    def half(ordered: list[tuple[float, ...]]) -> list[tuple[float, ...]]:
        chain: list[tuple[float, ...]] = []
        for point in ordered:
            while len(chain) > 1 and _cross(chain[-2], chain[-1], point) <= 0:
                chain.pop()
            chain.append(point)
        return chain[:-1]

    return torch.tensor(half(unique) + half(unique[::-1]), dtype=points.dtype)


def _cross(a: tuple[float, ...], b: tuple[float, ...], c: tuple[float, ...]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def smallest_rectangle(support: Callable[[Tensor], Tensor], directions: Tensor) -> Tensor:
    """Return the corners (N, 4, 2) of the smallest rectangles that have a side along one of `directions` (N, D, 2).

    `support` tells how far each of N bodies reaches along directions (N, D, 2). Around a convex polygon the smallest
    rectangle of all has a side on an edge (Freeman and Shapira, Commun. ACM 18, 409, 1975).
    """
    along = direction(directions)
    across = torch.stack([along[..., 1], -along[..., 0]], -1)
    high, low, right, left = support(along), -support(-along), support(across), -support(-across)
    best = ((high - low) * (right - left)).argmin(1)
    each = torch.arange(len(best), device=best.device)
    along, across, high, low, right, left = (values[each, best] for values in (along, across, high, low, right, left))
    middle = along * ((low + high) / 2)[:, None] + across * ((left + right) / 2)[:, None]
    return rectangle(middle, along, (high - low) / 2, (right - left) / 2)
