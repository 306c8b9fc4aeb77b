"""The rasteriser against bodies by their definition: counted points, volumes, half-space intersections."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from physics import bodies
from physics.bodies import Array
from scipy.spatial import ConvexHull, HalfspaceIntersection
from torch import Tensor

import exitwave as ew
from exitwave.field import Canvas
from exitwave.raster import splat

DOUBLE = torch.float64
CUBE = ew.RoundedCrystal((1.0, 1.0, 1.0), ((1, 0, 0),), "m-3m")
HALF = math.sqrt(0.5)
EIGHTH = (math.cos(math.pi / 8), math.sin(math.pi / 8))

# Shape, definition, size in um, and what the rasteriser may miss at 5 to 8 cells across: in one cell (of the largest
# thickness), and summed over all (of the volume). Facetted bodies miss most in the cells with a corner, where two edges
# meet and one is averaged.
SHAPES: dict[str, tuple[Any, bodies.Inside, tuple[float, ...], float, float]] = {
    "sphere": (ew.Sphere(), bodies.sphere, (0.5,), 0.015, 0.006),
    "ellipsoid": (ew.Ellipsoid(), bodies.ellipsoid, (0.3, 0.5, 0.8), 0.02, 0.012),
    "rod": (ew.Rod(), bodies.rod, (0.3, 0.8), 0.045, 0.02),
    "box": (ew.Box(), bodies.box, (0.3, 0.5, 0.6), 0.17, 0.045),
    "disk": (ew.Disk(), bodies.disk, (0.6, 0.25), 0.12, 0.04),
    "crystal": (ew.Crystal(), bodies.crystal, (0.5, 0.45), 0.1, 0.03),
    "rounded crystal": (CUBE, bodies.rounded_cube, (0.5, 0.5), 0.1, 0.03),
}
POSES: dict[str, tuple[float, float, float, float]] = {
    "face-on": (1.0, 0.0, 0.0, 0.0),
    "edge-on about x": (HALF, HALF, 0.0, 0.0),
    "edge-on about y": (HALF, 0.0, HALF, 0.0),
    "turned in the plane": (EIGHTH[0], 0.0, 0.0, EIGHTH[1]),
    "tilted by 45 degrees": (EIGHTH[0], EIGHTH[1], 0.0, 0.0),
    "any pose": (0.2, -0.6, 0.35, 0.7),
    "another pose": (0.85, 0.3, -0.4, 0.15),
    "a third": (-0.1, 0.9, 0.3, -0.5),
}


def particles(
    shape: Any,
    size: Any,
    rotation: Any = ((1.0, 0.0, 0.0, 0.0),),
    center: Any = ((0.0, 0.0, 0.0),),
    dtype: torch.dtype = DOUBLE,
) -> ew.Particles:
    size, center = torch.tensor(size, dtype=dtype), torch.tensor(center, dtype=dtype)
    return ew.Particles(
        shape, center, size, torch.full((len(size),), 1.5, dtype=dtype), torch.tensor(rotation, dtype=dtype)
    )


def thickness(body: ew.Particles, shape: tuple[int, int], pixel: tuple[float, float] = (0.1, 0.1)) -> Tensor:
    """Return the summed thickness (H, W) in micrometres of bodies on a canvas whose origin is its middle."""
    canvas = Canvas(ew.Grid(shape, pixel), (0, 0), shape)
    return splat(body, torch.ones(body.count, 1, dtype=body.center.dtype), canvas)[0]


def counted(
    name: str, pose: str, center: tuple[float, float], shape: tuple[int, int], pixel: tuple[float, float]
) -> Array:
    _, inside, size, *_ = SHAPES[name]
    return bodies.cell_averages(inside, np.array(size), np.array(POSES[pose]), center, shape, pixel, reach=0.95)


@pytest.mark.parametrize("pose", POSES)
@pytest.mark.parametrize("name", SHAPES)
def test_thickness_is_that_of_counted_points(name: str, pose: str) -> None:
    shape, _, size, cell_error, total_error = SHAPES[name]
    center, grid = (0.031, -0.022), (20, 21)
    found = thickness(particles(shape, [size], [POSES[pose]], [(0.0, *center)]), grid).numpy()
    expected = counted(name, pose, center, grid, (0.1, 0.1))
    assert np.abs(found - expected).max() <= cell_error * expected.max()
    assert np.abs(found - expected).sum() <= total_error * expected.sum()


@pytest.mark.parametrize("pose", ["face-on", "any pose"])
@pytest.mark.parametrize("name", SHAPES)
def test_thickness_on_oblong_pixels_is_that_of_counted_points(name: str, pose: str) -> None:
    """Cells of 1 : 1.6. Edges are averaged over a square cell of the same area, which costs some sharpness."""
    shape, _, size, cell_error, total_error = SHAPES[name]
    center, grid, pixel = (0.031, -0.022), (26, 18), (0.08, 0.128)
    found = thickness(particles(shape, [size], [POSES[pose]], [(0.0, *center)]), grid, pixel).numpy()
    expected = counted(name, pose, center, grid, pixel)
    assert np.abs(found - expected).max() <= (cell_error + 0.08) * expected.max()
    assert np.abs(found - expected).sum() <= (total_error + 0.02) * expected.sum()


def test_thickness_converges_to_the_chord() -> None:
    """Halving the cell halves what is missed, for every shape in a random pose."""
    for name, (shape, inside, size, *_) in SHAPES.items():
        missed = []
        for pixel, samples in ((0.2, 12), (0.1, 20)):
            body = particles(shape, [size], [POSES["any pose"]])
            found = thickness(body, (samples, samples), (pixel, pixel)).numpy()
            expected = bodies.cell_averages(
                inside,
                np.array(size),
                np.array(POSES["any pose"]),
                (0.0, 0.0),
                found.shape,
                (pixel, pixel),
                0.95,
                10,
                200,
            )
            missed.append(np.abs(found - expected).sum() / expected.sum())
        assert missed[1] < 0.6 * missed[0], name


def test_rotation_turns_from_body_to_lab_axes() -> None:
    """A quarter turn about x takes y to z and z to -y (right-handed x, y, z): a rod along body x lies still."""
    long = particles(ew.Ellipsoid(), [(0.3, 0.5, 0.8)], [(HALF, HALF, 0.0, 0.0)])
    assert long.reach()[0].tolist() == pytest.approx([0.5, 0.3, 0.8])
    about_z = particles(ew.Ellipsoid(), [(0.3, 0.5, 0.8)], [(HALF, 0.0, 0.0, HALF)])
    assert about_z.reach()[0].tolist() == pytest.approx([0.3, 0.8, 0.5])
    # A positive turn about z takes x towards y: the rod's far end has y > 0 where x > 0.
    turned = thickness(particles(ew.Rod(), [(0.2, 1.0)], [(EIGHTH[0], 0.0, 0.0, EIGHTH[1])]), (21, 21))
    assert float(turned[16, 16]) > 0.1
    assert float(turned[16, 4]) == 0.0


@pytest.mark.parametrize("name", SHAPES)
def test_volume_is_kept_in_any_pose_at_any_place(name: str) -> None:
    """Bodies of 5 cells' radius: to 3 % each (thin disks on edge), to 0.6 % on average."""
    shape, _, size, *_ = SHAPES[name]
    generator = torch.Generator().manual_seed(3)
    excess = []
    for rotation, center in zip(
        torch.randn(12, 4, generator=generator), torch.rand(12, 3, generator=generator) * 0.1, strict=True
    ):
        body = particles(shape, [size], [rotation.tolist()], [center.tolist()])
        volume = float(shape.volume(body.size))
        excess.append(float(thickness(body, (24, 24)).sum()) * 0.01 / volume - 1)
    assert np.abs(excess).max() < 0.03
    assert abs(np.mean(excess)) < 0.006


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("largest", [0.01, 0.05, 0.1, 0.2])
def test_volume_of_particles_below_the_grid_is_kept(name: str, largest: float) -> None:
    """Largest size 0.1 to 2 cells: on average over poses and places within 3 %, one particle within 20 %."""
    shape, _, size, *_ = SHAPES[name]
    generator = torch.Generator().manual_seed(4)
    count = 64
    whole = torch.tensor([size], dtype=DOUBLE)
    small = torch.where(
        torch.tensor([one in shape.ratios for one in shape.lengths]), whole, whole * largest / max(size)
    )
    place = torch.rand(count, 3, generator=generator).tolist()
    rotation = torch.randn(count, 4, generator=generator).tolist()
    volume = float(shape.volume(small))
    excess = []
    for turn, center in zip(rotation, place, strict=True):
        found = thickness(particles(shape, small.tolist(), [turn], [(0.0, center[1] * 0.1, center[2] * 0.1)]), (12, 12))
        excess.append(float(found.sum()) * 0.01 / volume - 1)
    assert abs(np.mean(excess)) < 0.03
    assert np.abs(excess).max() < 0.2


