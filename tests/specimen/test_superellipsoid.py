"""Superellipsoids against ellipsoids, boxes, points of their surface and numerical integrals."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from physics.bodies import to_body
from scipy.integrate import dblquad
from torch import Tensor

import exitwave as ew
from exitwave.specimen.shapes import Shape, axes_of, thickness
from exitwave.specimen.superellipsoid import Superellipsoid

DOUBLE = torch.float64
SHAPE = Superellipsoid()
ROUNDNESS = (1.0, 0.8, 0.5, 0.2, 0.11)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(count: int, roundness: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return sizes (N, 4) with semi-axes from 0.2 to 1 and random quaternions (N, 4)."""
    semi = 0.2 + 0.8 * torch.rand(count, 3, generator=seeded(seed), dtype=DOUBLE)
    rotation = torch.randn(count, 4, generator=seeded(seed + 1), dtype=DOUBLE)
    return torch.cat([semi, torch.full((count, 1), roundness, dtype=DOUBLE)], 1), rotation


def plane(samples: int = 31, half: float = 1.3) -> tuple[Tensor, Tensor]:
    axis = torch.linspace(-half, half, samples, dtype=DOUBLE)
    return axis[None, :, None], axis[None, None, :]


def level(size: Tensor, rotation: Tensor, points: Tensor) -> np.ndarray:
    """Return sum |v|^p - 1 of one body at lab points (..., 3), by its definition."""
    body = to_body(rotation.numpy(), points.numpy())
    return (np.abs(body / size[:3].numpy()) ** (2 / float(size[3]))).sum(-1) - 1


def surface(size: Tensor, axes: Tensor, count: int, seed: int = 5) -> Tensor:
    """Return points (count, 3) on the surface of one body: random directions, drawn out to the level 1."""
    way = torch.randn(count, 3, generator=seeded(seed), dtype=DOUBLE)
    power = 2 / float(size[3])
    return (way / (way.abs() / size[:3]).pow(power).sum(-1, keepdim=True) ** (1 / power)) @ axes.T


def test_an_ellipsoid_is_the_roundness_one() -> None:
    """Every answer is that of an Ellipsoid, on a cell of any size."""
    size, rotation = drawn(20, 1.0)
    semi, axes = size[:, :3], axes_of(rotation)
    other = ew.Ellipsoid()
    assert SHAPE.volume(size).numpy() == pytest.approx(other.volume(semi).numpy(), rel=1e-12)
    assert SHAPE.radius(size).numpy() == pytest.approx(other.radius(semi).numpy(), rel=1e-5)
    assert SHAPE.reach(size, axes).numpy() == pytest.approx(other.reach(semi, axes).numpy(), rel=1e-12)
    ways = torch.randn(20, 9, 2, generator=seeded(3), dtype=DOUBLE)
    assert SHAPE.support(size, axes, ways).numpy() == pytest.approx(other.support(semi, axes, ways).numpy(), rel=1e-12)
    for mine, theirs in zip(SHAPE.outline(size, axes), other.outline(semi, axes), strict=True):
        assert mine.numpy() == pytest.approx(theirs.numpy(), abs=1e-12)
    y, x = plane(30)
    for cell in (0.0, 0.05, 0.4):
        rows, scale = SHAPE.prepare(size, axes, cell)
        theirs, their_scale = other.prepare(semi, axes, cell)
        assert scale.numpy() == pytest.approx(their_scale.numpy(), rel=1e-12)
        distance, *normal = SHAPE.edge(rows, y, x)
        expected, *their_normal = other.edge(theirs, y, x)
        assert distance.numpy() == pytest.approx(expected.numpy(), abs=1e-9)
        inside = expected > 1e-3
        for found, wanted in zip(
            (*normal, *SHAPE.chord(rows, y, x)), (*their_normal, *other.chord(theirs, y, x)), strict=True
        ):
            assert found[inside].numpy() == pytest.approx(wanted[inside].numpy(), abs=1e-9)


