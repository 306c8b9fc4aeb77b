"""Transmitted light: from particles to a defocused image, 1 to 160,000 particles, forward and backward.

    python -m benchmarks.wave [--quick] [--threads 1]

Mixed spheres, rods and boxes of 3 to 20 pixels half size in random orientations, coherent brightfield 2 um out of
focus. Prints medians of CPU milliseconds of this machine, and their ratio to the plain-torch path of the package in the
same run; DeepTrack2 joins in where it is installed. Then the splat alone, partial coherence and slabs.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

import exitwave as ew
from exitwave import native
from exitwave.interaction import canvas_of
from exitwave.raster import splat

PIXEL = 0.1
FREE = ("center", "size", "rotation", "index")


def specimen(count: int, side: int, generator: torch.Generator) -> ew.Specimen:
    """Return `count` mixed particles over a field of `side` pixels."""

    def draw(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=generator)

    def body(shape: ew.Sphere | ew.Rod | ew.Box, number: int) -> ew.Particles:
        half = side * PIXEL / 2
        center = torch.cat([draw(-1, 1, number, 1), draw(-half, half, number, 2)], 1)
        long = draw(3, 20, number, 1) * PIXEL
        size = {1: long, 2: torch.cat([0.4 * long, long], 1), 3: long * draw(0.4, 1.0, number, 3)}[len(shape.lengths)]
        rotation = torch.randn(number, 4, generator=generator)
        return ew.Particles(shape, center, size, draw(1.34, 1.36, number), rotation)

    each = [count // 3 + (kind < count % 3) for kind in range(3)]
    parts = [body(shape, n) for shape, n in zip((ew.Sphere(), ew.Rod(), ew.Box()), each, strict=True) if n]
    return ew.Specimen(tuple(parts), medium=1.33)


def scene_of(count: int, side: int) -> ew.Scene:
    """Return the scene of one case."""
    microscope = ew.brightfield(na=0.5, condenser_na=0, wavelength=0.55, defocus=2.0)
    return ew.Scene(
        specimen(count, side, torch.Generator().manual_seed(count)), microscope, ew.Grid((side, side), PIXEL)
    )


def forward(scene: ew.Scene) -> None:
    """Render once."""
    with torch.no_grad():
        ew.render(scene)


def backward(scene: ew.Scene) -> None:
    """Render and differentiate by every pose, size and index."""
    values = {
        path: ew.get(scene, path).clone().requires_grad_() for path in ew.paths(scene) if path.split(".")[-1] in FREE
    }
    ew.render(ew.substitute(scene, values)).square().sum().backward()


@contextmanager
def plain_torch() -> Iterator[None]:
    """Let the package run without its kernels."""
    kernels, native.KERNELS = native.KERNELS, None
    try:
        yield
    finally:
        native.KERNELS = kernels


def deeptrack(count: int, side: int) -> Callable[[], None] | None:
    """Return the same number of spheres in DeepTrack2's brightfield, where it is installed."""
    if importlib.util.find_spec("deeptrack") is None:
        return None
    import deeptrack  # pyright: ignore[reportMissingImports]

    random = np.random.default_rng(count)
    sphere = deeptrack.Sphere(
        position=lambda: random.uniform(0, side, 2), radius=1.0e-6, refractive_index=1.35, z=0, position_unit="pixel"
    )
    optics = deeptrack.Brightfield(
        NA=0.5,
        wavelength=550e-9,
        resolution=PIXEL * 1e-6,
        magnification=1,
        refractive_index_medium=1.33,
        output_region=(0, 0, side, side),
    )
    pipeline = optics(sphere ^ count)

    def run() -> None:
        pipeline.update()()

    return run


def median(function: Callable[[], None], repeats: int) -> float:
    """Return the median CPU seconds of a call, after one to warm up."""
    function()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return statistics.median(times)


