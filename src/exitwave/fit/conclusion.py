"""Conclusions: the result of a fit, with what its images say of the numbers."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from exitwave.fit.design import statements
from exitwave.fit.linear import affordable, jacobian, locality
from exitwave.fit.problem import Problem
from exitwave.fit.result import FitResult
from exitwave.fit.shape import shaped
from exitwave.fit.slopes import Slopes
from exitwave.fit.solvers import Solution
from exitwave.fit.uncertainty import Information, coloured, information
from exitwave.render import render

# Standard deviations from a prior that a reader should know of.
_FAR = 3.0


def conclusion(
    problem: Problem,
    starts: list[Tensor],
    solution: Solution,
    history: list[float],
    notes: list[str],
    masks: tuple[Tensor, ...],
) -> FitResult:
    """Return the result of a fit that ended in the scenes of `problem`, weighed by the noise of their images."""
    now = problem.coordinates
    problem = replace(problem, blur=0.0)
    sensors = [scene.microscope.sensor for scene in now.scenes]
    with torch.no_grad():
        images = tuple(render(scene) for scene in now.scenes)
    residuals = [
        (image - data) * weight for image, data, weight in zip(images, problem.data, problem.weights, strict=True)
    ]
    freedom = max(problem.count - now.count, 1)
    chi2 = sum(float(residual.square().sum()) for residual in residuals) / freedom
    values = {name: value.detach() for name, value in now.values(now.split(now.vector())).items()}
    stderr: dict[str, Tensor] = {}
    known = None
    bound = [
        block.name
        for block, start in zip(now.blocks, starts, strict=True)
        # A mesh that was made anew has other numbers than it started with.
        if start.shape == block.shape and block.at_bound(values[block.name], start)
    ]
    if bound:
        notes = [*notes, f"at the end of its range: {', '.join(bound)}; widen the range, or fix it there"]
    # A derivative image for every vertex of a mesh would take longer than the fit.
    if not shaped(now) and affordable(problem):
        known, more = _information(problem, residuals, chi2, all(sensor.noisy for sensor in sensors))
        # The image does not depend on a number at its bound, which is the bound's doing.
        notes = [*notes, *(known.weak if bound else statements(now, known)), *more]
        for block in now.blocks:
            stderr[block.name] = known.stderr[block.start : block.start + block.count].reshape(block.shape)
    for block in now.blocks:
        if block.unknown.prior is not None:
            away = block.unknown.prior.deviation(values[block.name]).abs()
            if len(away.flatten()) and float(away.max()) > _FAR:
                notes.append(f"{block.name} is {float(away.max()):.2g} standard deviations from its prior")
    steps = len(history) - 1
    message = f"converged after {steps} steps" if solution.converged else f"stopped after {steps} steps: not converged"
    return FitResult(
        scenes=now.scenes,
        values=values,
        stderr=stderr,
        covariance=torch.empty(0, 0, dtype=torch.float64) if known is None else known.covariance,
        condition=float("nan") if known is None else known.condition,
        names=now.names(),
        history=history,
        images=images,
        targets=problem.data,
        masks=masks,
        chi2=chi2,
        converged=solution.converged,
        message=message,
        notes=tuple(notes),
    )


def _information(problem: Problem, residuals: list[Tensor], chi2: float, noisy: bool) -> tuple[Information, list[str]]:
    """Return what the images say of the unknowns, and what to know of the standard errors."""
    now = problem.coordinates
    vector = now.vector()
    outward, names = now.slopes(vector), now.names()
    near = locality(problem)
    if near is not None:
        slope = Slopes(near).jacobian(problem, vector)
        factor = 1.0 if noisy else 1 / max(chi2, 1e-300)
        return information((slope.T @ slope) * factor, outward, names), []
    _, slope = jacobian(problem.residual, now.split(vector))
    rows = sum(residual.numel() for residual in residuals)
    normal = (slope.T @ slope).numpy()
    # A residual no larger than the sensor's noise leaves that noise what decides.
    missed = not noisy or chi2 > 1 + 5 * (2 / problem.count) ** 0.5
    spread = coloured(slope[:rows], residuals) if missed else None
    if spread is None:
        return information(normal if noisy else normal / max(chi2, 1e-300), outward, names), []
    # What the priors say is not the images' noise.
    spread = spread + (slope[rows:].T @ slope[rows:]).numpy()
    white, known = information(normal, outward, names), information(normal, outward, names, spread)
    ratio = (known.stderr / white.stderr)[torch.isfinite(known.stderr)]
    if not noisy or not len(ratio):
        return known, []
    return known, [
        f"the residual is correlated from pixel to pixel: standard errors are {float(ratio.median()):.2g} times those "
        "of the sensor's noise alone, and what the model misses may bias the numbers"
    ]
