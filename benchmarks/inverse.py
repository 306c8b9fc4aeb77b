"""Exact recovery: what fits find again, from how far, how precisely, and in what time.

python -m benchmarks.inverse [--seeds 20] [--fits 200] [--only joint,far,noise,many]

joint   optics, three aberrations, index, radii and centres of 20 particles together, without noise, from 15-30 % off
far     2 um wrong focus and half a diameter wrong positions: plain gradient descent against the solvers
noise   1,000 photons a pixel: errors over the Cramer-Rao bound, and z-scores of the reported standard errors
many    1,000 separated rods with six numbers each at 1024^2 with noise
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

import exitwave as ew

PARTICLES = "specimen.parts.0."
OPTICS = ("microscope.optics.na", "microscope.illumination.condenser_na", "microscope.optics.defocus")
Draw = Callable[..., Tensor]


def uniform(generator: torch.Generator) -> Draw:
    """Return a function that draws uniform numbers between two bounds."""

    def draw(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)

    return draw


def lattice(rows: int, columns: int, step: tuple[float, float], jitter: float, draw: Draw) -> Tensor:
    """Return centres (N, 3) in the plane z = 0 near the points of a lattice."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    place = torch.stack([y - (rows - 1) / 2, x - (columns - 1) / 2], -1).reshape(-1, 2).double()
    place = place * torch.tensor(step, dtype=torch.float64) + draw(-jitter, jitter, len(place), 2)
    return torch.cat([place.new_zeros(len(place), 1), place], 1)


def off(draw: Draw, *shape: int) -> Tensor:
    """Return factors 15 to 30 % below or above one."""
    return 1 + draw(0.15, 0.30, *shape) * torch.where(draw(-1, 1, *shape) > 0, 1.0, -1.0)


def twenty(seed: int) -> tuple[ew.Scene, ew.Scene]:
    """Return 20 beads in partially coherent, aberrated brightfield, and a start that is wrong in everything."""
    draw = uniform(torch.Generator().manual_seed(seed))
    size = draw(0.5, 0.9, 20, 1)
    beads = ew.Particles(ew.Sphere(), lattice(4, 5, (4.4, 3.6), 0.4, draw), size, draw(1.38, 1.46).repeat(20))
    microscope = ew.brightfield(na=draw(0.55, 0.7), condenser_na=draw(0.15, 0.25), defocus=draw(1.5, 3.0), rings=1)
    optics = dataclasses.replace(microscope.optics, zernike=draw(-0.05, 0.05, 3))
    truth = ew.Scene(
        ew.Specimen((beads,), medium=1.33), dataclasses.replace(microscope, optics=optics), ew.Grid((128, 128), 0.16)
    ).to(torch.float64)
    wrong = {path: ew.get(truth, path) * off(draw) for path in OPTICS[1:]}
    # The pixel carries no aperture above .85.
    wrong[OPTICS[0]] = truth.microscope.optics.na * (1 - draw(0.15, 0.30))
    wrong["microscope.optics.zernike"] = optics.zernike * off(draw, 3)
    wrong[PARTICLES + "index"] = 1.33 + (beads.index - 1.33) * off(draw)
    wrong[PARTICLES + "size"] = size * off(draw, 20, 1)
    # Positions in diameters.
    shift = 2 * size * (off(draw, 20, 2) - 1)
    wrong[PARTICLES + "center"] = beads.center + torch.cat([torch.zeros(20, 1), shift], 1)
    return truth, ew.substitute(truth, wrong)


def joint(seeds: int) -> None:
    """Print how precisely 65 numbers of 20 beads and their microscope are found together."""
    free = [
        *OPTICS,
        "microscope.optics.zernike",
        ew.Unknown(PARTICLES + "index", tied=True),
        PARTICLES + "size",
        ew.Unknown(PARTICLES + "center", columns=(1, 2)),
    ]
    errors, seconds = [], []
    for seed in range(seeds):
        truth, start = twenty(seed)
        before = time.process_time()
        result = ew.fit(start, ew.render(truth), free)
        seconds.append(time.process_time() - before)
        errors.append(max(_relative(result, truth, name) for name in result.values))
    found = sum(error <= 1e-6 for error in errors)
    print(
        f"joint: {found} of {seeds} seeds to 1e-6; relative error median {statistics.median(errors):.1e}, "
        f"worst {max(errors):.1e}; median {statistics.median(seconds):.0f} CPU s"
    )


def _relative(result: ew.FitResult, truth: ew.Scene, name: str) -> float:
    """Return the largest relative error of an unknown; of centres, relative to a micrometre."""
    return _apart(result.scene, truth, name)


def _apart(scene: ew.Scene, truth: ew.Scene, name: str) -> float:
    found, true = ew.get(scene, name), ew.get(truth, name)
    return float(((found - true) / (1.0 if name.endswith("center") else true)).abs().max())


