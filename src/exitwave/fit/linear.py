"""Linearisation: the slope of a problem's residual, dense, or sparse where particles do not see one another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
import torch
from torch import Tensor
from torch.autograd import forward_ad

from exitwave.fit.coordinates import Block
from exitwave.fit.problem import Problem
from exitwave.model import get
from exitwave.scene import Scene
from exitwave.specimen import Particles

FEW = 128
"""Up to this many unknown numbers, one rendering for each of them is affordable, and the Jacobian exact."""
# A sparse Jacobian leaves out the far tail of every particle's light: it is taken only where it saves this factor.
_SAVES = 3
_MOST = 1024


@dataclass(frozen=True)
class Linear:
    """A loss at a point, its gradient (P,), and the Gauss-Newton matrix (P, P) there, dense or scipy-sparse."""

    cost: float
    gradient: np.ndarray
    normal: Any

    def step(self, damping: np.ndarray, longest: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """Return the step (P,) under a damping (P,), and what every number of it takes off the linear model's loss.

        No number goes farther than the `longest` (P,) way: an exponential is not followed along its tangent.
        """
        scale = self.normal.diagonal()
        scale = np.maximum(scale, 1e-12 * max(float(scale.max()), 1e-300))
        if scipy.sparse.issparse(self.normal):
            damped = (self.normal + scipy.sparse.diags(damping * scale)).tocsc()
            step = -scipy.sparse.linalg.spsolve(damped, self.gradient)
        else:
            step = -np.linalg.solve(self.normal + np.diag(damping * scale), self.gradient)
        step = np.clip(step, -longest, longest)
        gains = -step * (self.gradient + 0.5 * (self.normal @ step))
        return torch.from_numpy(np.asarray(step, dtype=np.float64)), gains


def jacobian(residual: Any, pieces: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the residual (M,) and its derivatives (M, P) by forward-mode differentiation, one pass per parameter.

    Only the piece that moves carries a tangent, so that a pass derives no more than depends on it: a background costs
    one rendering, an aberration derives no chords.
    """
    columns = []
    value = None
    for moving, piece in enumerate(pieces):
        for number in range(len(piece)):
            tangent = torch.zeros_like(piece)
            tangent[number] = 1.0
            with forward_ad.dual_level(), torch.no_grad():
                dual = [forward_ad.make_dual(piece, tangent) if n == moving else p for n, p in enumerate(pieces)]
                primal, slope = forward_ad.unpack_dual(residual(dual))
                value = primal.clone()
                columns.append(torch.zeros_like(primal) if slope is None else slope.clone())
    assert value is not None  # coordinates are never empty
    return value, torch.stack(columns, -1)


def dense(problem: Problem, vector: Tensor) -> Linear:
    """Return the linearisation by one forward-mode rendering for every number."""
    value, slope = jacobian(problem.residual, problem.split(vector))
    emphasis = problem.emphasis(value)
    weighted = value
    if emphasis is not None:
        weighted, slope = emphasis * value, emphasis[:, None] * slope
    cost = float(problem.half_squares(value))
    return Linear(cost, (slope.T @ weighted).numpy(), (slope.T @ slope).numpy())