@pytest.mark.parametrize("name", SHAPES)
def test_sub_pixel_shifts_move_the_centroid(name: str) -> None:
    shape, _, size, *_ = SHAPES[name]
    axis = (np.arange(24) - 12) * 0.1
    for y, x in ((0.0, 0.0), (0.013, 0.0), (0.05, -0.05), (-0.031, 0.044)):
        found = thickness(particles(shape, [size], [POSES["any pose"]], [(0.0, y, x)]), (24, 24)).numpy()
        assert (found.sum(1) @ axis) / found.sum() == pytest.approx(y, abs=0.003)
        assert (found.sum(0) @ axis) / found.sum() == pytest.approx(x, abs=0.003)


@pytest.mark.parametrize("name", SHAPES)
def test_whole_pixel_shifts_move_the_map_and_depth_does_not(name: str) -> None:
    shape, _, size, *_ = SHAPES[name]
    still = thickness(particles(shape, [size], [POSES["any pose"]], [(0.0, 0.013, 0.02)]), (40, 40))
    moved = thickness(particles(shape, [size], [POSES["any pose"]], [(5.0, 0.313, -0.48)]), (40, 40))
    assert moved.numpy() == pytest.approx(torch.roll(still, (3, -5), (0, 1)).numpy(), abs=1e-12)