def four(seed: int) -> tuple[ew.Scene, ew.Scene]:
    """Return four beads out of focus, and a start with 2 um wrong focus and half a diameter wrong positions."""
    draw = uniform(torch.Generator().manual_seed(seed))
    size, index = draw(0.6, 1.0, 4, 1), draw(1.38, 1.46).repeat(4)
    beads = ew.Particles(ew.Sphere(), lattice(2, 2, (5.2, 5.2), 0.4, draw), size, index)
    microscope = ew.brightfield(na=draw(0.5, 0.6), condenser_na=0.2, defocus=draw(2.5, 5.0), rings=1)
    truth = ew.Scene(ew.Specimen((beads,), medium=1.33), microscope, ew.Grid((72, 72), 0.18)).to(torch.float64)
    angle = draw(0, 6.2832, 4)
    shift = size * torch.stack([angle.cos(), angle.sin()], -1)
    sign = 1.0 if float(draw(-1, 1)) > 0 else -1.0
    wrong = {
        "microscope.optics.defocus": truth.microscope.optics.defocus + 2.0 * sign,
        PARTICLES + "center": beads.center + torch.cat([torch.zeros(4, 1), shift], 1),
    }
    return truth, ew.substitute(truth, wrong)


def descended(scene: ew.Scene, image: Tensor, paths: Sequence[str], steps: int = 300) -> ew.Scene:
    """Return where steepest descent in the parameters themselves leads, each step as long as it lowers the loss."""
    values = {path: ew.get(scene, path).detach().clone() for path in paths}
    # Particles move in their plane.
    across = torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64)

    def loss(values: dict[str, Tensor]) -> Tensor:
        return (ew.render(ew.substitute(scene, values)) - image).square().mean()

    rate = 1.0
    for _ in range(steps):
        free = {path: value.requires_grad_() for path, value in values.items()}
        now = loss(free)
        slopes = dict(zip(free, torch.autograd.grad(now, list(free.values())), strict=True))
        slopes[PARTICLES + "center"] = slopes[PARTICLES + "center"] * across
        values = {path: value.detach() for path, value in free.items()}
        trial = values
        while rate > 1e-12:
            trial = {path: value - rate * slopes[path] for path, value in values.items()}
            try:
                lower = float(loss(trial)) < now.item()
            except ValueError:
                lower = False
            if lower:
                break
            rate /= 2
        values, rate = trial, 2 * rate
    return ew.substitute(scene, values)


def far(seeds: int) -> None:
    """Print how often gradient descent, Levenberg-Marquardt and a curriculum find their way from far off."""
    free = [
        "microscope.optics.defocus",
        PARTICLES + "size",
        ew.Unknown(PARTICLES + "index", tied=True),
        ew.Unknown(PARTICLES + "center", columns=(1, 2)),
    ]
    found, before = 0, time.process_time()
    for seed in range(seeds):
        truth, start = four(seed)
        end = descended(
            start, ew.render(truth), [*OPTICS[2:], *(PARTICLES + name for name in ("size", "index", "center"))]
        )
        found += max(_apart(end, truth, path) for path in (OPTICS[2], PARTICLES + "size", PARTICLES + "center")) < 1e-2
    spent = (time.process_time() - before) / seeds
    print(f"far: plain gradient descent, 300 steps: {found} of {seeds} seeds within 1 %; {spent:.0f} CPU s each")
    plans: dict[str, Sequence[ew.Stage]] = {
        "Adam in scaled coordinates, 300 steps": (ew.Stage(method="adam", steps=300),),
        "one stage of Levenberg-Marquardt": (ew.Stage(),),
        "coarse_to_fine(1.5)": ew.coarse_to_fine(1.5),
    }
    for name, stages in plans.items():
        found, before = 0, time.process_time()
        for seed in range(seeds):
            truth, start = four(seed)
            try:
                result = ew.fit(start, ew.render(truth), free, stages)
            except ValueError:
                continue
            # To a hundredth of what is asked without noise, so that descent is not judged by its last digits.
            found += max(_relative(result, truth, path) for path in result.values) < 1e-2
        spent = (time.process_time() - before) / seeds
        print(f"far: {name}: {found} of {seeds} seeds within 1 %; {spent:.0f} CPU s each")


