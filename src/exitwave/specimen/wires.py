"""Wires: bent metal wires as chains of capsules, and what a recipe says of those that lie on a support."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

from exitwave.model import Value
from exitwave.quantity import Quantity, Table, indices, param, per_particle
from exitwave.specimen.draws import Floats, Generators, Integers, drawn, numpy_random
from exitwave.specimen.particles import Particles
from exitwave.specimen.rod import Rod


class Chains(Value):
    """N bent wires: every one is the union of the capsules between its vertices, which follow one another.

    `wire` is the number of every vertex's wire, 0 to N - 1 in order; without it all vertices are one. Under electrons
    `secondary` and `backscatter` are those of `Particles`. `label` names the class in annotations.

    >>> bent = Chains(vertices=[[0, 0, 0], [0, 0, 3.0], [0, 4.0, 3.0]], radius=[0.5])
    >>> bent.count, bent.segments().tolist(), bent.lengths().tolist()
    (1, [[0, 1], [1, 2]], [7.0])
    """

    vertices: Quantity = param("um", dims=("V", 3), doc="positions (z, y, x) along the axes")
    radius: Quantity = param("um", low=0.0, exclusive=True, dims=("N",), doc="radius of the wires")
    wire: Table = indices("V", default=None, doc="the wire of every vertex")
    secondary: Quantity = param("1", low=0.0, high=100.0, dims=("N",), default=None, doc="electron yield; support = 1")
    backscatter: Quantity = param("1", low=0.0, high=100.0, dims=("N",), default=None, doc="yield by backscattering")
    label: str = "wire"

    def fill(self) -> dict[str, Any]:
        return {
            "wire": torch.zeros_like(self.vertices[:, 0], dtype=torch.int64),
            "secondary": torch.ones_like(self.radius),
            "backscatter": torch.zeros_like(self.radius),
        }

    def check(self) -> None:
        if not isinstance(self.label, str):
            raise TypeError(f"Chains.label must be a text, got {self.label!r:.40}; write label='wire'")
        if not len(self.wire):
            if self.count:
                raise ValueError(
                    f"Chains.vertices must hold those of {self.count} wires, got none; give both or neither"
                )
            return
        steps = torch.diff(self.wire)
        last = int(self.wire[-1])
        if int(self.wire[0]) != 0 or bool(((steps != 0) & (steps != 1)).any()) or last != self.count - 1:
            raise ValueError(
                f"Chains.wire must count the {self.count} wires of radius from 0 in order, got {int(self.wire[0])} to "
                f"{last}; sort the vertices by their wire"
            )
        least = int(torch.bincount(self.wire).amin())
        if least < 2:
            raise ValueError(f"every wire must have at least 2 vertices, got {least}; use a Sphere for a single one")

    @property
    def count(self) -> int:
        """The number of wires."""
        return len(self.radius)

    def segments(self) -> Tensor:
        """Return the first and last vertex (S, 2) of every capsule."""
        first = (self.wire[1:] == self.wire[:-1]).nonzero()[:, 0]
        return torch.stack([first, first + 1], -1)

    def lengths(self) -> Tensor:
        """Return the length (N,) of every wire's axis in micrometres, without the caps."""
        first, last = self.segments().unbind(-1)
        return torch.zeros_like(self.radius).index_add(0, self.wire[first], _length(self.vertices, first, last))

    def capsules(self) -> tuple[Particles, Tensor]:
        """Return the capsules (S,) as rods, and the wire (S,) that each belongs to."""
        first, last = self.segments().unbind(-1)
        owner = self.wire[first]
        length = _length(self.vertices, first, last)
        run = self.vertices[last] - self.vertices[first]
        along = run / length.clamp(min=torch.finfo(length.dtype).tiny ** 0.5)[:, None]
        # A rod has no sense of direction: with x upward its turn from body x is never a half turn.
        z, y, x = torch.where(run[:, 2:] < 0, -along, along).unbind(-1)
        rotation = torch.stack([1 + x, torch.zeros_like(x), -z, y], -1)
        radius = self.radius[owner]
        size = torch.stack([radius, radius + 0.5 * length], -1)
        center = 0.5 * (self.vertices[first] + self.vertices[last])
        return Particles(Rod(), center, size, torch.ones_like(radius), rotation, label=self.label), owner


