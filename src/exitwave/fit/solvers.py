"""Solvers: a residual and a start go in, a vector and its loss history come out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import forward_ad

Residual = Callable[[list[Tensor]], Tensor]
"""The weighted residual (M,) as a function of the pieces of the vector, one per free path."""

Split = Callable[[Tensor], list[Tensor]]
"""The pieces of a vector (P,)."""


@dataclass(frozen=True)
class Solution:
    """Where a solver stopped: the vector, the loss at every step, the Jacobian (M, P) there if it has one."""

    vector: Tensor
    history: list[float]
    jacobian: Tensor | None
    converged: bool
    message: str


def jacobian(residual: Residual, pieces: list[Tensor]) -> tuple[Tensor, Tensor]:
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


def levenberg_marquardt(residual: Residual, split: Split, vector: Tensor, steps: int, tolerance: float) -> Solution:
    """Minimise half the squared residual by damped Gauss-Newton steps (Marquardt, SIAM J. Appl. Math. 11, 431, 1963).

    The damping follows the gain ratio (Nielsen, IMM-REP-1999-05). A step that gives NaN or a larger loss is taken
    back. Ends when no step can lower the loss by more than `tolerance` of it.
    """
    value, slope = jacobian(residual, split(vector))
    loss = float(value @ value) / 2
    if not math.isfinite(loss):
        raise ValueError(
            "the fit must start from a finite image, got NaN or infinity; move the start inside its ranges"
        )
    history = [loss / len(value)]
    damping, growth = 0.1, 2.0
    stalled = False
    for _ in range(steps):
        normal, gradient = slope.T @ slope, slope.T @ value
        scale = normal.diagonal().clamp(min=1e-12 * float(normal.diagonal().max().clamp(min=1e-300)))
        accepted, trial, new_loss = False, vector, loss
        while damping < 1e12:
            step = -torch.linalg.solve(normal + damping * torch.diag(scale), gradient)
            predicted = float(-(gradient @ step) - 0.5 * step @ normal @ step)
            trial = vector + step
            with torch.no_grad():
                new = residual(split(trial))
            new_loss = float(new @ new) / 2
            # A comparison with NaN is false: such a step is refused too.
            if new_loss <= loss and predicted > 0:
                accepted = True
                gain = (loss - new_loss) / predicted
                damping *= max(1 / 3, 1 - (2 * gain - 1) ** 3)
                growth = 2.0
                break
            if predicted <= tolerance * loss:
                break
            damping *= growth
            growth *= 2.0
        if not accepted:
            stalled = True
            break
        small = loss - new_loss <= tolerance * loss
        vector, loss = trial, new_loss
        value, slope = jacobian(residual, split(vector))
        history.append(loss / len(value))
        if small:
            stalled = True
            break
    return Solution(vector, history, slope, stalled, message_of(history, stalled))


def first_order(
    residual: Residual, split: Split, vector: Tensor, steps: int, tolerance: float, method: str
) -> Solution:
    """Minimise half the mean squared residual by Adam or L-BFGS, for more parameters than a Jacobian should have.

    The pieces are scaled to equal curvature, so that an index and a position take comparable steps. Adam's rate falls
    to zero along a cosine.
    """
    scale, loss = _scales(residual, split, vector)
    moved = torch.zeros_like(vector, requires_grad=True)
    best, best_loss = vector.clone(), math.inf
    history: list[float] = []
    if method == "lbfgs":
        optimiser: torch.optim.Optimizer = torch.optim.LBFGS(
            [moved], max_iter=1, history_size=20, line_search_fn="strong_wolfe"
        )
    else:
        # The start is about sqrt(2 loss) units of curvature away.
        optimiser = torch.optim.Adam([moved], lr=0.05 * math.sqrt(2 * loss))

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = residual(split(vector + scale * moved))
        mean = (value @ value) / (2 * len(value))
        mean.backward()
        return mean

    converged = False
    for step in range(steps):
        if method == "adam":
            optimiser.param_groups[0]["lr"] = 0.05 * math.sqrt(2 * loss) * 0.5 * (1 + math.cos(math.pi * step / steps))
        point = vector + scale * moved.detach()
        now = torch.as_tensor(optimiser.step(closure)).item()
        if not math.isfinite(now):
            return Solution(best, history, None, False, f"stopped at step {len(history)}: the loss is not finite")
        history.append(now)
        if now < best_loss:
            best, best_loss = point, now
        # L-BFGS descends; Adam wanders, and its falling rate ends it.
        if method == "lbfgs" and len(history) > 3 and history[-4] - min(history[-3:]) <= tolerance * history[-4]:
            converged = True
            break
    with torch.no_grad():
        point = vector + scale * moved
        value = residual(split(point))
    final = float(value @ value) / (2 * len(value))
    if final <= best_loss:
        best = point.detach()
    history.append(final)
    converged = converged or (method == "adam" and history[-2] - final <= max(tolerance, 1e-3) * history[-2])
    message = (
        f"converged after {len(history) - 1} steps" if converged else f"stopped after {steps} steps: not converged"
    )
    return Solution(best, history, None, converged, message)


def message_of(history: list[float], converged: bool) -> str:
    """Return in words how a fit with this loss history, whose first entry is the start, ended."""
    steps = len(history) - 1
    return f"converged after {steps} steps" if converged else f"stopped after {steps} steps: not converged"


def _scales(residual: Residual, split: Split, vector: Tensor) -> tuple[Tensor, float]:
    """Return per number the step that changes the residual by 1 RMS, one value a piece, and the loss at the start.

    The mean curvature of a piece is that along a random direction of signs (Hutchinson, Commun. Stat. 19, 433, 1990).
    """
    pieces = split(vector)
    generator = torch.Generator().manual_seed(0)
    scales, loss = [], 0.0
    for moving, piece in enumerate(pieces):
        signs = torch.randint(0, 2, piece.shape, generator=generator).to(piece) * 2 - 1
        with forward_ad.dual_level(), torch.no_grad():
            dual = [forward_ad.make_dual(piece, signs) if n == moving else p for n, p in enumerate(pieces)]
            value, slope = forward_ad.unpack_dual(residual(dual))
            loss = float(value @ value) / (2 * len(value))
            curvature = 0.0 if slope is None else float(slope @ slope) / (len(value) * len(piece))
        scales.append(torch.full_like(piece, 1 / math.sqrt(curvature) if curvature > 0 else 1.0))
    if not math.isfinite(loss):
        raise ValueError(_NOT_FINITE)
    return torch.cat(scales), loss


_NOT_FINITE = "the fit must start from a finite image, got NaN or infinity; move the start inside its ranges"
