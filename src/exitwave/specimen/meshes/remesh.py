"""Remeshing: triangles of about one size and of good shape on the same surface."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exitwave.specimen.mesh import Mesh
from exitwave.specimen.meshes.nearest import Places, nearest, places
from exitwave.specimen.meshes.operations import collapse, curves, flip, ranks, split
from exitwave.specimen.meshes.smoothing import guarded, inflated, tangential
from exitwave.specimen.meshes.surface import Floats, Integers, Surface, compact, enclosed, mesh_of, surface
from exitwave.specimen.meshes.topology import canonical, codes, edges, junctions

# Edges between these shares of the wanted length are left: one that is cut gives no halves to be drawn together.
_LONG, _SHORT = 4 / 3, 4 / 5
_MOVES = 3


def remesh(mesh: Mesh, edge: float, iterations: int = 3) -> Mesh:
    """Return the same surface with edges of about `edge` micrometres and triangles that are nearly equilateral.

    Every iteration splits long edges, draws short ones together, flips edges towards small angles, and moves vertices
    within the surface (Botsch and Kobbelt, Symposium on Geometry Processing, 2004). Curves where walls meet or end
    stay curves of the same walls, and the points where curves meet stay where they are; regions stay closed and keep
    their volumes. New faces have the emission density of those they replace. No gradient passes: the result is a mesh
    to go on from.

    >>> from exitwave.specimen.meshes.solids import icosphere
    >>> coarse = remesh(icosphere(radius=1.0, subdivisions=4), edge=0.4)
    >>> len(coarse.faces) < 300, bool(coarse.closed().all())
    (True, True)
    """
    if not edge > 0:
        raise ValueError(f"edge must be positive, in um, got {edge:g}; pass the length that edges shall have")
    if iterations < 1:
        raise ValueError(f"iterations must be at least 1, got {iterations}; 3 are enough as a rule")
    old = surface(mesh)
    faces, regions = canonical(old.faces, old.regions)
    old = dataclasses.replace(old, faces=faces, regions=regions)
    body = remeshed(old, edge, iterations, shape_of(old).place)
    whole = mesh.closed().cpu().numpy()
    volume = enclosed(old.points, old.faces, old.regions, len(whole))
    kept = dataclasses.replace(body, points=guarded(body, inflated(body, volume, whole)))
    return mesh_of(kept, mesh)


def remeshed(body: Surface, edge: float, iterations: int, place: Callable[[Surface, Floats], Floats]) -> Surface:
    """Return a surface with edges of about `edge`; `place` gives the points (V, 3) where those may go that want to."""
    for _ in range(iterations):
        body = flip(split(body, _LONG * edge))
        body = flip(compact(collapse(body, _SHORT * edge, _LONG * edge)))
        for _ in range(_MOVES):
            body = dataclasses.replace(body, points=place(body, tangential(body, 0.5)))
    return flip(body)


@dataclass(frozen=True)
class Shape:
    """What a surface looked like: its walls, and the curves where these meet or end, each with its kinds."""

    walls: Places
    names: Integers
    curves: Places | None
    kinds: NDArray[np.uint64]

    def place(self, body: Surface, wanted: Floats) -> Floats:
        """Return points (V, 3) near those wanted, at the nearest place of the same wall or curve; corners stay."""
        net = edges(body.faces)
        edge = junctions(net, body.regions)
        rank = ranks(len(body.points), net, edge, body.faces, body.regions)
        points = wanted.copy()
        wall = np.zeros(len(points), dtype=np.int64)
        wall[body.faces.ravel()] = np.repeat(codes(body.regions), 3)
        flat = rank == 0
        points[flat] = nearest(self.walls, points[flat], np.searchsorted(self.names, wall[flat]))[0]
        bent = rank == 1
        if self.curves is not None and bent.any():
            kind = np.zeros(len(points), dtype=np.uint64)
            kind[net.ends[edge].ravel()] = np.repeat(curves(net, edge, body.regions), 2)
            points[bent] = nearest(self.curves, points[bent], np.searchsorted(self.kinds, kind[bent]))[0]
        return guarded(body, points)


def shape_of(body: Surface) -> Shape:
    """Return what a surface looks like, for points to be moved back onto."""
    net = edges(body.faces)
    edge = junctions(net, body.regions)
    names, wall = np.unique(codes(body.regions), return_inverse=True)
    kinds, kind = np.unique(curves(net, edge, body.regions), return_inverse=True)
    ends = net.ends[edge]
    # A piece of a curve is a triangle without area.
    lines = places(body.points[np.concatenate([ends, ends[:, 1:]], 1)], kind) if edge.any() else None
    return Shape(places(body.points[body.faces], wall), names, lines, kinds)