def _length(vertices: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """Return the length of segments (S,); its slope is zero where a segment has none."""
    square = (vertices[last] - vertices[first]).square().sum(-1)
    empty = square == 0
    return torch.where(empty, square, torch.where(empty, torch.ones_like(square), square).sqrt())


class Wires(Value):
    """Bent wires yet to be drawn, dried down on the support at z = 0; `sample` turns it into `Chains`.

    Their middles lie anywhere in the field and up to `margin` outside of it, their directions are uniform, and they
    bend in the plane as worm-like chains with the length `persistence` do. One after the other comes to lie on the
    support and on those that lie already: across a crossing it rests on the lower wire, and on either side it comes
    down as a beam that adheres,

        h (1 - 3 u^2 + 2 u^3), u the distance over sag sqrt(h / (2 radius)),

    from a height h (M. P. de Boer and T. A. Michalske, J. Appl. Phys. 86, 817, 1999).

    >>> from exitwave.random import Key
    >>> drawn = Wires(count=3, length=2.0).realise(Key(seed=1).generator, (4.0, 4.0))
    >>> drawn.count, [round(length, 3) for length in drawn.lengths().tolist()]
    (3, [2.0, 2.0, 2.0])
    """

    count: Quantity = param("1", low=0.0, high=1e5, doc="number of wires")
    length: Any = per_particle("um", low=0.0, exclusive=True, default=6.0, doc="length of the axes")
    radius: Any = per_particle("um", low=0.0, exclusive=True, default=0.035, doc="radius of the wires")
    persistence: Any = per_particle("um", low=0.0, exclusive=True, default=50.0, doc="length over which they bend")
    secondary: Any = per_particle("1", low=0.0, high=100.0, default=1.0, doc="electron yield; support = 1")
    backscatter: Any = per_particle("1", low=0.0, high=100.0, default=0.0, doc="yield by backscattering")
    sag: Quantity = param("um", low=0.0, exclusive=True, default=0.8, doc="from a crossing down to the support")
    step: Quantity = param("um", low=0.0, exclusive=True, default=0.1, doc="longest capsule")
    margin: Quantity = param("um", low=0.0, default=0.0, doc="how far outside the field middles lie")
    label: str = "wire"

    def realise(self, generator: Generators, extent: tuple[float, ...]) -> Chains:
        """Return the wires drawn for a field of `extent` (y, x) micrometres."""
        count, step = round(float(self.count)), float(self.step)
        length, radius, persistence, secondary, backscatter = (
            drawn(item, count, generator(name))
            for name, item in (
                ("length", self.length),
                ("radius", self.radius),
                ("persistence", self.persistence),
                ("secondary", self.secondary),
                ("backscatter", self.backscatter),
            )
        )
        random = numpy_random(generator("growth"))
        room = np.array(extent[-2:]) + 2 * float(self.margin)
        middle = (random.random((count, 2)) - 0.5) * room
        heading = random.uniform(0.0, 2 * math.pi, count)
        curves = [_bent(*one, step, random) for one in zip(middle, heading, length, persistence, strict=True)]
        wire = np.repeat(np.arange(count), [len(curve) for curve in curves])
        place = np.concatenate([np.zeros((0, 2)), *curves])
        height = _stacked(place, wire, radius, step, float(self.sag))
        vertices = np.column_stack([height, place])
        columns = (column.astype(np.float32) for column in (secondary, backscatter))
        return Chains(vertices.astype(np.float32), radius.astype(np.float32), wire, *columns, label=self.label)


def _bent(
    middle: Floats, heading: float, length: float, persistence: float, step: float, random: np.random.Generator
) -> Floats:
    """Return the vertices (K, 2), in (y, x), of a worm-like chain in the plane about its middle."""
    count = math.ceil(length / step)
    pace = length / count
    # In the plane the direction strays by s / persistence in variance over a distance s.
    stray = math.sqrt(pace / persistence) * random.standard_normal(count)
    turned = np.cumsum(stray)
    angle = heading + turned - turned[count // 2]
    run = pace * np.stack([np.sin(angle), np.cos(angle)], -1)
    place = np.concatenate([np.zeros((1, 2)), np.cumsum(run, 0)])
    return middle + place - place[(count + 1) // 2]


def _stacked(place: Floats, wire: Integers, radius: Floats, step: float, sag: float) -> Floats:
    """Return the heights (V,) of the vertices of wires that were laid in order, each upon all before it."""
    own = radius[wire]
    height = own.copy()
    if not len(place):
        return height
    # Where axes come as near as their radii, the ends of both capsules are no farther apart than this more.
    slack = 2 * step
    pairs = KDTree(place).query_pairs(2 * float(radius.max()) + slack, output_type="ndarray")
    # Vertices are in the order of their wires, and so are those of a pair.
    lower, upper = np.sort(pairs, 1).T
    apart = np.linalg.norm(place[lower] - place[upper], axis=1)
    met = (wire[lower] != wire[upper]) & (apart < own[lower] + own[upper] + slack)
    lower, upper = lower[met], upper[met]
    order = np.argsort(wire[upper], kind="stable")
    lower, upper = lower[order], upper[order]
    ends = np.searchsorted(wire, np.arange(len(radius) + 1))
    groups = np.split(np.arange(len(upper)), np.searchsorted(wire[upper], np.arange(1, len(radius))))
    for number, contacts in enumerate(groups):
        if not len(contacts):
            continue
        low, high = lower[contacts], upper[contacts]
        floor = np.zeros(ends[number + 1] - ends[number])
        np.maximum.at(floor, high - ends[number], height[low] + own[low])
        raised = np.flatnonzero(floor)
        rise = floor[raised]
        axis = place[ends[number] : ends[number + 1]]
        along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(axis, axis=0), axis=1))])
        far = np.abs(along[:, None] - along[raised]) / (sag * np.sqrt(rise / (2 * radius[number])))
        far = np.minimum(far, 1.0)
        height[ends[number] : ends[number + 1]] += (rise * (1 - far**2 * (3 - 2 * far))).max(1)
    return height
