"""Fragments against the rays of Mitsuba 3, a renderer that shares no code with us: heights, normals and numbers.

Runs where Mitsuba is installed (`pip install mitsuba`), by its variant that needs no compiler.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import maximum_filter, minimum_filter
from torch import Tensor

import exitwave as ew
from exitwave.field import Canvas
from exitwave.raster.fragments import Fragments, fragments
from exitwave.specimen.meshes import torus

mi: Any = pytest.importorskip("mitsuba", exc_type=ImportError)

GRID = ew.Grid((72, 80), 0.05)
CANVAS = Canvas(GRID, (0, 0), (72, 80))
LIKE = torch.zeros((), dtype=torch.float64)
# Mitsuba's rays start so far off, and are of single precision.
FAR, ROUNDING = 4.0, 3e-6


@pytest.fixture(autouse=True, scope="module")
def scalar() -> None:
    mi.set_variant("scalar_rgb")


def turned(part: ew.Particles, number: int) -> np.ndarray:
    """Return the matrix (4, 4) from a body's axes to the laboratory's, in the order (x, y, z) of Mitsuba."""
    matrix = np.eye(4)
    matrix[:3, :3] = part.axes[number].flip(0, 1).numpy()
    matrix[:3, 3] = part.center[number].flip(0).numpy()
    return matrix


def solids(part: ew.Particles, number: int) -> list[dict[str, Any]]:
    """Return the surfaces of Mitsuba that bound a body."""
    pose, size = mi.ScalarTransform4f(turned(part, number)), part.size[number].tolist()
    match type(part.shape).__name__:
        case "Box":
            return [{"type": "cube", "to_world": pose.scale(size[::-1])}]
        case "Rod":
            radius, half = size
            ends = [[half - radius, 0, 0], [radius - half, 0, 0]]
            side = {"type": "cylinder", "p0": ends[0], "p1": ends[1], "radius": radius, "to_world": pose}
            return [side, *({"type": "sphere", "to_world": pose.translate(end).scale(radius)} for end in ends)]
        case "Disk":
            radius, half = size
            side = {"type": "cylinder", "p0": [0, 0, -half], "p1": [0, 0, half], "radius": radius, "to_world": pose}
            upper = {"type": "disk", "to_world": pose.translate([0, 0, half]).scale(radius)}
            lower = {"type": "disk", "to_world": pose.translate([0, 0, -half]).rotate([1, 0, 0], 180).scale(radius)}
            return [side, upper, lower]
        case _:
            return [{"type": "sphere", "to_world": pose.scale(size[0])}]


def surface(mesh: ew.Mesh) -> Any:
    found = mi.Mesh("mesh", len(mesh.vertices), len(mesh.faces))
    numbers = mi.traverse(found)
    numbers["vertex_positions"] = mesh.vertices.flip(1).flatten().tolist()
    numbers["faces"] = mesh.faces.flatten().tolist()
    numbers.update()
    return found


def shot(scene: Any, down: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return height, normal (z, y, x) and number of what rays along z meet first; NaN and -1 where there is nothing."""
    height, normal = np.full(GRID.shape, np.nan), np.full((*GRID.shape, 3), np.nan)
    number = np.full(GRID.shape, -1)
    sign = 1.0 if down else -1.0
    for row, y in enumerate(GRID.axis(0, LIKE).tolist()):
        for column, x in enumerate(GRID.axis(1, LIKE).tolist()):
            met = scene.ray_intersect(mi.Ray3f(o=[x, y, sign * FAR], d=[0.0, 0.0, -sign]))
            if met.is_valid():
                height[row, column] = met.p.z
                normal[row, column] = met.n.z, met.n.y, met.n.x
                number[row, column] = int(met.shape.id().split("-")[1])
    return height, normal, number


def ends(found: Fragments) -> tuple[Tensor, Tensor]:
    """Return which fragments that cover their cells are the highest of their samples, and which end lowest."""
    # A rim may reach into a cell from above and leave its middle free.
    whole = (found.share == 1).nonzero()[:, 0]
    top = whole[torch.cat([torch.ones(1, dtype=torch.bool), found.sample[whole].diff() > 0])]
    order = whole[torch.argsort(found.bottom[whole], descending=True, stable=True)]
    order = order[torch.argsort(found.sample[order], stable=True)]
    return top, order[torch.cat([found.sample[order].diff() > 0, torch.ones(1, dtype=torch.bool)])]


def inner(number: np.ndarray) -> np.ndarray:
    """Return where a sample and its eight neighbours show the same body."""
    least, most = (rank(number, 3, mode="constant", cval=-1) for rank in (minimum_filter, maximum_filter))
    return (least == most) & (number >= 0)


def bodies() -> list[ew.Particles]:
    """Return a heap of ten bodies of each kind."""
    generator = torch.Generator().manual_seed(3)
    sizes = {ew.Sphere: (0.3,), ew.Box: (0.2, 0.3, 0.35), ew.Rod: (0.15, 0.45), ew.Disk: (0.35, 0.12)}
    found = []
    for shape, size in sizes.items():
        center = (torch.rand(10, 3, generator=generator) - 0.5) * torch.tensor([1.6, 3.4, 3.8])
        size = torch.tensor(size) * (0.7 + 0.6 * torch.rand(10, 1, generator=generator))
        turn = torch.randn(10, 4, generator=generator)
        found.append(ew.Particles(shape(), center, size, [1.5] * 10, rotation=turn).to(torch.float64))
    return found


def compare(found: Fragments, scene: Any, least: int) -> None:
    """Hold the upper and the lower sides of fragments to what rays meet from above and from below."""
    for down, which in zip((True, False), ends(found), strict=True):
        height, normal, number = (array.reshape(-1, *array.shape[2:]) for array in shot(scene, down))
        seen = inner(number.reshape(GRID.shape)).flatten()
        assert seen.sum() > least
        which = which[torch.as_tensor(seen)[found.sample[which]]]
        sample = found.sample[which].numpy()
        assert len(sample) == seen.sum()
        assert (found.body[which].numpy() == number[sample]).all()
        end = (found.top if down else found.bottom)[which].numpy()
        assert np.abs(end - height[sample]).max() < ROUNDING
        if down:
            assert np.linalg.norm(found.normal[which].numpy() - normal[sample], axis=1).max() < 3e-5


def test_a_heap_shows_what_rays_meet_from_above_and_from_below() -> None:
    parts = bodies()
    scene: dict[str, Any] = {"type": "scene"}
    for first, part in enumerate(parts):
        for number in range(part.count):
            for piece, solid in enumerate(solids(part, number)):
                scene[f"body-{10 * first + number}-{piece}"] = solid
    compare(fragments(parts, CANVAS, LIKE), mi.load_dict(scene), least=1500)


def test_a_mesh_shows_the_faces_that_rays_meet() -> None:
    ring = torus(1.1, 0.35, center=(0.2, 0.1037, -0.1571), segments=(32, 16)).to(torch.float64)
    z, y, x = ring.vertices.unbind(1)
    # Tipped, so that no face is level and none upright.
    tipped = torch.stack([0.8 * z + 0.6 * y, 0.8 * y - 0.6 * z, x], 1)
    ring = ew.substitute(ring, {"vertices": tipped})
    scene = mi.load_dict({"type": "scene", "body-0-0": surface(ring)})
    compare(fragments([ring], CANVAS, LIKE), scene, least=1000)
