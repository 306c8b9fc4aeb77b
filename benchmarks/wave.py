"""Transmitted light: from particles to a defocused image, 1 to 40,000 particles, forward and backward.

    python -m benchmarks.wave [--quick] [--threads 1]

Mixed spheres, rods and boxes of 3 to 20 pixels half size in random orientations, coherent brightfield 2 um out of
focus. Prints medians of CPU seconds, and their ratio to a plain batched `index_add_` splat of soft disks (no chords, no
optics) in the same run; DeepTrack2 joins in where it is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

import exitwave as ew

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


def baseline(scene: ew.Scene, side: int, gradient: bool) -> Callable[[], None]:
    """Return a plain splat of one soft disk per particle: one patch size, one `index_add_` a batch."""
    particles = [part for part in scene.specimen.parts if isinstance(part, ew.Particles)]
    place = torch.cat([part.center[:, 1:] for part in particles]) / PIXEL + side / 2
    radius = torch.cat([part.size.amax(1) for part in particles]) / PIXEL
    patch = 44
    offset = torch.arange(patch) - patch // 2

    def run() -> None:
        spots, sizes = place.clone().requires_grad_(gradient), radius.clone().requires_grad_(gradient)
        image = torch.zeros(side * side)
        for where, size in zip(spots.split(2000), sizes.split(2000), strict=True):
            corner = where.detach().round().long()
            row, column = (corner[:, axis, None] + offset for axis in range(2))
            y, x = row - where[:, :1], column - where[:, 1:]
            disk = torch.sigmoid(2 * (size[:, None, None] - (y[:, :, None] ** 2 + x[:, None] ** 2 + 1e-6).sqrt()))
            flat = row.clamp(0, side - 1)[:, :, None] * side + column.clamp(0, side - 1)[:, None]
            image = image.index_add(0, flat.flatten(), disk.flatten())
        if gradient:
            image.square().sum().backward()

    return run


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


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="up to 2,000 particles, one repeat")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--repeats", type=int, default=5)
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    repeats = 1 if chosen.quick else chosen.repeats
    counts = (1, 100, 2_000) if chosen.quick else (1, 100, 1_000, 10_000, 40_000)
    print(f"CPU seconds, {chosen.threads} thread(s), median of {repeats}; x: times the index_add_ splat of soft disks")
    print(f"{'particles':>9} {'image':>6} {'forward':>9} {'x':>6} {'fwd+bwd':>9} {'x':>6} {'DeepTrack2':>11}")
    for side in (1024, 2048):
        for count in counts:
            scene = scene_of(count, side)
            ahead, back = median(lambda s=scene: forward(s), repeats), median(lambda s=scene: backward(s), repeats)
            plain = median(baseline(scene, side, False), repeats)
            plain_back = median(baseline(scene, side, True), repeats)
            peer = deeptrack(count, side) if count <= 1000 and side == 1024 else None
            beside = f"{median(peer, 1) / ahead:10.0f}x" if peer else f"{'-':>11}"
            print(
                f"{count:9,} {side:6} {ahead:9.3f} {ahead / plain:6.1f} {back:9.3f} {back / plain_back:6.1f} {beside}",
                flush=True,
            )
    if not chosen.quick:
        scene = scene_of(160_000, 2048)
        start = time.process_time()
        backward(scene)
        spent = time.process_time() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"160,000 at 2048: forward+backward {spent:.2f} CPU s; peak memory of the whole run {peak:.2f} GiB")


if __name__ == "__main__":
    main()
