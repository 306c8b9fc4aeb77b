"""Rounded crystals against Qhull and projections onto polyhedra, spheres, crystals, tetragonal solids and integrals."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from scipy.spatial import ConvexHull, HalfspaceIntersection
from torch import Tensor

import exitwave as ew
from exitwave import native
from exitwave.field import Canvas
from exitwave.raster.fragments import fragments
from exitwave.specimen.shapes import Shape, axes_of, thickness

DOUBLE = torch.float64
CUBE = ew.RoundedCrystal((1.0, 1.0, 1.0), ((1, 0, 0),), "m-3m")
ANATASE = ew.RoundedCrystal((3.785, 3.785, 9.514), ((1, 0, 1), (0, 0, 1)))
FREE = ew.RoundedCrystal((3.785, 3.785, 9.514), ((1, 0, 1), (0, 0, 1)), per_face=True)
SHAPES = {"cube": CUBE, "anatase": ANATASE, "deformed": FREE, "lysozyme": ew.RoundedCrystal()}
ROUNDNESS = (1.0, 0.6, 0.2, 0.02)


def drawn(shape: ew.RoundedCrystal, count: int, roundness: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return sizes with distances from 0.4 to 0.7, and random quaternions (N, 4)."""
    generator = torch.Generator().manual_seed(seed)
    distance = 0.4 + 0.3 * torch.rand(count, len(shape.lengths) - 1, generator=generator, dtype=DOUBLE)
    rotation = torch.randn(count, 4, generator=generator, dtype=DOUBLE)
    return torch.cat([distance, torch.full((count, 1), roundness, dtype=DOUBLE)], 1), rotation


def plane(samples: int = 31, half: float = 1.1) -> tuple[Tensor, Tensor]:
    axis = torch.linspace(-half, half, samples, dtype=DOUBLE) + 0.0031
    return axis[None, :, None], axis[None, None, :]


def core(shape: ew.RoundedCrystal, size: Tensor, axes: Tensor) -> tuple[np.ndarray, float]:
    """Return the corners (K, 3) in the lab of the crystal within one body, by Qhull, and the radius of edges."""
    normals, owner = shape.habit().faces()
    distance = size[:-1].numpy() if shape.per_face else size[:-1].numpy()[list(owner)]
    radius = float(size[-1]) * distance.min()
    planes = np.column_stack([np.array(normals) @ axes.numpy().T, radius - distance - 1e-9])
    return HalfspaceIntersection(planes, np.zeros(3)).intersections, radius


def away(corners: np.ndarray, point: np.ndarray) -> float:
    """Return the distance of a point from the convex hull of corners, as a problem of least squares without signs."""
    weight = 1e4
    matrix = np.vstack([corners.T, np.full(len(corners), weight)])
    share, _ = nnls(matrix, np.append(point, weight))
    return float(np.linalg.norm(corners.T @ share / share.sum() - point))


@pytest.mark.parametrize("roundness", ROUNDNESS)
@pytest.mark.parametrize("name", SHAPES)
def test_chords_and_silhouettes_end_one_radius_away_from_the_crystal_within(name: str, roundness: float) -> None:
    shape = SHAPES[name]
    size, rotation = drawn(shape, 2, roundness)
    axes = axes_of(rotation)
    rows, scale = shape.prepare(size, axes, 0.0)
    assert scale.tolist() == [1.0, 1.0]
    y, x = plane(11, 0.9)
    entry, leave = shape.chord(rows, y, x)
    distance, _, _ = shape.edge(rows, y, x)
    struck = 0
    for body in range(2):
        corners, radius = core(shape, size[body], axes[body])
        for row, column in itertools.product(range(11), range(11)):
            place = np.array([float(y[0, row, 0]), float(x[0, 0, column])])
            gap = away(corners[:, 1:], place)
            if gap > 1e-6:
                assert float(distance[body, row, column]) == pytest.approx(radius - gap, abs=3e-6)
            else:
                assert float(distance[body, row, column]) > radius - 1e-6
            ends = [float(end[body, row, column]) for end in (entry, leave)]
            assert (ends[1] > ends[0]) == (gap < radius) or abs(gap - radius) < 1e-5
            if gap < radius - 1e-3:
                struck += 1
                for end in ends:
                    assert away(corners, np.append(end, place)) == pytest.approx(radius, abs=3e-6)
    assert struck > 30


