"""Fragments: heights, slopes and cover of bodies over samples, their order, and what is left of light behind them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import exitwave as ew
from exitwave.field import Canvas
from exitwave.raster.fragments import Fragments, fragments

GRID = ew.Grid((48, 40), 0.05)
CANVAS = Canvas(GRID, (0, 0), (48, 40))
LIKE = torch.zeros((), dtype=torch.float64)
SHAPES = {
    "sphere": (ew.Sphere(), [0.41]),
    "ellipsoid": (ew.Ellipsoid(), [0.3, 0.42, 0.5]),
    "rod": (ew.Rod(), [0.2, 0.3]),
    "box": (ew.Box(), [0.31, 0.27, 0.4]),
    "disk": (ew.Disk(), [0.45, 0.15]),
    "superellipsoid": (ew.Superellipsoid(), [0.31, 0.42, 0.5, 0.5]),
    "rounded crystal": (ew.RoundedCrystal((1.0, 1.0, 1.0), ((1, 0, 0),), "m-3m"), [0.4, 0.5]),
}


def body(name: str, center: tuple[float, float, float] = (0.3, 0.11, -0.07), seed: int = 0) -> ew.Particles:
    shape, size = SHAPES[name]
    turn = torch.randn(1, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return ew.Particles(shape, [center], [size], [1.5], rotation=turn).to(torch.float64)


def samples(found: Fragments) -> tuple[Tensor, Tensor]:
    """Return the coordinates y and x (F,) of fragments in micrometres."""
    rows, columns = GRID.axis(0, LIKE), GRID.axis(1, LIKE)
    return rows[found.sample // 40], columns[found.sample % 40]


def inside(part: ew.Particles, points: Tensor) -> Tensor:
    """Return whether points (P, 3) lie in a body, from what the shapes are defined by."""
    local = (points - part.center) @ part.axes[0]
    size = part.size[0]
    match type(part.shape).__name__:
        case "Sphere":
            return local.norm(dim=-1) < size[0]
        case "Ellipsoid":
            return (local / size).norm(dim=-1) < 1
        case "Rod":
            along = local[:, 2].clamp(-(size[1] - size[0]), size[1] - size[0])
            return (local - torch.stack([0 * along, 0 * along, along], -1)).norm(dim=-1) < size[0]
        case "Box":
            return (local.abs() < size).all(-1)
        case "Superellipsoid":
            return ((local / size[:3]).abs() ** (2 / size[3])).sum(-1) < 1
        case "RoundedCrystal":  # a cube
            radius = size[0] * size[1]
            return (local.abs() - (size[0] - radius)).clamp(min=0.0).norm(dim=-1) < radius
        case _:
            return (local[:, 1:].norm(dim=-1) < size[0]) & (local[:, 0].abs() < size[1])


@pytest.mark.parametrize("name", SHAPES)
def test_heights_are_those_of_a_ray_that_is_marched_through_the_body(name: str) -> None:
    part = body(name)
    found = fragments([part], CANVAS, LIKE)
    whole = found.share == 1
    y, x = (value[whole] for value in samples(found))
    z = torch.linspace(-1.0, 1.6, 20001, dtype=torch.float64)
    assert int(whole.sum()) > 50
    for number in range(0, len(y), 7):
        ray = torch.stack([z, y[number].expand_as(z), x[number].expand_as(z)], -1)
        within = z[inside(part, ray)]
        assert float(found.bottom[whole][number]) == pytest.approx(float(within.min()), abs=3e-4)
        assert float(found.top[whole][number]) == pytest.approx(float(within.max()), abs=3e-4)


@pytest.mark.parametrize("name", SHAPES)
def test_cover_adds_up_to_the_area_of_the_silhouette(name: str) -> None:
    part = body(name)
    found = fragments([part], CANVAS, LIKE)
    outline = part.shape.outline(part.size, part.axes)[0]
    following = outline.roll(-1, 0)
    area = 0.5 * float((outline[:, 0] * following[:, 1] - outline[:, 1] * following[:, 0]).sum().abs())
    assert float(found.share.sum()) * 0.05**2 == pytest.approx(area, rel=8e-3)


@pytest.mark.parametrize("name", SHAPES)
def test_slopes_are_differences_of_heights(name: str) -> None:
    """Of a fine grid's heights, away from rims and edges."""
    part = body(name, (0.0, 0.0, 0.0))
    fine = Canvas(ew.Grid((401, 401), 0.003), (0, 0), (401, 401))
    found = fragments([part], fine, LIKE)
    height = torch.full((401 * 401,), torch.nan, dtype=torch.float64)
    down, across = height.clone(), height.clone()
    whole = found.share == 1
    height[found.sample[whole]] = found.top[whole]
    down[found.sample[whole]], across[found.sample[whole]] = found.slope[:, whole]
    height, down, across = (one.reshape(401, 401) for one in (height, down, across))
    middle = (height[2:, 1:-1] - height[:-2, 1:-1]) / 0.006, (height[1:-1, 2:] - height[1:-1, :-2]) / 0.006
    for slope, difference in zip((down, across), middle, strict=True):
        error = (slope[1:-1, 1:-1] - difference).abs()
        seen = torch.isfinite(error) & (difference.abs() < 2)
        # Where a ridge passes between the two, the difference is neither side's.
        assert float(error[seen].median()) < 5e-4
        assert float((error[seen] < 2e-2).double().mean()) > 0.95


