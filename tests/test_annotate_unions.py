"""Wires and meshes in images: against rods, boxes and balls, fragments, rays, and distances to polylines."""

from __future__ import annotations

import math
import pickle
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull

import exitwave as ew
from exitwave.annotate import Truth, annotate
from exitwave.data.polygon import seen, tight_rectangle
from exitwave.data.writers.yolo_obb import cut_box
from exitwave.field import Canvas
from exitwave.raster.fragments import fragments
from exitwave.specimen.meshes.solids import blob, icosphere, torus
from exitwave.specimen.wires import Chains, Wires

BENT = np.array([[0.3, -1.9, -2.6], [0.5, -1.4, -0.7], [0.3, 0.1, -0.1], [0.2, 0.2, 1.3], [0.35, 1.8, 2.2]])


def scene(*parts: Any, shape: tuple[int, int] = (96, 128), pixel: float | tuple[float, ...] = 0.1) -> ew.Scene:
    return ew.Scene(ew.Specimen(parts), ew.sem(), ew.Grid(shape, pixel))


def truth_of(*parts: Any, shape: tuple[int, int] = (96, 128), pixel: float | tuple[float, ...] = 0.1) -> Truth:
    return annotate(scene(*parts, shape=shape, pixel=pixel))


def chain(vertices: np.ndarray, radius: float, label: str = "wire") -> Chains:
    return Chains(torch.as_tensor(vertices, dtype=torch.float64), torch.tensor([radius]).double(), label=label)


