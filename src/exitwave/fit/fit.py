"""Fitting: the parameters of scenes from images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from exitwave.fit.conclusion import conclusion
from exitwave.fit.coordinates import Coordinates, coordinates
from exitwave.fit.detect import detect
from exitwave.fit.linear import affordable, locality
from exitwave.fit.problem import Problem, weights_of
from exitwave.fit.result import FitResult
from exitwave.fit.shape import shaped, smooth_descent, smoothers
from exitwave.fit.slopes import Slopes
from exitwave.fit.solvers import Limits, Solution, first_order, solve
from exitwave.fit.stage import Stage
from exitwave.fit.targets import accepted
from exitwave.fit.unknown import Unknown, unknowns
from exitwave.fit.watch import Checkpoint, State, Step, Watcher, fingerprint
from exitwave.model import get, substitute
from exitwave.render import render
from exitwave.scene import Scene
from exitwave.specimen.meshes import remesh

Images = Tensor | np.ndarray
# How often the noise is taken anew from the fitted image: it changes less every time.
_ROUGH, _WEIGHINGS = 1e-2, 3


def fit(
    scene: Scene | Sequence[Scene],
    target: Images | Sequence[Images],
    free: Sequence[str | Unknown],
    stages: Sequence[Stage] = (Stage(),),
    *,
    init: str = "scene",
    mask: Images | Sequence[Images | None] | None = None,
    watch: Sequence[Watcher] = (),
    checkpoint: str | Path | None = None,
) -> FitResult:
    """Return the scene whose image is closest to `target`, with loss history and standard errors.

    Minimises half the sum of (render - target)^2 / variance over the unknowns in `free` (dotted paths, or `Unknown`
    with a range, a prior, or tied), in double precision, stage after stage. They start from their values in `scene`;
    with `init="detect"`, its particles are first replaced by those that `detect` finds in the (first) image. The
    variance is the sensor's own at the expected image (Poisson and read noise of a camera), taken anew until it is that
    of the fitted one. Pixels that are NaN, saturated or set in `mask` do not count; the result's notes say how many.

    Several scenes with an image each share the unknowns: focal planes, wavelengths, polarisers. What a free number of
    one scene has more than that of the first, it keeps (the steps of a focus series); "1.microscope.sensor.offset" is a
    number of scene 1 alone.

    `watch` is called after every step (`Movie` draws them). With `checkpoint`, the state is kept in that file, and a
    fit of the same scene, image and stages goes on from it.

    The covariance is (J^T W J)^-1; times the reduced chi-square where the sensor has no noise model; and where the
    residual is correlated, because the model misses something, that of least squares in noise of the residual's own
    spectrum. Notes tell which combinations of numbers the images do not show; `design` tells it beforehand.

    >>> import exitwave as ew
    >>> bead = ew.Particles(ew.Sphere(), center=[[0, 0, 0]], size=[[1.0]], index=[1.40])
    >>> scene = ew.Scene(ew.Specimen((bead,), medium=1.33), ew.quantitative_phase(), ew.Grid((48, 48), 0.1))
    >>> start = ew.substitute(scene, {"specimen.parts.0.size": [[1.2]]})
    >>> result = ew.fit(start, ew.render(scene), free=["specimen.parts.0.size"])
    >>> round(float(result.values["specimen.parts.0.size"]), 4)
    1.0
    """
    scenes = tuple(s.to(torch.float64) for s in ((scene,) if isinstance(scene, Scene) else tuple(scene)))
    if init not in ("scene", "detect"):
        raise ValueError(f'init must be "scene" or "detect", got {init!r}')
    if not stages:
        raise ValueError("a fit needs at least one stage, got none; leave stages out for one of all unknowns")
    targets: Any = (target,) if isinstance(scene, Scene) else tuple(target)
    masks: Any = (mask,) if isinstance(scene, Scene) or mask is None else tuple(mask)
    data, hidden, notes = accepted(scenes, targets, masks)
    if init == "detect":
        specimen = detect(scenes[0], torch.where(hidden[0], torch.nan, data[0])).specimen
        scenes = tuple(Scene(specimen, one.microscope, one.grid) for one in scenes)
    found = coordinates(scenes, unknowns(free))
    found.check_starts()
    for stage in stages:
        found.only(stage.free or [block.name for block in found.blocks])  # names that a stage misspells, now
    course = _Course(found, tuple(stages), data, hidden, tuple(watch), checkpoint)
    solution = course.run()
    told = [*notes, *course.notes]
    problem = course.problem(course.now, course.stages[-1])
    return conclusion(problem, found.starts(), solution, course.history, told, hidden)


class _Course:
    """A fit on its way through its stages."""

    def __init__(
        self,
        start: Coordinates,
        stages: tuple[Stage, ...],
        data: tuple[Tensor, ...],
        hidden: tuple[Tensor, ...],
        watch: tuple[Watcher, ...],
        checkpoint: str | Path | None,
    ) -> None:
        self.now, self.stages, self.data, self.hidden, self.watch = start, stages, data, hidden, watch
        self.history: list[float] = []
        self.notes: list[str] = []
        self.file = None if checkpoint is None else Checkpoint(checkpoint, fingerprint(start, stages, [*data, *hidden]))
        held = None if self.file is None else self.file.read()
        self.first, self.damping, self.done = 0, 0.1, 0
        if held is not None:
            self.first, self.damping, self.done, self.history = held.stage, held.damping, held.done, held.history
            values = {name: torch.tensor(value, dtype=torch.float64) for name, value in held.values.items()}
            self.now = start.moved(start.with_values(values))

    def run(self) -> Solution:
        """Go through the stages; return the last one's solution."""
        solution = None
        for number in range(self.first, len(self.stages)):
            solution = self._stage(number, self.stages[number])
            self.damping, self.done = 0.1, 0
        assert solution is not None  # there is a stage, and the last is never behind a checkpoint
        self._tell(len(self.stages) - 1, self.now.scenes, self.history[-1], last=True)
        return solution

    def problem(self, scenes: Coordinates, stage: Stage) -> Problem:
        """Return the problem of a stage, with the noise of the scenes as they are."""
        with torch.no_grad():
            images = tuple(render(scene) for scene in scenes.scenes)
        return Problem(scenes, self.data, weights_of(scenes.scenes, images, self.hidden), stage.blur, stage.loss)

    def _stage(self, number: int, stage: Stage) -> Solution:
        if stage.edge is not None:
            self._remesh(stage)
        starts = self._starts(stage) if self.done == 0 else [self.now.scenes]
        ended: list[tuple[float, tuple[Scene, ...], Solution]] = []
        for scenes in starts:
            try:
                found, how = self._from(number, stage, scenes, quiet=len(starts) > 1)
                # By the noise of the data themselves, the same for all: bright images must not win by their own.
                weights = weights_of(found, self.data, self.hidden)
                common = Problem(self.now.moved(found), self.data, weights, stage.blur, stage.loss)
                ended.append((common.cost(common.coordinates.vector())[0], found, how))
            except ValueError:
                # A scattered start may lie outside the model; the first is the user's own.
                if not ended:
                    raise
        _, scenes, solution = min(ended, key=lambda end: end[0])
        if len(starts) > 1:
            self.history += solution.history
            self._tell(number, scenes, solution.history[-1])
        self.now = self.now.moved(scenes)
        self.notes += solution.notes
        return solution

    def _remesh(self, stage: Stage) -> None:
        """Make the meshes anew that a stage moves, with edges of the length that it asks for."""
        if self.file is not None:
            raise ValueError("a checkpoint keeps vertices and not faces, got a stage with an edge; leave out either")
        assert stage.edge is not None
        scenes = list(self.now.scenes)
        for block in shaped(self.now.only(stage.free or [block.name for block in self.now.blocks])):
            for scene, path, _ in block.targets:
                owner = path.rpartition(".")[0]
                scenes[scene] = substitute(scenes[scene], {owner: remesh(get(scenes[scene], owner), stage.edge)})
        self.now = self.now.moved(tuple(scenes))

    def _starts(self, stage: Stage) -> list[tuple[Scene, ...]]:
        """Return the scenes that a stage starts from: as they are, and scattered by the unknowns' scales."""
        names = stage.free or [block.name for block in self.now.blocks]
        free = self.now.only(names)
        if stage.starts > 1 and all(block.unknown.scale is None for block in free.blocks):
            raise ValueError(
                f"a stage of {stage.starts} starts needs unknowns with a scale to scatter them by, got none; write "
                "Unknown(path, scale=...)"
            )
        generator = torch.Generator().manual_seed(stage.seed)
        values = free.values(free.split(free.vector()))
        starts = [self.now.scenes]
        # Strata of the normal distribution: few starts along one unknown cover it evenly.
        others = stage.starts - 1
        order = {block.name: torch.randperm(others, generator=generator) for block in free.blocks}
        for start in range(others):
            moved = {}
            for block in free.blocks:
                if block.unknown.scale is not None:
                    stratum = order[block.name][start] if block.count == 1 else None
                    moved[block.name] = _scattered(values[block.name], block, stratum, others, generator)
            starts.append(free.with_values(moved))
        return starts

    def _from(
        self, number: int, stage: Stage, scenes: tuple[Scene, ...], quiet: bool
    ) -> tuple[tuple[Scene, ...], Solution]:
        """Return the scenes where a stage ends that starts from some, and how it went."""
        names = stage.free or [block.name for block in self.now.blocks]
        free = self.now.moved(scenes).only(names)
        method, before = stage.method, self.done
        history: list[float] = []
        solution = None
        problem = self.problem(free, stage)
        meshes = shaped(free)
        if meshes:
            return self._shape(number, stage, problem, quiet)
        if method == "auto":
            method = "lm" if affordable(problem) else "lbfgs"
        near = locality(problem)
        slopes = None if near is None else Slopes(near)
        tolerances = [stage.tolerance]
        last = number == len(self.stages) - 1
        if last and stage.loss == "gaussian" and method == "lm" and self._noise_varies(problem):
            # Roughly at first: the noise of an image that is still wrong is not worth a precise fit.
            tolerances = [max(_ROUGH, stage.tolerance), *[stage.tolerance] * _WEIGHINGS]
        for turn, tolerance in enumerate(tolerances):
            if turn:
                problem = self.problem(free, stage)

            def report(vector: Tensor, loss: float, damping: float, problem: Problem = problem) -> None:
                if not quiet:
                    self._report(number, problem, vector, loss, damping)

            left = max(1, stage.steps - before - max(len(history) - 1, 0))
            limits = Limits(left, tolerance, free.longest(), problem.rounding)
            solution = solve(problem, free.vector(), method, limits, report, self.damping, slopes)
            history += solution.history if not history else solution.history[1:]
            free = free.moved(problem.coordinates.place(free.split(solution.vector)))
            self.damping = 0.1
            if len(history) > stage.steps:
                break
            if tolerance == stage.tolerance and _same(problem.weights, self.problem(free, stage).weights):
                break
        assert solution is not None
        return free.scenes, replace(solution, history=history)

    def _shape(self, number: int, stage: Stage, problem: Problem, quiet: bool) -> tuple[tuple[Scene, ...], Solution]:
        """Return where a stage ends that moves meshes, and how it went."""
        if stage.method == "lm":
            raise ValueError(
                'meshes have too many numbers for method "lm"; use "lbfgs" or "adam", or fix their vertices'
            )
        # Twice as fast, and more precise than the quadrature.
        problem = replace(problem, precision=torch.float32)

        def report(vector: Tensor, loss: float, damping: float) -> None:
            if not quiet:
                self._report(number, problem, vector, loss, damping)

        left = max(1, stage.steps - self.done)
        vector = problem.coordinates.vector()
        if stage.method == "adam":
            solution = smooth_descent(problem, vector, left, stage.tolerance, stage.smoothing, report)
        else:
            smooth = smoothers(problem.coordinates, stage.smoothing)
            solution = first_order(problem, vector, left, stage.tolerance, "lbfgs", report, smooth)
        return problem.coordinates.place(problem.split(solution.vector)), solution

    def _noise_varies(self, problem: Problem) -> bool:
        """Return whether the sensors' noise depends on the image."""
        twice = tuple(2 * image for image in self.data)
        return not _same(
            *(weights_of(problem.coordinates.scenes, images, self.hidden) for images in (self.data, twice))
        )

    def _report(self, number: int, problem: Problem, vector: Tensor, loss: float, damping: float) -> None:
        self.history.append(loss)
        with torch.no_grad():
            scenes = problem.coordinates.place(problem.split(vector))
        self._tell(number, scenes, loss)
        if self.file is not None:
            now = self.now.moved(scenes)
            values = {name: value.tolist() for name, value in now.values(now.split(now.vector())).items()}
            self.done += 1
            self.file.write(State(number, values, damping, self.done, self.history))

    def _tell(self, number: int, scenes: tuple[Scene, ...], loss: float, last: bool = False) -> None:
        for watcher in self.watch:
            watcher(Step(number, len(self.history) - 1, loss, scenes, self.data, last))


def _scattered(value: Tensor, block: Any, stratum: Tensor | None, strata: int, generator: torch.Generator) -> Tensor:
    """Return numbers about a value by the unknown's scale, inside its range."""
    uniform = torch.rand(value.shape, generator=generator, dtype=torch.float64)
    if stratum is not None:
        uniform = (stratum + uniform) / strata
    moved = value + block.unknown.scale * torch.special.ndtri(uniform.clamp(1e-3, 1 - 1e-3))
    # A start must lie inside: what is scattered across a bound goes half way to it.
    low, high = (torch.full_like(value, bound) for bound in (block.low, block.high))
    moved = torch.where(moved <= low, (value + low) / 2, moved)
    return torch.where(moved >= high, (value + high) / 2, moved)


def _same(some: tuple[Tensor, ...], others: tuple[Tensor, ...]) -> bool:
    return all(torch.allclose(one, other, rtol=5e-3, atol=0.0) for one, other in zip(some, others, strict=True))
