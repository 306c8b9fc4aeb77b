"""Mitsuba 3 beside us: spheres on a support as a scene of its own, what its rays meet there, and what its images cost.

Heights, normals and numbers need `pip install mitsuba` alone. Times need LLVM 19 as well, as of Debian's libllvm19, and
where it is: DRJIT_LIBLLVM_PATH=/usr/lib/x86_64-linux-gnu/libLLVM.so.19.1 (Mitsuba 3.9 ends the process with 15 and 16).

It computes light that is reflected, not electrons: a reflectance stands in for the yield. Two of its scenes are timed.
One is the cheapest that shows the same spheres. The other is set up in the manner of DiffRenderGAN (npj Comput. Mater.
11, 197, 2025), with a principled reflectance, two lamps, and a Gaussian filter of three pixels, which takes most of the
time; its spheres are spheres and no meshes.
"""

from __future__ import annotations

import importlib.util
import math
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import exitwave as ew
from exitwave.field import Canvas
from exitwave.raster.fragments import fragments

SAMPLES = 16
# Distance of the camera and its lamps in fields of view: rays are parallel to half a hundredth.
FAR = 100.0


@dataclass(frozen=True)
class Look:
    """What a scene of Mitsuba consists of beside its spheres."""

    words: str
    surface: dict[str, Any]
    colour: str
    lit: Callable[[Any, float], dict[str, Any]]
    pixels: dict[str, Any]


def sky(mi: Any, reach: float) -> dict[str, Any]:
    """Return light from everywhere."""
    return {"sky": {"type": "constant"}}


def lamps(mi: Any, reach: float) -> dict[str, Any]:
    """Return a lamp above the camera and a weak one beside the specimen."""
    turn = mi.ScalarTransform4f
    places = {
        "above": (turn().translate([0, 0, 2 * reach]).rotate([1, 0, 0], 180).scale(2 * reach), 1.0),
        "beside": (turn().translate([0, -reach, reach]).rotate([1, 0, 0], -90).scale(reach), 0.1),
    }
    return {
        name: {"type": "rectangle", "to_world": place, "emitter": {"type": "area", "radiance": _colour(bright)}}
        for name, (place, bright) in places.items()
    }


def _colour(value: float) -> dict[str, Any]:
    return {"type": "rgb", "value": value}


PLAIN = Look("diffuse, light from everywhere, box filter", {"type": "diffuse"}, "reflectance", sky, {"type": "box"})
RICH = Look(
    "principled, two lamps, Gaussian filter",
    {"type": "principled", "roughness": 0.5, "specular": 0.5, "sheen": 0.5, "sheen_tint": 0.2, "spec_tint": 0.2},
    "base_color",
    lamps,
    {"type": "gaussian", "stddev": 3.0},
)


def renderer(variant: str) -> Any:
    """Return Mitsuba in one of its variants, or None and print what is missing."""
    if importlib.util.find_spec("mitsuba") is None:
        print("mitsuba is not installed, no ratio: pip install mitsuba")
        return None
    if variant.startswith("llvm") and not os.environ.get("DRJIT_LIBLLVM_PATH"):
        print(f"mitsuba: DRJIT_LIBLLVM_PATH is not set, no ratio for {variant}: see benchmarks/mitsuba_scene.py")
        return None
    import mitsuba  # pyright: ignore[reportMissingImports]

    mitsuba.set_variant(variant)
    return mitsuba


def scene_of(mi: Any, part: ew.Particles, grid: ew.Grid, look: Look) -> Any:
    """Return Mitsuba's scene of spheres on a support, seen from far above, its axes being our x, y and z."""
    place = mi.ScalarTransform4f
    half = grid.shape[0] * grid.spacing[0] / 2
    reach = 2 * half * FAR
    # The middle of a film lies between its pixels, and our origin on one.
    x, y = (-0.5 * grid.spacing[axis] * (grid.shape[axis] % 2 == 0) for axis in (1, 0))
    parts: dict[str, Any] = {
        "type": "scene",
        "camera": {
            "type": "perspective",
            "fov": math.degrees(2 * math.atan(half / reach)),
            "near_clip": reach / 2,
            "far_clip": 2 * reach,
            "to_world": place().look_at(origin=[x, y, reach], target=[x, y, 0], up=[0, -1, 0]).scale([-1, 1, 1]),
            "film": {
                "type": "hdrfilm",
                "height": grid.shape[0],
                "width": grid.shape[1],
                "pixel_format": "luminance",
                "rfilter": look.pixels,
                "sample_border": True,
            },
        },
        "support": {
            "type": "rectangle",
            "to_world": place().scale(2 * half),
            "bsdf": {**look.surface, look.colour: _colour(0.3)},
        },
        **look.lit(mi, reach),
    }
    for number, (center, size) in enumerate(zip(part.center.tolist(), part.size.tolist(), strict=True)):
        parts[f"sphere-{number}"] = {
            "type": "sphere",
            "to_world": place().translate(center[::-1]).scale(size[0]),
            "bsdf": {**look.surface, look.colour: _colour(0.8)},
        }
    # Otherwise spheres of one reflectance would share it, and its derivative.
    return mi.load_dict(parts, optimize=False)


