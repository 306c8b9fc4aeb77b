"""Measures of meshes against closed forms, and what a mesh refuses."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

from exitwave.model import substitute
from exitwave.specimen.mesh import Mesh
from exitwave.specimen.meshes import blob, centroids, icosphere, mean_curvature, surface_areas, torus, volumes


def double(number: float) -> Tensor:
    return torch.tensor(number, dtype=torch.float64)


def twins() -> Mesh:
    """Return two unit cubes side by side in x, with one wall between them: regions 1 and 2."""
    vertices = [[z, y, x] for x in (0.0, 1.0, 2.0) for y in (0.0, 1.0) for z in (0.0, 1.0)]
    faces, regions = [], []

    def square(corners: tuple[int, ...], normal: tuple[float, ...], behind: int, front: int) -> None:
        for triangle in ((0, 1, 2), (0, 2, 3)):
            a, b, c = (torch.tensor(vertices[corners[k]], dtype=torch.float64) for k in triangle)
            # Vertices are (z, y, x), and faces turn by the right-hand rule in (x, y, z).
            right = torch.linalg.cross((b - a).flip(0), (c - a).flip(0)).flip(0)
            order = triangle if float(right @ torch.tensor(normal, dtype=torch.float64)) > 0 else triangle[::-1]
            faces.append([corners[k] for k in order])
            regions.append([behind, front])

    for cell in (1, 2):
        base = 4 * (cell - 1)
        for near, normal in (((0, 1), (0, -1.0, 0)), ((2, 3), (0, 1.0, 0))):
            square((base + near[0], base + near[1], base + 4 + near[1], base + 4 + near[0]), normal, cell, 0)
        for near, normal in (((0, 2), (-1.0, 0, 0)), ((1, 3), (1.0, 0, 0))):
            square((base + near[0], base + near[1], base + 4 + near[1], base + 4 + near[0]), normal, cell, 0)
    square((0, 1, 3, 2), (0, 0, -1.0), 1, 0)
    square((4, 5, 7, 6), (0, 0, 1.0), 1, 2)
    square((8, 9, 11, 10), (0, 0, 1.0), 2, 0)
    return Mesh(torch.tensor(vertices, dtype=torch.float64), faces, regions=regions)


def test_sphere_has_the_volume_area_and_curvature_of_a_sphere() -> None:
    radius, center = double(2.0), (1.0, -2.0, 3.0)
    errors = []
    for subdivisions in (3, 4):
        sphere = icosphere(radius, center, subdivisions)
        errors.append(float(4 / 3 * math.pi * 8 - volumes(sphere)))
        torch.testing.assert_close(centroids(sphere), double(1.0) * torch.tensor([center], dtype=torch.float64))
        torch.testing.assert_close(
            mean_curvature(sphere), torch.full_like(sphere.vertices[:, 0], 0.5), rtol=1e-3, atol=0
        )
        assert float(surface_areas(sphere)) == pytest.approx(16 * math.pi, rel=2 * 4.0**-subdivisions)
    # Faces cut the sphere's surface short by the square of their size.
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.02)
    assert 0 < errors[1] < 0.005 * 4 / 3 * math.pi * 8


def test_torus_has_the_volume_area_and_curvature_of_a_torus() -> None:
    ring = torus(double(3.0), 1.0, center=(0.5, 0.0, -1.0), segments=(192, 96))
    assert float(volumes(ring)) == pytest.approx(2 * math.pi**2 * 3, rel=2e-3)
    assert float(surface_areas(ring)) == pytest.approx(4 * math.pi**2 * 3, rel=2e-3)
    out = (ring.vertices[:, 1:] - torch.tensor([0.0, -1.0])).norm(dim=1)
    torch.testing.assert_close(mean_curvature(ring), (2 * out - 3) / (2 * out), rtol=0, atol=2e-4)


def test_blob_varies_by_its_roughness_around_its_radius() -> None:
    drawn = [blob(double(4.0), 0.1, torch.Generator().manual_seed(seed), subdivisions=3) for seed in range(20)]
    logarithms = torch.stack([body.vertices.norm(dim=1).div(4).log() for body in drawn])
    assert float(logarithms.std()) == pytest.approx(0.1, rel=0.15)
    assert all(bool(body.closed().all()) and float(volumes(body)) > 0 for body in drawn)
    assert drawn[0] == blob(double(4.0), 0.1, torch.Generator().manual_seed(0), subdivisions=3)
    assert drawn[0] != drawn[1]


def test_cells_that_share_a_wall_have_volumes_and_areas_of_their_own() -> None:
    pair = twins()
    assert volumes(pair).tolist() == pytest.approx([1.0, 1.0])
    assert surface_areas(pair).tolist() == pytest.approx([6.0, 6.0])
    torch.testing.assert_close(centroids(pair), torch.tensor([[0.5, 0.5, 0.5], [0.5, 0.5, 1.5]], dtype=torch.float64))
    assert pair.closed().tolist() == [True, True]
    assert pair.density.sum() == 20 + 2 * 2
    assert not mean_curvature(pair)[4:8].any(), "walls meet there"


def test_hollow_sphere_is_its_outside_less_its_inside() -> None:
    outer, inner = icosphere(double(2.0)), icosphere(double(1.0))
    faces = torch.cat([outer.faces, inner.faces.flip(1) + len(outer.vertices)])
    shell = Mesh(torch.cat([outer.vertices, inner.vertices]), faces)
    torch.testing.assert_close(volumes(shell), volumes(outer) - volumes(inner))
    assert float(mean_curvature(shell)[-1]) == pytest.approx(-1.0, rel=1e-2), (
        "seen from behind, a hollow is bent inward"
    )


def test_measures_follow_the_radius() -> None:
    """All measures are powers of the radius: their slopes are known, backward and forward."""
    radius = double(1.5).requires_grad_()
    for measure, power in ((volumes, 3), (surface_areas, 2), (mean_curvature, -1)):
        value = measure(icosphere(radius, subdivisions=1)).sum()
        (slope,) = torch.autograd.grad(value, radius)
        assert float(slope) == pytest.approx(power * float(value.detach()) / 1.5)
        with forward_ad.dual_level():
            moving = forward_ad.make_dual(radius.detach(), double(1.0))
            tangent = forward_ad.unpack_dual(measure(icosphere(moving, subdivisions=1)).sum()).tangent
        assert tangent is not None
        assert float(tangent) == pytest.approx(float(slope))


def test_slopes_by_the_vertices() -> None:
    egg = blob(double(1.0), 0.2, torch.Generator().manual_seed(3), subdivisions=1)
    for measure in (volumes, surface_areas, centroids, mean_curvature):
        assert torch.autograd.gradcheck(
            lambda at, measure=measure: measure(substitute(egg, {"vertices": at})),
            (egg.vertices.clone().requires_grad_(),),
            check_forward_ad=True,
            fast_mode=True,
        )


def test_slopes_are_finite_where_faces_have_no_area() -> None:
    vertices = torch.tensor([[0, 0, 0], [0, 0, 1.0], [0, 0, 2.0], [0, 0, 0]], requires_grad=True)
    flat = substitute(Mesh(vertices.detach(), [[0, 1, 2], [0, 3, 1]]), {"vertices": vertices})
    for measure in (volumes, surface_areas, centroids, mean_curvature):
        (slope,) = torch.autograd.grad(measure(flat).sum(), vertices)
        assert torch.isfinite(slope).all()


def test_slopes_add_up_in_the_same_order_every_time() -> None:
    sphere = icosphere(1.0, subdivisions=4)
    vertices = sphere.vertices.clone().requires_grad_()
    moving = substitute(sphere, {"vertices": vertices})
    slopes = [torch.autograd.grad(surface_areas(moving).sum() + volumes(moving).sum(), vertices)[0] for _ in range(3)]
    assert all(torch.equal(slopes[0], slope) for slope in slopes[1:])


def test_open_meshes_hold_no_light() -> None:
    sphere = icosphere(1.0, subdivisions=1)
    Mesh(sphere.vertices, sphere.faces, fill_density=[3.0])
    Mesh(sphere.vertices, sphere.faces[1:], fill_density=[0.0])
    with pytest.raises(ValueError, match=r"fill_density must be 0 in regions that are not closed .* region 1; repair"):
        Mesh(sphere.vertices, sphere.faces[1:], fill_density=[3.0])
    turned = torch.cat([sphere.faces[:1].flip(1), sphere.faces[1:]])
    with pytest.raises(ValueError, match="not closed and oriented"):
        Mesh(sphere.vertices, turned, fill_density=[3.0])


def test_only_the_lit_regions_need_be_closed() -> None:
    pair = twins()
    torn = pair.regions[:, 0] == 2
    keep = ~(torn & (torn.cumsum(0) == 1))
    parts = (pair.vertices, pair.faces[keep])
    assert Mesh(*parts, regions=pair.regions[keep], fill_density=[1.0, 0.0]).closed().tolist() == [True, False]
    with pytest.raises(ValueError, match="light in region 2"):
        Mesh(*parts, regions=pair.regions[keep], fill_density=[1.0, 1.0])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: icosphere(0.0), "radius must be positive"),
        (lambda: icosphere(1.0, subdivisions=20), "subdivisions must lie from 0 to 9, got 20"),
        (lambda: torus(1.0, 2.0), "minor must lie between 0 and the major radius 1, got 2"),
        (lambda: torus(2.0, 1.0, segments=(2, 8)), "at least 3 segments"),
        (lambda: Mesh([[0, 0, 0.0]], [[0, 0, 1]]), "must name vertices from 0 to 0, got 1"),
        (lambda: Mesh([[0, 0, math.nan]], [[0, 0, 0]]), "Mesh.vertices must be finite"),
        (lambda: Mesh([[0, 0, 0.0]], torch.zeros(0, 3, dtype=torch.int64)), "at least one row"),
        (lambda: Mesh([[0, 0, 0.0]], [[0, 0, 0]], regions=[[-1, 0]]), "regions must lie from 0"),
    ],
)
def test_what_cannot_be(build: object, message: str) -> None:
    assert callable(build)
    with pytest.raises(ValueError, match=message):
        build()