@dataclass(frozen=True)
class Locality:
    """Which unknowns move one particle each, and groups of particles whose images do not overlap.

    `columns` are (block, number of numbers of a particle); `groups` of particles may be moved at once; `windows`
    (scene, particle) -> rows and columns of the image that a particle's light reaches.
    """

    part: str
    columns: tuple[tuple[Block, int], ...]
    others: tuple[Block, ...]
    groups: tuple[np.ndarray, ...]
    windows: tuple[tuple[tuple[slice, slice], ...], ...]

    @property
    def passes(self) -> int:
        """The renderings that a Jacobian takes."""
        local = sum(width for _, width in self.columns) * len(self.groups)
        return local + sum(block.count for block in self.others)

    def pixels(self, shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
        """Return the places in the residual of images of some shapes that each particle's light reaches."""
        scenes, first = [], 0
        for shape, windows in zip(shapes, self.windows, strict=True):
            scenes.append((np.arange(first, first + math.prod(shape)).reshape(shape), windows))
            first += math.prod(shape)
        count = len(self.windows[0])
        return [
            np.concatenate([image[(..., *w[particle])].ravel() for image, w in scenes]) for particle in range(count)
        ]

    def members(self, count: int) -> np.ndarray:
        """Return the particle that each of `count` numbers belongs to; one more than the last for what all share."""
        particles = len(self.windows[0])
        found = np.full(count, particles)
        for block, width in self.columns:
            found[block.start : block.start + block.count] = np.repeat(np.arange(particles), width)
        return found


def locality(problem: Problem) -> Locality | None:
    """Return how the problem falls apart into particles, or None where one rendering per number does no worse."""
    blocks = problem.coordinates.blocks
    owners = [_part_of(block, problem.coordinates.scenes) for block in blocks]
    named = [owner for owner in owners if owner is not None]
    if not named or problem.blur or problem.coordinates.count <= FEW:
        return None
    # The part with the most numbers; another's particles count among what is common to all.
    chosen = max(
        set(named), key=lambda name: sum(b.count for b, owner in zip(blocks, owners, strict=True) if owner == name)
    )
    count = get(problem.coordinates.scenes[0], chosen).count
    columns = tuple((b, b.count // count) for b, owner in zip(blocks, owners, strict=True) if owner == chosen)
    others = tuple(b for b, owner in zip(blocks, owners, strict=True) if owner != chosen)
    windows = tuple(_windows(scene, get(scene, chosen)) for scene in problem.coordinates.scenes)
    found = Locality(chosen, columns, others, _groups(windows, count), windows)
    return found if found.passes * _SAVES <= problem.coordinates.count else None


def affordable(problem: Problem) -> bool:
    """Return whether Levenberg-Marquardt's Jacobian is."""
    if problem.coordinates.count <= FEW:
        return True
    near = locality(problem)
    return (problem.coordinates.count if near is None else near.passes) <= _MOST


def _part_of(block: Block, scenes: tuple[Scene, ...]) -> str | None:
    """Return the path of the particles of which a block holds one row each, in all scenes alike."""
    path = block.name
    if block.unknown.tied or len(block.targets) != len(scenes) or path.count(".") != 3:
        return None
    part = path.rpartition(".")[0]
    if not part.startswith("specimen.parts."):
        return None
    held = get(scenes[0], part)
    return part if isinstance(held, Particles) and block.shape and block.shape[0] == held.count else None


def _windows(scene: Scene, part: Particles) -> tuple[tuple[slice, slice], ...]:
    """Return the rows and columns that the light of every particle reaches: its silhouette and a fringe or two."""
    optics = scene.microscope.optics
    height, width = scene.grid.shape
    dy, dx = scene.grid.spacing
    medium, na = float(scene.specimen.medium), float(optics.na)
    wavelength = float(scene.microscope.illumination.source().wavelength.max())
    sine = min(na / medium, 0.99)
    away = (part.center[:, 0] - float(get(scene, "microscope.optics.defocus"))).abs().detach()
    spread = (1.2 * wavelength / na + away * sine / math.sqrt(1 - sine**2)).double().numpy()
    center, reach = part.center.detach().double().numpy(), part.reach().detach().double().numpy()
    windows = []
    for (_, y, x), (_, ry, rx), blur in zip(center, reach, spread, strict=True):
        top, bottom = ((y + side * (ry + blur)) / dy + height // 2 for side in (-1, 1))
        left, right = ((x + side * (rx + blur)) / dx + width // 2 for side in (-1, 1))
        rows = slice(min(max(math.floor(top), 0), height), min(max(math.ceil(bottom) + 1, 0), height))
        columns = slice(min(max(math.floor(left), 0), width), min(max(math.ceil(right) + 1, 0), width))
        windows.append((rows, columns))
    return tuple(windows)


def _groups(windows: tuple[tuple[tuple[slice, slice], ...], ...], count: int) -> tuple[np.ndarray, ...]:
    """Return particles in groups without common pixels, each put into the first group that has room for it."""
    edges = np.array([[(r.start, r.stop, c.start, c.stop) for r, c in scene] for scene in windows]).reshape(
        -1, count, 4
    )
    group = np.full(count, -1)
    for particle in range(count):
        mine, before = edges[:, particle, None], edges[:, :particle]
        apart = (
            (mine[..., 0] >= before[..., 1]) | (before[..., 0] >= mine[..., 1])
            | (mine[..., 2] >= before[..., 3]) | (before[..., 2] >= mine[..., 3])
        ).all(0)  # fmt: skip
        taken = set(group[:particle][~apart].tolist())
        group[particle] = next(number for number in range(count) if number not in taken)
    return tuple(np.flatnonzero(group == number) for number in range(group.max() + 1))
