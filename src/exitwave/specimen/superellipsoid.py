"""Superellipsoids: from ellipsoids to rounded boxes."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from exitwave.model import Value
from exitwave.specimen.shapes import Shape, smallest_rectangle

_TINY = 1e-30
# A norm of more than 1 by so much is no rounding in single precision: the line misses the body.
_MISS = 1e-5
_SHARPEST = 0.1


class Superellipsoid(Value):
    """A rounded block: size (N, 4) holds its semi-axes along body z, y, x in micrometres, and its roundness.

    The body is |z/a|^p + |y/b|^p + |x/c|^p <= 1 with p = 2 / roundness. Roundness, a pure number in (0.1, 1], is 1 for
    an ellipsoid; 0.2 is nearly a box (A. H. Barr, IEEE Comput. Graph. Appl. 1, 11, 1981). With v the point over the
    semi-axes, the body is the unit ball of the norm |v|_p; the dual norm of (a_i d_i), with 1/p + 1/q = 1, is how far
    the body reaches along a direction d.

    >>> cubes = Superellipsoid()
    >>> cubes.volume(torch.tensor([[0.1, 0.1, 0.1, 1.0], [0.1, 0.1, 0.1, 0.2]])) / 0.1**3
    tensor([4.1888, 7.6752])
    """

    rounded: ClassVar[bool] = True
    ratios: ClassVar[tuple[str, ...]] = ("roundness",)

    @property
    def lengths(self) -> tuple[str, ...]:
        return ("semi_axis_z", "semi_axis_y", "semi_axis_x", "roundness")

    def check_size(self, size: Tensor) -> None:
        roundness = size[:, 3]
        bad = roundness[~((roundness > _SHARPEST) & (roundness <= 1.0))]
        if len(bad):
            raise ValueError(
                f"a Superellipsoid's roundness must lie in (0.1, 1], got {float(bad[0]):g}; 1 is an ellipsoid, 0.2 "
                "nearly a Box, which has sharp edges"
            )

    def unconstrained(self, size: Tensor) -> tuple[Shape, Tensor]:
        """Return the bodies with every length free: a column each already."""
        return self, size

    def volume(self, size: Tensor) -> Tensor:
        """Return the volume (N,) in cubic micrometres, 8 a b c Gamma(1 + 1/p)^3 / Gamma(1 + 3/p)."""
        inverse = 0.5 * size[:, 3]
        log = 3 * torch.lgamma(1 + inverse) - torch.lgamma(1 + 3 * inverse)
        return 8 * size[:, :3].prod(-1) * torch.exp(log)

    def radius(self, size: Tensor) -> Tensor:
        """Return the radius (N,) of the smallest sphere around the body, in micrometres.

        By Hoelder's inequality the farthest point lies at |a|_k with k = 2 / (1 - roundness).
        """
        return _norm(size[:, :3], 2 / (1 - size[:, 3:]).clamp(min=1e-6))

    def prepare(self, size: Tensor, axes: Tensor, cell: float) -> tuple[Tensor, Tensor]:
        """Return rows (N, 11): per body axis how v changes along z, y and x, then p and the reach along z; factors."""
        semi, roundness = size[:, :3].clamp(min=0.75 * cell), size[:, 3:]
        scale = size[:, :3].prod(-1) / semi.prod(-1)
        along_z, along_y, along_x = (axes / semi[:, None, :]).unbind(1)
        # A round rim averaged along its normal alone gains volume, as that of an Ellipsoid; a smaller silhouette takes
        # it back. This is the trace of the inverse of the inscribed ellipsoid's silhouette.
        spread = (axes * semi[:, None, :] ** 2) @ axes.transpose(1, 2)
        yy, yx, xx = spread[:, 1, 1], spread[:, 1, 2], spread[:, 2, 2]
        determinant = yy * xx - yx**2
        rim = 0.1 * (0.35 + 0.65 * size[:, 3]) * cell**2
        excess = torch.sqrt(1 + rim * (yy + xx) / determinant)[:, None] - 1
        # It shrinks about the middle of the ellipsoid's chords, which stays where it is.
        zy, zx = spread[:, 0, 1], spread[:, 0, 2]
        tilt_y, tilt_x = (zy * xx - zx * yx) / determinant, (zx * yy - zy * yx) / determinant
        along_y = along_y + excess * (along_y + tilt_y[:, None] * along_z)
        along_x = along_x + excess * (along_x + tilt_x[:, None] * along_z)
        reach = self.reach(torch.cat([semi, roundness], -1), axes)[:, :1]
        return torch.cat([along_z, along_y, along_x, 2 / roundness, reach], -1), scale

    def chord(self, rows: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return where a line along z enters and leaves, to 1e-12 of the semi-axes in double precision.

        A line that misses the body enters and leaves at one height.
        """
        along, start, power, _ = _line(rows, y, x)
        # By symmetry a line enters where its mirror image leaves.
        both = torch.stack([start, -start], 1)
        (leave, entry), level = _leave(both, along[:, None], power)
        misses = level.amax(0) > 1 + _MISS
        middle = 0.5 * (leave - entry).detach()
        return torch.where(misses, middle, -entry), torch.where(misses, middle, leave)

    def edge(self, rows: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the signed distance to the silhouette, to first order, and its outward normal.

        The silhouette is the unit circle of the norm G(y, x) = min |v|_p along z, and the distance (1 - G) / |grad G|.
        It is exact on flat sides and for circles; at a distance d from a rim of curvature 1/R it misses d^2 / 2R.
        """
        _, start, _, reach = _line(rows.detach(), y.detach(), x.detach())
        # The very centre has no normal: it is told from a point beside it.
        centre = start.abs().amax(0) < 1e-6
        y, x = torch.where(centre, 1e-6 * reach, y), torch.where(centre, 0.0, x)
        along, start, power, reach = _line(rows, y, x)
        lowest = _nearest(along, start, power, reach)
        point = start + along * lowest
        largest = point.detach().abs().amax(0)
        share = point / largest
        total = (share.abs() ** power).sum(0)
        level = largest * total ** (1 / power)
        pull = torch.sign(share) * share.abs() ** (power - 1)
        slope_y, slope_x = ((pull * _columns(rows, first)).sum(0) * total ** (1 / power - 1) for first in (3, 6))
        steepness = torch.sqrt(slope_y**2 + slope_x**2)
        return (1 - level) / steepness, slope_y / steepness, slope_x / steepness

    def reach(self, size: Tensor, axes: Tensor) -> Tensor:
        """Return the half-extents (N, 3) along z, y, x in micrometres."""
        return _norm(axes * size[:, None, :3], _dual(size)[:, None])

    def support(self, size: Tensor, axes: Tensor, directions: Tensor) -> Tensor:
        """Return how far (N, D) the silhouette reaches along lateral vectors (N, D, 2), times their length."""
        return _norm((directions @ axes[:, 1:]) * size[:, None, :3], _dual(size)[:, None])

    def outline(self, size: Tensor, axes: Tensor, vertices: int = 64) -> list[Tensor]:
        """Return polygons (vertices, 2) on the silhouettes: the gradient of their support, direction by direction."""
        # Directions that are evenly spread on the inscribed ellipsoid's silhouette also suit slender bodies.
        spread = (axes * size[:, None, :3] ** 2) @ axes.transpose(1, 2)
        squares, vectors = torch.linalg.eigh(spread[:, 1:, 1:])
        angle = torch.arange(vertices, dtype=axes.dtype, device=axes.device) * (2 * math.pi / vertices)
        circle = torch.stack([torch.cos(angle), torch.sin(angle)], 0)
        directions = ((vectors / torch.sqrt(squares)[:, None, :]) @ circle).transpose(1, 2)
        scaled = (directions @ axes[:, 1:]) * size[:, None, :3]
        share = scaled / scaled.abs().amax(-1, keepdim=True)
        q = _dual(size)[:, None]
        pull = torch.sign(share) * share.abs() ** (q - 1) / (share.abs() ** q).sum(-1, keepdim=True) ** (1 - 1 / q)
        return list((pull * size[:, None, :3]) @ axes[:, 1:].transpose(1, 2))

    def oriented_box(self, size: Tensor, axes: Tensor) -> Tensor:
        """Return the corners (N, 4, 2) of the smallest rectangle around the silhouette, to 1e-6 of its area."""
        # Rectangles have a side along a ridge, as for a Box, or near it: look there and evenly, then around the best.
        tries = 90
        even = torch.arange(tries, dtype=size.dtype, device=size.device) * (0.5 * math.pi / tries)
        ridges = torch.atan2(axes[:, 1], axes[:, 2])
        angles = torch.cat([even.expand(len(size), tries), ridges], 1)
        step = 0.5 * math.pi / tries
        for _ in range(3):
            box = smallest_rectangle(lambda along: self.support(size, axes, along), _unit(angles))
            side = box[:, 1] - box[:, 0]
            best = torch.atan2(side[:, 0], side[:, 1])[:, None]
            angles = best + step * torch.linspace(-1.0, 1.0, 21, dtype=size.dtype, device=size.device)
            step /= 10
        return smallest_rectangle(lambda along: self.support(size, axes, along), _unit(angles))


def _unit(angle: Tensor) -> Tensor:
    return torch.stack([torch.sin(angle), torch.cos(angle)], -1)


def _dual(size: Tensor) -> Tensor:
    """Return the exponent q (N, 1) of the dual norm, p / (p - 1)."""
    return 2 / (2 - size[:, 3:])


def _norm(vector: Tensor, power: Tensor) -> Tensor:
    """Return the `power` norm over the last dimension, with the largest entry taken out so that no power overflows."""
    largest = vector.detach().abs().amax(-1, keepdim=True).clamp(min=_TINY)
    total = ((vector / largest).abs() ** power).sum(-1, keepdim=True)
    # Of a vanishing vector the root has no slope.
    return (largest * total.clamp(min=_TINY) ** (1 / power)).squeeze(-1) * (total.squeeze(-1) > 0)


def _steps(number: Tensor) -> int:
    """Return after how many steps a search has its answer; what is missing then is rounding."""
    return 9 if number.dtype == torch.float64 else 7


def _power(base: Tensor, power: Tensor) -> Tensor:
    """Return `base` (not negative) to the `power`: three times as fast as torch's, to a few roundings."""
    return torch.exp2(power * torch.log2(base.clamp(min=_TINY)))


def _columns(rows: Tensor, first: int) -> Tensor:
    """Return three columns of rows as (3, N, 1, 1)."""
    return rows[:, first : first + 3].T[:, :, None, None]


def _line(rows: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the lines v(t) = start + along t in scaled body axes, (3, N, 1, 1) and (3, N, S, S); p and reach."""
    start = _columns(rows, 3) * y + _columns(rows, 6) * x
    return _columns(rows, 0), start, rows[:, 9, None, None], rows[:, 10, None, None]


def _leave(start: Tensor, along: Tensor, power: Tensor) -> tuple[Tensor, Tensor]:
    """Return the larger t at which |start + along t|_p = 1, differentiable, and the norm there: above 1 on a miss."""
    found = _leave_root(start.detach(), along.detach(), power.detach())
    point = start.detach() + along.detach() * found
    fixed, largest = power.detach(), point.abs().amax(0).clamp(min=_TINY)
    level = _level(point, largest, fixed)
    pull = (point / level).abs() ** (fixed - 1) * torch.sign(point)
    # The root moves as the implicit function theorem has it; at the rim, where chords begin like a square root, slower.
    slope = torch.maximum((pull * along.detach()).sum(0), 1e-5 * along.detach().abs().amax(0))
    # Each step has one derivative more than what it starts from: slopes of chords have theirs too.
    for _ in range(2):
        found = found - (_level(start + along * found, largest, power) - level) / slope
    return found, level


def _level(point: Tensor, largest: Tensor, power: Tensor) -> Tensor:
    return largest * ((point / largest).abs() ** power).sum(0) ** (1 / power)


def _leave_root(start: Tensor, along: Tensor, power: Tensor) -> Tensor:
    """Return the larger root of f(t) = |start + along t|_p^2 - 1 without a tape.

    f is convex and, for p = 2, a parabola. Each step goes to the root of the parabola that osculates f (Euler's method,
    of third order; J. F. Traub, Iterative Methods for the Solution of Equations, 1964), kept between points that are
    known to lie before and behind the root; the first of these come from the box around the body.
    """
    steep = torch.maximum(along.abs(), 1e-7 * along.abs().amax(0))
    ahead = torch.where(along < 0, -start, start)
    high, low = ((1 - ahead) / steep).amin(0), (-(1 + ahead) / steep).amax(0)
    t = high
    for _ in range(_steps(t)):
        point = start + along * t
        largest = point.abs().amax(0).clamp(min=_TINY)
        share = point / largest
        weight = _power(share.abs(), power - 2)
        total = (weight * share**2).sum(0)
        squared = _power(total, 2 / power)
        slope = (weight * share * along).sum(0) / total
        f = largest**2 * squared - 1
        first = 2 * largest * squared * slope
        second = 2 * squared * ((2 - power) * slope**2 + (power - 1) * (weight * along**2).sum(0) / total)
        behind = (f > 0) & (first > 0)
        high, low = torch.where(behind, t, high), torch.where(behind, low, t)
        rise = first + torch.sqrt((first**2 - 2 * f * second).clamp(min=0.0))
        step = t - 2 * f / rise.clamp(min=_TINY)
        slack = 16 * torch.finfo(t.dtype).eps * (high.abs() + low.abs())
        trusted = (first > 0) & (step > low - slack) & (step < high + slack)
        t = torch.where(trusted, torch.minimum(torch.maximum(step, low), high), 0.5 * (low + high))
    return t


def _nearest(along: Tensor, start: Tensor, power: Tensor, reach: Tensor) -> Tensor:
    """Return the t at which |start + along t|_p is least, differentiable: where sum |v|^(p-1) sign(v) along = 0."""
    found = _nearest_root(along.detach(), start.detach(), power.detach(), reach.detach())
    point = start + along * found
    largest = point.detach().abs().amax(0).clamp(min=_TINY)
    share = point / largest
    balance = (torch.sign(share) * share.abs() ** (power - 1) * along).sum(0)
    fixed = power.detach()
    # Every term is positive, so that this stays exact where faces are so flat that hardly anything is left of it.
    slope = (fixed - 1) * (share.detach().abs() ** (fixed - 2) * along.detach() ** 2).sum(0) / largest
    return found - (balance - balance.detach()) / slope.clamp(min=_TINY)


def _nearest_root(along: Tensor, start: Tensor, power: Tensor, reach: Tensor) -> Tensor:
    """Return that t without a tape.

    With u = |along|^(1/(p-1)) v sign(along), three rising lines in t, the p - 1 norm of the positive u equals that of
    the negative ones. On one of the two sides stands a single line, so that the difference of norms is convex in t, and
    Newton's method started on that line's zero runs towards the root without passing it.
    """
    m = power - 1
    steep = torch.maximum(along.abs(), 1e-7 * along.abs().amax(0))
    weight = steep ** (1 / m)
    rise = weight * steep
    begin = weight * torch.where(along < 0, -start, start)
    zero, order = torch.sort(-begin / rise, 0)
    begin, rise = (torch.gather(line.expand_as(order), 0, order) for line in (begin, rise))
    # At the middle zero the first line is positive and the last negative; the lone line is that of the smaller part.
    middle = begin + rise * zero[1]
    forward = middle[0] + middle[2] > 0
    lone = torch.where(forward, 0, 2)[None]
    sign = torch.where(forward, 1.0, -1.0).to(start)
    # |t| is bounded by the norm at t = 0 times the body's reach.
    bound = 1.8 * start.abs().amax(0) * reach
    t = torch.minimum(torch.maximum(torch.gather(zero, 0, lone)[0], -bound), bound)
    other = 2 - lone
    pair = torch.stack([begin[1], torch.gather(begin, 0, other)[0]])
    pair_rise = torch.stack([rise[1], torch.gather(rise, 0, other)[0]])
    lone_begin, lone_rise = torch.gather(begin, 0, lone)[0], torch.gather(rise, 0, lone)[0]
    for _ in range(_steps(t)):
        u = -sign * (pair + pair_rise * t)
        largest = u.amax(0).clamp(min=_TINY)
        share = (u / largest).clamp(min=0.0)
        weight = _power(share, m - 1)
        total = (weight * share).sum(0).clamp(min=_TINY)
        norm = _power(total, 1 / m)
        fall = norm * (weight * pair_rise).sum(0) / total
        gap = largest * norm - sign * (lone_begin + lone_rise * t)
        t = t + sign * gap / (fall + lone_rise)
    return t
