"""Fragments of meshes: heights, slopes and cover of what triangles enclose, against bodies, voxels and closed forms."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

import exitwave as ew
from exitwave.field import Canvas
from exitwave.raster.fragments import Fragments, fragments
from exitwave.raster.triangles import mesh_fragments
from exitwave.specimen.meshes import blob, foam, icosphere, torus, volumes, voxelize

LIKE = torch.zeros((), dtype=torch.float64)
PIXEL = 0.05
SHAPE = (48, 40)
CANVAS = Canvas(ew.Grid(SHAPE, PIXEL), (0, 0), SHAPE)
# For volumes: round rims are a little too thick, by the square of the cell.
FINE, STEP = Canvas(ew.Grid((108, 108), 0.02), (0, 0), (108, 108)), 0.02


def double(values: object) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float64)


def turned(mesh: ew.Mesh, seed: int, about: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> ew.Mesh:
    """Return a mesh turned about the origin at random and moved."""
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))[0]
    moved = mesh.vertices.double() @ (turn * turn.det().sign()) + double(about)
    return ew.Mesh(moved, mesh.faces, regions=mesh.regions)


def box(half: Tensor, axes: Tensor, center: Tensor) -> ew.Mesh:
    """Return a box with half edges along the columns of `axes`."""
    signs = double(list(itertools.product((-1.0, 1.0), repeat=3)))
    faces = []
    for axis, sign in itertools.product(range(3), (-1.0, 1.0)):
        square = [number for number in range(8) if signs[number, axis] == sign]
        for triple in (square[:3], square[1:]):
            a, b, c = signs[triple] @ axes.T
            # The right-hand rule in (x, y, z) is the left-hand rule in (z, y, x).
            out = float(-torch.linalg.cross(b - a, c - a) @ (a + b + c)) > 0
            faces.append(triple if out else triple[::-1])
    return ew.Mesh(center + signs * half @ axes.T, faces)


def maps(found: Fragments, *values: Tensor) -> list[Tensor]:
    """Return values of fragments as maps (H, W), NaN where there are none; the topmost fragment of each sample."""
    first = torch.ones_like(found.sample, dtype=torch.bool)
    first[1:] = found.sample.diff() != 0
    made = [torch.full((math.prod(SHAPE),), torch.nan, dtype=torch.float64) for _ in values]
    for one, value in zip(made, values, strict=True):
        one[found.sample[first]] = value[first]
    return made


def test_a_fine_sphere_of_triangles_is_the_sphere() -> None:
    ball = ew.Particles(ew.Sphere(), [(0.3, 0.11, -0.07)], [[0.8]], [1.5]).to(torch.float64)
    mesh = icosphere(double(0.8), (0.3, 0.11, -0.07), subdivisions=5)
    given, wanted = fragments([mesh], CANVAS, LIKE), fragments([ball], CANVAS, LIKE)
    seen, true = (maps(found, found.top, found.thickness, *found.slope, found.share) for found in (given, wanted))
    inner = (seen[4] == 1) & (true[4] == 1) & (true[2].square() + true[3].square() < 4)
    assert int(inner.sum()) > 400
    for one, other, error in zip(seen[:4], true[:4], (1e-3, 2e-3, 0.08, 0.08), strict=True):
        assert float((one - other)[inner].abs().max()) < error
    assert float((seen[4] - true[4]).nan_to_num().abs().max()) < 0.02
    assert float(given.share.sum()) * PIXEL**2 == pytest.approx(math.pi * 0.8**2, rel=2e-3)


@pytest.mark.parametrize("seed", range(4))
def test_a_box_of_triangles_is_the_box(seed: int) -> None:
    """Away from the corners of the silhouette, where the distance to it is not that to one edge."""
    turn = torch.randn(1, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    block = ew.Particles(ew.Box(), double([(0.2, 0.03, -0.02)]), double([(0.31, 0.47, 0.6)]), [1.5], rotation=turn)
    block = block.to(torch.float64)
    mesh = box(block.size[0], block.axes[0], block.center[0])
    given, wanted = fragments([mesh], CANVAS, LIKE), fragments([block], CANVAS, LIKE)
    seen, true = (
        torch.stack(maps(found, found.top, found.bottom, *found.slope, found.share)) for found in (given, wanted)
    )
    ticks = [(torch.arange(n, dtype=torch.float64) - n // 2) * PIXEL for n in SHAPE]
    place = torch.stack(torch.meshgrid(*ticks, indexing="ij"), -1).reshape(-1, 1, 2)
    away = (place - mesh.vertices[:, 1:]).norm(dim=-1).amin(1) > PIXEL
    assert int((seen[4][away] < 1).sum()) > 40
    assert torch.allclose(seen[:, away], true[:, away], atol=1e-9, equal_nan=True)


def test_faces_whose_edges_pass_through_samples_are_met_once() -> None:
    """An upright box with all its edges, and the diagonals of its faces, on samples, and walls along the beam.

    Of its four corners, which lie on samples too, nothing is said.
    """
    mesh = box(double([0.3, 0.5, 0.5]), torch.eye(3, dtype=torch.float64), double([0.0, 0.0, 0.0]))
    found = fragments([mesh], CANVAS, LIKE)
    assert len(found.sample.unique()) == len(found.sample) >= 21 * 21 - 4
    assert torch.allclose(found.thickness, double(0.6))
    assert float(found.slope.abs().max()) == 0
    share = maps(found, found.share)[0].reshape(SHAPE)
    assert share[24, 9:32].nan_to_num().tolist() == pytest.approx([0, 0.5, *[1] * 19, 0.5, 0], abs=1e-9)
    assert share[13:36, 20].nan_to_num().tolist() == pytest.approx([0, 0.5, *[1] * 19, 0.5, 0], abs=1e-9)


def test_lines_through_a_tilted_torus_are_those_of_its_voxels() -> None:
    """Each line in and out up to twice, against columns of voxels that another routine fills along x."""
    mesh = turned(torus(0.6, 0.2, segments=(48, 24)), 2, (0.02, -0.03, 0.01))
    found = fragments([mesh], CANVAS, LIKE)
    step, deep = 0.005, 400
    solid = voxelize(mesh, (deep, *SHAPE), (step, PIXEL, PIXEL)).flatten(1).bool()
    z = (torch.arange(deep, dtype=torch.float64) - deep // 2)[:, None] * step
    filled, lines = torch.zeros_like(solid), torch.zeros(math.prod(SHAPE), dtype=torch.long)
    partial = torch.zeros(math.prod(SHAPE), dtype=torch.bool)
    partial[found.sample[found.share < 1]] = True
    for layer in range(2):
        some = [number for number, rank in enumerate(ranks(found)) if rank == layer]
        sample = found.sample[some]
        filled[:, sample] |= (z <= found.top[some]) & (z >= found.bottom[some])
        lines[sample] += 1
    assert int((lines[~partial] == 2).sum()) > 20
    assert bool((filled == solid)[:, ~partial].all())


def ranks(found: Fragments) -> list[int]:
    """Return how many fragments of the same sample come before each."""
    seen: dict[int, int] = {}
    result = []
    for sample in found.sample.tolist():
        result.append(seen.get(sample, 0))
        seen[sample] = result[-1] + 1
    return result


def test_a_torus_on_edge_is_met_twice() -> None:
    """Over its middle, at the heights of the circle's two ends."""
    flat = torus(double(0.6), double(0.2), segments=(128, 64))
    mesh = ew.Mesh(flat.vertices[:, [1, 2, 0]], flat.faces)
    found = fragments([mesh], CANVAS, LIKE)
    middle = found.sample == 24 * 40 + 20
    assert found.top[middle].tolist() == pytest.approx([0.8, -0.4], abs=2e-3)
    assert found.bottom[middle].tolist() == pytest.approx([0.4, -0.8], abs=2e-3)
    assert found.share[middle].tolist() == [1, 1]


