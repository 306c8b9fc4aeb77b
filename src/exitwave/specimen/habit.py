"""Habits: the faces that the forms of a crystal have, and which of them can meet, as tables computed once."""

from __future__ import annotations

import itertools
import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

# Generators of the Laue groups, acting on Miller indices (h, k, l); the inversion belongs to every one of them.
LAUE: dict[str, tuple[tuple[tuple[int, int, int], ...], ...]] = {
    "-1": (),
    "2/m": (((-1, 0, 0), (0, 1, 0), (0, 0, -1)),),
    "mmm": (((-1, 0, 0), (0, 1, 0), (0, 0, -1)), ((1, 0, 0), (0, -1, 0), (0, 0, -1))),
    "4/m": (((0, -1, 0), (1, 0, 0), (0, 0, 1)),),
    "4/mmm": (((0, -1, 0), (1, 0, 0), (0, 0, 1)), ((1, 0, 0), (0, -1, 0), (0, 0, -1))),
    "-3m": (((0, 1, 0), (-1, -1, 0), (0, 0, 1)), ((0, 1, 0), (1, 0, 0), (0, 0, -1))),
    "6/mmm": (((1, 1, 0), (-1, 0, 0), (0, 0, 1)), ((0, 1, 0), (1, 0, 0), (0, 0, -1))),
    "m-3m": (((0, 1, 0), (0, 0, 1), (1, 0, 0)), ((0, -1, 0), (1, 0, 0), (0, 0, 1))),
}


class Habit(NamedTuple):
    """What crystals of one kind have in common, as `Crystal` and `RoundedCrystal` declare it."""

    cell: tuple[float, float, float]
    forms: tuple[tuple[int, int, int], ...]
    laue: str
    angles: tuple[float, float, float]
    per_face: bool

    def check(self, name: str) -> None:
        """Raise a one-line error where the faces bound no solid; `name` is whose fields they are."""
        if self.laue not in LAUE:
            raise ValueError(f"{name}.laue must be one of {', '.join(LAUE)}, got '{self.laue}'")
        if not self.forms or any(len(form) != 3 or not any(form) for form in self.forms):
            raise ValueError(f"{name}.forms must be Miller indices such as ((1, 1, 0),), got {self.forms}")
        if len(self.cell) != 3 or not all(math.isfinite(edge) and edge > 0 for edge in self.cell):
            raise ValueError(f"{name}.cell must be three positive lengths, got {self.cell}")
        normals, _ = self.faces()
        # Every face has its opposite, so that they close as soon as they do not all stand along one direction.
        if np.linalg.matrix_rank(np.array(normals), tol=1e-6) < 3:
            raise ValueError(f"the forms {self.forms} do not close in a solid, got an open shape; add another form")

    def faces(self) -> tuple[tuple[tuple[float, ...], ...], tuple[int, ...]]:
        """Return the unit normals of all faces in body axes (z, y, x), and the form that each belongs to."""
        return faces(self.cell, self.angles, self.forms, self.laue)

    def lengths(self) -> tuple[str, ...]:
        """Return the names of the distances, one per form or one per face."""
        names = tuple("distance_" + "".join(str(index) for index in form) for form in self.forms)
        if not self.per_face:
            return names
        _, owner = self.faces()
        return tuple(f"{names[form]}_{number}" for number, form in enumerate(owner))

    def ungrouped(self, distance: Tensor) -> Tensor:
        """Return one distance per face (N, F), given one per form (N, k)."""
        return distance if self.per_face else distance[:, torch.tensor(self.faces()[1], device=distance.device)]

    def normals(self, like: Tensor) -> Tensor:
        """Return the unit normals of all faces (F, 3) with the dtype and on the device of `like`."""
        return torch.tensor(self.faces()[0], dtype=like.dtype, device=like.device)