def test_a_small_roundness_approaches_a_box() -> None:
    """|v|_p and its dual differ from the maximum and the sum by factors of no more than 3^(1/p)."""
    size, rotation = drawn(30, 0.1001)
    semi, axes = size[:, :3], axes_of(rotation)
    factor = 3 ** (0.5 * 0.1001)
    assert bool(((SHAPE.volume(size) / ew.Box().volume(semi) - 1).abs() < 0.03).all())
    share = SHAPE.reach(size, axes) / ew.Box().reach(semi, axes)
    assert 1 / factor - 1e-12 <= float(share.min()) <= float(share.max()) <= 1
    share = SHAPE.radius(size) / ew.Box().radius(semi)
    assert 1 / factor - 1e-12 <= float(share.min()) <= float(share.max()) <= 1
    y, x = plane()
    entry, leave = SHAPE.chord(SHAPE.prepare(size, axes, 0.0)[0], y, x)
    box, _ = ew.Box().prepare(semi, axes, 0.0)
    box_entry, box_leave = ew.Box().chord(box, y, x)
    assert bool(((leave - entry) <= (box_leave - box_entry).clamp(min=0.0) + 1e-9).all())
    # The largest box inside is the same box over 3^(1/p).
    small_entry, small_leave = ew.Box().chord(ew.Box().prepare(semi / factor, axes, 0.0)[0], y, x)
    assert bool(((leave - entry) >= small_leave - small_entry - 1e-9).all())


@pytest.mark.parametrize("roundness", ROUNDNESS)
def test_chords_end_on_the_surface(roundness: float) -> None:
    """Lines meet the level set by its definition, both ends, and lines beside the body have no length."""
    size, rotation = drawn(12, roundness)
    rows, _ = SHAPE.prepare(size, axes_of(rotation), 0.0)
    y, x = plane(41)
    entry, leave = SHAPE.chord(rows, y, x)
    hit = leave - entry > 1e-6
    assert 0.1 < float(hit.double().mean()) < 0.6
    for body in range(12):
        for end in (entry, leave):
            points = torch.stack([end[body], y[0].expand(41, 41), x[0].expand(41, 41)], -1)
            assert np.abs(level(size[body], rotation[body], points[hit[body]])).max() < 1e-10
    distance, _, _ = SHAPE.edge(rows, y, x)
    assert bool((leave == entry)[distance < -1e-4].all())
    assert bool(hit[distance > 1e-4].all())


@pytest.mark.parametrize("roundness", ROUNDNESS)
def test_single_precision_agrees_with_double(roundness: float) -> None:
    size, rotation = drawn(12, roundness, seed=7)
    y, x = plane(41)
    rows, _ = SHAPE.prepare(size, axes_of(rotation), 0.0)
    distance, *normal = SHAPE.edge(rows, y, x)
    ends = SHAPE.chord(rows, y, x)
    flat = rows.float(), y.float(), x.float()
    assert SHAPE.edge(*flat)[0].double().numpy() == pytest.approx(distance.numpy(), abs=1e-5)
    # Within a hundredth of the rim the chord is ill-conditioned.
    sure = distance > 0.01
    for found, wanted in zip((*SHAPE.chord(*flat), *SHAPE.edge(*flat)[1:]), (*ends, *normal), strict=True):
        assert found.double()[sure].numpy() == pytest.approx(wanted[sure].numpy(), abs=1e-5)


@pytest.mark.parametrize("roundness", [1.0, 0.6, 0.25])
def test_volume_is_the_integral_of_the_height(roundness: float) -> None:
    """The closed form against quadrature of the height z over the octant of a body by its definition."""
    p = 2 / roundness
    octant = dblquad(
        lambda y, x: (max(1 - x**p - y**p, 0.0)) ** (1 / p),
        0.0,
        1.0,
        0.0,
        lambda x: (1 - x**p) ** (1 / p),
        epsabs=1e-5,
    )[0]
    found = SHAPE.volume(torch.tensor([[0.3, 0.5, 0.7, roundness]], dtype=DOUBLE))
    assert float(found) == pytest.approx(8 * 0.3 * 0.5 * 0.7 * octant, rel=1e-4)