@pytest.mark.parametrize("shape", [CUBE, ew.RoundedCrystal(), FREE], ids=["cube", "lysozyme", "anatase"])
def test_a_sphere_is_the_roundness_one(shape: ew.RoundedCrystal) -> None:
    """Of equal distances."""
    size = torch.full((4, len(shape.lengths)), 0.5, dtype=DOUBLE)
    size[:, -1] = 1.0
    radius, axes = size[:, :1], axes_of(drawn(shape, 4, 1.0)[1])
    sphere = ew.Sphere()
    for name in ("volume", "radius"):
        found, expected = getattr(shape, name)(size), getattr(sphere, name)(radius)
        assert found.numpy() == pytest.approx(expected.numpy(), rel=1e-5)
    assert shape.reach(size, axes).numpy() == pytest.approx(sphere.reach(radius, axes).numpy(), rel=1e-5)
    y, x = plane()
    rows, theirs = shape.prepare(size, axes, 0.0)[0], sphere.prepare(radius, axes, 0.0)[0]
    for found, expected in zip(shape.edge(rows, y, x), sphere.edge(theirs, y, x), strict=True):
        assert found.numpy() == pytest.approx(expected.expand_as(found).numpy(), abs=1e-4)
    inside = sphere.edge(theirs, y, x)[0] > 1e-3
    for found, expected in zip(shape.chord(rows, y, x), sphere.chord(theirs, y, x), strict=True):
        assert found[inside].numpy() == pytest.approx(expected[inside].numpy(), abs=1e-4)
    for polygon in shape.outline(size, axes):
        assert polygon.norm(dim=-1).numpy() == pytest.approx(0.5, rel=1e-5)
        assert 60 < len(polygon) < 90


def test_faces_keep_their_distances_and_stay_flat() -> None:
    """Where the line through the middle of a face stands on it, and around: as far as a Crystal's, at any roundness."""
    sharp = ew.Crystal(FREE.cell, FREE.forms, per_face=True)
    for roundness in (0.05, 0.4, 0.8):
        size, _ = drawn(FREE, 1, roundness, seed=3)
        normals = torch.tensor(FREE.habit().faces()[0], dtype=DOUBLE)
        step = 0.02 * torch.tensor([[[0.0], [1.0]]], dtype=DOUBLE)
        for normal, distance in zip(normals, size[0, :-1], strict=True):
            # Axes that turn this normal upright.
            helper = torch.eye(3, dtype=DOUBLE)[int(normal.abs().argmin())]
            across = torch.nn.functional.normalize(torch.linalg.cross(normal, helper), dim=0)
            axes = torch.stack([normal, across, torch.linalg.cross(normal, across)])[None]
            corners = sharp.vertices(size[:, :-1])[0]
            corners = corners[corners.any(-1)]
            face = corners[(corners @ normal - distance).abs() < 1e-6]
            if len(face) < 3:
                continue
            middle = (face @ axes[0].T).mean(0)
            y, x = middle[1] + step, middle[2] + step.transpose(1, 2)
            _, leave = FREE.chord(FREE.prepare(size, axes, 0.0)[0], y, x)
            _, other = sharp.chord(sharp.prepare(size[:, :-1], axes, 0.0)[0], y, x)
            assert other.numpy() == pytest.approx(float(distance))
            if roundness < 0.5:
                assert leave.numpy() == pytest.approx(float(distance), abs=1e-9)
            else:
                assert float(leave.max()) <= float(distance) + 1e-9