def oracle(part: ew.Particles, grid: ew.Grid) -> None:
    """Print how many samples have the height, normal and number of the sphere that Mitsuba's rays along z meet."""
    mi = renderer("scalar_rgb")
    if mi is None:
        return
    scene = scene_of(mi, part, grid, PLAIN)
    height, normal = np.zeros(grid.shape), np.zeros((*grid.shape, 3))
    number = np.full(grid.shape, -1)
    for row, y in enumerate(grid.axis(0, torch.zeros(())).tolist()):
        for column, x in enumerate(grid.axis(1, torch.zeros(())).tolist()):
            met = scene.ray_intersect(mi.Ray3f(o=[x, y, 2.0], d=[0.0, 0.0, -1.0]))
            height[row, column] = met.p.z
            normal[row, column] = met.n.z, met.n.y, met.n.x
            name = met.shape.id()
            number[row, column] = -1 if name == "support" else int(name.split("-")[1])
    found = fragments([part], Canvas(grid, (0, 0), (grid.shape[0], grid.shape[1])), torch.zeros(()))
    whole = (found.share == 1).nonzero()[:, 0]
    top = whole[torch.cat([torch.ones(1, dtype=torch.bool), found.sample[whole].diff() > 0])]
    ours = torch.full((5, height.size), torch.nan)
    ours[:, found.sample[top]] = torch.cat([found.body[top][None].float(), found.normal[top].T, found.top[top][None]])
    ours = ours.reshape(5, *grid.shape).numpy()
    same = ew.annotate(ew.Scene(ew.Specimen((part,)), ew.sem(), grid)).ids - 1 == number
    around = np.lib.stride_tricks.sliding_window_view(np.pad(number, 1, constant_values=-1), (3, 3))
    inner = (around.min((2, 3)) == around.max((2, 3))) & (number >= 0)
    high = np.abs(ours[4] - height)[inner]
    tilt = np.abs(ours[1:4].transpose(1, 2, 0) - normal).max(-1)[inner]
    print(
        f"oracle: of {inner.sum():,} interior samples of {part.count} spheres, against Mitsuba's rays: "
        f"number {(ours[0] == number)[inner].mean():.3%}, height to 1e-4 {(high < 1e-4).mean():.3%} (worst "
        f"{high.max():.0e} um), normal to 1e-3 {(tilt < 1e-3).mean():.3%}; labels of all "
        f"{same.size:,} {same.mean():.3%}"
    )


@dataclass(frozen=True)
class Spent:
    """CPU milliseconds: Mitsuba's and our medians in turns, and what Mitsuba's first call took."""

    theirs: float
    ours: float
    first: float


def in_turns(theirs: Callable[[int], object], ours: Callable[[], object], budget: float = 15.0) -> Spent:
    """Return the medians of runs that take turns, three to seven of Mitsuba's and three of ours after each."""

    def spent(run: Callable[[], object]) -> float:
        before = time.process_time()
        run()
        return 1e3 * (time.process_time() - before)

    ours()
    first = spent(lambda: theirs(0))
    slow, quick = [], []
    clock = time.perf_counter()
    while len(slow) < 3 or (len(slow) < 7 and time.perf_counter() - clock < budget):
        slow.append(spent(lambda: theirs(len(slow) + 1)))
        quick += [spent(ours) for _ in range(3)]
    return Spent(statistics.median(slow), statistics.median(quick), first)


