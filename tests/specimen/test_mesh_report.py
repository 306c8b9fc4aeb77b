"""Reports on meshes with one known fault each, and their repairs."""

from __future__ import annotations

import pytest
import torch

from exitwave.specimen.mesh import Mesh
from exitwave.specimen.meshes import foam, icosphere, repair, report, torus, volumes


def soup(mesh: Mesh) -> Mesh:
    """Return the same faces, none of which shares a vertex with another."""
    faces = torch.arange(3 * len(mesh.faces)).reshape(-1, 3)
    return Mesh(mesh.corners().flatten(0, 1), faces, regions=mesh.regions)


def test_sound_meshes_have_no_faults() -> None:
    ring = report(torus(2.0, 1.0))
    assert (ring.euler, ring.closed, ring.oriented, ring.manifold, ring.faults) == (0, (True,), (True,), True, ())
    assert str(ring).endswith("no faults")
    cells = report(foam([[0, 0, -1.0], [0, 0, 1.0]], hull=(3.0, 3.0, 4.0), edge=1.0))
    assert (cells.euler, cells.closed, cells.oriented) == (3, (True, True), (True, True)), "two spheres share a disk"
    assert (cells.manifold, cells.consistent, cells.faults) == (False, True, ())
    assert cells.junction_edges > 5


def test_holes_are_found() -> None:
    sphere = icosphere(1.0)
    found = report(Mesh(sphere.vertices, sphere.faces[:-1]))
    assert (found.closed, found.border_edges) == ((False,), 3)
    assert found.faults == ("region 1 open: their boundaries end somewhere",)


def test_turned_faces_are_found_and_turned_back() -> None:
    sphere = icosphere(1.0)
    faces = sphere.faces.clone()
    faces[100:200] = faces[100:200].flip(1)
    turned = Mesh(sphere.vertices, faces)
    found = report(turned)
    assert (found.closed, found.oriented, found.consistent) == ((True,), (False,), True)
    assert found.turned_edges > 0
    mended, done = repair(turned)
    assert done == ["turned 100 faces"]
    assert report(mended).faults == ()
    torch.testing.assert_close(volumes(mended), volumes(sphere))


def test_meshes_inside_out_are_turned() -> None:
    sphere = icosphere(1.0)
    inverted = Mesh(sphere.vertices, sphere.faces.flip(1))
    assert report(inverted).faults == ("region 1 inside out: their volumes are negative",)
    assert float(volumes(repair(inverted)[0])) > 4


def test_hollows_stay_hollow() -> None:
    outer, inner = icosphere(2.0), icosphere(1.0)
    faces = torch.cat([outer.faces, inner.faces.flip(1) + len(outer.vertices)])
    shell = Mesh(torch.cat([outer.vertices, inner.vertices]), faces)
    mended, done = repair(shell)
    assert done == []
    assert mended == shell


def test_regions_within_regions_are_put_in_order() -> None:
    """A nucleus within a cell, its faces between regions 1 and 2 and named the wrong way round."""
    outer, inner = icosphere(2.0), icosphere(1.0)
    faces = torch.cat([outer.faces, inner.faces + len(outer.vertices)])
    regions = torch.tensor([[1, 0]] * len(outer.faces) + [[1, 2]] * len(inner.faces))
    wrong = Mesh(torch.cat([outer.vertices, inner.vertices]), faces, regions=regions)
    assert float(volumes(wrong)[1]) < 0
    mended, _ = repair(wrong)
    expected = torch.cat([volumes(outer) - volumes(inner), volumes(inner)])
    torch.testing.assert_close(volumes(mended), expected, rtol=1e-4, atol=0)