def test_cells_of_a_foam_add_up_to_its_hull() -> None:
    cells = turned(foam(double([[0.0, 0.0, -0.3], [0.1, 0.1, 0.3]]), edge=0.12), 1)
    outer = (cells.regions == 0).any(1)
    hull = ew.Mesh(cells.vertices, cells.faces[outer], regions=cells.regions[outer].clamp(max=1))
    found, whole = fragments([cells], CANVAS, LIKE), fragments([hull], CANVAS, LIKE)
    assert sorted(found.body.unique().tolist()) == [0, 1]
    thick, hollow, cover = (torch.zeros(math.prod(SHAPE), dtype=torch.float64) for _ in range(3))
    thick.index_add_(0, found.sample, found.thickness * found.share)
    hollow.index_add_(0, whole.sample, whole.thickness * whole.share)
    cover.index_add_(0, found.sample, (found.share < 1).double())
    sharp = (cover == 0) & (hollow > 0)
    assert int(sharp.sum()) > 200
    assert torch.allclose(thick[sharp], hollow[sharp], atol=1e-9)
    assert float(thick.sum()) == pytest.approx(float(hollow.sum()), rel=5e-3)
    found = fragments([cells], FINE, LIKE)
    for region, volume in enumerate(volumes(cells).tolist()):
        own = found.body == region
        assert float((found.thickness * found.share)[own].sum()) * STEP**2 == pytest.approx(volume, rel=5e-3)


