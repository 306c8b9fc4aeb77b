"""Packing: random places for discs, or for rigid groups of discs, that must keep apart.

The method is random sequential adsorption with the big ones first: throw a disc at a random place, keep it where it
meets nothing. Three things make it fast without changing its result. Darts are thrown in rounds, and a round is decided
as if they had come one after another. Neighbours are found in one k-d tree per octave of radius, so that one big disc
among thousands of small ones costs no more than its neighbours. Where most darts miss, they are aimed at those cells of
a grid that no placed disc covers, and the cells are quartered until some dart hits or none is left, which proves that
nothing more fits (the flat quadtree of Ebeida, Mitchell, Patney, Davidson and Owens, "A simple algorithm for maximal
Poisson-disk sampling in high dimensions", Computer Graphics Forum 31, 785, 2012, here for discs of many sizes).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]

# Darts of a round so many that a miss of nearly all of them means something.
_DARTS = 20_000
# Cells kept at once, and tested at once: a bound on memory and on the time of a round.
_POINTS = 100_000
_CELLS = 400_000
# A share of hits below which aiming pays for itself.
_AIM = 0.03
# Ten rounds that place less than this share of what is left will not end in reasonable time.
_PACE = 0.05


def _octaves(radii: Floats) -> Integers:
    # Cells may ask with a negative radius: they belong to the smallest octave there is.
    return np.floor(np.log2(np.maximum(radii, 1e-300))).astype(np.int64)


def _present(octaves: Integers) -> list[int]:
    # Most calls are about a few discs, for which sorting an array takes longer than the geometry.
    return sorted(set(octaves.tolist()))


class Occupied:
    """The discs (balls, in more dimensions) that have their place, ready to be asked who meets them.

    >>> placed = Occupied()
    >>> placed.add(np.array([[0.0, 0.0]]), np.array([2.0]))
    >>> placed.hit(np.array([[0.0, 2.5], [0.0, 3.5]]), np.array([1.0, 1.0]))
    array([ True, False])
    """

    def __init__(self) -> None:
        self._discs: dict[int, tuple[Floats, Floats]] = {}
        self._trees: dict[int, KDTree] = {}

    def add(self, points: Floats, radii: Floats) -> None:
        """Take in discs: centres (n, d) and radii (n,)."""
        octaves = _octaves(radii)
        for octave in _present(octaves):
            chosen = octaves == octave
            new = points[chosen], radii[chosen]
            old = self._discs.get(octave)
            both = new if old is None else (np.concatenate((old[0], new[0])), np.concatenate((old[1], new[1])))
            self._discs[octave] = both
            self._trees[octave] = KDTree(both[0])

    def hit(self, points: Floats, radii: Floats) -> Mask:
        """Return which of the discs at `points` (n, d) with `radii` (n,) overlap one that has its place, (n,)."""
        found = np.zeros(len(points), dtype=np.bool_)
        octaves = _octaves(radii)
        for octave in _present(octaves):
            asked = np.flatnonzero(octaves == octave)
            tree, own = KDTree(points[asked]), radii[asked]
            for key, (_, others) in self._discs.items():
                reach = float(own.max() + others.max())
                if reach > 0.0:
                    near = tree.sparse_distance_matrix(self._trees[key], reach, output_type="ndarray")
                    met = near["v"] < own[near["i"]] + others[near["j"]]
                    found[asked[near["i"][met]]] = True
        return found


def overlaps(points: Floats, radii: Floats) -> tuple[Integers, Integers]:
    """Return the pairs (i, j) of discs, centres (n, d) and radii (n,), that overlap one another, each pair once.

    >>> overlaps(np.array([[0.0, 0.0], [0.0, 1.5], [0.0, 3.5]]), np.ones(3))
    (array([0]), array([1]))
    """
    octaves = _octaves(radii)
    classes = [np.flatnonzero(octaves == octave) for octave in _present(octaves)]
    trees = [KDTree(points[chosen]) for chosen in classes]
    left, right = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for a, first in enumerate(classes):
        for b in range(a, len(classes)):
            second = classes[b]
            reach = float(radii[first].max() + radii[second].max())
            near = trees[a].sparse_distance_matrix(trees[b], reach, output_type="ndarray")
            i, j = first[near["i"]], second[near["j"]]
            met = (near["v"] < radii[i] + radii[j]) & ((i < j) if a == b else True)
            left.append(np.minimum(i[met], j[met]))
            right.append(np.maximum(i[met], j[met]))
    return np.concatenate(left), np.concatenate(right)


def first_come(left: Integers, right: Integers, count: int) -> Mask:
    """Return who of `count` comers stays if each pair (left, right) excludes one another and the earlier one wins.

    Comers arrive in the order of their number; whoever meets one that has stayed must go. All are decided together:
    a comer stays as soon as no undecided or staying one before it excludes it.

    >>> first_come(np.array([0, 1]), np.array([1, 2]), 3)
    array([ True, False,  True])
    """
    before, after = np.minimum(left, right), np.maximum(left, right)
    stays = np.zeros(count, dtype=np.bool_)
    open_ = np.ones(count, dtype=np.bool_)
    while open_.any():
        free = open_.copy()
        free[after] = False
        stays |= free
        open_ &= ~free
        open_[after[free[before]]] = False
        kept = open_[before] & open_[after]
        before, after = before[kept], after[kept]
    return stays


class _FreeCells:
    """The cells of a grid over [low, high] in which a disc of a given radius may still find a place."""

    def __init__(self, low: Floats, high: Floats, radius: float) -> None:
        span = high - low
        step = max(2.0 * radius, math.sqrt(float(span[0] * span[1]) / (_CELLS / 4)))
        shape = np.maximum(np.ceil(span / step), 1.0).astype(np.int64)
        self.radius = radius
        self.side = span / shape
        rows, columns = np.divmod(np.arange(int(shape[0] * shape[1])), shape[1])
        self.corners = low + np.stack((rows, columns), axis=-1) * self.side

    def split(self) -> bool:
        if 4 * len(self.corners) > _CELLS:
            return False
        self.side = self.side / 2.0
        steps = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]) * self.side
        self.corners = (self.corners[:, None] + steps).reshape(-1, 2)
        return True

    def prune(self, placed: Occupied) -> None:
        # A cell lies inside the disc that a placed one bars if its middle does by half a diagonal.
        inset = self.radius - 0.5 * math.hypot(*self.side)
        kept = []
        for part in np.array_split(self.corners, max(1, len(self.corners) // _POINTS)):
            covered = placed.hit(part + 0.5 * self.side, np.full(len(part), inset))
            kept.append(part[~covered])
        self.corners = np.concatenate(kept)

    def draw(self, count: int, generator: np.random.Generator) -> Floats:
        chosen = generator.integers(len(self.corners), size=count)
        return self.corners[chosen] + self.side * generator.random((count, 2))


def pack(
    radii: Floats, offsets: Floats, counts: Integers, low: Floats, high: Floats, generator: np.random.Generator
) -> tuple[Floats, Mask]:
    """Return places (G, 2) for G rigid groups of discs such that no two groups overlap, and who got one, (G,).

    Group g has the next `counts[g]` (G,) of the members with `radii` (N,) and `offsets` (N, 2) from the group's place;
    the first member of every group has offset zero. Its place lies in [low, high], each (G, 2). A single disc is a
    group of one. Discs within a group may overlap. Places are given out up to the first size that does not fit.
    """
    starts = np.cumsum(counts) - counts
    reach = np.maximum.reduceat(np.hypot(*offsets.T) + radii, starts)
    order = np.argsort(-reach, kind="stable")
    packer = _Packer(radii, offsets, counts, starts, low, high, generator)
    begin = 0
    while begin < len(order):
        # Groups within a quarter of the size share a tier: what bars the smallest of them bars them all.
        end = begin + int(np.searchsorted(-reach[order[begin:]], -0.8 * reach[order[begin]], side="right"))
        if not packer.fill(order[begin:end]):
            break
        begin = end
    return packer.places, packer.done


@dataclass
class _Packer:
    """The state of one packing: what has its place, and how to place more."""

    radii: Floats
    offsets: Floats
    counts: Integers
    starts: Integers
    low: Floats
    high: Floats
    generator: np.random.Generator

    def __post_init__(self) -> None:
        self.area = np.add.reduceat(np.pi * self.radii**2, self.starts)
        self.places = np.zeros((len(self.counts), 2))
        self.done = np.zeros(len(self.counts), dtype=np.bool_)
        self.placed = Occupied()

    def members(self, groups: Integers, places: Floats) -> tuple[Integers, Floats, Floats]:
        """Return the discs of `groups` at `places`: position in `groups`, centres (n, 2) and radii (n,)."""
        counts = self.counts[groups]
        position = np.repeat(np.arange(len(groups)), counts)
        within = np.arange(len(position)) - np.repeat(np.cumsum(counts) - counts, counts)
        member = self.starts[groups][position] + within
        return position, places[position] + self.offsets[member], self.radii[member]

    def fill(self, tier: Integers) -> bool:
        """Place the groups of `tier`; return False where one found no place."""
        low, high = self.low[tier].min(axis=0), self.high[tier].max(axis=0)
        smallest = float(self.radii[self.starts[tier]].min())
        room = float(np.prod(high - low + 2.0 * smallest))
        cells: _FreeCells | None = None
        pending, darts, rounds, before = tier, 0, 0, len(tier)
        while len(pending):
            # More discs than the region has area would mostly meet one another.
            batch = pending[: max(1, int(np.searchsorted(np.cumsum(self.area[pending]), room)))]
            # A round costs as much as its trees, so with many discs in place more than one dart each is for free.
            darts = max(darts, int(self.done.sum()) // 4)
            hits = self.throw(batch, darts, cells)
            pending = pending[~self.done[pending]]
            if max(darts, len(batch)) < _DARTS:
                # A few misses of a few darts mean little: throw more of them before aiming.
                darts = max(4 * darts, 4 * len(batch), 100) if hits < _AIM else darts
                before = len(pending)
                continue
            rounds += 1
            if rounds % 10 == 0:
                if len(pending) > (1.0 - _PACE) * before:
                    return False
                before = len(pending)
            if len(pending) and hits < _AIM:
                if cells is None:
                    cells = _FreeCells(low, high, smallest)
                elif not cells.split() and rounds % 10:
                    # Cells that stay as big as they were lose few of their number to a round.
                    continue
                cells.prune(self.placed)
                if not len(cells.corners):
                    return False
        return True

    def throw(self, batch: Integers, darts: int, cells: _FreeCells | None) -> float:
        """Throw one dart at least for each of `batch`, `darts` discs in all; return the share that met nothing."""
        tries = max(1, darts // int(self.counts[batch].sum()))
        groups = np.repeat(batch, tries)
        if cells is None:
            span = self.high[groups] - self.low[groups]
            places = self.low[groups] + span * self.generator.random((len(groups), 2))
            fits = np.ones(len(groups), dtype=np.bool_)
        else:
            places = cells.draw(len(groups), self.generator)
            fits = ((places >= self.low[groups]) & (places <= self.high[groups])).all(axis=1)
        position, centers, radii = self.members(groups, places)
        fits &= np.bincount(position, self.placed.hit(centers, radii), minlength=len(groups)) == 0
        table = fits.reshape(len(batch), tries)
        lucky = np.flatnonzero(table.any(axis=1))
        chosen, places = batch[lucky], places[lucky * tries + table[lucky].argmax(axis=1)]
        if len(chosen):
            position, centers, radii = self.members(chosen, places)
            left, right = overlaps(centers, radii)
            left, right = position[left], position[right]
            stays = first_come(left[left != right], right[left != right], len(chosen))
            kept = stays[position]
            self.placed.add(centers[kept], radii[kept])
            self.places[chosen[stays]] = places[stays]
            self.done[chosen[stays]] = True
        return float(fits.mean())
