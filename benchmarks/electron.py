"""Electrons: how fast images of surfaces are, how right their buffers, and what comes back out of them.

python -m benchmarks.electron [--only speed,buffers,profile,heldout,recovery,generate,oracle,mitsuba]

speed      20 spheres at 256^2 and 2,000 at 1024^2, forward and with slopes, on one thread
buffers    heights, normals and numbers of what is seen, against where lines meet the spheres of 50 random scenes
profile    edges of isolated particles of recipe tio2-sem against those of the real ones, which it was set by
heldout    the same against real images that it was not set by, where they are there
recovery   escape depth, tilt exponent, probe, detector and centres from noisy images of 20 particles, and the dose
generate   images with labels per second of recipe tio2-sem
oracle     heights, normals and numbers of 20 spheres, against the rays of Mitsuba 3 where it is installed
mitsuba    what its images of the same spheres cost, over ours, and those with slopes
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Callable

import torch

import exitwave as ew
from benchmarks import mitsuba_scene
from benchmarks.electron_edges import heldout, profile
from exitwave.field import Canvas
from exitwave.raster.fragments import fragments

PIXEL = 0.007344
PARTS = "specimen.parts.0."
YIELDS, BEAM, DETECTOR = "microscope.interaction.", "microscope.illumination.", "microscope.optics."


def median(run: Callable[[], object], repeats: int = 7) -> float:
    """Return the median time of a run in milliseconds, after one that does not count."""
    run()
    spent = []
    for _ in range(repeats):
        before = time.perf_counter()
        run()
        spent.append(1e3 * (time.perf_counter() - before))
    return statistics.median(spent)


def spheres(count: int, side: int, seed: int = 0) -> ew.Particles:
    """Return spheres of 16 to 33 pixels, which lie on the support, apart from one another as far as there is room."""
    generator = torch.Generator().manual_seed(seed)
    radius = 0.06 + 0.06 * torch.rand(count, 1, generator=generator)
    center = (torch.rand(count, 3, generator=generator) - 0.5) * side * PIXEL
    center[:, 0] = radius[:, 0]
    return ew.Particles(ew.Sphere(), center, radius, [2.5] * count, secondary=[3.0] * count)


def runs(part: ew.Particles, grid: ew.Grid) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return what renders spheres, and what does and goes back to all centres, radii and yields."""
    scene = ew.Scene(ew.Specimen((part,)), ew.sem(sensor=ew.Ideal()), grid)
    free = {path: ew.get(scene, path) for path in (PARTS + "center", PARTS + "size", PARTS + "secondary")}

    def forward() -> None:
        with torch.no_grad():
            ew.render(scene)

    def both() -> None:
        values = {path: value.clone().requires_grad_() for path, value in free.items()}
        ew.render(ew.substitute(scene, values)).square().sum().backward()

    return forward, both


def speed() -> None:
    """Print times of images and slopes by all centres, radii and yields."""
    for count, side in ((20, 256), (2000, 1024)):
        forward, both = runs(spheres(count, side), ew.Grid((side, side), PIXEL))
        print(f"speed: {count:,} spheres at {side}^2: {median(forward):.1f} ms, with slopes {median(both):.1f} ms")


def oracle() -> None:
    """Print how buffers of 20 spheres agree with the rays of Mitsuba."""
    mitsuba_scene.oracle(spheres(20, 256), ew.Grid((256, 256), PIXEL))


def mitsuba() -> None:
    """Print what images of spheres cost Mitsuba, over ours."""
    for count, side in ((20, 256), (2000, 1024)):
        part, grid = spheres(count, side), ew.Grid((side, side), PIXEL)
        mitsuba_scene.ratios(part, grid, *runs(part, grid))


def buffers() -> None:
    """Print how many samples of 50 scenes have height, normal and number of the sphere that a line along z meets."""
    right = {"height to 1e-4": 0, "normal to 1e-3": 0, "number": 0}
    seen = 0
    grid = ew.Grid((96, 96), 0.02)
    canvas = Canvas(grid, (0, 0), (96, 96))
    for seed in range(50):
        generator = torch.Generator().manual_seed(seed)
        center = (torch.rand(12, 3, generator=generator) - 0.5) * torch.tensor([1.0, 1.9, 1.9])
        radius = 0.1 + 0.25 * torch.rand(12, 1, generator=generator)
        found = fragments([ew.Particles(ew.Sphere(), center, radius, [1.5] * 12)], canvas, torch.zeros(()))
        whole = found.share == 1
        # The uppermost that covers its sample.
        sample, where = found.sample[whole], whole.nonzero()[:, 0]
        first = torch.cat([torch.ones(1, dtype=torch.bool), sample.diff() > 0])
        shown = where[first]
        y, x = torch.meshgrid(*(grid.axis(axis, center.double()) for axis in (0, 1)), indexing="ij")
        place = torch.stack([y, x], -1).reshape(-1, 1, 2)
        square = radius.double()[:, 0] ** 2 - (place - center.double()[:, 1:]).square().sum(-1)
        top = torch.where(square > 0, center.double()[:, 0] + square.clamp(min=0).sqrt(), -math.inf)
        height, number = top.max(1)
        # Rims, where a cell is covered in part, are no interiors.
        inner = (square.abs().sqrt().amin(1) > math.sqrt(2 * 0.35 * 0.02))[found.sample[shown]]
        shown = shown[inner]
        exact, which = height[found.sample[shown]], number[found.sample[shown]]
        normal = torch.cat([exact[:, None], place[found.sample[shown], 0]], 1) - center.double()[which]
        normal = normal / radius.double()[which]
        right["height to 1e-4"] += int(((found.top[shown] - exact).abs() < 1e-4).sum())
        right["normal to 1e-3"] += int(((found.normal[shown] - normal).abs().amax(1) < 1e-3).sum())
        right["number"] += int((found.body[shown] == which).sum())
        seen += len(shown)
    words = ", ".join(f"{name} {count / seen:.3%}" for name, count in right.items())
    print(f"buffers: of {seen:,} interior samples of 50 scenes with 12 spheres: {words}")


