"""Wires: chains of capsules against rods, marched rays and closed forms; where they lie when they cross."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

import exitwave as ew
from exitwave.field import Canvas
from exitwave.random import Key
from exitwave.raster.fragments import Fragments, fragments
from exitwave.specimen.wires import Chains, Wires

GRID = ew.Grid((60, 64), 0.05)
CANVAS = Canvas(GRID, (0, 0), (60, 64))
LIKE = torch.zeros((), dtype=torch.float64)
RADIUS = 0.17
BENT = [[0.3, -0.9, -1.1], [0.35, -0.6, -0.4], [0.3, 0.1, -0.1], [0.25, 0.2, 0.6], [0.35, 0.9, 0.9]]


def chain(vertices: Tensor | list[list[float]], radius: float = RADIUS) -> Chains:
    return Chains(torch.as_tensor(vertices, dtype=torch.float64), torch.tensor([radius], dtype=torch.float64))


def found(*parts: object) -> Fragments:
    return fragments(parts, CANVAS, LIKE)


def places(part: Fragments) -> Tensor:
    """Return the coordinates (F, 2), y and x, of fragments in micrometres."""
    rows, columns = GRID.axis(0, LIKE), GRID.axis(1, LIKE)
    return torch.stack([rows[part.sample // GRID.shape[1]], columns[part.sample % GRID.shape[1]]], -1)


def distance(points: Tensor, vertices: Tensor) -> Tensor:
    """Return the distance (P,) of points (P, 3) to the line through vertices (V, 3)."""
    first, run = vertices[:-1], torch.diff(vertices, dim=0)
    along = ((points[:, None] - first) * run).sum(-1) / run.square().sum(-1)
    return (points[:, None] - first - along.clamp(0, 1)[..., None] * run).norm(dim=-1).amin(1)


@pytest.mark.parametrize("azimuth", [0.0, 0.5, 2.2, -1.3])
def test_straight_wire_of_many_capsules_is_one_rod(azimuth: float) -> None:
    share = torch.tensor([-1.0, -0.7, -0.65, -0.1, 0.3, 1.0], dtype=torch.float64)[:, None]
    middle = torch.tensor([0.3, 0.05, -0.03], dtype=torch.float64)
    axis = torch.tensor([0.0, math.sin(azimuth), math.cos(azimuth)], dtype=torch.float64)
    wire = found(chain(middle + 0.8 * share * axis))
    turn = torch.tensor([[math.cos(azimuth / 2), 0.0, 0.0, math.sin(azimuth / 2)]], dtype=torch.float64)
    size = torch.tensor([[RADIUS, 0.8 + RADIUS]], dtype=torch.float64)
    body = ew.Particles(ew.Rod(), middle[None], size, [1.5], rotation=turn)
    rod = found(body)
    assert torch.equal(wire.sample, rod.sample)
    assert torch.equal(wire.body, rod.body)
    for name in ("top", "bottom", "share", "slope"):
        torch.testing.assert_close(getattr(wire, name), getattr(rod, name), rtol=0, atol=1e-9)


def test_heights_are_those_of_a_ray_that_is_marched_through_the_chain() -> None:
    part = chain(BENT)
    wire = found(part)
    assert len(wire.sample.unique()) == len(wire.sample)
    y, x = places(wire).T
    # Samples whose cell lies well inside of the silhouette.
    flat = torch.cat([torch.zeros_like(part.vertices[:, :1]), part.vertices[:, 1:]], 1)
    deep = distance(torch.stack([0 * y, y, x], -1), flat) < RADIUS - 0.05
    z = torch.arange(0.0, 0.7, 1e-4, dtype=torch.float64)
    for top, bottom, row, column in zip(*(each[deep][::7] for each in (wire.top, wire.bottom, y, x)), strict=True):
        line = torch.stack([z, row.expand_as(z), column.expand_as(z)], -1)
        hit = z[distance(line, part.vertices) < RADIUS]
        assert abs(float(hit[-1] - top)) < 3e-3
        assert abs(float(hit[0] - bottom)) < 3e-3


@pytest.mark.parametrize("bend", [0.3, 1.0, 1.8])
def test_volume_of_a_bent_wire_counts_its_joint_once(bend: float) -> None:
    """Cylinders that lie in the plane, less their overlap at the inner side, and a wedge of a sphere at the outer."""
    arms = 0.7
    corner = torch.tensor([0.3, -0.2, 0.013], dtype=torch.float64)
    ends = [torch.tensor([0.0, -math.sin(turn), -math.cos(turn)], dtype=torch.float64) for turn in (0.2, 0.2 + bend)]
    part = chain(torch.stack([corner + arms * ends[0], corner, corner - arms * ends[1]]), radius=0.2)
    wire = fragments([part], Canvas(ew.Grid((240, 256), 0.0125), (0, 0), (240, 256)), LIKE)
    volume = float((wire.share * wire.thickness).sum()) * 0.0125**2
    joint = 2 / 3 * bend - 4 / 3 * math.tan(bend / 2)
    exact = 2 * arms * math.pi * 0.2**2 + (4 / 3 * math.pi + joint) * 0.2**3
    assert volume == pytest.approx(exact, rel=2e-3)


def test_thickness_along_the_axis_has_no_step_at_a_joint() -> None:
    fine = ew.Grid((3, 400), 0.002)
    wire = fragments(
        [chain([[0.3, 0.0, -0.5], [0.3, 0.0, 0.011], [0.3, 0.1, 0.6]])], Canvas(fine, (0, 0), (3, 400)), LIKE
    )
    middle = wire.thickness[wire.sample // 400 == 1]
    assert len(middle) == 400
    assert float(middle.diff().abs().max()) < 1e-3
    assert float(middle.max()) <= 2 * RADIUS + 1e-6


def test_wire_that_crosses_itself_higher_up_has_two_fragments_of_one_body() -> None:
    loop = [[0.2, 0.0, -1.0], [0.2, 0.0, 1.0], [0.6, 0.9, 0.9], [1.0, 0.8, 0.0], [1.0, -0.8, 0.0]]
    wire = found(chain(loop))
    here = wire.sample == 30 * 64 + 32
    assert wire.body[here].tolist() == [0, 0]
    torch.testing.assert_close(wire.top[here], torch.tensor([1.17, 0.37], dtype=torch.float64), rtol=0, atol=1e-6)
    torch.testing.assert_close(wire.bottom[here], torch.tensor([0.83, 0.03], dtype=torch.float64), rtol=0, atol=1e-6)


def test_wires_are_bodies_of_their_own_among_others() -> None:
    ball = ew.Particles(ew.Sphere(), center=[[2.0, 0, 0]], size=[[0.3]], index=[1.5]).to(torch.float64)
    two = torch.tensor([[0.2, 0, -1.0], [0.2, 0, 1.0], [0.7, -1.0, 0], [0.7, 1.0, 0]], dtype=torch.float64)
    pair = Chains(two, torch.tensor([0.2, 0.3], dtype=torch.float64), wire=[0, 0, 1, 1])
    everything = found(ball, pair, replace(ball, center=ball.center - 0.1))
    assert everything.body[everything.sample == 30 * 64 + 32].tolist() == [0, 3, 2, 1]


def crossing() -> Chains:
    """Two straight wires that cross in the middle of the field."""
    for seed in range(50):
        drawn = Wires(count=2, length=6.0, radius=ew.Uniform(0.1, 0.2), persistence=1e9, sag=1.0).realise(
            Key(seed=seed).generator, (0.5, 0.5)
        )
        runs = drawn.vertices[[0, 61]] - drawn.vertices[[60, 121]]
        if abs(float(torch.linalg.det(runs[:, 1:]))) > 25:
            return drawn.to(torch.float64)
    raise AssertionError("no two wires cross")


def test_upper_wire_rests_on_the_lower_one_and_comes_down_on_either_side() -> None:
    pair = crossing()
    lower, upper = pair.vertices[:61], pair.vertices[61:]
    assert torch.equal(lower[:, 0], pair.radius[:1].expand(61))
    apart = torch.cdist(upper[:, 1:], lower[:, 1:])
    place = int(apart.amin(1).argmin())
    both = float(pair.radius.sum())
    assert float(upper[place, 0]) == pytest.approx(float(pair.radius[0]) + both, rel=1e-6)
    assert float(upper[:, 0].max()) == float(upper[place, 0])
    far = distance(torch.cat([lower[:1, :1].expand(61, 1), upper[:, 1:]], 1), lower) > both + 0.3 + math.sqrt(
        float(pair.radius[0] / pair.radius[1])
    )
    assert bool(far.any())
    torch.testing.assert_close(upper[far, 0], pair.radius[1].expand(int(far.sum())))
    # Where they cross, the upper one is on top and what lies below begins no higher than it ends.
    wires = found(pair)
    numbers, counts = wires.sample.unique(return_counts=True)
    double = numbers[counts == 2]
    assert len(double) > 20
    for sample in double.tolist():
        here = wires.sample == sample
        assert wires.body[here].tolist() == [1, 0]
        assert float(wires.bottom[here][0] - wires.top[here][1]) > -1e-6


@pytest.mark.parametrize("seed", [0, 1])
def test_no_wire_enters_another_or_the_support(seed: int) -> None:
    recipe = Wires(count=40, length=ew.Uniform(0.5, 5.0), radius=ew.Uniform(0.03, 0.06), persistence=5.0, sag=0.4)
    wires = recipe.realise(Key(seed=seed).generator, (5.0, 5.0))
    vertices, radius = wires.vertices.double().numpy(), wires.radius.double().numpy()
    assert (vertices[:, 0] >= radius[wires.wire] * (1 - 1e-6)).all()
    first, last = wires.segments().numpy().T
    share = np.linspace(0, 1, 9)[:, None, None]
    axis = ((1 - share) * vertices[first] + share * vertices[last]).reshape(-1, 3)
    owner = np.tile(wires.wire.numpy()[first], 9)
    nearest = math.inf
    for number in range(wires.count):
        own = owner == number
        free = cdist(axis[own], axis[owner > number]) - radius[number] - radius[owner[owner > number]]
        nearest = min(nearest, float(free.min(initial=math.inf)))
    assert -1e-6 < nearest < 1e-3


def test_wires_bend_as_worm_like_chains_and_lie_in_all_directions() -> None:
    """In the plane the mean cosine between directions that are s apart is exp(-s / (2 persistence))."""
    count = 3000
    recipe = Wires(count=count, length=1.0, persistence=0.5, step=0.05, margin=300.0)
    curves = recipe.realise(Key(seed=4).generator, (1.0, 1.0)).vertices.double().reshape(count, 21, 3)
    run = torch.diff(curves[:, :, 1:], dim=1)
    way = run / run.norm(dim=-1, keepdim=True)
    for apart in (5, 10, 19):
        cosine = (way[:, apart] * way[:, 0]).sum(-1).mean()
        assert float(cosine) == pytest.approx(math.exp(-apart * 0.05), abs=4 / math.sqrt(2 * count))
    assert float(way[:, 10].mean(0).abs().max()) < 4 / math.sqrt(2 * count)
    assert float(curves[:, 10, 1:].abs().max()) < 300.5


def test_slopes_of_heights_by_vertices_and_radius() -> None:
    grid = ew.Grid((9, 11), 0.2)

    def heights(vertices: Tensor, radius: Tensor) -> tuple[Tensor, ...]:
        part = Chains(vertices, radius, wire=[0, 0, 0, 1, 1])
        some = fragments([part], Canvas(grid, (0, 0), (9, 11)), LIKE)
        return some.top, some.bottom, some.share, some.slope

    lower = [[0.31, -0.5, -0.83], [0.35, 0.07, 0.03], [0.29, 0.13, 0.91]]
    vertices = torch.tensor([*lower, [0.9, -0.77, 0.31], [0.87, 0.69, -0.35]], dtype=torch.float64)
    radius = torch.tensor([0.27, 0.23], dtype=torch.float64)
    given = vertices.requires_grad_(), radius.requires_grad_()
    assert torch.autograd.gradcheck(heights, given, eps=1e-7, atol=1e-5, check_forward_ad=True)


def test_segments_of_no_length_leave_slopes_finite() -> None:
    vertices = torch.tensor([[0.3, 0, -0.5], [0.3, 0, 0.1], [0.3, 0, 0.1]], dtype=torch.float64, requires_grad=True)
    radius = torch.tensor([0.2], dtype=torch.float64, requires_grad=True)
    wire = found(Chains(vertices, radius))
    assert torch.equal(wire.sample, found(chain(vertices.detach()[:2], 0.2)).sample)
    slopes = torch.autograd.grad((wire.top * wire.share + wire.slope.sum(0)).sum(), (vertices, radius))
    assert all(bool(slope.isfinite().all()) for slope in slopes)


def test_recipe_draws_alike_from_one_seed_and_shows_wires_brighter_than_the_support() -> None:
    recipe = ew.recipe("agnw-sem")
    scene = ew.sample(recipe, ew.Key(seed=0, index=2))
    assert scene == ew.sample(recipe, ew.Key(seed=0, index=2))
    part = scene.specimen.parts[0]
    assert 15 <= part.count <= 90
    small = ew.Scene(scene.specimen, scene.microscope, ew.Grid((192, 192), 0.01))
    image = ew.render(small)
    covered = fragments([part], Canvas(small.grid, (0, 0), (192, 192)), torch.zeros(())).sample.unique()
    shown = torch.zeros(192 * 192, dtype=torch.bool).index_fill(0, covered, True).reshape(192, 192)
    assert 0 < int(shown.sum()) < 192 * 192 // 2
    assert float(image[shown].mean()) > 2 * float(image[~shown].mean())


def test_no_wires_at_all() -> None:
    none = Wires(count=0).realise(Key(seed=0).generator, (1.0, 1.0))
    assert none.count == 0
    assert not len(found(none.to(torch.float64)).sample)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"radius": [0.1], "wire": [0, 0, 1, 1]}, "count the 1 wires of radius from 0 in order, got 0 to 1"),
        ({"radius": [0.1, 0.1], "wire": [0, 1, 0, 1]}, "sort the vertices"),
        ({"radius": [0.1, 0.1], "wire": [1, 1, 0, 0]}, "sort the vertices"),
        ({"radius": [0.1, 0.1], "wire": [0, 0, 0, 1]}, "at least 2 vertices, got 1"),
        ({"radius": [0.1], "wire": [0, 0, 0]}, "V = 3 entries like wire, got 4"),
        ({"radius": [0.0]}, "radius"),
        ({"radius": [0.1, 0.2]}, "count the 2 wires"),
        ({"radius": [0.1], "secondary": [1.0, 2.0]}, "N = 1"),
        ({"radius": [0.1], "vertices": torch.zeros(0, 3)}, "got none"),
        ({"radius": [0.1], "vertices": torch.full((4, 3), math.nan)}, "vertices"),
    ],
)
def test_bad_chains_are_refused_in_one_line(given: dict[str, Any], words: str) -> None:
    arguments: dict[str, Any] = {"vertices": torch.arange(12.0).reshape(4, 3), **given}
    with pytest.raises(ValueError, match=words) as caught:
        Chains(**arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "given", [{"radius": 0.0}, {"length": -1.0}, {"persistence": 0.0}, {"sag": 0.0}, {"step": 0.0}]
)
def test_bad_recipes_of_wires_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(given))):
        Wires(count=1, **given)
