"""Piles: spheres that touch one another and rest on a support.

Spheres come down one by one and roll to a place of rest (W. M. Visscher and M. Bolsterli, "Random packing of equal and
unequal spheres in two and three dimensions", Nature 239, 504, 1972). Everything they do on the way is an arc of a
circle, about a sphere or about the axis of two: when the arc meets another sphere or the support, or when one of the
spheres stops carrying, is a root of A cos + B sin = C, so that contacts are exact.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from exitwave.model import Value
from exitwave.quantity import Quantity, param
from exitwave.specimen.arrange import Extent, checked_inputs, cluster_counts, numpy_generator, place_groups
from exitwave.specimen.packing import Floats, Integers

# Relative to the sum of two radii: distances below are contacts, and above no longer.
_TOUCH = 1e-9
# Arcs after which a rolling sphere is given up, and drops after which a cluster is.
_ARCS = 100
_DROPS = 1000


class Pile(Value):
    """Spheres in touching clusters that rest on the support at z = 0: heaps, as particles dry down on a wafer.

    Depths are counted from the support upwards, not from the middle of the region, whose depth is not used; particles
    pile up as high as they do. Each has its centre at its height (`heights`, the half-extent along z) above the
    support, or higher up on spheres below it. The number of spheres in a cluster is geometric with mean
    `aggregation_number`, as for `Agglomerates`; with 1 all particles lie on the support, apart from one another.

    A sphere comes down anywhere on its cluster. With probability `sticking` it stays where it first touches, as in
    ballistic deposition (M. J. Vold, J. Colloid Sci. 18, 684, 1963); otherwise it rolls down to the support, beside
    others, or into a hollow between them. 0 gives flat, dense heaps and 1 loose towers. Clusters are then placed as
    rigid bodies so that they do not overlap in projection; `margin` as for `Scattered`, for every sphere.

    Bodies that are no spheres touch as spheres do; `Population.contact` makes those smaller than their bounding ones.

    >>> heap = Pile(aggregation_number=1e3).place(torch.ones(30), (0.0, 40.0, 40.0), torch.Generator().manual_seed(1))
    >>> bool(heap[:, 0].min() == 1.0), bool(heap[:, 0].max() > 2.0), bool(torch.pdist(heap).min() > 2.0 - 1e-6)
    (True, True, True)
    """

    aggregation_number: Quantity = param("1", low=1.0, high=1e6, default=10.0, doc="mean spheres per cluster")
    sticking: Quantity = param("1", low=0.0, high=1.0, default=0.2, doc="chance of staying at the first contact")
    margin: Quantity = param("1", low=-1.0, high=100.0, default=0.0, doc="reach of centres outside the field, in radii")

    def place(self, radii: Tensor, extent: Extent, generator: torch.Generator, heights: Tensor | None = None) -> Tensor:
        """Return the centres (N, 3) in micrometres, z counted from the support."""
        given, high = checked_inputs(radii, extent, heights)
        random = numpy_generator(generator)
        if not len(given):
            return torch.zeros((0, 3), dtype=torch.float64)
        counts = cluster_counts(len(given), float(self.aggregation_number), random)
        member = random.permutation(len(given))
        piled = np.empty((len(given), 3))
        for end, count in zip(np.cumsum(counts).tolist(), counts.tolist(), strict=True):
            cluster = slice(end - count, end)
            chosen = member[cluster]
            piled[cluster] = _heap(given[chosen], high[chosen], float(self.sticking), random)
        lateral = place_groups(given[member], piled[:, 1:], counts, float(self.margin), extent, random)
        centers = np.empty((len(given), 3))
        centers[member] = np.column_stack((piled[:, 0], lateral))
        return torch.from_numpy(centers)


def _heap(radii: Floats, heights: Floats, sticking: float, random: np.random.Generator) -> Floats:
    """Return the centres (n, 3) of the spheres of one cluster, the first above the origin."""
    centers = np.zeros((len(radii), 3))
    centers[0, 0] = heights[0]
    largest = float(radii.max())
    for new in range(1, len(radii)):
        heap = _Heap(centers[:new], radii[:new] + radii[new], float(heights[new]), largest + float(radii[new]))
        for _ in range(_DROPS):
            found = heap.drop(float(sticking), random)
            if found is not None:
                centers[new] = found
                break
        else:
            raise ValueError(
                f"expected a place on a heap of {new} spheres for one of radius {radii[new]:g} um, got none; use sizes "
                "and heights that differ less"
            )
    return centers


class _Arc(NamedTuple):
    """The way origin + radius (cos angle `start` + sin angle `way`), and the share of `start` along z that ends it."""

    origin: Floats
    radius: float
    start: Floats
    way: Floats
    loose: float


class _Heap(NamedTuple):
    """The spheres at rest, (n, 3), as a new one meets them: sums of its radius and theirs (n,), and its height.

    No sum is larger than `span`.
    """

    centers: Floats
    reach: Floats
    height: float
    span: float

    def drop(self, sticking: float, random: np.random.Generator) -> Floats | None:
        """Return where one more sphere comes to rest, if it does in contact with others and without overlap."""
        parent = int(random.integers(len(self.centers)))
        run = self.reach[parent] * math.sqrt(random.random())
        turn = 2.0 * math.pi * random.random()
        stays = random.random() < sticking
        below = self.centers[parent]
        above = np.array([math.inf, below[1] + run * math.sin(turn), below[2] + run * math.cos(turn)])
        heap = self.around(above)
        place = heap.fall(above)
        # It comes down anywhere on the heap alike: where it meets another sphere than that, another drop counts.
        if place[0] > self.height and abs(math.dist(place, below) / self.reach[parent] - 1.0) > _TOUCH:
            return None
        if not stays:
            place = heap.roll(place)
        if place is not None and place[0] <= self.height:
            place = heap.slide(place, below)
        if place is None:
            return None
        # Of all spheres, as it may have rolled away from those around the first place.
        gap = self.gaps(place).min()
        return place if -_TOUCH < gap < _TOUCH else None

    def around(self, place: Floats) -> _Heap:
        """Return the spheres within a few diameters of a place, seen from above."""
        if len(self.centers) < 100:
            return self
        away = np.abs(self.centers[:, 1] - place[1]) + np.abs(self.centers[:, 2] - place[2])
        near = (away < 5.0 * self.span).nonzero()[0]
        return _Heap(self.centers[near], self.reach[near], self.height, self.span)

    def gaps(self, place: Floats) -> Floats:
        """Return the distances (n,) from the surfaces, relative to the sums of radii."""
        away = place - self.centers
        return np.sqrt(np.einsum("nk,nk->n", away, away)) / self.reach - 1.0

    def fall(self, place: Floats) -> Floats:
        """Return where a sphere that falls from `place` first meets another one or the support."""
        square = self.reach**2 - (self.centers[:, 1] - place[1]) ** 2 - (self.centers[:, 2] - place[2]) ** 2
        # A sphere that has just rolled off another one touches it from the side.
        below = (square > _TOUCH * self.reach**2) & (self.centers[:, 0] < place[0])
        rest = self.centers[below, 0] + np.sqrt(square[below])
        rest = rest[rest <= place[0] + _TOUCH * self.span]
        return np.array([max(self.height, rest.max(initial=0.0)), place[1], place[2]])

    def roll(self, place: Floats) -> Floats | None:
        """Return where a sphere that touches others at `place` rolls to; nothing where it rolls for too long."""
        for _ in range(_ARCS):
            if place[0] <= self.height:
                return place
            touching = np.flatnonzero(np.abs(self.gaps(place)) < 10 * _TOUCH)
            normals = (place - self.centers[touching]) / self.reach[touching, None]
            carrying = _carrying(normals)
            if len(carrying) > 2:
                return place
            if not len(carrying):
                place = self.fall(place)
                continue
            arc = self.arc(place, touching[carrying], normals[carrying])
            if arc is None:
                return place
            place = self.follow(arc)
        return None

    def arc(self, place: Floats, carriers: Integers, normals: Floats) -> _Arc | None:
        """Return the way down over one sphere or between two; nothing in an unstable balance on top."""
        if len(carriers) == 1:
            origin, radius, start = self.centers[carriers[0]], float(self.reach[carriers[0]]), normals[0]
            way = start[0] * start - np.array([1.0, 0.0, 0.0])
            loose = 0.0
        else:
            first, second = self.centers[carriers]
            between = second - first
            length = math.sqrt(between @ between)
            axis = between / length
            near = float((place - first) @ axis)
            origin = first + near * axis
            start = place - origin
            radius = math.sqrt(start @ start)
            start = start / radius
            way = np.array(
                [
                    axis[1] * start[2] - axis[2] * start[1],
                    axis[2] * start[0] - axis[0] * start[2],
                    axis[0] * start[1] - axis[1] * start[0],
                ]
            )
            way = -math.copysign(1.0, way[0]) * way
            # The force on each of the two: (z.axis + far z.start / radius) / length and its like vanish at these.
            far = length - near
            lift = axis[0] * radius
            loose = max(-lift / far if far > 0.0 else -1.0, lift / near if near > 0.0 else -1.0)
        steepness = math.sqrt(way @ way)
        return None if steepness < 1e-9 else _Arc(origin, radius, start, way / steepness, loose)

    def follow(self, arc: _Arc) -> Floats:
        """Return the end of an arc: where it meets another sphere or the support, or a carrier lets go."""
        away = arc.origin - self.centers
        scale = 2.0 * arc.radius / self.reach**2
        square = (np.einsum("nk,nk->n", away, away) + arc.radius**2) / self.reach**2
        bottom = (self.height - float(arc.origin[0])) / arc.radius
        rise, slope = float(arc.start[0]), float(arc.way[0])
        a = np.concatenate((scale * (away @ arc.start), (rise, rise)))
        b = np.concatenate((scale * (away @ arc.way), (slope, slope)))
        ends = _first(a, b, np.concatenate((1.0 - square, (bottom, arc.loose))))
        angle = float(ends.min())
        place = arc.origin + arc.radius * (math.cos(angle) * arc.start + math.sin(angle) * arc.way)
        if angle == ends[-2]:
            place[0] = self.height
        return place

    def slide(self, place: Floats, goal: Floats) -> Floats | None:
        """Return where a sphere on the support, pulled towards `goal`, first touches one; itself if it does already."""
        if self.gaps(place).min() < _TOUCH:
            return place
        way = np.array([0.0, goal[1] - place[1], goal[2] - place[2]])
        way /= math.sqrt(way @ way)
        away = place - self.centers
        along = away @ way
        square = along**2 - np.einsum("nk,nk->n", away, away) + self.reach**2
        met = (square >= 0.0) & (along < 0.0)
        if not met.any():
            return None
        return place + float((-along[met] - np.sqrt(square[met])).min()) * way


def _carrying(normals: Floats) -> Integers:
    """Return which of the contacts, with outward normals (n, 3), carry a sphere that gives way to gravity.

    Its first motion is the downward direction projected onto the motions that enter no neighbour: free of all (none
    carries), about one, or along two. If none of these is allowed, three or more hold it at rest.
    """
    rise = normals[:, 0]
    if not (rise > _TOUCH).any():
        return np.zeros(0, dtype=np.int64)
    cosine = normals @ normals.T
    # Gravity is (-1, 0, 0); over one sphere it leaves -1 + rise n, whose share along another normal is this.
    single = rise[:, None] * cosine - rise
    fine = (rise > _TOUCH) & (single > -_TOUCH).all(1)
    if fine.any():
        return np.array([int(fine.argmax())])
    for i in range(len(rise)):
        for j in range(i):
            sine = 1.0 - cosine[i, j] ** 2
            if sine < _TOUCH:
                continue
            on_i, on_j = (rise[i] - cosine[i, j] * rise[j]) / sine, (rise[j] - cosine[i, j] * rise[i]) / sine
            if on_i > -_TOUCH and on_j > -_TOUCH and (on_i * cosine[i] + on_j * cosine[j] - rise > -_TOUCH).all():
                return np.array([i, j])
    return np.arange(3)


def _first(a: Floats, b: Floats, c: Floats) -> Floats:
    """Return the angle >= 0 at which a cos + b sin, from c or above at angle 0, comes down to c; infinite if never.

    The numbers are of order 1. What stays the same all the way, as the gaps to those that carry, comes down nowhere.
    """
    size = np.hypot(a, b)
    varies = size > _TOUCH
    reached = (np.abs(c) <= size) & varies
    middle = np.arctan2(b, a)
    angle = middle + np.arccos(c / np.where(reached, size, math.inf))
    # From c itself it comes back to c at twice the middle if it first rises; told apart from rounding here.
    rises = varies & (np.abs(a - c) < _TOUCH) & ((b > _TOUCH) | ((b > -_TOUCH) & (a < 0.0)))
    return np.where(rises, 2.0 * np.abs(middle), np.where(reached, np.maximum(angle, 0.0), math.inf))