def noise(fits: int) -> None:
    """Print errors over the Cramer-Rao bound and the spread of z-scores at 1,000 photons a pixel."""
    camera = ew.Camera(dose=1000.0, quantum_efficiency=1.0, gain=1.0, read_noise=1.0, bits=16)
    bead = ew.Particles(ew.Sphere(), center=[[0.0, 0.13, -0.21]], size=[[0.8]], index=[1.40])
    microscope = ew.brightfield(na=0.6, condenser_na=0.2, defocus=2.0, rings=1, sensor=camera)
    truth = ew.Scene(ew.Specimen((bead,), medium=1.33), microscope, ew.Grid((48, 48), 0.16)).to(torch.float64)
    free = [
        PARTICLES + "size",
        PARTICLES + "index",
        ew.Unknown(PARTICLES + "center", columns=(1, 2)),
        "microscope.optics.defocus",
    ]
    bound = ew.design(truth, free)
    limits = torch.cat([error.flatten() for error in bound.stderr.values()])
    true = torch.cat([value.flatten() for value in bound.values.values()])
    start = ew.substitute(truth, {PARTICLES + "size": [[0.9]], "microscope.optics.defocus": 2.4})
    misses, scores = [], []
    for seed in range(fits):
        result = ew.fit(start, ew.render(truth, torch.Generator().manual_seed(seed)), free)
        miss = torch.cat([value.flatten() for value in result.values.values()]) - true
        misses.append(miss)
        scores.append(miss / torch.cat([error.flatten() for error in result.stderr.values()]))
    ratio = torch.stack(misses).square().mean(0).sqrt() / limits
    spread = torch.stack(scores).std(0)
    names = [name.removeprefix("specimen.parts.0.").removeprefix("microscope.optics.") for name in bound.names]
    for name, error, score in zip(names, ratio.tolist(), spread.tolist(), strict=True):
        print(f"noise: {name:12s} rms error {error:.3f} of the bound; z-scores' standard deviation {score:.3f}")
    print(f"noise: all z-scores of {fits} fits: standard deviation {float(torch.stack(scores).std()):.3f}")


def many() -> None:
    """Print the time that a thousand rods take, and how well they are known."""
    draw = uniform(torch.Generator().manual_seed(0))
    center = lattice(32, 32, (3.2, 3.2), 0.25, draw)[:1000]
    turn = draw(-1, 1, 1000, 1)
    rotation = torch.cat([torch.cos(turn), torch.zeros(1000, 2), torch.sin(turn)], 1)
    size = torch.cat([draw(0.3, 0.45, 1000, 1), draw(0.8, 1.1, 1000, 1)], 1)
    rods = ew.Particles(ew.Rod(), center, size, draw(1.37, 1.42, 1000), rotation=rotation)
    camera = ew.Camera(dose=1000.0, quantum_efficiency=1.0, gain=1.0, read_noise=1.0, bits=16)
    microscope = ew.brightfield(na=0.7, condenser_na=0.2, defocus=1.0, rings=1, sensor=camera)
    truth = ew.Scene(ew.Specimen((rods,), medium=1.33), microscope, ew.Grid((1024, 1024), 0.1)).to(torch.float64)
    wrong = turn + draw(-0.1, 0.1, 1000, 1)
    shift = torch.cat([torch.zeros(1000, 1), draw(-0.15, 0.15, 1000, 2)], 1)
    start = {
        PARTICLES + "center": center + shift,
        PARTICLES + "size": 1.15 * size,
        PARTICLES + "index": 1.33 + 0.85 * (rods.index - 1.33),
        PARTICLES + "rotation": torch.cat([torch.cos(wrong), torch.zeros(1000, 2), torch.sin(wrong)], 1),
    }
    free = [
        ew.Unknown(PARTICLES + "center", columns=(1, 2)),
        PARTICLES + "size",
        PARTICLES + "index",
        ew.Unknown(PARTICLES + "rotation", columns=(3,)),
    ]
    image = ew.render(truth, torch.Generator().manual_seed(1))
    clock, before = time.perf_counter(), time.process_time()
    result = ew.fit(ew.substitute(truth, start), image, free, (ew.Stage(tolerance=1e-5),))
    spent, clock = time.process_time() - before, time.perf_counter() - clock
    scores = []
    for name in (PARTICLES + "center", PARTICLES + "size", PARTICLES + "index"):
        true = ew.get(truth, name)[:, 1:] if name.endswith("center") else ew.get(truth, name)
        scores.append(((result.values[name] - true) / result.stderr[name]).flatten())
    score = torch.cat(scores)
    print(
        f"many: 1,000 rods, 6,000 numbers: {clock:.0f} s on the clock with {torch.get_num_threads()} threads, "
        f"{spent:.0f} CPU s, {len(result.history) - 1} steps; chi-square {result.chi2:.3f}, "
        f"z-scores' standard deviation {float(score.std()):.3f}, largest {float(score.abs().max()):.1f}"
    )


def main() -> None:
    """Run the chosen parts."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, default=20)
    options.add_argument("--fits", type=int, default=200)
    options.add_argument("--only", default="joint,far,noise,many")
    chosen = options.parse_args()
    parts = chosen.only.split(",")
    if "many" in parts:
        torch.set_num_threads(2)
        many()
    torch.set_num_threads(1)
    if "noise" in parts:
        noise(chosen.fits)
    if "far" in parts:
        far(chosen.seeds)
    if "joint" in parts:
        joint(chosen.seeds)


if __name__ == "__main__":
    main()