def images(counts: tuple[int, ...], repeats: int) -> None:
    """Print the table of whole images."""
    print(f"{'particles':>9} {'image':>6} {'forward':>9} {'torch':>6} {'fwd+bwd':>9} {'torch':>6} {'DeepTrack2':>11}")
    for side in (1024, 2048):
        for count in counts:
            scene = scene_of(count, side)
            ahead, back = median(lambda s=scene: forward(s), repeats), median(lambda s=scene: backward(s), repeats)
            with plain_torch():
                plain, plain_back = median(lambda s=scene: forward(s), 1), median(lambda s=scene: backward(s), 1)
            peer = deeptrack(count, side) if count <= 1000 and side == 1024 else None
            beside = f"{median(peer, 1) / ahead:10.0f}x" if peer else f"{'-':>11}"
            print(
                f"{count:9,} {side:6} {1e3 * ahead:9.1f} {plain / ahead:5.1f}x {1e3 * back:9.1f} "
                f"{plain_back / back:5.1f}x {beside}",
                flush=True,
            )


def chords(scene: ew.Scene) -> Callable[[], None]:
    """Return a function that splats a scene's particles into maps."""
    stages = scene.microscope
    source = stages.illumination.source()
    canvas = canvas_of(stages.interaction, scene.specimen, source, stages.optics, scene.grid)
    parts = [(part, (part.index - 1.33)[:, None]) for part in scene.specimen.parts]

    def run() -> None:
        with torch.no_grad():
            for part, weight in parts:
                splat(part, weight, canvas)

    return run


def splats(counts: tuple[int, ...], repeats: int) -> None:
    """Print what the chords alone cost, and what one large body adds."""
    print("\nchords alone at 2048, ms; torch: the same chords by index_add_")
    for count in counts:
        run = chords(scene_of(count, 2048))
        spent = median(run, repeats)
        with plain_torch():
            plain = median(run, 1)
        print(
            f"{count:9,} {1e3 * spent:9.1f} {plain / spent:5.1f}x {1e6 * spent / count:7.2f} us a particle", flush=True
        )
    small = scene_of(2000, 2048)
    rod = ew.Particles(ew.Rod(), [[0, 3, 5]], [[4.0, 12.0]], [1.35], [[0.9, 0.1, 0.4, 0.2]])
    both = ew.substitute(small, {"specimen": ew.Specimen((*small.specimen.parts, rod), medium=1.33)})
    alone, together = median(chords(small), repeats), median(chords(both), repeats)
    print(f"one rod of 120 px among 2,000 small particles: {together / alone:.2f} times the chords without it")


def coherence(repeats: int) -> None:
    """Print what partially coherent light and slabs cost."""
    print("\n10,000 particles at 2048, forward, ms")
    scene = scene_of(10_000, 2048)
    lamps = {
        "coherent": ew.Coherent(0.55),
        "Abbe, 37 points of sigma .6": ew.Koehler(0.3, 0.55, rings=3),
        "16 kernels (socs) of sigma .6": ew.Koehler(0.3, 0.55, rings=6, method="socs", kernels=16),
    }
    for name, lamp in lamps.items():
        lit = ew.substitute(scene, {"microscope.illumination": lamp})
        print(f"{name:>32} {1e3 * median(lambda s=lit: forward(s), repeats):9.1f}", flush=True)
    deep = ew.substitute(scene, {"microscope.interaction": ew.Multislice(slabs=8)})
    print(f"{'coherent through 8 slabs':>32} {1e3 * median(lambda: forward(deep), 1):9.1f}")


def main() -> None:
    """Print the tables."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="up to 2,000 particles, one repeat")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--repeats", type=int, default=9)
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    repeats = 1 if chosen.quick else chosen.repeats
    print(f"{native.level()}; CPU milliseconds, {chosen.threads} thread(s), median of {repeats}")
    images((1, 100, 2_000) if chosen.quick else (1, 100, 1_000, 10_000, 40_000), repeats)
    splats((2_000,) if chosen.quick else (10_000, 40_000, 160_000), repeats)
    coherence(repeats)
    if not chosen.quick:
        scene = scene_of(160_000, 2048)
        start = time.process_time()
        backward(scene)
        spent = time.process_time() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"160,000 at 2048: forward+backward {spent:.2f} CPU s; peak memory of the whole run {peak:.2f} GiB")


if __name__ == "__main__":
    main()