@pytest.mark.parametrize("roundness", ROUNDNESS)
def test_extents_are_those_of_points_on_the_surface(roundness: float) -> None:
    """Support, reach and radius bound every point of the surface, and some point comes near each of them."""
    size, rotation = drawn(4, roundness, seed=2)
    axes = axes_of(rotation)
    angle = torch.arange(12, dtype=DOUBLE) * (math.pi / 6)
    ways = 2.5 * torch.stack([torch.sin(angle), torch.cos(angle)], -1).expand(4, 12, 2)
    for body in range(4):
        points = surface(size[body], axes[body], 200_000)
        one = size[body : body + 1], axes[body : body + 1]
        for bound, found in (
            (SHAPE.support(*one, ways[:1])[0], (points[:, 1:] @ ways[0].T).amax(0)),
            (SHAPE.reach(*one)[0], points.abs().amax(0)),
            (SHAPE.radius(one[0]), points.norm(dim=-1).amax(0, keepdim=True)),
        ):
            assert bool((found <= bound * (1 + 1e-12)).all())
            assert bool((found >= 0.97 * bound).all())


@pytest.mark.parametrize("roundness", ROUNDNESS)
def test_the_edge_is_where_the_outline_runs(roundness: float) -> None:
    """The distance vanishes on the outline, its normal is the direction that reaches there, and nearby it is exact."""
    size, rotation = drawn(6, roundness, seed=4)
    axes = axes_of(rotation)
    rows, _ = SHAPE.prepare(size, axes, 0.0)
    for body, polygon in enumerate(SHAPE.outline(size, axes)):
        one = rows[body : body + 1]
        y, x = polygon[None, :, :1], polygon[None, :, 1:]
        distance, normal_y, normal_x = SHAPE.edge(one, y, x)
        assert float(distance.abs().max()) < 1e-9
        normal = torch.cat([normal_y, normal_x], -1)
        assert normal.norm(dim=-1).numpy() == pytest.approx(1.0)
        there = SHAPE.support(size[body : body + 1], axes[body : body + 1], normal)
        assert there[0].numpy() == pytest.approx((normal[0] * polygon).sum(-1).numpy(), abs=1e-9)
        for step in (-1e-4, 1e-4):
            moved, _, _ = SHAPE.edge(one, y + step * normal_y, x + step * normal_x)
            # Where corners are sharp their curvature is up to some hundred per micrometre.
            assert moved.numpy() == pytest.approx(-step, abs=3e-6)


@pytest.mark.parametrize("roundness", ROUNDNESS)
def test_outline_and_box_enclose_the_silhouette(roundness: float) -> None:
    """Of the polygon the area is that of the pixels inside; the rectangle touches it and no turned one is smaller."""
    size, rotation = drawn(4, roundness, seed=9)
    axes = axes_of(rotation)
    rows, _ = SHAPE.prepare(size, axes, 0.0)
    y, x = plane(241, 1.8)
    inside = (SHAPE.edge(rows, y, x)[0] > 0).sum((1, 2)) * (3.6 / 240) ** 2
    boxes = SHAPE.oriented_box(size, axes)
    for body, polygon in enumerate(SHAPE.outline(size, axes)):
        after = polygon.roll(-1, 0)
        area = 0.5 * float((polygon[:, 0] * after[:, 1] - polygon[:, 1] * after[:, 0]).sum())
        assert abs(area) == pytest.approx(float(inside[body]), rel=0.01)
        side, other = boxes[body, 1] - boxes[body, 0], boxes[body, 3] - boxes[body, 0]
        assert abs(float(side @ other)) < 1e-9
        found = float(side.norm() * other.norm())
        angle = torch.arange(3000, dtype=DOUBLE) * (0.5 * math.pi / 3000)
        ways = torch.stack([torch.sin(angle), torch.cos(angle)], -1)
        across = torch.stack([ways[:, 1], -ways[:, 0]], -1)
        reach, width = (SHAPE.support(size[body : body + 1], axes[body : body + 1], w[None])[0] for w in (ways, across))
        assert found <= float((4 * reach * width).min()) * (1 + 1e-6)
        for way, half in ((side / side.norm(), side.norm() / 2), (other / other.norm(), other.norm() / 2)):
            support = SHAPE.support(size[body : body + 1], axes[body : body + 1], way[None, None])
            assert float(support) == pytest.approx(float(half), rel=1e-9)


