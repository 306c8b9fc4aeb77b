"""Fitting: the parameters of a scene from an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from exitwave.fit.coordinates import Coordinates, coordinates
from exitwave.fit.result import FitResult
from exitwave.fit.solvers import Solution, first_order, levenberg_marquardt, message_of
from exitwave.render import render
from exitwave.scene import Scene, Sensor

_FEW = 64
"""Up to this many free numbers, a Jacobian by forward mode is cheaper than many gradient steps."""

_METHODS = ("auto", "lm", "lbfgs", "adam")


def fit(
    scene: Scene,
    target: Tensor | np.ndarray,
    free: Sequence[str] | Mapping[str, tuple[float, float]],
    method: str = "auto",
    steps: int = 100,
    tolerance: float = 1e-6,
) -> FitResult:
    """Return the scene whose image is closest to `target`, with loss history and standard errors.

    Minimises sum (render - target)^2 / variance over the parameters at the dotted paths in `free`, starting from their
    values in `scene`, in double precision. The variance is the sensor's own at the starting image, and for
    Levenberg-Marquardt once more at the fitted one. A mapping path -> (low, high) narrows declared ranges. `method`:
    "lm" (Levenberg-Marquardt, few numbers), "lbfgs" or "adam" (many); "auto" takes "lm" up to 64 numbers. `steps` and
    the relative `tolerance` of the loss end it.

    The covariance is (J^T W J)^-1, times the reduced chi-square where that exceeds 1 (the model then misses something)
    or the sensor has no noise model.

    >>> import exitwave as ew
    >>> bead = ew.Particles(ew.Sphere(), center=[[0, 0, 0]], size=[[1.0]], index=[1.40])
    >>> scene = ew.Scene(ew.Specimen((bead,), medium=1.33), ew.quantitative_phase(), ew.Grid((48, 48), 0.1))
    >>> start = ew.substitute(scene, {"specimen.parts.0.size": [[1.2]]})
    >>> result = ew.fit(start, ew.render(scene), free=["specimen.parts.0.size"])
    >>> round(float(result.values["specimen.parts.0.size"]), 4)
    1.0
    """
    if method not in _METHODS:
        raise ValueError(f"method must be one of {', '.join(_METHODS)}, got '{method}'")
    if steps < 1 or not 0 <= tolerance < 1:
        raise ValueError(f"steps must be at least 1 and tolerance in [0, 1), got {steps} and {tolerance}")
    scene = scene.to(torch.float64)
    sensor: Sensor = scene.microscope.sensor
    image = render(scene).detach()
    data = _target(target, image)
    free_paths = coordinates(scene, free)
    chosen = method if method != "auto" else ("lm" if free_paths.count <= _FEW else "lbfgs")
    variance = sensor.variance(image).detach()
    solution = _solve(free_paths, data, variance, chosen, steps, tolerance)
    fitted = _scene(free_paths, solution.vector)
    weight = sensor.variance(render(fitted)).detach()
    if chosen == "lm" and not torch.allclose(weight, variance, rtol=1e-3):
        # The noise depends on the image: weigh by the fitted one.
        better = coordinates(fitted, free)
        again = _solve(better, data, weight, chosen, steps, tolerance)
        history = solution.history + again.history[1:]
        solution = replace(again, history=history, message=message_of(history, again.converged))
        free_paths = better
    return _result(free_paths, solution, data, sensor)


def _scene(free_paths: Coordinates, vector: Tensor) -> Scene:
    placed = free_paths.place(free_paths.split(vector.detach()))
    assert isinstance(placed, Scene)
    return placed


def _solve(
    free_paths: Coordinates, data: Tensor, variance: Tensor, method: str, steps: int, tolerance: float
) -> Solution:
    weight = 1 / torch.sqrt(variance)

    def residual(pieces: list[Tensor]) -> Tensor:
        placed = free_paths.place(pieces)
        assert isinstance(placed, Scene)
        return ((render(placed) - data) * weight).flatten()

    start = free_paths.vector()
    if method == "lm":
        return levenberg_marquardt(residual, free_paths.split, start, steps, tolerance)
    return first_order(residual, free_paths.split, start, steps, tolerance, method)


def _target(target: Tensor | np.ndarray, image: Tensor) -> Tensor:
    array = torch.as_tensor(target)
    if array.is_complex() or tuple(array.shape) != tuple(image.shape):
        raise ValueError(
            f"the target must be a real image of the scene's shape {tuple(image.shape)}, got {tuple(array.shape)} "
            f"{array.dtype}; crop it or set grid.shape"
        )
    data = array.to(torch.float64)
    if not bool(torch.isfinite(data).all()):
        bad = int((~torch.isfinite(data)).sum())
        raise ValueError(f"the target must be finite, got {bad} pixels with NaN or infinity; crop or fill them")
    if float(data.std()) == 0:
        raise ValueError(f"the target must show something, got the constant {float(data.flatten()[0]):g} everywhere")
    return data


def _result(free_paths: Coordinates, solution: Solution, data: Tensor, sensor: Sensor) -> FitResult:
    fitted = _scene(free_paths, solution.vector)
    with torch.no_grad():
        image = render(fitted)
        deviation = (image - data) ** 2 / sensor.variance(image)
    freedom = max(data.numel() - free_paths.count, 1)
    chi2 = float(deviation.sum()) / freedom
    values = {path: value.detach() for path, value in free_paths.values(free_paths.split(solution.vector)).items()}
    covariance, stderr, message = torch.empty(0, 0, dtype=torch.float64), {}, solution.message
    if solution.jacobian is not None:
        names = free_paths.names()
        covariance, blind = _covariance(solution.jacobian, free_paths.slopes(solution.vector))
        covariance = covariance * (max(chi2, 1.0) if sensor.noisy else chi2)
        if blind:
            message += "; the image does not depend on " + ", ".join(names[number] for number in blind[:4])
        spread = torch.sqrt(covariance.diagonal())
        for block in free_paths.blocks:
            stderr[block.path] = spread[block.start : block.start + block.count].reshape(block.shape)
    return FitResult(
        fitted,
        values,
        stderr,
        covariance,
        free_paths.names(),
        solution.history,
        image,
        data,
        chi2,
        solution.converged,
        message,
    )


def _covariance(slope: Tensor, outward: Tensor) -> tuple[Tensor, list[int]]:
    """Return (J^T J)^-1 in physical units, infinite where the data say nothing, and the numbers of such columns."""
    length = torch.linalg.vector_norm(slope, dim=0)
    blind = [number for number, size in enumerate(length.tolist()) if size <= 1e-12 * float(length.max())]
    unit = slope / length.clamp(min=1e-300)
    # Columns of unit length make the condition number that of the correlations, whatever the units.
    eigenvalues, vectors = torch.linalg.eigh(unit.T @ unit)
    known = eigenvalues > 1e-13 * eigenvalues.max()
    inverse = vectors[:, known] @ torch.diag(1 / eigenvalues[known]) @ vectors[:, known].T
    unknown = (vectors[:, ~known] ** 2).sum(-1) > 1e-6
    scale = outward.abs() / length.clamp(min=1e-300)
    covariance = inverse * scale[:, None] * scale[None]
    for number in torch.nonzero(unknown)[:, 0].tolist():
        covariance[number, number] = torch.inf
    return covariance, blind