@lru_cache(maxsize=64)
def faces(
    cell: tuple[float, float, float],
    angles: tuple[float, float, float],
    forms: tuple[tuple[int, int, int], ...],
    laue: str,
) -> tuple[tuple[tuple[float, ...], ...], tuple[int, ...]]:
    """Return the unit normals of all faces in body axes (z, y, x), and the form that each belongs to."""
    a, b, c = cell
    alpha, beta, gamma = angles
    # Columns: the cell's edges in Cartesian (x, y, z) with a along x and b in the x-y plane.
    cx = math.cos(beta)
    cy = (math.cos(alpha) - math.cos(beta) * math.cos(gamma)) / math.sin(gamma)
    edges = np.array(
        [
            [a, b * math.cos(gamma), c * cx],
            [0.0, b * math.sin(gamma), c * cy],
            [0.0, 0.0, c * math.sqrt(max(1 - cx**2 - cy**2, 0.0))],
        ]
    )
    reciprocal = np.linalg.inv(edges)  # rows: reciprocal vectors
    normals, owner = [], []
    for number, form in enumerate(forms):
        for indices in sorted(_equivalent(form, laue), reverse=True):
            normal = np.array(indices) @ reciprocal
            normals.append(tuple(float(part) for part in (normal / np.linalg.norm(normal))[::-1]))
            owner.append(number)
    return tuple(normals), tuple(owner)


def _equivalent(form: tuple[int, int, int], laue: str) -> set[tuple[int, ...]]:
    """Return all faces that the Laue group makes of one."""
    found = {tuple(form)}
    while True:
        more = {
            tuple(int(i) for i in np.array(generator) @ np.array(face)) for generator in LAUE[laue] for face in found
        }
        more |= {tuple(-i for i in face) for face in found}
        if more <= found:
            return found
        found |= more


@lru_cache(maxsize=64)
def triples_of(normals: tuple[tuple[float, ...], ...]) -> tuple[Tensor, Tensor]:
    """Return the triples of faces that meet in one point (T, 3), and the matrices that give it (T, 3, 3)."""
    matrix = np.array(normals)
    triples = np.array(list(itertools.combinations(range(len(matrix)), 3)))
    meeting = np.abs(np.linalg.det(matrix[triples])) > 1e-9
    return torch.from_numpy(triples[meeting]), torch.from_numpy(np.linalg.inv(matrix[triples[meeting]]))


@lru_cache(maxsize=64)
def ends_of(normals: tuple[tuple[float, ...], ...]) -> Tensor:
    """Return the triples that hold both faces of every pair (P, M); -1 fills up rows."""
    triples = triples_of(normals)[0].numpy()
    holds = (triples[:, :, None] == np.arange(len(normals))).any(1).T  # (faces, triples)
    first, second = np.triu_indices(len(normals), 1)
    rows = holds[first] & holds[second]
    order = np.argsort(~rows, axis=1, kind="stable")[:, : max(1, rows.sum(1).max())]
    return torch.from_numpy(np.where(np.take_along_axis(rows, order, 1), order, -1))


@lru_cache(maxsize=64)
def pairs_of(normals: tuple[tuple[float, ...], ...]) -> tuple[Tensor, Tensor]:
    """Return all pairs of faces (P, 2), and the unit vectors (P, 3) along which they meet; zero for opposite faces."""
    pairs = np.stack(np.triu_indices(len(normals), 1), -1)
    along = np.cross(*np.array(normals)[pairs].transpose(1, 0, 2))
    length = np.linalg.norm(along, axis=1, keepdims=True)
    return torch.from_numpy(pairs), torch.from_numpy(np.where(length > 1e-6, along / np.maximum(length, 1e-6), 0.0))


@lru_cache(maxsize=64)
def edges_of(normals: tuple[tuple[float, ...], ...]) -> Tensor:
    """Return the directions (E, 3) in body axes that the edges between two faces can have, each once."""
    first, second = np.triu_indices(len(normals), 1)
    along = np.cross(np.array(normals)[first], np.array(normals)[second])
    along = along[np.linalg.norm(along, axis=1) > 1e-6]
    along = (along / np.linalg.norm(along, axis=1, keepdims=True)).round(9)
    # An edge has no sense: the first component that is not zero counts as positive.
    leading = np.take_along_axis(along, (along != 0).argmax(1)[:, None], 1)
    return torch.from_numpy(np.unique(along * np.sign(leading) + 0.0, axis=0))