@pytest.mark.parametrize("roundness", ROUNDNESS)
@pytest.mark.parametrize("semi", [(0.5, 0.5, 0.5), (0.5, 0.7, 0.9)])
def test_volume_is_kept_on_the_grid_in_any_pose(roundness: float, semi: tuple[float, float, float]) -> None:
    """Bodies of five cells' radius: to 2 % each, to 0.5 % on average."""
    count, cell = 24, 0.1
    size = torch.tensor([(*semi, roundness)], dtype=DOUBLE).expand(count, 4)
    axes = axes_of(torch.randn(count, 4, generator=seeded(3), dtype=DOUBLE))
    shift = cell * torch.rand(count, 2, generator=seeded(4), dtype=DOUBLE)
    axis = (torch.arange(34, dtype=DOUBLE) - 17) * cell
    rows, scale = SHAPE.prepare(size, axes, cell)
    y, x = (axis - shift[:, :1])[:, :, None], (axis - shift[:, 1:])[:, None, :]
    excess = thickness(SHAPE, rows, scale, y, x, cell).sum((1, 2)) * cell**2 / SHAPE.volume(size) - 1
    assert float(excess.abs().max()) < 0.02
    assert abs(float(excess.mean())) < 0.005


@pytest.mark.parametrize("roundness", [1.0, 0.6, 0.2])
def test_gradients_are_those_of_finite_differences(roundness: float) -> None:
    """Of edge and chord by size, roundness, pose and place, in reverse and in forward mode."""
    size, rotation = drawn(2, roundness, seed=6)
    size = torch.cat([0.4 + 0.4 * size[:, :3], size[:, 3:]], 1)
    y, x = plane(5, 0.45)

    def answers(size: Tensor, rotation: Tensor, y: Tensor, x: Tensor) -> Tensor:
        rows, scale = SHAPE.prepare(size, axes_of(rotation), 0.05)
        distance, normal_y, normal_x = SHAPE.edge(rows, y, x)
        inside = (distance.detach() > 0.02).to(distance)
        entry, leave = SHAPE.chord(rows, y, x)
        return torch.stack([distance, normal_y, normal_x, inside * entry, inside * leave]) * scale[:, None, None]

    given = [tensor.requires_grad_() for tensor in (size, rotation, y + 0.013, x - 0.021)]
    assert torch.autograd.gradcheck(
        answers, given, eps=1e-7, atol=3e-6, rtol=1e-5, check_forward_ad=True, fast_mode=True
    )
    extents = [size, rotation]

    def numbers(size: Tensor, rotation: Tensor) -> tuple[Tensor, ...]:
        axes = axes_of(rotation)
        ways = torch.tensor([[[0.3, -2.0], [1.0, 0.4]]], dtype=DOUBLE).expand(2, 2, 2)
        return SHAPE.volume(size), SHAPE.reach(size, axes), SHAPE.support(size, axes, ways)

    assert torch.autograd.gradcheck(numbers, extents, eps=1e-7, atol=1e-6, check_forward_ad=True)


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_gradients_stay_finite_in_degenerate_poses(dtype: torch.dtype) -> None:
    """Face-on, on edge, needles and plates; at the centre, on the rim and far outside."""
    half = math.sqrt(0.5)
    sizes = list(itertools.product(([0.5, 0.5, 0.5], [0.01, 0.01, 2.0], [0.01, 1.0, 1.0]), (1.0, 0.5, 0.11)))
    poses = [[1.0, 0.0, 0.0, 0.0], [half, half, 0.0, 0.0], [half, 0.0, half, 0.0], [half, 0.0, 0.0, half]]
    size = torch.tensor([[*semi, roundness] for semi, roundness in sizes for _ in poses], dtype=dtype).requires_grad_()
    rotation = torch.tensor(poses * len(sizes), dtype=dtype).requires_grad_()
    axis = torch.linspace(-4.0, 4.0, 33, dtype=dtype)
    y, x = axis[None, :, None].clone().requires_grad_(), axis[None, None, :].clone().requires_grad_()
    rows, scale = SHAPE.prepare(size, axes_of(rotation), 0.1)
    answers = [scale, *SHAPE.edge(rows, y, x), *SHAPE.chord(rows, y, x), thickness(SHAPE, rows, scale, y, x, 0.1)]
    assert all(bool(answer.isfinite().all()) for answer in answers)
    for answer in answers[1:]:
        for gradient in torch.autograd.grad(answer.sum(), (size, rotation, y, x), retain_graph=True):
            assert bool(gradient.isfinite().all())