def image_of(mi: Any, scene: Any, integrator: dict[str, Any]) -> Callable[[int], np.ndarray]:
    """Return what renders a scene, given the seed of its samples."""
    way = mi.load_dict(integrator)
    return lambda seed: np.array(mi.render(scene, integrator=way, spp=SAMPLES, seed=seed))


def slopes_of(
    mi: Any, part: ew.Particles, scene: Any, look: Look, integrator: dict[str, Any], poses: bool
) -> Callable[[int], list[np.ndarray]]:
    """Return what renders and goes back to reflectances, and with `poses` to centres and radii, given a seed."""
    import drjit as dr  # pyright: ignore[reportMissingImports]

    way = mi.load_dict(integrator)
    numbers = mi.traverse(scene)
    start = [np.full(part.count, 0.8, np.float32), *part.center.T.numpy(), part.size[:, 0].numpy()]
    keys = [f"sphere-{number}" for number in range(part.count)]
    plain = type(numbers[f"{keys[0]}.bsdf.{look.colour}.value"])

    def step(seed: int) -> list[np.ndarray]:
        leaves = [mi.Float(values) for values in (start if poses else start[:1])]
        dr.enable_grad(leaves)
        for number, key in enumerate(keys):
            own = [dr.gather(mi.Float, leaf, mi.UInt32(number)) for leaf in leaves]
            numbers[f"{key}.bsdf.{look.colour}.value"] = plain(own[0])
            if poses:
                _, z, y, x, radius = own
                pose = mi.AffineTransform4f().translate(mi.Vector3f(x, y, z)).scale(mi.Vector3f(radius))
                numbers[f"{key}.to_world"] = pose
        numbers.update()
        image = mi.render(scene, numbers, integrator=way, spp=SAMPLES, seed=seed)
        dr.backward(dr.sum(dr.square(image.array)))
        return [np.array(dr.grad(leaf)) for leaf in leaves]

    return step


def noise(image: Callable[[int], np.ndarray]) -> float:
    """Return the standard deviation of a pixel over its mean, from two images of different samples."""
    one, other = image(1), image(2)
    return float(np.sqrt(np.square(one - other).mean() / 2) / one.mean())


DIRECT, PROJECTED = {"type": "direct"}, {"type": "direct_projective"}
BACK = {"type": "prb", "max_depth": 2}
# Look, integrator, whether by poses too, and in words what its derivatives are worth.
SLOPES = (
    (PLAIN, BACK, False, "by reflectances"),
    (PLAIN, BACK, True, "by reflectances, centres and radii, as if outlines stood still"),
    (PLAIN, {**PROJECTED, "sppi": 0}, True, "by reflectances, centres and radii, without edges of shadows"),
    (RICH, PROJECTED, False, "by reflectances"),
)


def ratios(part: ew.Particles, grid: ew.Grid, forward: Callable[[], object], both: Callable[[], object]) -> None:
    """Print the times of Mitsuba's images over ours, and of images with slopes."""

    def report(words: str, found: Spent) -> None:
        ratio = found.theirs / found.ours
        times = f"{found.theirs:,.0f} (first {found.first:,.0f}), ours {found.ours:.1f}"
        print(f"mitsuba: {words}: {times}: {ratio:.1f}x", flush=True)

    mi = renderer("scalar_rgb")
    if mi is None:
        return
    # Of many spheres the cheapest alone: the others take minutes.
    few = part.count < 100
    size = f"{grid.shape[0]} x {grid.shape[1]}"
    print(f"mitsuba: {part.count:,} spheres at {size}, {SAMPLES} samples a pixel, CPU ms of one thread")
    if few:
        image = image_of(mi, scene_of(mi, part, grid, PLAIN), DIRECT)
        report(f"image, scalar, {PLAIN.words}", in_turns(image, forward))
    mi = renderer("llvm_ad_mono")
    if mi is None:
        return
    import drjit as dr  # pyright: ignore[reportMissingImports]

    dr.set_thread_count(1)
    for look in (PLAIN, RICH) if few else (PLAIN,):
        image = image_of(mi, scene_of(mi, part, grid, look), DIRECT)
        report(f"image, {look.words}", in_turns(image, forward))
        print(f"mitsuba: its noise is {noise(image):.1%} of the mean")
    for look, integrator, poses, words in SLOPES if few else ():
        step = slopes_of(mi, part, scene_of(mi, part, grid, look), look, integrator, poses)
        report(f"with slopes {words}, {look.words}", in_turns(step, both))
