"""Voxels, distances and collisions of meshes, against closed forms and brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from exitwave.specimen.mesh import Mesh
from exitwave.specimen.meshes import blob, collisions, icosphere, surface_distance, torus, volumes, voxelize
from exitwave.specimen.meshes.nearest import nearest, on_triangles, places
from exitwave.specimen.meshes.surface import surface


def centres(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> list[torch.Tensor]:
    axes = [(torch.arange(n, dtype=torch.float64) - n // 2) * step for n, step in zip(shape, spacing, strict=True)]
    return list(torch.meshgrid(*axes, indexing="ij"))


def together(*parts: Mesh) -> Mesh:
    """Return separate closed surfaces as one mesh, with a region each."""
    start = np.cumsum([0] + [len(part.vertices) for part in parts])
    faces = torch.cat([part.faces + int(first) for part, first in zip(parts, start, strict=False)])
    regions = torch.cat([torch.tensor([[k, 0]]).repeat(len(part.faces), 1) for k, part in enumerate(parts, 1)])
    return Mesh(torch.cat([part.vertices for part in parts]), faces, regions=regions)


def test_voxels_of_a_torus_are_those_inside_it() -> None:
    shape, spacing = (21, 40, 45), (0.2, 0.22, 0.19)
    z, y, x = centres(shape, spacing)
    inside = (torch.hypot(y, x) - 2.8).square() + z.square()
    found = voxelize(torus(2.8, 1.0, segments=(256, 128)), shape, spacing)
    assert found.dtype == torch.int32
    clear = (inside.sqrt() - 1.0).abs() > 2e-3
    assert torch.equal((found > 0)[clear], (inside < 1)[clear])
    assert clear.float().mean() > 0.99


def test_box_with_faces_through_voxel_centres_has_a_whole_number_of_voxels() -> None:
    """Edges, diagonals and corners run through the centres of voxels; each is inside or outside, never half."""
    corners = [[z, y, x] for z in (-2.0, 2.0) for y in (-2.0, 2.0) for x in (-2.0, 2.0)]
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = torch.tensor([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))])
    box = Mesh(corners, faces)
    box = box if float(volumes(box)) > 0 else Mesh(corners, faces.flip(1))
    found = voxelize(box, (9, 9, 9), 1.0) > 0
    along = [found.any(dim=tuple({0, 1, 2} - {axis})).sum() for axis in range(3)]
    assert all(4 <= int(n) <= 5 for n in along)
    assert int(found.sum()) == math.prod(int(n) for n in along), "a box again, without holes or streaks"


def test_volume_of_voxels_is_that_of_the_mesh() -> None:
    egg = blob(2.0, 0.2, torch.Generator().manual_seed(4), subdivisions=4)
    count = int((voxelize(egg, (96, 96, 96), 0.07) > 0).sum())
    assert count * 0.07**3 == pytest.approx(float(volumes(egg)), rel=1e-3)


def test_higher_region_wins_where_they_overlap() -> None:
    cell = together(icosphere(2.0), icosphere(1.0, (0.0, 0.0, 0.3)), icosphere(0.5, (0, 0, 3.0)))
    found = voxelize(cell, (41, 41, 81), 0.1)
    r = [torch.stack(centres((41, 41, 81), (0.1, 0.1, 0.1))).sub(torch.tensor(c).reshape(3, 1, 1, 1)).norm(dim=0)
         for c in ((0, 0, 0), (0, 0, 0.3), (0, 0, 3.0))]  # fmt: skip
    assert int(found[20, 20, 40]) == 2
    assert int(found[20, 20, 70]) == 3
    assert bool((found[r[1] < 0.98] == 2).all())
    assert bool((found[(r[0] < 1.97) & (r[1] > 1)] == 1).all())


def test_hollows_and_what_reaches_beyond_the_grid() -> None:
    outer, inner = icosphere(2.0), icosphere(1.0)
    faces = torch.cat([outer.faces, inner.faces.flip(1) + len(outer.vertices)])
    shell = Mesh(torch.cat([outer.vertices, inner.vertices]), faces)
    assert voxelize(shell, (1, 1, 7), 0.6).flatten().tolist() == [1, 1, 0, 0, 0, 1, 1]
    assert not voxelize(icosphere(1.0, (9.0, 0, 0)), (5, 5, 5), 0.5).any()


def test_open_surfaces_have_no_voxels() -> None:
    sphere = icosphere(1.0)
    with pytest.raises(ValueError, match="region 1 open; repair"):
        voxelize(Mesh(sphere.vertices, sphere.faces[1:]), (5, 5, 5), 0.5)
    with pytest.raises(ValueError, match="three counts and three sizes"):
        voxelize(sphere, (5, 5, 5), (0.5, 0.5, 0.0))


def test_spheres_are_as_far_apart_as_their_radii() -> None:
    found = surface_distance(icosphere(1.0, subdivisions=4), icosphere(1.4, subdivisions=4), 4000)
    assert tuple(found) == pytest.approx((0.4, 0.4, 0.4, 0.4), abs=4e-3)


def test_distances_one_way_are_not_those_the_other_way() -> None:
    """From a small sphere to two of them is nothing; from the two to the one it is half of their surface."""
    near, far = icosphere(1.0, subdivisions=4), icosphere(1.0, (0, 0, 10.0), subdivisions=4)
    found = surface_distance(near, together(near, far), 4000)
    assert found.mean_ab == pytest.approx(0.0, abs=1e-6)
    # The mean distance of a sphere's surface from a point outside is d + r^2 / (3 d).
    assert found.mean_ba == pytest.approx((10 + 1 / 30 - 1) / 2, rel=2e-3)
    assert found.p99_ab == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(ValueError, match="samples must be at least 1"):
        surface_distance(near, far, 0)


def test_nearest_points_are_those_of_all_triangles() -> None:
    """Triangles of very different size and shape; candidates by their middles alone would miss the large ones."""
    rng = np.random.default_rng(5)
    small = icosphere(1.0, subdivisions=2)
    large = np.array([[[-9, -9, 3.0], [-9, 9, 3.0], [9, 0, 3.0]], [[0, 0, 1.5], [0, 0, 1.5], [0, 0, 8.0]]])
    corners = np.concatenate([surface(small).points[surface(small).faces], large])
    points = rng.uniform(-4, 4, (200, 3))
    foot, _ = nearest(places(corners), points)
    every = np.stack([on_triangles(np.repeat(p[None], len(corners), 0), corners) for p in points])
    best = np.linalg.norm(every - points[:, None], axis=-1).min(1)
    found = np.linalg.norm(foot - points, axis=-1)
    assert (found <= best + 0.02).all()
    assert np.mean(found <= best + 1e-12) > 0.9


def test_nearest_point_of_a_triangle_minimises_the_distance() -> None:
    rng = np.random.default_rng(6)
    corners, points = rng.normal(size=(50, 3, 3)), rng.normal(size=(50, 3)) * 2
    foot = on_triangles(points, corners)
    weights = rng.dirichlet(np.ones(3), 4000)
    some = np.einsum("kc,ncd->nkd", weights, corners)
    best = np.linalg.norm(some - points[:, None], axis=-1).min(1)
    found = np.linalg.norm(foot - points, axis=-1)
    assert (found <= best + 1e-12).all()
    assert (best - found).max() < 0.15


def test_spheres_that_overlap_collide_along_a_circle() -> None:
    pair = together(icosphere(1.0, subdivisions=3), icosphere(1.0, (0, 0, 1.2), subdivisions=3))
    hits = collisions(pair)
    assert len(hits)
    assert bool((hits[:, 0] < 1280).all())
    assert bool((hits[:, 1] >= 1280).all())
    middle = pair.corners()[hits.flatten()].mean(1)
    torch.testing.assert_close(middle[:, 2], torch.full_like(middle[:, 2], 0.6), rtol=0, atol=0.12)
    torch.testing.assert_close(middle[:, :2].norm(dim=1), torch.full_like(middle[:, 0], 0.8), rtol=0, atol=0.12)
    assert not len(collisions(together(icosphere(1.0), icosphere(1.0, (0, 0, 2.01)))))


@pytest.mark.parametrize(
    ("other", "meets"),
    [
        ([[1, 0.2, 0.2], [-1, 0.2, 0.2], [0, 5, 5]], True),  # through the middle
        ([[0, 0.2, 0.2], [0, 0.4, 0.2], [0, 0.2, 0.4]], True),  # in one plane, within
        ([[0, 1, 1], [0, 2, 1], [0, 1, 2]], False),  # in one plane, beside
        ([[0, 0.2, 0.2], [1, 0.2, 0.2], [1, 0.4, 0.2]], False),  # touching with a corner
        ([[1e-3, -9, -9], [1e-3, 9, -9], [1e-3, 0, 9]], False),  # parallel and close
        ([[9, 9.3, 9.2], [-9, -8.7, -8.8], [-9, -8.7, -8.7]], True),  # a long needle
    ],
)
def test_triangles_that_pass_through_one_another(other: list[list[float]], meets: bool) -> None:
    first = [[0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]]
    mesh = Mesh(torch.tensor([*first, *other], dtype=torch.float64), [[0, 1, 2], [3, 4, 5]])
    assert (len(collisions(mesh)) == 1) is meets