@pytest.mark.parametrize("seed", range(3))
def test_thickness_adds_up_to_the_volume(seed: int) -> None:
    """Of bodies with dents, whose folds lie within their silhouettes."""
    mesh = blob(double(0.6), 0.25, torch.Generator().manual_seed(seed), subdivisions=4)
    found = fragments([mesh], FINE, LIKE)
    assert float((found.thickness * found.share).sum()) * STEP**2 == pytest.approx(float(volumes(mesh)), rel=5e-3)


def test_hollows_split_lines_and_overlaps_join_them() -> None:
    ball, core = icosphere(double(0.6), subdivisions=3), icosphere(double(0.3), subdivisions=3)
    shell = ew.Mesh(torch.cat([ball.vertices, core.vertices]), torch.cat([ball.faces, core.faces.flip(1) + 642]))
    twins = ew.Mesh(torch.cat([ball.vertices, core.vertices + double([0.5, 0, 0])]),
                    torch.cat([ball.faces, core.faces + 642]))  # fmt: skip
    for mesh, top, bottom in ((shell, [0.6, -0.3], [0.3, -0.6]), (twins, [0.8], [-0.6])):
        found = fragments([mesh], CANVAS, LIKE)
        middle = found.sample == 24 * 40 + 20
        assert found.top[middle].tolist() == pytest.approx(top, abs=5e-3)
        assert found.bottom[middle].tolist() == pytest.approx(bottom, abs=5e-3)
        # The smaller sphere's rim has the larger one behind it.
        row, column = found.sample // 40 - 24, found.sample % 40 - 20
        assert bool((found.share[row**2 + column**2 < (0.5 / PIXEL) ** 2] == 1).all())