def test_of_growing_roundness_each_body_lies_within_the_one_before() -> None:
    size, rotation = drawn(FREE, 6, 0.02, seed=5)
    axes, (y, x) = axes_of(rotation), plane()
    sharp = ew.Crystal(FREE.cell, FREE.forms, per_face=True)
    low, high = sharp.chord(sharp.prepare(size[:, :-1], axes, 0.0)[0], y, x)
    volume = sharp.volume(size[:, :-1])
    for roundness in (0.02, 0.1, 0.4, 0.7, 1.0):
        size[:, -1] = roundness
        entry, leave = FREE.chord(FREE.prepare(size, axes, 0.0)[0], y, x)
        hit = leave > entry
        assert bool((entry >= low - 1e-9)[hit].all())
        assert bool((leave <= high + 1e-9)[hit].all())
        low, high = torch.where(hit, entry, 2.0), torch.where(hit, leave, -2.0)
        assert bool((FREE.volume(size) < volume).all())
        volume = FREE.volume(size)


def test_volume_of_a_cube_has_the_parts_of_its_faces_edges_and_corners() -> None:
    side, radius = 2 * (0.5 - 0.1), 0.1
    expected = side**3 + 6 * side**2 * radius + 12 * side * math.pi * radius**2 / 4 + 4 * math.pi * radius**3 / 3
    assert float(CUBE.volume(torch.tensor([[0.5, 0.2]], dtype=DOUBLE))) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", SHAPES)
def test_volume_is_the_integral_of_chords(name: str) -> None:
    shape = SHAPES[name]
    size, rotation = drawn(shape, 2, 0.3, seed=8)
    y, x = plane(301, 1.2)
    entry, leave = shape.chord(shape.prepare(size, axes_of(rotation), 0.0)[0], y, x)
    found = (leave - entry).sum((1, 2)) * (2.4 / 300) ** 2
    assert found.numpy() == pytest.approx(shape.volume(size).numpy(), rel=1e-3)


@pytest.mark.parametrize("roundness", ROUNDNESS)
@pytest.mark.parametrize("name", SHAPES)
def test_extents_are_those_of_qhull_and_a_radius(name: str, roundness: float) -> None:
    shape = SHAPES[name]
    size, rotation = drawn(shape, 3, roundness, seed=2)
    axes = axes_of(rotation)
    angle = torch.arange(12, dtype=DOUBLE) * (math.pi / 6)
    ways = 2.5 * torch.stack([torch.sin(angle), torch.cos(angle)], -1).expand(3, 12, 2)
    support, reach, radius = shape.support(size, axes, ways), shape.reach(size, axes), shape.radius(size)
    boxes = shape.oriented_box(size, axes)
    fine = torch.arange(4000, dtype=DOUBLE) * (0.5 * math.pi / 4000)
    along = torch.stack([torch.sin(fine), torch.cos(fine)], -1).numpy()
    for body in range(3):
        corners, around = core(shape, size[body], axes[body])
        expected = (corners[:, 1:] @ ways[body].numpy().T).max(0) + 2.5 * around
        assert support[body].numpy() == pytest.approx(expected, abs=1e-5)
        assert reach[body].numpy() == pytest.approx(np.abs(corners).max(0) + around, abs=1e-5)
        assert float(radius[body]) == pytest.approx(np.linalg.norm(corners, axis=1).max() + around, abs=1e-5)
        wide, high = (np.ptp(corners[:, 1:] @ way.T, 0) + 2 * around for way in (along, along[:, ::-1] * [1, -1]))
        sides = [float((boxes[body, k] - boxes[body, 0]).norm()) for k in (1, 3)]
        assert sides[0] * sides[1] == pytest.approx(float((wide * high).min()), rel=2e-3)
        assert sides[0] * sides[1] <= float((wide * high).min()) * (1 + 1e-5)