def ring(turns: float = 1.0, corners: int = 90, middle: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """Return the vertices of a circle of radius 2 um that rises a little."""
    angle = np.linspace(0, 2 * math.pi * turns, corners + 1)
    return np.stack([0.001 * angle, middle[0] + 2 * np.sin(angle), middle[1] + 2 * np.cos(angle)], -1)


def places(truth: Truth) -> np.ndarray:
    """Return y and x (H, W, 2) of the centres of pixels in micrometres."""
    (height, width), step = truth.shape, np.array(truth.pixel)
    return (np.moveaxis(np.indices(truth.shape), 0, -1) - [height // 2, width // 2]) * step


def distance(points: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Return how far points (..., 2) are from a line through vertices (V, 2)."""
    nearest = np.full(points.shape[:-1], np.inf)
    for start, end in pairwise(vertices):
        run = end - start
        along = np.clip(((points - start) @ run) / (run @ run), 0, 1)
        nearest = np.minimum(nearest, np.linalg.norm(points - start - along[..., None] * run, axis=-1))
    return nearest


def area(polygon: np.ndarray) -> float:
    row, column = polygon.T
    return abs(float(row @ np.roll(column, -1) - column @ np.roll(row, -1))) / 2


def filled(polygon: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return where the centres of pixels lie in a polygon, by the crossings of a line towards greater columns."""
    row, column = np.indices(shape)[:, :, :, None] + 1e-7 * math.e
    (r0, c0), (r1, c1) = polygon.T, np.roll(polygon, -1, 0).T
    across = (r0 > row) != (r1 > row)
    return (across & (column < c0 + (row - r0) * (c1 - c0) / np.where(r1 == r0, 1.0, r1 - r0))).sum(-1) % 2 == 1


def box_mesh(center: list[float], half: list[float], turn: float) -> ew.Mesh:
    """Return a box, its half-edges along z, y, x, turned about z from x towards y."""
    signs = np.array([(z, y, x) for z in (-1, 1) for y in (-1, 1) for x in (-1, 1)], float)
    z, y, x = (signs * half).T
    points = np.stack([z, y * math.cos(turn) + x * math.sin(turn), x * math.cos(turn) - y * math.sin(turn)], -1)
    quads = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)]
    faces = np.array([corner for a, b, c, d in quads for corner in ((a, b, c), (a, c, d))])
    corners = points[faces]
    # The normal by the right-hand rule in (x, y, z) points away from the middle.
    first, second = (corners[:, k, ::-1] - corners[:, 0, ::-1] for k in (1, 2))
    outward = (np.cross(first, second) * corners.mean(1)[:, ::-1]).sum(1)
    faces = np.where(outward[:, None] > 0, faces, faces[:, ::-1])
    return ew.Mesh(torch.from_numpy(points + center), faces, label="box")


@pytest.mark.parametrize("pixel", [0.1, (0.08, 0.13)], ids=["square", "anisotropic"])
@pytest.mark.parametrize("azimuth", [0.0, 0.4, 2.2, math.pi / 2])
def test_straight_wire_of_many_capsules_is_one_rod(azimuth: float, pixel: float | tuple[float, float]) -> None:
    share = np.array([-1.0, -0.72, -0.7, -0.1, 0.33, 1.0])[:, None]
    middle, axis = np.array([0.3, 0.05, -0.03]), np.array([0.25, math.sin(azimuth), math.cos(azimuth)])
    length = 2.5 * float(np.linalg.norm(axis))
    ends = middle + 2.5 * share * axis
    # The half turn about the bisector of body x and the axis.
    way = (axis / np.linalg.norm(axis) + [0, 0, 1])[None]
    turn = np.concatenate([[[0.0]], way[:, ::-1]], 1)
    rod = ew.Particles(ew.Rod(), middle[None], [[0.4, 0.4 + length]], [1.5], rotation=turn, label="wire")
    one, many = truth_of(rod.to(torch.float64), pixel=pixel), truth_of(chain(ends, 0.4), pixel=pixel)
    # In single precision, the middle of a rod is.
    np.testing.assert_allclose(many.boxes, one.boxes, atol=1e-4)
    np.testing.assert_allclose(area(many.oriented_boxes[0]), area(one.oriented_boxes[0]), rtol=1e-5)
    assert (many.ids != one.ids).sum() <= 2
    assert many.amodal_area[0] == pytest.approx(one.amodal_area[0], abs=2)
    both = (many.ids > 0) & (one.ids > 0)
    np.testing.assert_allclose(many.depth[both], one.depth[both], atol=2e-3)
    assert area(many.contours[0]) == pytest.approx(area(one.contours[0]), rel=1e-4)
    assert len(many.contours[0]) <= 70


def test_pixels_of_a_bent_wire_are_those_near_its_axis() -> None:
    wire = chain(BENT, 0.37)
    truth = truth_of(wire)
    near = distance(places(truth), BENT[:, 1:])
    assert np.array_equal(truth.ids > 0, near <= 0.37)
    assert np.array_equal(truth.amodal_mask(0), near <= 0.37)
    assert truth.amodal_area[0] == truth.area[0] == (near <= 0.37).sum()
    low, high = BENT[:, 1:].min(0) - 0.37, BENT[:, 1:].max(0) + 0.37
    np.testing.assert_allclose(truth.boxes[0], np.concatenate([low, high]) * 10 + [48, 64, 48, 64], atol=1e-6)
    assert truth.center[0].tolist() == pytest.approx(_middle(BENT).tolist())


def _middle(vertices: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(np.diff(vertices, axis=0), axis=1, keepdims=True)
    return (length * (vertices[1:] + vertices[:-1]) / 2).sum(0) / length.sum()


@pytest.mark.parametrize("pixel", [0.1, (0.08, 0.13)], ids=["square", "anisotropic"])
def test_smallest_rectangle_around_a_bent_wire_is_that_of_all_directions(pixel: float | tuple[float, float]) -> None:
    truth = truth_of(chain(BENT, 0.37), pixel=pixel)
    angle = np.linspace(0, 2 * math.pi, 1001)
    round_ = 0.37 * np.stack([np.sin(angle), np.cos(angle)], -1)
    outline = (BENT[:, None, 1:] + round_).reshape(-1, 2) / truth.pixel + [48, 64]
    outline = outline[ConvexHull(outline).vertices]
    turn = np.linspace(0, math.pi / 2, 10001)
    along, across = (outline @ np.stack(way) for way in ((np.sin(turn), np.cos(turn)), (np.cos(turn), -np.sin(turn))))
    least = (np.ptp(along, axis=0) * np.ptp(across, axis=0)).min()
    corners = truth.oriented_boxes[0]
    # Between two of these directions the area changes by up to 4e-4.
    assert area(corners) == pytest.approx(least, rel=4e-4)
    for start, end in zip(corners, np.roll(corners, -1, 0), strict=True):
        side = (end - start) / np.linalg.norm(end - start)
        beyond = (outline - start) @ [-side[1], side[0]]
        assert min(beyond.max(), -beyond.min()) == pytest.approx(0, abs=1e-3)


def test_wires_across_the_border_and_beyond_it_are_counted_whole() -> None:
    inside = truth_of(chain(BENT, 0.37)).amodal_area[0]
    moved = [truth_of(chain(BENT + shift, 0.37)) for shift in ([0, 4.0, 0], [0, 0, -90.0], [-5.0, 0, 0])]
    assert [int(truth.amodal_area[0]) for truth in moved] == [inside] * 3
    assert [bool(truth.truncated[0]) for truth in moved] == [True, False, False]
    assert 0 < moved[0].area[0] == moved[0].amodal_mask(0).sum() < inside
    assert moved[1].area[0] == moved[1].visible_fraction[0] == 0
    # Below the support, too, geometry alone decides.
    assert moved[2].area[0] == inside


def test_wire_that_closes_a_loop_has_a_hole() -> None:
    truth = truth_of(chain(ring(), 0.3))
    rim = math.pi * (2.3**2 - 1.7**2) * 100
    assert truth.amodal_area[0] == pytest.approx(rim, rel=0.02)
    assert area(truth.contours[0]) == pytest.approx(rim, rel=3e-3)
    (polygon,) = truth.contours
    # 64 corners on a round lose up to .12 % of its radius, .004 pixels.
    assert (filled(polygon, truth.shape) != truth.amodal_mask(0)).sum() <= 4
    assert not truth.amodal_mask(0)[48, 64]


def test_outline_of_a_wire_with_two_loops_that_crosses_itself() -> None:
    eight = np.concatenate([ring(middle=(0, -2.02)), ring(middle=(0, -2.02)) * [1, -1, -1]])
    truth = truth_of(chain(eight, 0.25))
    both = truth.amodal_mask(0)
    near = distance(places(truth), eight[:, 1:])
    assert np.array_equal(both, near <= 0.25)
    assert (filled(truth.contours[0], truth.shape) != both).sum() <= 8
    assert area(truth.contours[0]) == pytest.approx(both.sum(), rel=0.02)


def test_ids_and_depth_are_those_of_the_highest_fragments() -> None:
    recipe = Wires(count=12, length=4.0, radius=0.15, persistence=4.0, sag=0.5, margin=1.0)
    drawn = recipe.realise(ew.Key(seed=3).generator, (9.0, 12.0)).to(torch.float64)
    ball = ew.Particles(ew.Sphere(), [[0.4, 1, 1], [0.2, -2, 3]], [[0.7], [0.5]], [1.5] * 2).to(torch.float64)
    lump = blob(0.8, 0.2, torch.Generator().manual_seed(1), center=(0.3, -1.0, -2.0)).to(torch.float64)
    parts = ball, lump, drawn, box_mesh([0.1, 2.0, -4.0], [0.5, 0.6, 0.9], 0.3)
    truth = truth_of(*parts)
    found = fragments(parts, Canvas(ew.Grid((96, 128), 0.1), (0, 0), (96, 128)), torch.zeros((), dtype=torch.float64))
    first = np.append(True, np.diff(found.sample.numpy()) > 0)
    whole = first & (found.share.numpy() >= 1)
    sample = found.sample.numpy()
    assert whole.sum() > 1000
    assert np.array_equal(truth.ids.ravel()[sample[whole]], found.body.numpy()[whole] + 1)
    apart = np.abs(truth.depth.ravel()[sample[whole]] - found.top.numpy()[whole])
    # Where a capsule begins to reach into a cell, a wire's fragment is a mean of the two.
    wires = np.isin(found.body.numpy()[whole], range(3, 15))
    assert apart[~wires].max() < 1e-6
    assert apart[wires].max() < 0.03
    assert (apart[wires] < 1e-6).mean() > 0.85
    assert np.isin(np.flatnonzero(truth.ids), sample).all()
    for number in range(len(truth)):
        own, share = (column[found.body == number].numpy() for column in (found.sample, found.share))
        clear = np.abs(share - 0.5) > 1e-3
        assert np.array_equal(truth.amodal_mask(number).ravel()[own[clear]], share[clear] > 0.5)
    assert set(truth.ids.ravel().tolist()) == set(range(len(truth) + 1)) - {
        k + 1 for k in np.flatnonzero(truth.area == 0)
    }


@pytest.mark.parametrize("pixel", [0.1, (0.08, 0.13)], ids=["square", "anisotropic"])
def test_box_of_triangles_is_a_box(pixel: float | tuple[float, float]) -> None:
    turn = 0.37
    half = [0.5, 1.1, 1.9]
    mesh = box_mesh([0.7, 0.2, -0.3], half, turn)
    rotation = [[math.cos(turn / 2), 0, 0, math.sin(turn / 2)]]
    solid = ew.Particles(ew.Box(), [[0.7, 0.2, -0.3]], [half], [1.5], rotation=rotation, label="box")
    found, expected = truth_of(mesh, pixel=pixel), truth_of(solid.to(torch.float64), pixel=pixel)
    for name in ("ids", "area", "amodal_area", "truncated", "class_id"):
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name
    np.testing.assert_allclose(found.depth, expected.depth, atol=1e-6)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-5)
    np.testing.assert_allclose(found.center, expected.center, atol=1e-6)
    assert area(found.oriented_boxes[0]) == pytest.approx(area(expected.oriented_boxes[0]), rel=1e-5)
    assert area(found.contours[0]) == pytest.approx(4 * 1.1 * 1.9 / math.prod(found.pixel), rel=1e-6)
    assert len(found.contours[0]) == 4
    assert found.physical["volume"][0] == pytest.approx(8 * 0.5 * 1.1 * 1.9)
    assert found.physical["surface_area"][0] == pytest.approx(8 * (0.5 * 1.1 + 0.5 * 1.9 + 1.1 * 1.9))


def test_torus_lying_flat_has_a_hole_and_its_closed_area() -> None:
    mesh = torus(2.0, 0.6, center=(0, 0.013, 0.027)).to(torch.float64)
    truth = truth_of(mesh)
    rim = math.pi * (2.6**2 - 1.4**2) * 100
    assert truth.amodal_area[0] == pytest.approx(rim, rel=0.02)
    assert area(truth.contours[0]) == pytest.approx(truth.amodal_area[0], rel=0.01)
    assert (filled(truth.contours[0], truth.shape) != truth.amodal_mask(0)).sum() <= 4
    assert truth.ids[48, 64] == 0
    assert float(np.nanmax(truth.depth)) == pytest.approx(0.6, rel=0.02)


def test_folds_leave_no_cuts_in_the_outline_of_a_lump() -> None:
    truth = truth_of(blob(2.0, 0.3, torch.Generator().manual_seed(1)).to(torch.float64))
    (outline,) = truth.contours
    assert (filled(outline, truth.shape) != truth.amodal_mask(0)).sum() <= 1
    # The outline visits no place twice, as it would along a cut.
    assert len(np.unique(outline.round(9), axis=0)) == len(outline)


def test_region_in_two_pieces_is_one_instance_with_one_outline() -> None:
    first, second = icosphere(1.0, center=(0, 0.013, -2.97)), icosphere(1.5, center=(0, 0.027, 2.02))
    count = len(first.vertices)
    pair = ew.Mesh(torch.cat([first.vertices, second.vertices]), torch.cat([first.faces, second.faces + count]))
    truth = truth_of(pair)
    assert len(truth) == len(truth.contours) == 1
    assert area(truth.contours[0]) == pytest.approx(truth.amodal_area[0], rel=0.01)
    assert (filled(truth.contours[0], truth.shape) != truth.amodal_mask(0)).sum() <= 2
    np.testing.assert_allclose(truth.boxes[0], [33.27, 24.3, 63.27, 99.2], atol=0.01)


def test_every_region_with_faces_is_an_instance_with_its_own_numbers() -> None:
    low, high = icosphere(1.0, center=(0, 0, -2.0)), icosphere(1.0, center=(3.0, 0, -1.0))
    count = len(low.vertices)
    sides = torch.tensor([[1, 0]] * len(low.faces) + [[3, 0]] * len(high.faces))
    faces = torch.cat([low.faces, high.faces + count])
    mesh = ew.Mesh(
        torch.cat([low.vertices, high.vertices]), faces, None, sides, [0, 0, 0], "cell", [1.0, 2.0, 3.0], [0, 0, 0.5]
    )
    truth = truth_of(chain(BENT, 0.1), mesh)
    assert truth.classes == ("cell", "wire")
    assert truth.class_id.tolist() == [1, 0, 0]
    assert truth.ids[48, 54] == 3
    assert truth.ids[48, 36] == 2
    assert truth.visible_fraction[1] < 0.7
    columns = truth.physical
    assert columns["shape"].tolist() == ["Wire", "Mesh", "Mesh"]
    np.testing.assert_allclose(columns["secondary"], [1, 1, 3])
    np.testing.assert_allclose(columns["backscatter"], [0, 0, 0.5])
    np.testing.assert_allclose(columns["radius"], [0.1, np.nan, np.nan])
    length = np.linalg.norm(np.diff(BENT, axis=0), axis=1).sum()
    np.testing.assert_allclose(columns["length"], [length, np.nan, np.nan])
    np.testing.assert_allclose(columns["volume"][1:], 4 / 3 * math.pi, rtol=0.03)
    np.testing.assert_allclose(columns["center_x"][1:], [-2, -1], atol=1e-4)
    assert np.isnan(columns["volume"][0])
    assert all(column.shape == (3,) for column in columns.values())


def test_wire_through_a_particle_is_seen_where_it_ends_higher() -> None:
    ball = ew.Particles(ew.Sphere(), [[0.0, 0, 0]], [[1.0]], [1.5])
    rod = chain(np.array([[0.85, -3.0, 0.0], [0.85, 3.0, 0.0]]), 0.1)
    for parts, numbers in (((ball, rod), (1, 2)), ((rod, ball), (2, 1))):
        truth = truth_of(*parts)
        assert (truth.ids[48, 64], truth.ids[48 - 4, 64], truth.ids[48 - 8, 64]) == (numbers[0], numbers[1], numbers[1])
        assert truth.area.sum() == (truth.ids > 0).sum()


def test_numbers_that_are_free_keep_no_gradients_and_pickle() -> None:
    wire = Chains(torch.tensor(BENT, requires_grad=True), torch.tensor([0.3], dtype=torch.float64, requires_grad=True))
    ball = icosphere(1.0)
    mesh = ew.Mesh(ball.vertices.clone().requires_grad_(), ball.faces)
    truth = truth_of(wire, mesh)
    again = pickle.loads(pickle.dumps(truth))
    assert all(np.array_equal(a, b) for a, b in zip(again.contours, truth.contours, strict=True))
    assert np.array_equal(again.amodal_mask(1), truth.amodal_mask(1))


def test_wires_of_no_length_and_no_wires_at_all() -> None:
    upright = truth_of(chain(np.array([[0.0, 0, 0], [3.0, 0, 0]]), 1.0), chain(np.zeros((2, 3)), 1.0, label="dot"))
    assert upright.ids[48, 64] == 1
    # Closed disks of radius 10 about lattice points hold 317 of them (the Gauss circle problem).
    assert upright.amodal_area.tolist() == [317, 317]
    assert upright.center.tolist() == [[1.5, 0, 0], [0, 0, 0]]
    np.testing.assert_allclose(np.ptp(upright.oriented_boxes, axis=1), 20, atol=1e-6)
    none = Wires(count=0).realise(ew.Key(seed=0).generator, (1.0, 1.0))
    truth = truth_of(none)
    assert len(truth) == len(truth.contours) == 0
    assert truth.classes == ("wire",)
    assert truth.oriented_boxes.shape == (0, 4, 2)
    assert not truth.ids.any()


def test_open_and_inverted_meshes_are_refused_unless_they_are_background() -> None:
    ball = icosphere(1.0)
    bowl = ball.faces[: len(ball.faces) // 2]
    with pytest.raises(
        ValueError, match="closed regions to annotate in an image, got region 1 with open edges; repair"
    ):
        truth_of(ew.Mesh(ball.vertices, bowl))
    with pytest.raises(ValueError, match="faces look outward, got region 1 inside out; repair the mesh first"):
        truth_of(ew.Mesh(ball.vertices, ball.faces.flip(1)))
    assert len(truth_of(ew.Mesh(ball.vertices, bowl, label=""), chain(BENT, 0.3, label=""))) == 0


def test_what_only_fluoresces_is_refused_in_images() -> None:
    with pytest.raises(ValueError, match="annotations of particles, wires and meshes, got Points on a grid"):
        truth_of(ew.Points([[0, 0, 0]]))
    with pytest.raises(TypeError, match="got Chains in an Assembly; list them there"):
        truth_of(ew.Assembly((chain(BENT, 0.3),)))


def test_silhouettes_of_too_many_rows_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at most 20,000,000 rows of pixels together, got .* use a coarser pixel"):
        truth_of(chain(np.array([[0.0, -2e6, 0], [0.0, 2e6, 0]]), 0.1))


@pytest.mark.parametrize("shift", [(0, 0), (-4.0, -5.5), (3.9, -5.0), (-4.5, 5.5), (4.2, 0)])
def test_labels_of_wires_that_the_border_cuts_hold_what_is_inside(shift: tuple[float, float]) -> None:
    """A ring that leaves and enters again goes around corners of the image outside of it."""
    truth = truth_of(chain(ring(middle=shift), 0.3))
    mask = truth.amodal_mask(0)
    rows, columns = np.nonzero(mask)
    corners = seen(truth.contours[0], truth.shape)
    expected = [rows.min() - 0.5, columns.min() - 0.5, rows.max() + 0.5, columns.max() + 0.5]
    np.testing.assert_allclose([*corners.min(0), *corners.max(0)], expected, atol=0.6)
    box = tight_rectangle(corners)
    assert filled(box, truth.shape)[mask].mean() > 0.97
    four = cut_box(truth.contours[0], truth.visible_boxes[0], truth.shape)
    assert (four >= -0.5).all()
    assert (four <= np.array(truth.shape) - 0.5).all()
