"""Annotations of volumes: against closed forms, and against distances and flood fills that know no triangle."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import scipy.ndimage
import torch

import exitwave as ew
from exitwave.annotate import VolumeTruth, annotate
from exitwave.annotate.crossed import curve_voxels, wall_voxels
from exitwave.model import Value
from exitwave.specimen import Tetrahedra
from exitwave.specimen.assembly import Assembly
from exitwave.specimen.meshes.solids import icosphere

VOXEL = (0.3, 0.2, 0.25)
GRID = ew.Grid((40, 60, 48), VOXEL)


def scene(*parts: Value, grid: ew.Grid = GRID) -> ew.Scene:
    microscope = ew.widefield(ew.GaussianPSF(sigma=(0.4, 0.2, 0.2)))
    return ew.Scene(ew.Specimen(parts), microscope, grid)


def truth_of(*parts: Value, grid: ew.Grid = GRID) -> VolumeTruth:
    return annotate(scene(*parts, grid=grid))


def places(grid: ew.Grid = GRID) -> np.ndarray:
    """Return the coordinates (Z, H, W, 3) of voxel centres."""
    like = torch.zeros((), dtype=torch.float64)
    return np.stack(np.meshgrid(*(grid.axis(k, like).numpy() for k in range(3)), indexing="ij"), -1)


def two_boxes() -> ew.Mesh:
    """Return two boxes of 2 x 2 x 1.5 um side by side along x, with one wall between them."""
    x = (-1.5, 0.0, 1.5)
    points = np.array([(z, y, place) for place in x for z, y in ((-1, -1), (-1, 1), (1, 1), (1, -1))], float) + 0.01
    quads, sides = [], []
    for box in (0, 1):
        a, b = 4 * box, 4 * box + 4
        for k in range(4):
            quads.append((a + k, a + (k + 1) % 4, b + (k + 1) % 4, b + k))
            sides.append((box + 1, 0))
    quads += [(0, 3, 2, 1), (4, 5, 6, 7), (8, 9, 10, 11)]
    sides += [(1, 0), (1, 2), (2, 0)]
    faces = np.array([corner for q in quads for corner in ((q[0], q[1], q[2]), (q[0], q[2], q[3]))])
    mesh = ew.Mesh(points, faces, regions=np.repeat(sides, 2, 0))
    # Turn what does not lead out of its region.
    middle = np.array([[0, 0, -0.75], [0, 0, 0.75]]) + 0.01
    corners, normal = mesh.corners().numpy(), mesh.area_vectors().numpy()
    behind = mesh.regions[:, 0].numpy() - 1
    inward = ((corners.mean(1) - middle[behind]) * normal).sum(1) < 0
    return ew.Mesh(points, np.where(inward[:, None], faces[:, ::-1], faces), regions=mesh.regions)


def test_a_ball_has_its_volume_area_middle_and_box() -> None:
    center = np.array([0.4, -1.1, 0.7])
    truth = truth_of(icosphere(2.5, center.tolist(), subdivisions=5))
    assert truth.volume == pytest.approx([4 / 3 * math.pi * 2.5**3], rel=2e-3)
    assert truth.surface_area == pytest.approx([4 * math.pi * 2.5**2], rel=2e-3)
    assert truth.center[0] == pytest.approx(center, abs=1e-5)
    middle = [n // 2 for n in GRID.shape]
    box = np.concatenate([(center - 2.5) / VOXEL + middle, (center + 2.5) / VOXEL + middle])
    assert truth.boxes[0] == pytest.approx(box, abs=0.01)
    assert np.isnan(truth.length).all()
    assert (truth.classes, truth.class_id.tolist(), truth.truncated.tolist()) == (("cell",), [0], [False])


def test_labels_are_the_voxels_whose_centre_lies_in_the_ball() -> None:
    truth = truth_of(icosphere(2.5, (0.4, -1.1, 0.7), subdivisions=6))
    distance = np.linalg.norm(places() - [0.4, -1.1, 0.7], axis=-1)
    sure = abs(distance - 2.5) > 0.003  # what the faces cut off the ball
    assert (truth.mask(0) == (distance < 2.5))[sure].all()
    assert truth.voxels.tolist() == [truth.mask(0).sum()]


def test_cells_share_a_wall_and_no_voxel() -> None:
    truth = truth_of(two_boxes())
    assert truth.volume == pytest.approx([6.0, 6.0], rel=1e-6)
    assert truth.surface_area == pytest.approx([20.0, 20.0], rel=1e-6)
    assert truth.center == pytest.approx(np.array([[0, 0, -0.75], [0, 0, 0.75]]) + 0.01, abs=1e-6)
    # Every wall is on average as bright as its membranes: one outside, two between the cells.
    assert truth.physical["density"] == pytest.approx([(16 + 2 * 4) / 20] * 2, rel=1e-6)
    own = places() - 0.01
    expected = np.where((abs(own) < [1, 1, 1.5]).all(-1), np.where(own[..., 2] < 0, 1, 2), 0)
    assert (truth.labels["cell"] == expected).all()


def test_nothing_leaks_through_the_walls() -> None:
    truth = truth_of(icosphere(2.0, subdivisions=3), two_boxes())
    free = np.zeros(GRID.shape, dtype=np.int32)
    scipy.ndimage.label(~truth.membranes, output=free)
    inside = truth.labels["cell"] > 0
    outer = free == free[0, 0, 0]
    assert not (outer & inside & ~truth.membranes).any()
    assert (outer | inside | truth.membranes).all()


def test_walls_are_where_the_surface_is() -> None:
    # A face that cuts a line through a voxel's middle is at most half a voxel's longest side from it.
    truth = truth_of(icosphere(2.5, subdivisions=5))
    distance = np.linalg.norm(places(), axis=-1)[truth.membranes]
    assert abs(distance - 2.5).max() <= 0.5 * max(VOXEL) + 0.01
    # A line along an axis meets it once per voxel it crosses: along z, all over a disc, twice.
    assert truth.membranes.any(0).sum() * VOXEL[1] * VOXEL[2] == pytest.approx(math.pi * 2.5**2, rel=0.12)


def test_a_dark_surface_is_no_wall() -> None:
    ball = icosphere(2.0)
    filled = ew.Mesh(ball.vertices, ball.faces, fill_density=[3.0], label="nucleus")
    truth = truth_of(filled)
    assert not truth.membranes.any()
    assert truth.physical["fill_density"] == pytest.approx([3.0])


def test_a_nucleus_in_a_cell_has_labels_of_its_own() -> None:
    nucleus = ew.Mesh(icosphere(1.0).vertices, icosphere(1.0).faces, fill_density=[1.0], label="nucleus")
    truth = truth_of(Assembly((icosphere(2.0), nucleus)))
    assert truth.classes == ("cell", "nucleus")
    inside = truth.labels["nucleus"] == 2
    assert inside.any()
    assert (truth.labels["cell"][inside] == 1).all()
    assert [truth.mask(k).sum() for k in range(2)] == truth.voxels.tolist()


def test_a_curve_has_its_length_and_its_voxels() -> None:
    turn = np.linspace(0, 1.5 * math.pi, 400)
    ring = np.stack([0 * turn, 2 * np.sin(turn), 2 * np.cos(turn)], -1)
    line = np.array([[-3.0, -4.0, -4.0], [2.9, 4.1, 3.7]])
    vertices = np.concatenate([line, ring])
    segments = [[0, 1], *[[k, k + 1] for k in range(2, len(vertices) - 1)]]
    truth = truth_of(ew.Filaments(vertices, segments))
    assert len(truth) == 2
    assert truth.length == pytest.approx([np.linalg.norm(line[1] - line[0]), 3 * math.pi], rel=1e-4)
    assert truth.center[0] == pytest.approx(line.mean(0), abs=1e-6)
    # The second route: the voxels of a thousand places along it.
    along = np.linspace(line[0], line[1], 100_001)
    voxel = np.unique(np.floor(along / VOXEL + [n // 2 + 0.5 for n in GRID.shape]).astype(int), axis=0)
    found = np.argwhere(curve_voxels(vertices, np.array(segments[:1]), np.array([1]), GRID) == 1)
    assert found.tolist() == voxel.tolist()


def test_points_are_in_the_voxel_that_holds_them() -> None:
    center = np.random.default_rng(0).uniform(-3, 3, (30, 3))
    truth = truth_of(ew.Points(center, np.arange(30.0)))
    for number, place in enumerate(center):
        z, y, x = np.floor(place / VOXEL + [n // 2 + 0.5 for n in GRID.shape]).astype(int)
        assert truth.labels["point"][z, y, x] >= number + 1
    assert truth.physical["emission"].tolist() == list(range(30))
    assert truth.center == pytest.approx(center, abs=1e-6)


def test_tetrahedra_are_bodies() -> None:
    cube = np.array([(z, y, x) for z in (0, 1) for y in (0, 1) for x in (0, 1)], float) * 1.7 - 0.62
    cells = [[0, 1, 3, 7], [0, 3, 2, 7], [0, 2, 6, 7], [0, 6, 4, 7], [0, 4, 5, 7], [0, 5, 1, 7]]
    body = Tetrahedra(np.concatenate([cube, cube + 2.5]), cells + (np.array(cells) + 8).tolist(), [1.0] * 6 + [2.0] * 6)
    truth = truth_of(body)
    assert truth.volume == pytest.approx([1.7**3] * 2, rel=1e-5)
    assert truth.surface_area == pytest.approx([6 * 1.7**2] * 2, rel=1e-5)
    assert truth.physical["fill_density"] == pytest.approx([1.0, 2.0])
    own = places()
    expected = ((own > -0.62) & (own < 1.08)).all(-1) + 2 * ((own > 1.88) & (own < 3.58)).all(-1)
    assert (truth.labels["cell"] == expected).all()


def test_what_crosses_the_border_is_truncated() -> None:
    truth = truth_of(icosphere(1.0, (0, 5.9, 0)), icosphere(1.0), icosphere(1.0, (0, 20.0, 0)))
    assert truth.truncated.tolist() == [True, False, False]
    assert truth.visible.tolist() == [0, 1]
    assert truth.voxels[2] == 0


def test_an_open_surface_has_no_volume() -> None:
    ball = icosphere(2.0)
    bowl = ew.Mesh(ball.vertices, ball.faces[: len(ball.faces) // 2])
    truth = truth_of(bowl)
    assert np.isnan(truth.volume).all()
    assert truth.surface_area == pytest.approx([float(bowl.areas().sum())], rel=1e-5)
    assert truth.voxels.tolist() == [0]
    assert truth.membranes.any()


def test_the_mesh_of_a_cell_is_its_own() -> None:
    truth = truth_of(icosphere(1.0, (0, -3.0, 0)), two_boxes())
    for number in (1, 2):
        mesh = truth.mesh(number)
        assert bool(mesh.closed().all())
        assert mesh.regions.unique(dim=0).tolist() == [[1, 0]]
        again = truth_of(mesh)
        assert again.volume == pytest.approx(truth.volume[number : number + 1], rel=1e-5)
        assert (again.mask(0) == truth.mask(number)).all()
    first, second = truth.surfaces
    assert (first.regions.unique().tolist(), second.regions.unique().tolist()) == ([0, 1], [0, 2, 3])


def test_parts_without_a_label_are_background() -> None:
    ball = icosphere(1.0)
    truth = truth_of(ew.Mesh(ball.vertices, ball.faces, label=""), ew.Points([[0, 0, 0]], label=""))
    assert (len(truth), truth.classes, truth.labels) == (0, (), {})
    assert not truth.membranes.any()


def test_one_plane_is_a_volume_too() -> None:
    truth = truth_of(icosphere(2.0, (0.5, 0, 0), 5), grid=ew.Grid((1, 64, 64), (1.0, 0.1, 0.1)))
    assert truth.voxels[0] * 0.01 == pytest.approx(math.pi * (4 - 0.25), rel=0.01)


def test_it_can_be_sent_to_another_process() -> None:
    truth = truth_of(two_boxes(), ew.Points([[0, 0, 0]]))
    again = pickle.loads(pickle.dumps(truth))
    assert (again.membranes == truth.membranes).all()
    assert again.mesh(1) == truth.mesh(1)


def test_large_faces_and_faces_far_outside() -> None:
    square = np.array([[0, -900.0, -900], [0, -900, 900], [0, 900, 900], [0, 900, -900]]) + 0.04
    walls = wall_voxels(square, np.array([[0, 1, 2], [0, 2, 3]]), GRID)
    assert walls.sum() == 60 * 48
    assert walls[20].all()
    assert not wall_voxels(square + 1000, np.array([[0, 1, 2], [0, 2, 3]]), GRID).any()


def test_errors_say_what_was_expected() -> None:
    bead = ew.Particles(ew.Sphere(), [[0, 0, 0]], [[1.0]], [1.5])
    with pytest.raises(ValueError, match=r"particles need a grid \(height, width\), got one with a depth; drop"):
        annotate(scene(bead))
    with pytest.raises(ValueError, match=r"wires and meshes, got Points on a grid \(height, width\); give what"):
        annotate(scene(ew.Points([[0, 0, 0]]), grid=ew.Grid((8, 8), 0.1)))
    with pytest.raises(
        TypeError, match=r"expected meshes, filaments or points .* got Scattered; if it is a population"
    ):
        annotate(scene(ew.Scattered()))
    truth = truth_of(icosphere(1.0), ew.Points([[0, 0, 0]]))
    with pytest.raises(IndexError, match="expected an instance from 0 to 1, got 2; instance k has id k"):
        truth.mask(2)
    with pytest.raises(ValueError, match="instance 1 is a point without a surface"):
        truth.mesh(1)
