"""Stages: what a fit does one after the other, and ready curricula made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from exitwave.fit.unknown import Unknown, unknowns

METHODS = ("auto", "lm", "lbfgs", "adam")
LOSSES = ("gaussian", "huber", "cauchy")


@dataclass(frozen=True)
class Stage:
    """One stage of a fit: which unknowns move, what is compared, and how.

    `free` names some of the fit's unknowns; None moves all. Model and data are compared after a Gaussian `blur`
    (standard deviation in micrometres), which widens the valley that a start must lie in. `loss` is "gaussian"
    (residuals in standard deviations of the sensor's noise, squared), or, where the model misses some pixels, "huber"
    (linear beyond 1.345) or "cauchy" (log(1 + (r / 2.385)^2), which all but ignores outliers). `method`: "lm"
    (Levenberg-Marquardt), "lbfgs" or "adam"; "auto" takes "lm" wherever its Jacobian is affordable. Vertices of meshes
    move smoothly: their slopes are smoothed by (1 + `smoothing` L)^-2, L the Laplacian of the mesh, and "adam" then
    moves the fastest of them by its unknown's scale, a quarter of a voxel if it has none, and less and less. "auto" is
    "lbfgs" there, which needs fewer steps. With `edge`, meshes whose vertices are free are made anew before the stage,
    with edges of about that many micrometres. The stage ends after `steps`, or when the loss falls by less than
    `tolerance` of itself. With several `starts`, the first is where the stage before ended and the others are scattered
    about it by the unknowns' scales (drawn from `seed`); the best goes on.
    """

    free: tuple[str, ...] | None = None
    method: str = "auto"
    steps: int = 100
    tolerance: float = 1e-6
    blur: float = 0.0
    loss: str = "gaussian"
    starts: int = 1
    seed: int = 0
    smoothing: float = 50.0
    edge: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.free, str) or (self.free is not None and not self.free):
            raise ValueError(f"Stage.free must be a tuple of paths or None for all, got {self.free!r}; write (path,)")
        if self.method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, got '{self.method}'")
        if self.loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got '{self.loss}'")
        if self.steps < 1 or not 0 <= self.tolerance < 1:
            raise ValueError(f"steps must be at least 1 and tolerance in [0, 1), got {self.steps} and {self.tolerance}")
        if not 0 <= self.smoothing < float("inf") or not (self.edge is None or 0 < self.edge < float("inf")):
            raise ValueError(
                f"smoothing must be zero or more and edge a positive length in um, got {self.smoothing} and {self.edge}"
            )
        if not 0 <= self.blur < float("inf") or self.starts < 1:
            raise ValueError(f"blur must be zero or more um and starts at least 1, got {self.blur} and {self.starts}")


def coarse_to_fine(blur: float, levels: int = 3, final: Stage | None = None) -> tuple[Stage, ...]:
    """Return stages that compare ever finer detail: blurred by `blur` micrometres, half of it, ... and not at all.

    A disk that starts half its diameter beside its image does not overlap with it; blurred by as much, it does.

    >>> [stage.blur for stage in coarse_to_fine(0.8)]
    [0.8, 0.4, 0.2, 0.0]
    """
    if levels < 1 or not blur > 0:
        raise ValueError(f"coarse_to_fine needs a blur above 0 um and at least one level, got {blur} and {levels}")
    final = final or Stage()
    rough = [
        replace(final, blur=blur / 2**level, steps=min(30, final.steps), tolerance=1e-3) for level in range(levels)
    ]
    return (*rough, final)


def optics_then_particles(
    free: Sequence[str | Unknown], rounds: int = 2, final: Stage | None = None
) -> tuple[Stage, ...]:
    """Return stages that move the microscope's unknowns, then the specimen's, `rounds` times over, and then all.

    >>> free = ["microscope.optics.defocus", "specimen.parts.0.size"]
    >>> [stage.free for stage in optics_then_particles(free, rounds=1)]
    [('microscope.optics.defocus',), ('specimen.parts.0.size',), None]
    """
    names = [unknown.name for unknown in unknowns(free)]
    groups = [
        tuple(n for n in names if (n.lstrip("0123456789.").startswith("microscope")) == optics)
        for optics in (True, False)
    ]
    final = final or Stage()
    once = [replace(final, free=group, steps=min(20, final.steps), tolerance=1e-2) for group in groups if group]
    return (*(once * rounds), final)


def multi_start(starts: int = 8, blur: float = 0.0, seed: int = 0, final: Stage | None = None) -> tuple[Stage, ...]:
    """Return a stage that tries several starts for a few steps each, and one that goes on with the best.

    How far they are scattered is the `scale` of every `Unknown`; those without one stay where they are.

    >>> multi_start(4)[0].starts
    4
    """
    final = final or Stage()
    return replace(final, starts=starts, seed=seed, blur=blur, steps=min(12, final.steps), tolerance=1e-3), final