@pytest.mark.parametrize("name", SHAPES)
def test_particles_at_the_border_are_cut_off_there(name: str) -> None:
    """A canvas cut out of a larger one; particles outside add nothing."""
    shape, _, size, *_ = SHAPES[name]
    centers = [(0.0, -1.0, 0.2), (0.0, 0.9, 1.0), (0.0, 0.0, -1.5), (0.0, 3.0, 0.0), (0.0, 0.0, 40.0), (0.0, -1e5, 3.0)]
    body = particles(shape, [size] * 6, [POSES["any pose"]] * 6, centers)
    large, small = thickness(body, (80, 80)), thickness(body, (20, 20))
    assert small.numpy() == pytest.approx(large[30:50, 30:50].numpy(), abs=1e-12)
    alone = particles(shape, [size] * 3, [POSES["any pose"]] * 3, centers[3:])
    assert float(thickness(alone, (20, 20)).abs().max()) == 0.0


def test_sizes_of_patches_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """A particle larger than every patch is drawn on the whole canvas, with the same result."""
    module = importlib.import_module("exitwave.raster.splat")
    for shape, _, size, *_ in SHAPES.values():
        body = particles(shape, [size] * 2, [POSES["any pose"]] * 2, [(0.0, 0.1, 0.2), (0.0, 0.9, -0.83)])
        usual = thickness(body, (30, 32))
        with monkeypatch.context() as patch:
            patch.setattr(module, "SIZES", (4, 6, 8))
            assert thickness(body, (30, 32)).numpy() == pytest.approx(usual.numpy(), abs=1e-12)


def test_many_particles_are_the_sum_of_each() -> None:
    generator = torch.Generator().manual_seed(0)
    size = torch.rand(40, 1, generator=generator, dtype=DOUBLE) + 0.02
    center = torch.cat([torch.zeros(40, 1), 4 * torch.rand(40, 2, generator=generator) - 2], 1).double()
    weights = torch.randn(40, 2, generator=generator, dtype=DOUBLE)
    canvas = Canvas(ew.Grid((40, 40), 0.1), (0, 0), (40, 40))
    together = splat(particles(ew.Sphere(), size.tolist(), [POSES["face-on"]] * 40, center.tolist()), weights, canvas)
    apart = torch.zeros_like(together)
    for one in range(40):
        alone = particles(ew.Sphere(), size[one : one + 1].tolist(), [POSES["face-on"]], center[one : one + 1].tolist())
        apart += thickness(alone, (40, 40)) * weights[one, :, None, None]
    assert together.numpy() == pytest.approx(apart.numpy(), abs=1e-12)


@pytest.mark.parametrize("name", SHAPES)
def test_single_precision_agrees_with_double(name: str) -> None:
    """Far from the origin too, where a float32 coordinate has 4e-6 um left."""
    shape, _, size, *_ = SHAPES[name]
    for pose in POSES.values():
        maps = [
            thickness(particles(shape, [size], [pose], [(0.0, 45.21, -47.13)], dtype), (1000, 1000))[440:, :40]
            for dtype in (torch.float32, DOUBLE)
        ]
        assert float(maps[1].max()) > 0.1
        assert maps[0].double().numpy() == pytest.approx(maps[1].numpy(), abs=2e-3)


# The memory-saving path