def test_a_sphere_has_the_normals_of_its_radii() -> None:
    part = body("sphere")
    found = fragments([part], CANVAS, LIKE)
    whole = found.share == 1
    y, x = samples(found)
    radii = (torch.stack([found.top, y, x], -1) - part.center)[whole] / 0.41
    assert torch.allclose(found.normal[whole], radii, atol=1e-9)
    assert torch.allclose(found.cosine[whole], radii[:, 0], atol=1e-9)


def test_fragments_go_by_sample_and_from_the_top_down() -> None:
    """Three bodies over one another, in any order of parts."""
    parts = [body("box", (0.0, 0.0, 0.0)), body("sphere", (1.2, 0.1, 0.0)), body("rod", (-0.9, 0.0, 0.1))]
    found = fragments(parts, CANVAS, LIKE)
    steps = found.sample.diff()
    assert bool((steps >= 0).all())
    assert bool((found.top.diff()[steps == 0] <= 0).all())
    middle = found.sample == 24 * 40 + 20
    assert found.body[middle].tolist() == [1, 0, 2]


def test_what_passes_is_the_product_of_what_every_layer_lets_pass() -> None:
    parts = [body(name, (0.4 * number, 0.1 * number, 0.0)) for number, name in enumerate(SHAPES)]
    found = fragments(parts, CANVAS, LIKE)
    through = torch.rand(len(found.sample), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    above, below = found.passed(through)
    left: dict[int, float] = {}
    for number, sample in enumerate(found.sample.tolist()):
        assert float(above[number]) == pytest.approx(left.get(sample, 1.0), rel=1e-9)
        left[sample] = left.get(sample, 1.0) * float(through[number])
    assert below.tolist() == pytest.approx(list(left.values()), rel=1e-9)


def test_what_is_opaque_hides_all_below_it() -> None:
    found = fragments([body("box", (0.0, 0.0, 0.0)), body("sphere", (1.2, 0.0, 0.0))], CANVAS, LIKE)
    above, below = found.passed(1 - found.share)
    middle = found.sample == 24 * 40 + 20
    assert above[middle].tolist() == pytest.approx([1.0, 0.0], abs=1e-9)
    assert float(below[(found.sample.unique() == 24 * 40 + 20).nonzero()[0, 0]]) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("name", SHAPES)
def test_every_number_of_a_body_has_its_derivative(name: str) -> None:
    """Of heights, slopes and cover, in both modes; weights keep from rims, where slopes are infinite."""
    part = body(name)
    coarse = Canvas(ew.Grid((11, 9), 0.17), (0, 0), (11, 9))

    def seen(center: Tensor, size: Tensor, rotation: Tensor) -> Tensor:
        moved = ew.substitute(part, {"center": center, "size": size, "rotation": rotation})
        found = fragments([moved], coarse, LIKE)
        return torch.stack([found.top.sum(), found.thickness.square().sum(), found.share.sum(), found.cosine.sum()])

    given = tuple(value.clone().requires_grad_() for value in (part.center, part.size, part.rotation))
    assert torch.autograd.gradcheck(seen, given, eps=1e-6, atol=2e-5, check_forward_ad=True)


def test_bodies_beyond_the_canvas_and_none_at_all() -> None:
    assert len(fragments([body("sphere", (0.0, 9.0, 0.0))], CANVAS, LIKE).sample) == 0
    assert len(fragments([], CANVAS, LIKE).sample) == 0
    cut = fragments([body("sphere", (0.0, 1.2, 0.0))], CANVAS, LIKE)
    assert 0 < len(cut.sample) < math.pi * (0.41 / 0.05) ** 2
    with pytest.raises(TypeError, match=r"electrons see Particles, Mesh and Chains, and Film as .* got Points"):
        fragments([ew.Points([[0, 0, 0]])], CANVAS, LIKE)


def test_kernels_pass_the_same_light_with_the_same_derivatives() -> None:
    """Single precision goes through the kernels, double through torch; opaque layers are among them."""
    parts = [body(name, (0.4 * number, 0.1 * number, 0.0)) for number, name in enumerate(SHAPES)]
    found = fragments(parts, CANVAS, LIKE)
    generator = torch.Generator().manual_seed(0)
    through = torch.rand(len(found.sample), generator=generator, dtype=torch.float64)
    through[::5] = 0.0
    weights = torch.rand(2, len(through), generator=generator, dtype=torch.float64)
    results = []
    for given in (through.clone().requires_grad_(), through.float().requires_grad_()):
        above, below = found.passed(given)
        ((above * weights[0].to(given)).sum() + (below * weights[1, : len(below)].to(given)).sum()).backward()
        assert given.grad is not None
        results.append((above.detach().double(), below.detach().double(), given.grad.double()))
    for slow, quick in zip(*results, strict=True):
        assert torch.allclose(slow, quick, atol=2e-6)


def test_single_precision_is_ordered_alike() -> None:
    parts = [body("sphere", (0.02 * number, 0.0, 0.01 * number)) for number in range(12)]
    double, single = (fragments([part.to(like.dtype) for part in parts], CANVAS, like) for like in (LIKE, LIKE.float()))
    assert torch.equal(double.sample, single.sample)
    assert torch.equal(double.body, single.body)