def test_transforms_of_torch_pass_through() -> None:
    size, rotation = drawn(3, 0.5)
    y, x = plane(5, 0.3)

    def length(size: Tensor, rotation: Tensor) -> Tensor:
        rows, scale = SHAPE.prepare(size[None], axes_of(rotation[None]), 0.1)
        return thickness(SHAPE, rows, scale, y, x, 0.1)[0]

    together = torch.func.vmap(length)(size, rotation)
    apart = torch.stack([length(*one) for one in zip(size, rotation, strict=True)])
    assert together.numpy() == pytest.approx(apart.numpy(), abs=1e-12)
    forward = torch.func.jacfwd(length)(size[0], rotation[0])
    backward = torch.func.jacrev(length)(size[0], rotation[0])
    assert forward.numpy() == pytest.approx(backward.numpy(), abs=1e-10)


def test_a_scene_of_rounded_cubes_is_drawn_and_annotated() -> None:
    size = torch.tensor([[0.5, 0.5, 0.5, 0.3], [0.4, 0.6, 0.5, 1.0]])
    cubes = ew.Particles(
        SHAPE,
        torch.tensor([[0.0, -1.0, 0.0], [0.0, 1.0, 0.5]]),
        size,
        torch.full((2,), 1.4),
        torch.randn(2, 4, generator=seeded()),
    )
    scene = ew.Scene(
        ew.Specimen((cubes,), medium=1.33), ew.brightfield(na=0.5, wavelength=0.55), ew.Grid((48, 48), 0.1)
    )
    assert bool(ew.render(scene).isfinite().all())
    truth = ew.annotate(scene)
    assert len(truth.boxes) == 2


@pytest.mark.parametrize("roundness", [0.1, 1.01, 2.0])
def test_a_roundness_out_of_range_is_refused(roundness: float) -> None:
    with pytest.raises(ValueError, match=r"roundness must lie in \(0.1, 1\], got [0-9.]+; 1 is an ellipsoid"):
        ew.Particles(SHAPE, [[0, 0, 0]], [[1.0, 1.0, 1.0, roundness]], [1.5])


def test_the_shape_keeps_the_protocol() -> None:
    shape: Shape = SHAPE
    size = torch.tensor([[1.0, 2.0, 3.0, 0.5]])
    same, kept = shape.unconstrained(size)
    assert same == SHAPE
    assert kept is size
    assert len(shape.lengths) == 4
    assert SHAPE.radius(torch.tensor([[1.0, 1.0, 1.0, 1.0]])).tolist() == pytest.approx([1.0], rel=1e-5)
    # No support of a vanishing direction.
    assert SHAPE.support(size, torch.eye(3)[None], torch.zeros(1, 1, 2)).tolist() == [[0.0]]