@pytest.mark.parametrize("name", SHAPES)
def test_recomputed_path_is_the_taped_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Map and gradients by size, pose, centre and weight are the same whether patches are kept or rendered again."""
    shape, _, size, *_ = SHAPES[name]
    generator = torch.Generator().manual_seed(1)
    count = 7
    inputs = {
        "size": torch.tensor([size], dtype=DOUBLE) * (0.4 + torch.rand(count, 1, generator=generator, dtype=DOUBLE)),
        "rotation": torch.randn(count, 4, generator=generator, dtype=DOUBLE),
        "center": torch.rand(count, 3, generator=generator, dtype=DOUBLE) * 4 - 2,
    }
    weights = torch.randn(count, 2, generator=generator, dtype=DOUBLE)
    probe = torch.randn(2, 32, 36, generator=generator, dtype=DOUBLE)
    canvas = Canvas(ew.Grid((32, 36), 0.1), (0, 0), (32, 36))
    results = []
    for limit in (1 << 22, 0):
        monkeypatch.setattr(importlib.import_module("exitwave.raster.splat"), "_TAPE", limit)
        leaves: dict[str, Any] = {key: value.clone().requires_grad_() for key, value in inputs.items()}
        gains = weights.clone().requires_grad_()
        body = ew.Particles(shape, index=torch.full((count,), 1.5, dtype=DOUBLE), **leaves)
        maps = splat(body, gains, canvas)
        gradients = torch.autograd.grad((maps * probe).sum(), [*leaves.values(), gains], materialize_grads=True)
        results.append((type(maps.grad_fn).__name__, maps.detach(), gradients))
    assert results[0][0] != results[1][0]
    assert results[1][1].numpy() == pytest.approx(results[0][1].numpy(), abs=1e-12)
    for taped, recomputed in zip(results[0][2], results[1][2], strict=True):
        assert recomputed.numpy() == pytest.approx(taped.numpy(), abs=1e-10)


def test_second_derivatives_survive_the_recomputed_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the sum over the plane of T^2 by the radius of a sphere: 2 pi R^4, 8 pi R^3, 24 pi R^2."""
    found = []
    for limit in (1 << 22, 0):
        monkeypatch.setattr(importlib.import_module("exitwave.raster.splat"), "_TAPE", limit)
        radius = torch.tensor([[0.9]], dtype=DOUBLE, requires_grad=True)
        body = ew.Particles(ew.Sphere(), torch.zeros(1, 3, dtype=DOUBLE), radius, torch.tensor([1.5], dtype=DOUBLE))
        total = (thickness(body, (24, 24)) ** 2).sum() * 0.01
        (slope,) = torch.autograd.grad(total, radius, create_graph=True)
        (curvature,) = torch.autograd.grad(slope.sum(), radius)
        found.append((float(slope.detach()), float(curvature)))
    assert found[0][0] == pytest.approx(8 * math.pi * 0.9**3, rel=0.01)
    # The curvature jumps a little where the rim passes from cell to cell.
    assert found[0][1] == pytest.approx(24 * math.pi * 0.9**2, rel=0.2)
    assert found[1] == pytest.approx(found[0], rel=1e-9)


# Crystals


def corners(crystal: ew.Crystal, size: Array) -> Array:
    found = crystal.vertices(torch.from_numpy(size)[None])[0].numpy()
    return found[np.abs(found).sum(1) > 0]


def same_points(first: Array, second: Array, tolerance: float) -> bool:
    distance = np.linalg.norm(first[:, None] - second[None], axis=-1)
    return bool(distance.min(0).max() < tolerance and distance.min(1).max() < tolerance)


@pytest.mark.parametrize("size", [(1.0, 1.0), (0.5, 0.8), (0.8, 0.5), (2.0, 0.4), (0.3, 3.0)])
def test_lysozyme_is_the_intersection_of_its_half_spaces(size: tuple[float, float]) -> None:
    """Corners and volume against scipy's half-space intersection, from the planes written out by hand."""
    normals, distances = bodies.lysozyme_planes(np.array(size))
    expected = HalfspaceIntersection(np.column_stack([normals, -distances]), np.zeros(3)).intersections
    assert same_points(corners(ew.Crystal(), np.array(size)), expected, 1e-9)
    volume = float(ew.Crystal().volume(torch.tensor([size], dtype=DOUBLE)))
    assert volume == pytest.approx(ConvexHull(expected).volume, rel=1e-9)


