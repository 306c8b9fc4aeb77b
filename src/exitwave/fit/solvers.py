"""Solvers: a problem and a start go in, a vector and its loss history come out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad

from exitwave.fit.linear import Linear, dense
from exitwave.fit.problem import Problem
from exitwave.fit.slopes import Slopes

Report = Callable[[Tensor, float, float], None]
"""Told the vector, the mean loss and the damping after every step."""
Smooth = Callable[[Tensor], Tensor]
"""A linear map of the coordinates (n,) of one unknown that takes the roughness out of them."""
NOTHING: Mapping[str, Smooth] = MappingProxyType({})

# Images that a line search of L-BFGS may take.
_SEARCH = 26


@dataclass(frozen=True)
class Solution:
    """Where a solver stopped: the vector, the mean loss at every step, and what it met on its way, as clauses."""

    vector: Tensor
    history: list[float]
    converged: bool
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Costs:
    """A loss, what it is about every group of numbers (G,), and why it is infinite if it is."""

    total: float
    groups: np.ndarray
    why: str = ""


def solve(
    problem: Problem,
    vector: Tensor,
    method: str,
    limits: Limits,
    report: Report,
    damping: float = 0.1,
    slopes: Slopes | None = None,
) -> Solution:
    """Return where a method, "lm", "lbfgs" or "adam", takes a vector; "lm" by sparse `slopes` if there are any."""
    if method != "lm":
        return first_order(problem, vector, limits.steps, limits.tolerance, method, report)
    near = None if slopes is None else slopes.near

    def linearise(vector: Tensor) -> Linear:
        return dense(problem, vector) if slopes is None else slopes.linearise(problem, vector)

    places = None if near is None else near.pixels([tuple(data.shape) for data in problem.data])

    def costs(vector: Tensor) -> Costs:
        total, parts, why = problem.cost(vector)
        if places is None or why:
            return Costs(total, np.array([total]), why)
        # The last group is what all particles share.
        own = [float(parts[where].sum()) for where in places]
        return Costs(total, np.array([*own, total]))

    groups = np.zeros(len(vector), dtype=np.int64) if near is None else near.members(len(vector))
    return levenberg_marquardt(
        linearise, costs, problem.offender, vector, groups, problem.count, limits, report, damping
    )


@dataclass(frozen=True)
class Limits:
    """When a solver stops: after `steps`, at a relative fall of the loss below `tolerance`, or below `floor`.

    `longest` (P,) is how far each number may go in one step.
    """

    steps: int
    tolerance: float
    longest: np.ndarray
    floor: float = 0.0


def levenberg_marquardt(
    linearise: Callable[[Tensor], Linear],
    costs: Callable[[Tensor], Costs],
    offender: Callable[[Tensor, Tensor], str],
    vector: Tensor,
    groups: np.ndarray,
    count: int,
    limits: Limits,
    report: Report,
    start_damping: float = 0.1,
) -> Solution:
    """Minimise a loss by damped Gauss-Newton steps (Marquardt, SIAM J. Appl. Math. 11, 431, 1963).

    Every group of numbers (`groups`, (P,)) has a damping of its own that follows the gain ratio (Nielsen,
    IMM-REP-1999-05) of the loss about it: of a thousand particles, one in trouble does not hold up the others. A step
    that leaves the model or raises a group's loss is taken back and shortened; what led out of the model is noted.
    `count` is what the history divides the loss by.
    """
    now = costs(vector)
    if not math.isfinite(now.total):
        raise ValueError(f"{NOT_FINITE}; {now.why}")
    history, notes = [now.total / count], []
    damping, growth = np.full(len(now.groups), start_damping), np.full(len(now.groups), 2.0)
    stalled = now.total <= limits.floor
    report(vector, history[0], start_damping)
    while not stalled and len(history) <= limits.steps:
        linear = linearise(vector)
        accepted, trial, new = False, vector, now
        while damping.min() < 1e12:
            step, gains = linear.step(damping[groups], limits.longest)
            predicted = np.bincount(groups, weights=gains, minlength=len(damping))
            trial = vector + step
            new = costs(trial)
            if new.why and len(notes) < 5:
                notes.append(f"step {len(history)} was shortened: {offender(vector, step)}")
            worse = np.ones(len(damping), dtype=bool) if new.why else new.groups > now.groups
            if worse.any() and not worse[:-1].all():
                # The particles that got worse stay where they were.
                trial = torch.where(torch.from_numpy(worse[groups]), vector, trial)
                new = costs(trial)
            accepted = new.total <= now.total and predicted.sum() > 0
            if accepted:
                gain = (now.groups - new.groups) / np.maximum(predicted, 1e-300)
                better = np.maximum(1 / 3, 1 - (2 * np.clip(gain, 0, 1.5) - 1) ** 3)
                damping, growth = np.where(worse, damping * growth, damping * better), np.where(worse, 2 * growth, 2.0)
                break
            if predicted.sum() <= limits.tolerance * now.total and not new.why:
                break
            damping, growth = damping * growth, growth * 2.0
        if not accepted:
            stalled = True
            break
        stalled = now.total - new.total <= limits.tolerance * now.total or new.total <= limits.floor
        vector, now = trial, new
        history.append(now.total / count)
        report(vector, history[-1], float(np.median(damping)))
    return Solution(vector, history, stalled, notes)


def first_order(
    problem: Problem,
    vector: Tensor,
    steps: int,
    tolerance: float,
    method: str,
    report: Report,
    smooth: Mapping[str, Smooth] = NOTHING,
) -> Solution:
    """Minimise a loss by Adam or L-BFGS, for more parameters than a Jacobian should have.

    The pieces are scaled to equal curvature, so that an index and a position take comparable steps; an unknown's own
    `scale` comes first. Unknowns that have a `smooth` map, by name, are moved by what it makes of their coordinates.
    Adam's rate falls to zero along a cosine. Where the loss is not finite, the best point so far is gone back to and
    steps are halved.
    """
    scale, loss = curvature_scales(problem, vector, smooth)
    rate = 0.05 * math.sqrt(2 * loss)
    best, best_loss = vector.clone(), math.inf
    history: list[float] = []
    notes: list[str] = []
    converged = False
    shrink = 1.0
    moved, optimiser = _started(method, vector, rate)
    start = vector

    def place() -> Tensor:
        pieces = zip(problem.split(moved), problem.split(scale), problem.coordinates.blocks, strict=True)
        moves = [s * (smooth[b.name](piece) if b.name in smooth else piece) for piece, s, b in pieces]
        return start + torch.cat(moves)

    known: tuple[Tensor, Tensor, Tensor] | None = None

    def closure() -> Any:
        nonlocal known
        # A step of L-BFGS begins where the search of the last one mostly ended.
        if known is None or not torch.equal(known[0], moved):
            optimiser.zero_grad()
            mean = problem.half_squares(problem.residual(problem.split(place()))) / problem.count
            mean.backward()
            assert moved.grad is not None
            known = moved.detach().clone(), mean.detach(), moved.grad.clone()
        moved.grad = known[2].clone()
        return known[1]

    for step in range(steps):
        if method == "adam":
            cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
            optimiser.param_groups[0]["lr"] = shrink * rate * cosine
        point = place().detach()
        try:
            now, why = torch.as_tensor(optimiser.step(closure)).item(), "the image has NaN or infinite pixels"
        except ValueError as error:
            now, why = math.nan, str(error)
        if not math.isfinite(now):
            if not math.isfinite(best_loss) or shrink < 1e-3:
                raise ValueError(f"{NOT_FINITE}; {why}")
            away = (point if not math.isfinite(problem.cost(point)[0]) else place().detach()) - best
            notes.append(f"step {len(history)} was taken back: {problem.offender(best, torch.nan_to_num(away))}")
            shrink /= 2
            start, known = best, None
            moved, optimiser = _started(method, start, shrink * rate)
            continue
        history.append(now)
        if now < best_loss:
            best, best_loss = point, now
        report(best, best_loss, 0.0)
        # L-BFGS descends; Adam wanders, and its falling rate ends it.
        if method == "lbfgs" and len(history) > 3 and history[-4] - min(history[-3:]) <= tolerance * history[-4]:
            converged = True
            break
    point = place().detach()
    final = problem.cost(point)[0] / problem.count
    if final <= best_loss:
        best, best_loss = point, final
    converged = converged or (
        method == "adam" and bool(history) and history[-1] - best_loss <= max(tolerance, 1e-3) * history[-1]
    )
    history.append(best_loss)
    return Solution(best, history, converged, notes)


def _started(method: str, like: Tensor, rate: float) -> tuple[Tensor, torch.optim.Optimizer]:
    """Return scaled coordinates at zero and an optimiser for them."""
    moved = torch.zeros_like(like, requires_grad=True)
    if method == "lbfgs":
        # The evaluations of a step are those of its line search, which needs more than the one that is the default.
        return moved, torch.optim.LBFGS(
            [moved], max_iter=1, max_eval=_SEARCH, history_size=20, tolerance_grad=0, tolerance_change=0,
            line_search_fn="strong_wolfe",
        )  # fmt: skip
    # The start is about sqrt(2 loss) units of curvature away.
    return moved, torch.optim.Adam([moved], lr=rate)


def curvature_scales(problem: Problem, vector: Tensor, smooth: Mapping[str, Smooth] = NOTHING) -> tuple[Tensor, float]:
    """Return per number the step that changes the residual by 1 RMS, one value a piece, and the loss at the start.

    The mean curvature of a piece is that along a random direction of signs (Hutchinson, Commun. Stat. 19, 433, 1990).
    """
    pieces = problem.split(vector)
    slopes = problem.coordinates.slopes(vector)
    generator = torch.Generator().manual_seed(0)
    scales, loss = [], 0.0
    for moving, (piece, block) in enumerate(zip(pieces, problem.coordinates.blocks, strict=True)):
        signs = torch.randint(0, 2, piece.shape, generator=generator).to(piece) * 2 - 1
        if block.name in smooth:
            signs = smooth[block.name](signs)
        with forward_ad.dual_level(), torch.no_grad():
            dual = [forward_ad.make_dual(piece, signs) if n == moving else p for n, p in enumerate(pieces)]
            value, slope = forward_ad.unpack_dual(problem.residual(dual))
            loss = float(problem.half_squares(value)) / problem.count
            curvature = 0.0 if slope is None else float(slope @ slope) / (problem.count * len(piece))
        if block.unknown.scale is not None and block.name not in smooth:
            own = slopes[block.start : block.start + block.count]
            scales.append(block.unknown.scale / own.abs().clamp(min=1e-300))
        else:
            scales.append(torch.full_like(piece, 1 / math.sqrt(curvature) if curvature > 0 else 1.0))
    if not math.isfinite(loss):
        raise ValueError(NOT_FINITE)
    return torch.cat(scales), loss


NOT_FINITE = "the fit must start from a finite image, got NaN or infinity; move the start inside its ranges"
