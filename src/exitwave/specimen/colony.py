"""Colonies: rods that grew and divided until they touch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.spatial import KDTree

from exitwave.model import Value
from exitwave.quantity import Prior, Quantity, param, per_particle
from exitwave.specimen.particles import Particles
from exitwave.specimen.population import multiply
from exitwave.specimen.rod import Rod

Floats = np.ndarray[Any, np.dtype[np.float64]]

_ROUNDS = 400


class Colony(Value):
    """Bacteria yet to be drawn: rods lying on the slide in touching colonies; `sample` turns it into `Particles`.

    Every one of `founders` cells at random places divides `generations` times (drawn per founder); daughters lie end to
    end, nearly parallel, and then push one another apart until no two overlap by more than `squeeze` of their width.
    This is the two-dimensional growth of rods on agar (Volfson et al., PNAS 105, 15346, 2008) without its time axis.
    """

    founders: Quantity = param("1", low=1.0, high=1e4, default=8.0, doc="cells that each began a colony")
    generations: Any = per_particle("1", low=0.0, high=9.0, default=3.0, doc="divisions of every founder")
    radius: Any = per_particle("um", low=0.0, exclusive=True, default=0.4, doc="radius of the cells")
    half_length: Any = per_particle("um", low=0.0, exclusive=True, default=1.3, doc="half length with the caps")
    index: Any = per_particle("1", low=0.5, high=5.0, default=1.388, doc="refractive index of the cytoplasm")
    bend: Quantity = param("rad", low=0.0, high=1.6, default=0.15, doc="angle between daughters, standard deviation")
    tilt: Quantity = param("rad", low=0.0, high=0.8, default=0.03, doc="lean out of the slide, standard deviation")
    squeeze: Quantity = param("1", low=0.0, high=0.5, default=0.03, doc="overlap left, in widths")
    height: Quantity = param("um", default=0.0, doc="z of the centres")
    label: str = "bacterium"

    def realise(self, generator: Callable[[str], torch.Generator], extent: tuple[float, ...]) -> Particles:
        """Return the rods drawn for a field of `extent` (y, x) micrometres."""

        def draw(name: str, item: Any, count: int) -> Floats:
            if isinstance(item, Prior):
                return item.draw((count,), generator(name)).numpy()
            return np.full(count, float(item))

        founders = round(float(self.founders))
        divisions = np.rint(draw("generations", self.generations, founders)).astype(int)
        random = np.random.default_rng(int(torch.randint(2**62, (), generator=generator("growth"))))
        count = int((2**divisions).sum())
        radius = draw("radius", self.radius, count)
        half = np.maximum(draw("half_length", self.half_length, count), 1.05 * radius)
        place, angle = _grow(divisions, half - radius, radius, float(self.bend), extent[-2:], random)
        place, angle = _relax(place, angle, half - radius, radius, float(self.squeeze), random)
        lean = float(self.tilt) * random.standard_normal(count)
        # Body x along (cos lean (sin, cos) angle, sin lean): a turn about z after a turn about y.
        turn = np.stack([np.cos(angle / 2), 0 * angle, 0 * angle, np.sin(angle / 2)], -1)
        nod = np.stack([np.cos(lean / 2), 0 * lean, np.sin(lean / 2), 0 * lean], -1)
        rotation = multiply(torch.from_numpy(turn), torch.from_numpy(nod)).numpy()
        center = np.column_stack([np.full(count, float(self.height)), place])
        size = np.column_stack([radius, half])
        arrays = [center, size, draw("index", self.index, count), rotation]
        return Particles(Rod(), *(array.astype(np.float32) for array in arrays), label=self.label)


def _grow(
    divisions: Any, half: Floats, radius: Floats, bend: float, extent: tuple[float, ...], random: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return centres (N, 2) and directions (N,) of cells that divided end to end, before they push."""
    spread = np.array(extent)
    places, angles = [], []
    for count in divisions:
        place = [(random.random(2) - 0.5) * spread]
        angle = [random.random() * 2 * math.pi]
        for _ in range(count):
            daughters, turned = [], []
            for middle, direction in zip(place, angle, strict=True):
                # Both daughters still lie within the mother; pushing moves them to where there is room.
                step = 0.6 * (half.mean() + radius.mean()) * np.array([math.sin(direction), math.cos(direction)])
                for side in (-1, 1):
                    daughters.append(middle + side * step + 0.1 * radius.mean() * random.standard_normal(2))
                    turned.append(direction + bend * random.standard_normal())
            place, angle = daughters, turned
        places += place
        angles += angle
    return np.array(places), np.array(angles)


def _relax(
    place: Floats, angle: Floats, half: Floats, radius: Floats, squeeze: float, random: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return centres and directions after overlapping spherocylinders have pushed and turned one another apart."""
    reach = 2 * float((half + radius).max())
    for _ in range(_ROUNDS):
        pairs = KDTree(place).query_pairs(reach, output_type="ndarray")
        if len(pairs) == 0:
            break
        first, second = pairs.T
        along = np.stack([np.sin(angle), np.cos(angle)], -1)
        s, t, gap = _closest(place[second] - place[first], along[first], along[second], half[first], half[second])
        distance = np.linalg.norm(gap, axis=-1)
        contact = radius[first] + radius[second]
        deep = contact * (1 - squeeze) - distance
        touching = deep > 0
        if not touching.any() or deep.max() < 0.01 * radius.min():
            break
        pairs, s, t, gap = pairs[touching], s[touching], t[touching], gap[touching]
        distance, deep = distance[touching], deep[touching]
        first, second = pairs.T
        # Coinciding axes have no direction to part in: take one across.
        across = np.stack([along[first, 1], -along[first, 0]], -1) * random.choice([-1.0, 1.0], len(first))[:, None]
        normal = np.where(distance[:, None] > 1e-9, gap / np.maximum(distance, 1e-9)[:, None], across)
        push = 0.5 * deep[:, None] * normal
        shift, turn, weight = np.zeros_like(place), np.zeros_like(angle), np.zeros_like(angle)
        for cell, arm, sign in ((first, s, -1.0), (second, t, 1.0)):
            np.add.at(shift, cell, sign * push)
            lever = arm * (along[cell, 1] * sign * push[:, 0] - along[cell, 0] * sign * push[:, 1])
            np.add.at(turn, cell, 3 * lever / (half[cell] + radius[cell]) ** 2)
            np.add.at(weight, cell, 1.0)
        # Damped by the number of contacts, so that a crowded cell does not overshoot.
        calm = 1.0 / np.maximum(weight, 1.0) ** 0.5
        place = place + shift * calm[:, None]
        angle = angle + turn * calm
    return place, angle


def _closest(offset: Floats, a: Floats, b: Floats, half_a: Floats, half_b: Floats) -> tuple[Floats, Floats, Floats]:
    """Return positions (s, t) along two segments at their closest approach, and the vector from the first to it.

    Ericson, Real-Time Collision Detection (2005), 5.1.9, for segments given by middle, direction and half length.
    """
    parallel = (a * b).sum(-1)
    to_a, to_b = (offset * a).sum(-1), (offset * b).sum(-1)
    denominator = np.maximum(1 - parallel**2, 1e-9)
    s = np.clip((to_a - parallel * to_b) / denominator, -half_a, half_a)
    t = np.clip(parallel * s - to_b, -half_b, half_b)
    s = np.clip(to_a + parallel * t, -half_a, half_a)
    return s, t, offset + t[:, None] * b - s[:, None] * a