@pytest.mark.parametrize("roundness", ROUNDNESS)
@pytest.mark.parametrize("name", SHAPES)
def test_the_edge_is_where_the_outline_runs(name: str, roundness: float) -> None:
    """The distance vanishes on the outline, its normal is the direction that reaches there, and nearby it is exact."""
    shape = SHAPES[name]
    size, rotation = drawn(shape, 4, roundness, seed=4)
    axes = axes_of(rotation)
    rows, _ = shape.prepare(size, axes, 0.0)
    for body, polygon in enumerate(shape.outline(size, axes)):
        one = rows[body : body + 1]
        y, x = polygon[None, :, :1], polygon[None, :, 1:]
        distance, *normal = shape.edge(one, y, x)
        assert float(distance.abs().max()) < 1e-9
        both = torch.cat(normal, -1)
        assert both.norm(dim=-1).numpy() == pytest.approx(1.0)
        there = shape.support(size[body : body + 1], axes[body : body + 1], both)
        assert there[0].numpy() == pytest.approx((both[0] * polygon).sum(-1).numpy(), abs=1e-9)
        for step in (-1e-3, 1e-3):
            moved, _, _ = shape.edge(one, y + step * normal[0], x + step * normal[1])
            assert moved.numpy() == pytest.approx(-step, abs=1e-9)
        area = ConvexHull(polygon.numpy()).volume
        after = polygon.roll(-1, 0)
        assert 0.5 * float((polygon[:, 0] * after[:, 1] - polygon[:, 1] * after[:, 0]).sum()) == pytest.approx(area)


@pytest.mark.parametrize("roundness", ROUNDNESS)
def test_single_precision_agrees_with_double(roundness: float) -> None:
    size, rotation = drawn(FREE, 8, roundness, seed=7)
    y, x = plane(41)
    rows, _ = FREE.prepare(size, axes_of(rotation), 0.0)
    single, _ = FREE.prepare(size.float(), axes_of(rotation.float()), 0.0)
    assert single.dtype is torch.float32
    distance, *normal = FREE.edge(rows, y, x)
    ends = FREE.chord(rows, y, x)
    flat = single, y.float(), x.float()
    assert FREE.edge(*flat)[0].double().numpy() == pytest.approx(distance.numpy(), abs=2e-6)
    sure = distance > 0.01
    for found, wanted in zip((*FREE.chord(*flat), *FREE.edge(*flat)[1:]), (*ends, *normal), strict=True):
        error = (found.double() - wanted).abs()[sure]
        # A normal turns fast around a sharp corner.
        assert float(error.quantile(0.99)) < 1e-5