def test_disordered_lysozyme_is_the_intersection_of_its_half_spaces() -> None:
    """One distance per face, some of them so far out that the face is cut off."""
    crystal = ew.Crystal(per_face=True)
    normals = np.array(crystal._faces()[0])
    generator = np.random.default_rng(5)
    for _ in range(5):
        distances = generator.uniform(0.5, 1.2, len(normals))
        distances[3] = 5.0
        expected = HalfspaceIntersection(np.column_stack([normals, -distances]), np.zeros(3)).intersections
        assert same_points(corners(crystal, distances), expected, 1e-9)
        volume = float(crystal.volume(torch.from_numpy(distances)[None]))
        assert volume == pytest.approx(ConvexHull(expected).volume, rel=1e-8)
        counted = bodies.cell_averages(
            lambda d, point: np.all(point @ normals.T <= d, axis=-1),
            distances,
            np.array(POSES["any pose"]),
            (0.0, 0.0),
            (32, 32),
            (0.125, 0.125),
            reach=2.5,
            fine=4,
        )
        body = particles(crystal, [distances.tolist()], [POSES["any pose"]])
        found = thickness(body, (32, 32), (0.125, 0.125)).numpy()
        assert np.abs(found - counted).sum() < 0.03 * counted.sum()


def test_lysozyme_has_twelve_faces_at_the_angles_of_its_cell() -> None:
    normals = np.array(ew.Crystal()._faces()[0])
    assert len(normals) == 12
    assert np.linalg.norm(normals, axis=1) == pytest.approx(1)
    expected, _ = bodies.lysozyme_planes(np.array([1.0, 1.0]))
    assert same_points(normals, expected, 1e-12)


@pytest.mark.parametrize(
    ("crystal", "size", "volume"),
    [
        (ew.Crystal((1, 1, 1), ((1, 0, 0),), "m-3m"), (1.0,), 8.0),
        (ew.Crystal((1, 1, 1), ((1, 1, 1),), "m-3m"), (1.0,), 4 * math.sqrt(3)),
        (ew.Crystal((1, 1, 1), ((1, 1, 0),), "m-3m"), (1.0,), 4 * math.sqrt(2)),
        (ew.Crystal((1, 2, 3), ((1, 0, 0), (0, 1, 0), (0, 0, 1)), "mmm"), (0.5, 1.0, 2.0), 8.0),
        (
            ew.Crystal((1, 1, 2), ((1, 0, 0), (0, 0, 1)), "6/mmm", (math.pi / 2, math.pi / 2, 2 * math.pi / 3)),
            (1.0, 0.5),
            2 * math.sqrt(3),
        ),
        (
            ew.Crystal((1, 1, 1), ((1, 0, 0), (0, 1, 0), (0, 0, 1)), "-1", (math.pi / 2, math.pi / 3, math.pi / 2)),
            (1.0, 1.0, 1.0),
            8 / math.sin(math.pi / 3),
        ),
    ],
    ids=["cube", "octahedron", "rhombic dodecahedron", "brick", "hexagonal prism", "parallelepiped"],
)
def test_volume_of_classic_habits(crystal: ew.Crystal, size: tuple[float, ...], volume: float) -> None:
    assert float(crystal.volume(torch.tensor([size], dtype=DOUBLE))) == pytest.approx(volume, rel=1e-9)


def test_box_is_the_crystal_of_its_faces() -> None:
    """Two implementations of one body: orthogonal half edges as central distances."""
    brick = ew.Crystal((1, 1, 1), ((0, 0, 1), (0, 1, 0), (1, 0, 0)), "mmm")
    for pose in POSES.values():
        box = thickness(particles(ew.Box(), [(0.3, 0.5, 0.6)], [pose], [(0.0, 0.013, 0.03)]), (24, 24))
        crystal = thickness(particles(brick, [(0.3, 0.5, 0.6)], [pose], [(0.0, 0.013, 0.03)]), (24, 24))
        assert crystal.numpy() == pytest.approx(box.numpy(), abs=0.02 * float(box.max()))


def test_limits_of_shapes_are_other_shapes() -> None:
    """A rod without a cylinder and an ellipsoid of equal axes are spheres."""
    sphere = thickness(particles(ew.Sphere(), [(0.5,)], center=[(0.0, 0.02, 0.03)]), (20, 20)).numpy()
    make: Callable[..., ew.Particles] = particles
    for shape, size in ((ew.Rod(), (0.5, 0.5)), (ew.Ellipsoid(), (0.5, 0.5, 0.5))):
        for pose in POSES.values():
            found = thickness(make(shape, [size], [pose], [(0.0, 0.02, 0.03)]), (20, 20)).numpy()
            assert found == pytest.approx(sphere, abs=0.01)