def test_every_vertex_has_its_derivative() -> None:
    """Of heights, slopes and cover, in both modes."""
    rough = turned(icosphere(double(0.6), subdivisions=0), 5)
    noise = torch.randn(12, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    coarse = Canvas(ew.Grid((11, 9), 0.17), (0, 0), (11, 9))

    def seen(vertices: Tensor) -> Tensor:
        found = fragments([ew.Mesh(vertices, rough.faces)], coarse, LIKE)
        weight = torch.cos(found.sample.double())
        parts = found.top, found.thickness.square(), found.share, found.cosine, found.share * found.thickness
        return torch.stack([(weight * part).sum() for part in parts])

    given = (rough.vertices + 0.05 * noise).requires_grad_()
    assert torch.autograd.gradcheck(seen, (given,), eps=1e-7, atol=2e-5, check_forward_ad=True)


def test_cover_grows_by_the_length_of_the_silhouette() -> None:
    """A hard silhouette would say that it does not."""
    radius = double(0.7).requires_grad_()
    found = fragments([icosphere(radius, (0.0, 0.012, 0.003), subdivisions=4)], CANVAS, LIKE)
    (found.share.sum() * PIXEL**2).backward()
    assert radius.grad is not None
    assert float(radius.grad) == pytest.approx(2 * math.pi * 0.7, rel=0.03)


def test_needles_and_flat_faces_have_finite_derivatives() -> None:
    """Sides along the beam, faces without area, and a body that is thinner than a cell."""
    mesh = box(double([0.3, 0.4, 0.01]), torch.eye(3, dtype=torch.float64), double([0.0, 0.0, 0.003]))
    given = mesh.vertices.clone().requires_grad_()
    faces = torch.cat([mesh.faces, torch.tensor([[0, 1, 1], [1, 0, 0]])])
    found = fragments([ew.Mesh(given, faces)], CANVAS, LIKE)
    (found.top.sum() + found.thickness.sum() + found.share.sum() + found.cosine.sum()).backward()
    assert len(found.sample) > 10
    assert given.grad is not None
    assert bool(torch.isfinite(given.grad).all())


def test_meshes_with_holes_are_refused() -> None:
    ball = icosphere(double(0.5), subdivisions=1)
    two = torch.cat([ball.faces, ball.faces[1:] + 42])
    regions = torch.tensor([[1, 0]] * 80 + [[2, 0]] * 79)
    mesh = ew.Mesh(torch.cat([ball.vertices, ball.vertices + 1]), two, regions=regions)
    with pytest.raises(
        ValueError, match="thickness of region 2 is undefined, its surface is not closed; repair the mesh first"
    ):
        fragments([mesh], CANVAS, LIKE)
    with pytest.raises(ValueError, match="thickness of region 1 is negative, it is inside out; repair the mesh first"):
        fragments([ew.Mesh(ball.vertices, ball.faces.flip(1))], CANVAS, LIKE)


def test_meshes_beyond_the_canvas_and_cut_off_by_it() -> None:
    ball = icosphere(double(0.5), subdivisions=3)
    off = ew.Mesh(ball.vertices + double([0.0, 9.0, 0.0]), ball.faces)
    assert len(fragments([off], CANVAS, LIKE).sample) == 0
    whole = fragments([ball], CANVAS, LIKE)
    corner = Canvas(ew.Grid((10, 12), PIXEL), (0, 0), (10, 12))
    cut = fragments([ball], corner, LIKE)
    rows, columns = whole.sample // 40 - 24 + 5, whole.sample % 40 - 20 + 6
    kept = (rows >= 0) & (rows < 10) & (columns >= 0) & (columns < 12)
    assert cut.sample.tolist() == (rows * 12 + columns)[kept].tolist()
    assert torch.allclose(cut.top, whole.top[kept])
    assert torch.allclose(cut.share, whole.share[kept])


def test_bodies_are_counted_by_regions_and_come_in_single_precision() -> None:
    balls = [icosphere(0.3, (0.0, 0.5 * step, 0.0), subdivisions=3) for step in (-1, 1)]
    mesh = ew.Mesh(
        torch.cat([ball.vertices for ball in balls]),
        torch.cat([balls[0].faces, balls[1].faces + 642]),
        regions=torch.tensor([[1, 0]] * 1280 + [[3, 0]] * 1280),
    )
    (single,), count = mesh_fragments(mesh, 7, CANVAS, LIKE.float())
    (found,), _ = mesh_fragments(mesh, 7, CANVAS, LIKE)
    assert count == 3
    assert single.body.unique().tolist() == [7, 9]
    assert single.top.dtype == torch.float32
    assert torch.equal(single.sample, found.sample)
    assert torch.allclose(single.top.double(), found.top, atol=1e-6)