@pytest.mark.skipif(native.KERNELS is None, reason="installed without the compiled kernels")
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("roundness", ROUNDNESS)
@pytest.mark.parametrize("name", SHAPES)
def test_kernels_find_the_edges_and_faces_that_plain_torch_finds(
    name: str, roundness: float, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what follows from them: at corners edges meet, and any of these will do."""
    shape = SHAPES[name]
    size, rotation = drawn(shape, 20, roundness)
    rotation[:2] = torch.tensor([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]])
    rows, _ = shape.prepare(size.to(dtype), axes_of(rotation.to(dtype)), 0.0)
    y, x = (place.to(dtype) for place in plane(45))
    found = *shape.chord(rows, y, x), *shape.edge(rows, y, x)
    monkeypatch.setattr(native, "KERNELS", None)
    expected = *shape.chord(rows, y, x), *shape.edge(rows, y, x)
    fine = 1e-12 if dtype is DOUBLE else 2e-5
    inside = expected[2] > (1e-9 if dtype is DOUBLE else 1e-4)
    for one, other in zip(found[:3], expected[:3], strict=True):
        # Lines that touch the rim are rounding's.
        assert float((one - other).abs()[inside].amax()) < fine
    beyond = expected[2] < (-1e-9 if dtype is DOUBLE else -1e-3)
    for one, other in zip(found[3:], expected[3:], strict=True):
        assert float((one - other).abs()[beyond].amax()) < max(fine, 1e-3 * (dtype is torch.float32))


def test_silhouettes_end_where_no_line_of_sight_enters() -> None:
    """Both are computed apart; many poses, one of them with faces and edges that stand upright."""
    size, rotation = drawn(FREE, 400, 0.3, seed=6)
    size[:, -1] = torch.linspace(0.02, 1.0, 400, dtype=DOUBLE)
    rotation[0] = torch.tensor([1.0, 0.0, 0.0, 0.0])
    rows, _ = FREE.prepare(size, axes_of(rotation), 0.0)
    y, x = plane(31, 1.4)
    entry, leave = FREE.chord(rows, y, x)
    assert torch.equal(FREE.edge(rows, y, x)[0] >= 0, leave > entry)


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_a_cube_on_a_face_has_the_chords_of_a_rounded_square(dtype: torch.dtype) -> None:
    """With edges and faces exactly upright, by hand: within the inner square the side, beyond it an arc less."""
    half, radius = 0.5, 0.2
    axes = axes_of(torch.tensor([[1.0, 0.0, 0.0, 0.0]], dtype=dtype))
    rows, _ = CUBE.prepare(torch.tensor([[half, radius / half]], dtype=dtype), axes, 0.0)
    y, x = (axis.to(dtype) for axis in plane(41, 0.7))
    entry, leave = CUBE.chord(rows, y, x)
    away = torch.hypot((y.abs() - (half - radius)).clamp(min=0.0), (x.abs() - (half - radius)).clamp(min=0.0))
    expected = half - radius + torch.sqrt((radius**2 - away**2).clamp(min=0.0))
    sure = (away - radius).abs() > 1e-3
    expected = torch.where(away < radius, expected, 0.0)
    assert leave[sure].numpy() == pytest.approx(expected[sure].numpy(), abs=2e-6)
    assert entry[sure].numpy() == pytest.approx(-expected[sure].numpy(), abs=2e-6)


@pytest.mark.parametrize("roundness", ROUNDNESS)
@pytest.mark.parametrize("name", ["cube", "anatase", "lysozyme"])
def test_volume_is_kept_on_the_grid_in_any_pose(name: str, roundness: float) -> None:
    """Bodies of five cells' radius: to 2 % each, to 0.5 % on average."""
    shape, count, cell = SHAPES[name], 24, 0.1
    lengths = {"cube": [0.5], "anatase": [0.5, 0.6], "lysozyme": [0.5, 0.55]}[name]
    size = torch.tensor([[*lengths, roundness]], dtype=DOUBLE).expand(count, -1)
    generator = torch.Generator().manual_seed(3)
    axes = axes_of(torch.randn(count, 4, generator=generator, dtype=DOUBLE))
    shift = cell * torch.rand(count, 2, generator=generator, dtype=DOUBLE)
    axis = (torch.arange(30, dtype=DOUBLE) - 15) * cell
    rows, scale = shape.prepare(size, axes, cell)
    y, x = (axis - shift[:, :1])[:, :, None], (axis - shift[:, 1:])[:, None, :]
    excess = thickness(shape, rows, scale, y, x, cell).sum((1, 2)) * cell**2 / shape.volume(size) - 1
    assert float(excess.abs().max()) < 0.02
    assert abs(float(excess.mean())) < 0.005


def test_bodies_below_the_grid_keep_their_volume() -> None:
    """On average over poses, bodies of a fifth of a cell."""
    size, rotation = torch.tensor([[0.02, 0.03, 0.5]], dtype=DOUBLE).expand(60, 3), drawn(ANATASE, 60, 0.5)[1]
    axis = (torch.arange(12, dtype=DOUBLE) - 6) * 0.1
    rows, scale = ANATASE.prepare(size, axes_of(rotation), 0.1)
    found = thickness(ANATASE, rows, scale, axis[None, :, None], axis[None, None, :] + 0.02, 0.1).sum((1, 2)) * 0.01
    assert float((found / ANATASE.volume(size)).mean()) == pytest.approx(1.0, rel=0.03)


@pytest.mark.parametrize("roundness", [0.95, 0.5, 0.1])
def test_gradients_are_those_of_finite_differences(roundness: float) -> None:
    """Of edge and chord by every distance, roundness, pose and place, in reverse and in forward mode."""
    size, rotation = drawn(FREE, 2, roundness, seed=6)
    y, x = plane(4, 0.4)

    def answers(size: Tensor, rotation: Tensor, y: Tensor, x: Tensor) -> Tensor:
        rows, scale = FREE.prepare(size, axes_of(rotation), 0.05)
        distance, normal_y, normal_x = FREE.edge(rows, y, x)
        inside = (distance.detach() > 0.02).to(distance)
        entry, leave = FREE.chord(rows, y, x)
        return torch.stack([distance, normal_y, normal_x, inside * entry, inside * leave]) * scale[:, None, None]

    given = [tensor.clone().requires_grad_() for tensor in (size, rotation, y + 0.013, x - 0.021)]
    assert torch.autograd.gradcheck(
        answers, given, eps=1e-7, atol=3e-6, rtol=1e-5, check_forward_ad=True, fast_mode=True
    )

    def numbers(size: Tensor, rotation: Tensor) -> tuple[Tensor, ...]:
        axes = axes_of(rotation)
        ways = torch.tensor([[[0.3, -2.0], [1.0, 0.4]]], dtype=DOUBLE).expand(2, 2, 2)
        outline = torch.cat(FREE.outline(size, axes, 8)).sum()
        return FREE.volume(size), FREE.reach(size, axes), FREE.support(size, axes, ways), FREE.radius(size), outline

    assert torch.autograd.gradcheck(numbers, given[:2], eps=1e-7, atol=1e-6, check_forward_ad=True)


@pytest.mark.parametrize(("shape", "lengths"), [(FREE, [0.4, 0.5]), (ew.Superellipsoid(), [0.4, 0.6, 0.5, 0.5])])
def test_slopes_of_fragments_have_derivatives_of_their_own(shape: Shape, lengths: list[float]) -> None:
    """What is bright under electrons are slopes, derivatives of chords: these are differentiated twice."""
    size = torch.tensor([lengths], dtype=DOUBLE)
    if isinstance(shape, ew.RoundedCrystal):
        size, _ = drawn(shape, 1, 0.4, seed=1)
    rotation = torch.tensor([[0.4, 0.3, -0.2, 0.8]], dtype=DOUBLE)
    part = ew.Particles(shape, [[0.3, 0.11, -0.07]], size, [1.5], rotation=rotation).to(DOUBLE)
    canvas, like = Canvas(ew.Grid((11, 9), 0.17), (0, 0), (11, 9)), torch.zeros((), dtype=DOUBLE)

    def seen(center: Tensor, size: Tensor, rotation: Tensor) -> Tensor:
        found = fragments([ew.substitute(part, {"center": center, "size": size, "rotation": rotation})], canvas, like)
        return torch.stack([found.top.sum(), found.share.sum(), found.cosine.sum()])

    given = tuple(value.clone().requires_grad_() for value in (part.center, part.size, part.rotation))
    assert torch.autograd.gradcheck(seen, given, eps=1e-6, atol=2e-5, check_forward_ad=True)


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("name", SHAPES)
def test_gradients_stay_finite_in_degenerate_poses(name: str, dtype: torch.dtype) -> None:
    """Face-on, on edge, of one distance and of very different ones; at the centre, on the rim and far outside."""
    shape, half = SHAPES[name], math.sqrt(0.5)
    poses = [[1.0, 0.0, 0.0, 0.0], [half, half, 0.0, 0.0], [half, 0.0, half, 0.0], [half, 0.0, 0.0, half]]
    faces = len(shape.lengths) - 1
    sizes = [[0.5] * faces, [0.5] + [2.0] * (faces - 1), [2.0] * (faces - 1) + [0.1]]
    rows = [(*lengths, roundness) for lengths in sizes for roundness in (1.0, 0.5, 0.011) for _ in poses]
    size = torch.tensor(rows, dtype=dtype).requires_grad_()
    rotation = torch.tensor(poses * 9, dtype=dtype).requires_grad_()
    axis = torch.linspace(-4.0, 4.0, 33, dtype=dtype)
    y, x = axis[None, :, None].clone().requires_grad_(), axis[None, None, :].clone().requires_grad_()
    rows, scale = shape.prepare(size, axes_of(rotation), 0.1)
    answers = [*shape.edge(rows, y, x), *shape.chord(rows, y, x), thickness(shape, rows, scale, y, x, 0.1)]
    answers += [shape.volume(size)]
    assert all(bool(answer.isfinite().all()) for answer in answers)
    for answer in answers:
        gradients = torch.autograd.grad(answer.sum(), (size, rotation, y, x), retain_graph=True, allow_unused=True)
        assert all(bool(gradient.isfinite().all()) for gradient in gradients if gradient is not None)


def test_transforms_of_torch_pass_through() -> None:
    size, rotation = drawn(FREE, 3, 0.5)
    y, x = plane(5, 0.3)

    def length(size: Tensor, rotation: Tensor) -> Tensor:
        rows, scale = FREE.prepare(size[None], axes_of(rotation[None]), 0.1)
        return thickness(FREE, rows, scale, y, x, 0.1)[0]

    together = torch.func.vmap(length)(size, rotation)
    apart = torch.stack([length(*one) for one in zip(size, rotation, strict=True)])
    assert together.numpy() == pytest.approx(apart.numpy(), abs=1e-12)
    forward = torch.func.jacfwd(length)(size[0], rotation[0])
    backward = torch.func.jacrev(length)(size[0], rotation[0])
    assert forward.numpy() == pytest.approx(backward.numpy(), abs=1e-10)


def test_a_recipe_draws_deformed_crystals_that_electrons_and_annotations_see() -> None:
    recipe = """
        type = "Scene"
        [grid]
        shape = [96, 96]
        pixel = "10 nm"
        [[specimen.parts]]
        type = "Population"
        shape = { type = "RoundedCrystal", cell = [3.785, 3.785, 9.514], forms = [[1, 0, 1], [0, 0, 1]] }
        arrangement = { type = "Pile", aggregation_number = 5 }
        count = 8
        disorder = 0.15
        size = [0.1, { type = "Uniform", low = 0.1, high = 0.15 }, { type = "Uniform", low = 0.3, high = 0.9 }]
        secondary = 3.5
        [microscope.illumination]
        type = "Beam"
        [microscope.interaction]
        type = "SecondaryElectrons"
        [microscope.optics]
        type = "ElectronDetector"
        [microscope.sensor]
        type = "ScanSensor"
    """
    scene = ew.sample(ew.load(recipe), ew.Key(seed=0, index=0))
    (part,) = scene.specimen.parts
    assert isinstance(part, ew.Particles)
    # Disorder moves every face on its own, and no ratio.
    assert part.size.shape == (8, 11)
    assert bool((part.size[:, -1] < 0.9).all())
    assert float(part.size[:, :8].std(1).min()) > 1e-3
    assert bool(ew.render(scene).isfinite().all())
    truth = ew.annotate(scene)
    assert len(truth.boxes) == 8
    light = ew.Scene(scene.specimen, ew.brightfield(na=0.9, wavelength=0.4), ew.Grid((48, 48), 0.05))
    assert bool(ew.render(light).isfinite().all())


@pytest.mark.parametrize("roundness", [0.01, 1.01, 2.0])
def test_a_roundness_out_of_range_is_refused(roundness: float) -> None:
    with pytest.raises(ValueError, match=r"roundness must lie in \(0.01, 1\], got [0-9.]+; 1 is round like a Sphere"):
        ew.Particles(CUBE, [[0, 0, 0]], [[1.0, roundness]], [1.5])


def test_forms_that_bound_no_solid_are_refused() -> None:
    with pytest.raises(ValueError, match="do not close in a solid"):
        ew.RoundedCrystal(forms=((0, 0, 1),))
    with pytest.raises(ValueError, match=r"RoundedCrystal\.laue must be one of"):
        ew.RoundedCrystal(laue="5/m")


def test_the_shape_keeps_the_protocol() -> None:
    shape: Shape = ANATASE
    size = torch.tensor([[1.0, 2.0, 0.5]])
    free, kept = shape.unconstrained(size)
    assert free == FREE
    assert kept.tolist() == [[1.0] * 8 + [2.0, 2.0, 0.5]]
    assert len(free.lengths) == 11
    assert shape.ratios == ("roundness",)
    assert shape.volume(size).tolist() == pytest.approx(free.volume(kept).tolist())
    # No support of a vanishing direction.
    assert shape.support(size, torch.eye(3)[None], torch.zeros(1, 1, 2)).tolist() == [[0.0]]
