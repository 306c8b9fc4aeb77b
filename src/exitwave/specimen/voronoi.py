"""Foams: a region of space divided among cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from exitwave.specimen.draws import Floats, Integers, unit
from exitwave.specimen.mesh import Mesh
from exitwave.specimen.meshes.nets import net
from exitwave.specimen.meshes.smoothing import averages
from exitwave.specimen.meshes.surface import Surface
from exitwave.specimen.ripples import Ripples

# Places that stand for the volume when seeds are spread evenly, for each seed, and the times that this is done.
_PLACES, _ROUNDS = 400, 12
# The farthest that irregularity moves a seed, of the way to its nearest neighbour.
_STRAY = 0.35
# Samples across a cell of which the walls are made.
_SAMPLES = 10
# Steps of smoothing, each followed by one back.
_STEPS, _FORTH, _BACK = 15, 0.6, -0.64


@dataclass(frozen=True, eq=False)
class Foam:
    """Seeds (N, 3) in an ellipsoid of semi-axes `half`, or in a box of them where `bulge` is None; `size` of a cell."""

    seeds: Floats
    half: Floats
    size: float
    turn: float
    ripples: Ripples
    bend: float
    bulge: float | None

    def cell_of(self, points: Floats) -> Integers:
        """Return the seed whose cell each place (P, 3) lies in, -1 outside."""
        straight = points + self.bend * self.size * self.ripples.at(points)
        cosine, sine = np.cos(self.turn), np.sin(self.turn)
        z, y, x = straight.T
        own = np.stack([z, cosine * y - sine * x, sine * y + cosine * x], -1)
        cell = KDTree(self.seeds).query(own)[1]
        if self.bulge is None:
            return np.where((np.abs(own) > self.half).any(1), -1, cell)
        level = np.linalg.norm(own / self.half, axis=1)
        normal = own / self.half**2
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        offset = own - self.seeds[cell]
        aside = (offset**2).sum(1) - (offset * normal).sum(1) ** 2
        # A cap over every cell, which falls off to the sides.
        return np.where((1 - level) * self.half.min() < 0.5 * self.bulge * aside / self.size, -1, cell)

    def mesh(self) -> tuple[Mesh, Integers]:
        """Return the walls, and the seed (R,) that each of the mesh's regions belongs to."""
        step = min(self.size, float(self.half.min())) / _SAMPLES
        reach = self.half + 3 * self.bend * self.size
        if self.turn:
            reach = np.array([reach[0], *[np.hypot(*reach[1:])] * 2])
        shape = 2 * np.ceil(reach / step).astype(int) + 3
        axes = [(np.arange(n) - n // 2) * step for n in shape]
        places = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
        cells, regions = np.unique(self.cell_of(places), return_inverse=True)
        if cells[0] == -1:
            cells = cells[1:]
        else:
            regions = regions + 1
        rough = net(regions.reshape(tuple(shape)).astype(np.int64))
        points = _smooth(rough) * step - (shape // 2) * step
        return Mesh(points.astype(np.float32), rough.faces, regions=rough.regions), cells


def _smooth(rough: Surface) -> Floats:
    """Return the points (V, 3) of a net of voxels without the steps of these: at most half a voxel away.

    Steps forth and back by turns keep what is wider than a few voxels as it is (Taubin, SIGGRAPH 1995, p. 351).
    """
    mean, _ = averages(rough, pinned=False)
    points = rough.points
    for _ in range(_STEPS):
        for share in (_FORTH, _BACK):
            points = points + share * (mean @ points - points)
        points = np.clip(points, rough.points - 0.5, rough.points + 0.5)
    return points


def spread(count: int, half: Floats, ellipsoid: bool, random: np.random.Generator) -> Floats:
    """Return `count` seeds that share an ellipsoid, or a box, evenly: each is in the middle of its own cell."""
    wanted = count * _PLACES
    places = random.uniform(-1, 1, (2 * wanted if ellipsoid else wanted, 3))
    if ellipsoid:
        places = places[(places**2).sum(1) < 1]
    places = places * half
    seeds = places[:count].copy()
    for _ in range(_ROUNDS):
        nearest = KDTree(seeds).query(places)[1]
        weight = np.bincount(nearest, minlength=count)[:, None]
        total = np.stack([np.bincount(nearest, column, count) for column in places.T], -1)
        seeds = np.where(weight > 0, total / np.maximum(weight, 1), seeds)
    return seeds


def strayed(seeds: Floats, irregularity: float, random: np.random.Generator) -> Floats:
    """Return seeds (N, 3) moved in random directions, by up to a share of a third of the way to their neighbours."""
    if len(seeds) < 2:
        return seeds
    nearest = KDTree(seeds).query(seeds, 2)[0][:, 1:]
    way = unit(random.standard_normal(seeds.shape)) * random.random((len(seeds), 1)) ** (1 / 3)
    return seeds + _STRAY * irregularity * nearest * way
