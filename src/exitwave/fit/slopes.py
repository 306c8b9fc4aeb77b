"""Slopes: sparse derivatives of images by the numbers of many particles."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from exitwave.fit.linear import Linear, Locality
from exitwave.fit.problem import Problem
from exitwave.render import render

# Differences are taken over a change of the image by this share of its contrast: the half per cent by which they bend
# is that of a step's length; single precision adds a thousandth.
_SHARE = 0.01
# A matrix serves again until the loss has fallen to this share of what it was.
_WORN = 0.9


class Slopes:
    """The derivatives of a problem's images, each particle's in its windows of the image, kept while they serve.

    All particles of a group are moved at once, and each is given the change of its own window: one rendering in single
    precision, by the fastest kernels, for every kind of number and group. Differences, and what falls outside the
    windows, bend the path of a fit's steps a little, not where it ends, which the exact gradient decides.
    """

    def __init__(self, near: Locality) -> None:
        self.near = near
        self._matrix: Any = None
        self._loss = math.inf

    def linearise(self, problem: Problem, vector: Tensor) -> Linear:
        """Return the linearisation with the exact gradient and the Gauss-Newton matrix of the slopes."""
        with torch.enable_grad():
            moving = vector.detach().clone().requires_grad_()
            value = problem.residual(problem.split(moving))
            cost = problem.half_squares(value)
            (gradient,) = torch.autograd.grad(cost, moving)
        loss = cost.item()
        slope = self.jacobian(problem, vector, loss)
        emphasis = problem.emphasis(value.detach())
        if emphasis is not None:
            slope = scipy.sparse.diags(emphasis.numpy()) @ slope
        return Linear(loss, gradient.numpy(), (slope.T @ slope).tocsc())

    def jacobian(self, problem: Problem, vector: Tensor, loss: float = 0.0) -> Any:
        """Return the Jacobian (M, P) of the residual, scipy-sparse; with a loss, that of a point of similar loss."""
        if self._matrix is None or loss < _WORN * self._loss:
            self._matrix, self._loss = self._images(problem, vector), loss
        weights = np.concatenate([weight.flatten().numpy() for weight in problem.weights])
        weighted = scipy.sparse.diags(weights) @ self._matrix
        return scipy.sparse.vstack([weighted, scipy.sparse.csc_matrix(_prior_slopes(problem, vector))]).tocsc()

    def _images(self, problem: Problem, vector: Tensor) -> Any:
        """Return the derivatives (M, P) of all images' pixels."""
        base = _rendered(problem, vector)
        contrast = max(float(base.std()), 1e-300)
        count = problem.coordinates.count
        places: list[np.ndarray] = [np.empty(0, dtype=np.int64)] * count
        values: list[np.ndarray] = [np.empty(0, dtype=np.float32)] * count
        pixels = self.near.pixels([tuple(data.shape) for data in problem.data])
        for block, width in self.near.columns:
            members = block.start + np.arange(block.count)
            step = _step(problem, vector, members, base, contrast)
            for column in range(width):
                for group in self.near.groups:
                    numbers = block.start + group * width + column
                    moved = _changed(problem, vector, numbers, base, step)
                    for particle, number in zip(group.tolist(), numbers.tolist(), strict=True):
                        places[number], values[number] = pixels[particle], moved[pixels[particle]]
        for block in self.near.others:
            for number in range(block.start, block.start + block.count):
                alone = np.array([number])
                moved = _changed(problem, vector, alone, base, _step(problem, vector, alone, base, contrast))
                places[number], values[number] = np.arange(len(moved)), moved
        edges = np.concatenate([[0], np.cumsum([len(place) for place in places])])
        held = (np.concatenate(values).astype(np.float64), np.concatenate(places), edges)
        return scipy.sparse.csc_matrix(held, shape=(len(base), count))


def _rendered(problem: Problem, vector: Tensor) -> np.ndarray:
    """Return the pixels (M,) of all images in single precision."""
    with torch.no_grad():
        scenes = problem.coordinates.place(problem.split(vector))
        return np.concatenate([render(scene.to(torch.float32)).flatten().numpy() for scene in scenes])


def _step(problem: Problem, vector: Tensor, numbers: np.ndarray, base: np.ndarray, contrast: float) -> float:
    """Return how far numbers may move together for the images to change by a small share of their contrast."""
    first = 1e-3
    change = float(np.sqrt(np.mean(np.square(_changed(problem, vector, numbers, base, first), dtype=np.float64))))
    return min(_SHARE * contrast / change, 0.1) if change > 0 else 0.1


def _changed(problem: Problem, vector: Tensor, numbers: np.ndarray, base: np.ndarray, step: float) -> np.ndarray:
    """Return the derivative (M,) of all images along numbers that move together."""
    moved = vector.clone()
    moved[torch.from_numpy(numbers)] += step
    return (_rendered(problem, moved) - base) / np.float32(step)


def _prior_slopes(problem: Problem, vector: Tensor) -> np.ndarray:
    """Return the derivatives (D, P) of the deviations from the priors."""

    def deviations(vector: Tensor) -> Tensor:
        return problem.coordinates.deviations(problem.split(vector))

    if not len(deviations(vector)):
        return np.zeros((0, len(vector)))
    found = torch.autograd.functional.jacobian(deviations, vector)
    assert isinstance(found, Tensor)
    return found.numpy()