def recovery() -> None:
    """Print the errors of what is found in noisy images of 20 particles.

    What all particles share starts 20 to 30 % off, centres a pixel, radii up to 5 % and yields 13 %.
    """
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        y, x = torch.meshgrid(torch.arange(4), torch.arange(5), indexing="ij")
        place = torch.stack([(y.flatten() - 1.5) * 0.45, (x.flatten() - 2.0) * 0.36], -1)
        radius = 0.1 + 0.05 * torch.rand(20, 1, generator=generator)
        jitter = 0.04 * (torch.rand(20, 2, generator=generator) - 0.5)
        center = torch.cat([radius, place + jitter], 1)
        part = ew.Particles(ew.Sphere(), center, radius, [2.5] * 20, secondary=[3.0] * 20)
        sensor = ew.ScanSensor(dose=150.0, gain=25.0, offset=5.0)
        yields = ew.SecondaryElectrons(escape_depth=0.015, tilt_exponent=0.93)
        side = {"asymmetry": 0.3, "azimuth": 0.6}
        microscope = ew.sem(probe=0.0036, convergence=0.0, **side, interaction=yields, sensor=sensor)
        truth = ew.Scene(ew.Specimen((part,)), microscope, ew.Grid((256, 256), PIXEL)).to(torch.float64)
        image = ew.render(truth, torch.Generator().manual_seed(seed + 1)).double()
        paths = {
            YIELDS + "escape_depth": 1.25,
            YIELDS + "tilt_exponent": 0.8,
            BEAM + "probe": 1.3,
            DETECTOR + "asymmetry": 0.75,
        }
        start: dict[str, object] = {path: float(ew.get(truth, path)) * factor for path, factor in paths.items()}
        start[PARTS + "center"] = center + torch.tensor([0.0, 1.0, -1.0]) * PIXEL
        start[PARTS + "size"] = radius * (0.95 + 0.1 * torch.rand(20, 1, generator=generator))
        start[PARTS + "secondary"] = torch.full((20,), 2.6)
        clock = time.perf_counter()
        names = [*paths, PARTS + "secondary", ew.Unknown(PARTS + "center", columns=(1, 2)), PARTS + "size"]
        result = ew.fit(ew.substitute(truth, start), image, names)
        clock = time.perf_counter() - clock
        words = [
            f"{path.rpartition('.')[2]} {float(ew.get(result.scene, path)) / float(ew.get(truth, path)) - 1:+.1%}"
            for path in paths
        ]
        off = (ew.get(result.scene, PARTS + "center") - center).norm(dim=1) / PIXEL
        residual = image - ew.render(result.scene)
        # Counts of variance gain^2 signal / dose, and of rounding.
        signal = (ew.render(result.scene) - 5.0) / 25.0
        dose = 25.0**2 * float(signal.mean()) / (float(residual.square().mean()) - 1 / 12)
        words.append(f"dose {dose / 150.0 - 1:+.1%}")
        print(f"recovery: {', '.join(words)}; centres {float(off.max()):.3f} pixels at most; {clock:.0f} s")


def generate() -> None:
    """Print how many images of recipe tio2-sem are rendered, labelled and written in a CPU second."""
    with tempfile.TemporaryDirectory() as folder:
        clock = time.process_time()
        ew.generate("tio2-sem", f"{folder}/some", n=12, seed=0, format="classes")
        spent = time.process_time() - clock
    print(f"generate: {12 / spent:.2f} images of 704 x 1024 with classes per CPU second")


PIECES = {
    "speed": speed,
    "buffers": buffers,
    "profile": profile,
    "heldout": heldout,
    "recovery": recovery,
    "generate": generate,
    "oracle": oracle,
    "mitsuba": mitsuba,
}


def main() -> None:
    """Run the chosen parts."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", default=",".join(PIECES), help="parts, with commas between them")
    chosen = options.parse_args().only.split(",")
    if unknown := [name for name in chosen if name not in PIECES]:
        options.error(f"expected parts of {', '.join(PIECES)}, got {unknown[0]}")
    torch.set_num_threads(1)
    for name in chosen:
        PIECES[name]()


if __name__ == "__main__":
    main()
