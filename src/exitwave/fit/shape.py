"""Shapes: descent that moves the vertices of meshes smoothly, and everything else beside them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
import torch
from torch import Tensor

from exitwave.fit.coordinates import Block, Coordinates
from exitwave.fit.problem import Problem
from exitwave.fit.solvers import NOT_FINITE, Report, Solution, curvature_scales
from exitwave.model import get
from exitwave.specimen import Mesh

# How long the averages of slopes and of their squares remember (Kingma and Ba, ICLR 2015).
_MEMORY, _LONG_MEMORY = 0.9, 0.99
# Steps over which the loss must fall, and what is left of the step's length at the end.
_PATIENCE, _LAST = 20, 0.02


def shaped(coordinates: Coordinates) -> tuple[Block, ...]:
    """Return the unknowns that are all vertices of a mesh."""
    return tuple(block for block in coordinates.blocks if _mesh(coordinates, block) is not None)


def smoothers(coordinates: Coordinates, smoothing: float) -> dict[str, Smoother]:
    """Return the smoothers of the meshes among the unknowns, by name."""
    found = ((block.name, _mesh(coordinates, block)) for block in coordinates.blocks)
    return {name: Smoother(mesh, smoothing) for name, mesh in found if mesh is not None}


def _mesh(coordinates: Coordinates, block: Block) -> Mesh | None:
    """Return the mesh whose vertices an unknown is, if it is that."""
    scene, path, _ = block.targets[0]
    owner, _, name = path.rpartition(".")
    whole = not block.unknown.tied and block.unknown.columns is None
    if name != "vertices" or not whole or not owner:
        return None
    part = get(coordinates.scenes[scene], owner)
    return part if type(part) is Mesh else None


@dataclass
class _Averages:
    """The average of slopes and of their squares, both of them from zero on."""

    first: Tensor
    second: Tensor
    steps: int = 0

    def direction(self, slope: Tensor, square: Tensor) -> Tensor:
        """Return the average slope over the root of the average square, after taking both in."""
        self.steps += 1
        self.first = _MEMORY * self.first + (1 - _MEMORY) * slope
        self.second = _LONG_MEMORY * self.second + (1 - _LONG_MEMORY) * square
        mean = self.first / (1 - _MEMORY**self.steps)
        size = torch.sqrt(self.second / (1 - _LONG_MEMORY**self.steps))
        return mean / size.clamp(min=1e-300)


def smooth_descent(
    problem: Problem, vector: Tensor, steps: int, tolerance: float, smoothing: float, report: Report
) -> Solution:
    """Minimise a loss over the vertices of meshes and other numbers together.

    The slope g by a mesh's vertices becomes (1 + smoothing L)^-2 g, L its graph Laplacian, the steepest descent in a
    norm that charges for roughness (Nicolet, Jacobson and Jakob, ACM Trans. Graph. 40, 248, 2021); one length for the
    whole mesh, that of its fastest vertex, sets the step. Other numbers take Adam's steps in units of curvature. Steps
    shorten along a cosine. Where the loss is not finite, the best point so far is gone back to and steps are halved.
    """
    blocks = problem.coordinates.blocks
    solid = smoothers(problem.coordinates, smoothing)
    scale, start_loss = curvature_scales(problem, vector)
    reach = {block.name: block.unknown.scale or _stride(problem) for block in blocks if block.name in solid}
    rate = 0.05 * math.sqrt(2 * start_loss)
    averages = {block.name: _fresh(vector, block, block.name in solid) for block in blocks}
    best, best_loss = vector.clone(), math.inf
    history: list[float] = []
    notes: list[str] = []
    shrink, now = 1.0, vector.clone()
    for step in range(steps):
        loss, slope, why = _slope(problem, now)
        if not math.isfinite(loss):
            if not math.isfinite(best_loss) or shrink < 1e-3:
                raise ValueError(f"{NOT_FINITE}; {why}")
            notes.append(f"step {len(history)} was taken back: {problem.offender(best, torch.nan_to_num(now - best))}")
            shrink, now = shrink / 2, best.clone()
            averages = {block.name: _fresh(vector, block, block.name in solid) for block in blocks}
            continue
        history.append(loss)
        if loss < best_loss:
            best, best_loss = now.clone(), loss
        report(best, best_loss, 0.0)
        if len(history) > 2 * _PATIENCE and min(history[:-_PATIENCE]) - best_loss <= tolerance * best_loss:
            break
        length = shrink * (_LAST + (1 - _LAST) * 0.5 * (1 + math.cos(math.pi * step / steps)))
        for block in blocks:
            part = slice(block.start, block.start + block.count)
            if block.name in solid:
                smooth = solid[block.name](solid[block.name](slope[part])).reshape(-1, 3)
                fastest = smooth.square().sum(-1).amax()
                move = reach[block.name] * averages[block.name].direction(smooth, fastest).flatten()
            else:
                own = slope[part] * scale[part]
                move = rate * scale[part] * averages[block.name].direction(own, own.square())
            now[part] = now[part] - length * move
    final = problem.cost(now)[0] / problem.count
    if final <= best_loss:
        best, best_loss = now, final
    converged = len(history) > _PATIENCE and history[-_PATIENCE] - best_loss <= max(tolerance, 1e-2) * best_loss
    history.append(best_loss)
    return Solution(best, history, converged, notes)


def _fresh(vector: Tensor, block: Block, mesh: bool) -> _Averages:
    zeros = torch.zeros_like(vector[block.start : block.start + block.count])
    return _Averages(zeros.reshape(-1, 3), zeros.new_zeros(())) if mesh else _Averages(zeros, zeros.clone())


def _stride(problem: Problem) -> float:
    """Return a quarter of a voxel in micrometres."""
    spacing = problem.coordinates.scenes[0].grid.spacing
    return 0.25 * math.prod(spacing) ** (1 / len(spacing))


def _slope(problem: Problem, vector: Tensor) -> tuple[float, Tensor, str]:
    """Return the mean loss at a vector, its slope, and why there is none if it is not finite."""
    free = vector.detach().clone().requires_grad_()
    try:
        mean = problem.half_squares(problem.residual(problem.split(free))) / problem.count
        (slope,) = torch.autograd.grad(mean, free)
    except (ValueError, MemoryError) as error:
        return math.nan, vector, str(error)
    if not bool(torch.isfinite(slope).all()):
        return math.nan, vector, "the slope has NaN or infinite numbers"
    return mean.item(), slope, "the image has NaN or infinite voxels"


class Smoother:
    """(1 + smoothing L)^-1 of a mesh, factorised once; L is the graph Laplacian, which counts neighbours."""

    def __init__(self, mesh: Mesh, smoothing: float) -> None:
        faces = mesh.faces.cpu().numpy()
        count = len(mesh.vertices)
        ends = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), 1)
        ends = np.unique(ends[ends[:, 0] != ends[:, 1]], axis=0)
        ones = np.ones(len(ends))
        edges = scipy.sparse.coo_array((ones, (ends[:, 0], ends[:, 1])), shape=(count, count))
        edges = (edges + edges.T).tocsc()
        laplacian = scipy.sparse.diags_array(edges.sum(1)) - edges
        matrix = scipy.sparse.eye_array(count) + smoothing * laplacian
        # Symmetric and diagonally dominant: no pivoting, and an order that fills little.
        self.solve: Callable[[np.ndarray], np.ndarray] = scipy.sparse.linalg.splu(
            matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
        ).solve

    def __call__(self, coordinates: Tensor) -> Tensor:
        """Return smooth moves (3 V,) for rough coordinates (3 V,)."""
        smooth: Any = _Smoothed.apply(coordinates, self)
        return smooth


class _Smoothed(torch.autograd.Function):
    """A symmetric linear map: what comes back through it goes through it again."""

    @staticmethod
    def forward(ctx: Any, coordinates: Tensor, smoother: Smoother) -> Tensor:
        ctx.smoother = smoother
        solved = smoother.solve(coordinates.detach().cpu().numpy().reshape(-1, 3))
        return torch.from_numpy(solved.reshape(-1)).to(coordinates)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return ctx.smoother(gradients[0]), None