def test_moebius_band_has_no_sides() -> None:
    count = 12
    turn = torch.arange(count) * (2 * torch.pi / count)
    rim = []
    for width in (-0.3, 0.3):
        reach = 1 + width * (turn / 2).cos()
        rim.append(torch.stack([width * (turn / 2).sin(), reach * turn.sin(), reach * turn.cos()], -1))
    faces = []
    for i in range(count):
        here, there = (i, i + count), ((i + 1) % count, (i + 1) % count + count)
        there = there if i + 1 < count else there[::-1]
        faces += [[here[0], here[1], there[0]], [here[1], there[1], there[0]]]
    band = Mesh(torch.cat(rim), faces)
    assert not report(band).consistent
    assert "left 24 faces as they were that cannot turn one way" in repair(band)[1]


def test_loose_triangles_are_sewn_together() -> None:
    sphere = icosphere(1.0, subdivisions=2)
    loose = soup(sphere)
    found = report(loose)
    assert (found.closed, found.duplicate_vertices) == ((False,), 960 - 162)
    mended, done = repair(loose)
    assert done == ["merged 798 vertices with others at their places"]
    assert (len(mended.vertices), report(mended).faults) == (162, ())


def test_needless_parts_are_dropped() -> None:
    sphere = icosphere(1.0, subdivisions=1)
    vertices = torch.cat([sphere.vertices, torch.tensor([[5.0, 5, 5], [6, 6, 6]])])
    faces = torch.cat([sphere.faces, sphere.faces[:2].roll(1, 1), torch.tensor([[3, 3, 4]])])
    found = report(Mesh(vertices, faces))
    assert (found.unreferenced_vertices, found.empty_faces, found.duplicate_faces) == (2, 1, 2)
    mended, done = repair(Mesh(vertices, faces))
    assert done == [
        "dropped 1 faces without area",
        "dropped 2 faces that were copies of others",
        "dropped 2 vertices without faces",
    ]
    assert mended == sphere


def test_folds_are_taken_out() -> None:
    """A tetrahedron pressed flat against a sphere: after merging, its faces lie in pairs on one another."""
    sphere = icosphere(1.0, subdivisions=1)
    a, b, c = sphere.faces[0].tolist()
    tip = len(sphere.vertices)
    vertices = torch.cat([sphere.vertices, sphere.vertices[[c]]])
    fold = torch.tensor([[a, b, tip], [b, c, tip], [c, a, tip]])
    folded = Mesh(vertices, torch.cat([sphere.faces[1:], fold]))
    assert bool(folded.closed().all())
    mended, _ = repair(folded)
    assert report(mended).faults == ()
    torch.testing.assert_close(volumes(mended), volumes(sphere))


def test_flat_faces_are_joined_with_their_neighbours() -> None:
    """A vertex on a side of a face, with a face without area between them: dropping that would open the sphere."""
    sphere = icosphere(1.0, subdivisions=1)
    a, b, c = sphere.faces[0].tolist()
    middle = len(sphere.vertices)
    vertices = torch.cat([sphere.vertices, sphere.vertices[[a, b]].mean(0, keepdim=True)])
    flat = torch.tensor([[a, middle, c], [middle, b, c], [a, b, middle]])
    split = Mesh(vertices, torch.cat([sphere.faces[1:], flat]))
    assert (bool(split.closed().all()), report(split).empty_faces) == (True, 1)
    mended, done = repair(split)
    assert done == ["joined 1 faces without area with their neighbours"]
    assert report(mended).faults == ()
    torch.testing.assert_close(volumes(mended), volumes(sphere))


def test_faces_that_pass_through_one_another_are_counted() -> None:
    sphere = icosphere(1.0)
    vertices = sphere.vertices.clone()
    vertices[0] = -1.5 * vertices[0]
    found = report(Mesh(vertices, sphere.faces))
    assert found.intersections > 0
    assert f"{found.intersections} pairs of faces that pass through one another" in found.faults[-1]


def test_what_is_nothing_but_points_is_refused() -> None:
    with pytest.raises(ValueError, match="must have faces with an area, got none"):
        repair(Mesh([[0, 0, 0.0], [0, 0, 1.0]], [[0, 1, 1]]))
