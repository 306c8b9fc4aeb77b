"""Views of volumes: square pixels, closed outlines, and every outline where its surface is."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import exitwave as ew
from exitwave.fit import FitResult
from exitwave.fit.layout import Layout, layout_of
from exitwave.fit.movie import Movie
from exitwave.fit.views import (
    contours,
    maximum_projections,
    mesh_slices,
    middle_of_light,
    orthogonal_slices,
    orthogonal_views,
    overlay,
    projection_views,
)
from exitwave.specimen import Mesh

VOXEL = (0.5, 0.2, 0.1)


def ball(
    shape: tuple[int, int, int] = (24, 60, 120), radius: float = 4.0, at: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> np.ndarray:
    z, y, x = np.meshgrid(*((np.arange(n) - n // 2) * d for n, d in zip(shape, VOXEL, strict=True)), indexing="ij")
    return ((z - at[0]) ** 2 + (y - at[1]) ** 2 + (x - at[2]) ** 2 <= radius**2).astype(np.float32)


def spherical(radius: float, center: tuple[float, float, float] = (0.0, 0.0, 0.0), rings: int = 24) -> Mesh:
    """Return a sphere of rings of latitude, poles along z, faces right-handed in (x, y, z)."""
    polar = np.linspace(0, math.pi, rings + 1)[1:-1]
    turn = np.arange(2 * rings) * (math.pi / rings)
    p, t = (grid.ravel() for grid in np.meshgrid(polar, turn, indexing="ij"))
    points = np.stack([np.cos(p), np.sin(p) * np.sin(t), np.sin(p) * np.cos(t)], 1)
    points = np.concatenate([points, [[1.0, 0, 0], [-1.0, 0, 0]]]) * radius + np.array(center)
    count, top = 2 * rings, len(points) - 2
    around = np.arange(count)
    after = (around + 1) % count
    faces = [np.stack([np.full(count, top), around, after], 1)]
    for ring in range(rings - 2):
        a, b = ring * count + around, ring * count + after
        faces += [np.stack([a, a + count, b], 1), np.stack([b, a + count, b + count], 1)]
    last = (rings - 2) * count
    faces.append(np.stack([last + around, np.full(count, top + 1), last + after], 1))
    return Mesh(torch.tensor(points), torch.tensor(np.concatenate(faces)))


def cube_pair() -> Mesh:
    """Return two cubes of 2 um with a common wall at x = 0; region 1 lies at x < 0."""
    corners = np.array([[z, y, x] for x in (-2.0, 0.0, 2.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])
    quads, regions = [], []

    def quad(a: int, b: int, c: int, d: int, behind: int, front: int) -> None:
        quads.extend([(a, b, c), (a, c, d)])
        regions.extend([(behind, front)] * 2)

    # Corners are numbered x * 4 + y * 2 + z; normals point along +x, or outwards.
    for layer, (behind, front) in enumerate(((0, 1), (1, 2), (2, 0))):
        first = 4 * layer
        quad(first, first + 2, first + 3, first + 1, behind, front)
    for region in (1, 2):
        first = 4 * (region - 1)
        quad(first, first + 1, first + 5, first + 4, region, 0)
        quad(first + 2, first + 6, first + 7, first + 3, region, 0)
        quad(first, first + 4, first + 6, first + 2, region, 0)
        quad(first + 1, first + 3, first + 7, first + 5, region, 0)
    return Mesh(torch.tensor(corners), torch.tensor(quads), regions=torch.tensor(regions))


def width(view: np.ndarray, axis: int) -> int:
    return int((view > 0.5).any(axis).sum())


def test_a_ball_is_round_in_every_view_of_unequal_voxels() -> None:
    volume = ball()
    for views in (maximum_projections(volume, VOXEL), orthogonal_slices(torch.as_tensor(volume), VOXEL)):
        assert [view.shape for view in views] == [(120, 120), (120, 120), (120, 120)]
        for view in views:
            for axis in (0, 1):
                assert width(view, axis) * 0.1 == pytest.approx(8.0, abs=0.5)  # a voxel's longest side
    fine = maximum_projections(volume, VOXEL, step=0.05)[1]
    assert fine.shape == (240, 240)


def test_projections_hold_the_greatest_values_and_pass_over_what_is_missing() -> None:
    volume = np.random.default_rng(0).random((3, 4, 5)).astype(np.float32)
    volume[1, 2, :] = np.nan
    volume[:, 0, 0] = np.nan
    z, y, x = maximum_projections(volume, (1.0, 1.0, 1.0))
    for row, column in np.ndindex(4, 5):
        values = [float(v) for v in volume[:, row, column] if not math.isnan(v)]
        np.testing.assert_equal(z[row, column], np.float32(max(values, default=math.nan)))
    assert y[2, 3] == max(volume[2, :, 3])
    assert x[1, 3] == max(volume[1, 3, :])
    labels = maximum_projections(np.arange(60, dtype=np.uint16).reshape(3, 4, 5), (1, 1, 1))
    assert labels[0].dtype == np.uint16


def test_a_bead_is_seen_in_all_views_where_the_layout_says() -> None:
    place = (-2.0, 3.0, 1.4)
    volume = np.zeros((24, 60, 120))
    volume[tuple(round(p / d) + n // 2 for p, d, n in zip(place, VOXEL, volume.shape, strict=True))] = 1.0
    layout = layout_of(volume, VOXEL, 0.05)
    for picture in (projection_views(volume, VOXEL, 0.05), orthogonal_views(volume, VOXEL, place, 0.05)):
        for axis, seen in enumerate(((1, 2), (0, 2), (0, 1))):
            row, column = layout.pixels(np.array([place[seen[0]], place[seen[1]]]), axis)
            assert picture[round(row), round(column)] == 1.0
        assert np.nansum(picture) == pytest.approx((4 * 2 + 10 * 2 + 10 * 4), abs=1e-9)
    assert np.nanmax(orthogonal_views(volume, VOXEL)) == 0.0
    assert middle_of_light(volume, VOXEL) == pytest.approx(place)


def test_views_refuse_what_they_cannot_show() -> None:
    volume = np.zeros((4, 5, 6))
    for at in ((1.01, 0, 0), (0, -0.6, 0), (0, 0, math.nan)):
        with pytest.raises(ValueError, match=r"at must lie in the volume, where . is"):
            orthogonal_views(volume, (0.5, 0.2, 0.1), at)
    for voxel in ((0.1, 0.1), (0.1, 0.0, 0.1), (0.1, math.nan, 0.1)):
        with pytest.raises(ValueError, match="voxel must be three lengths"):
            maximum_projections(volume, voxel)
    for bad in (volume[0], volume[:0], volume * 1j):
        with pytest.raises(ValueError, match=r"expected a volume \(Z, H, W\) of real numbers"):
            maximum_projections(bad, (1, 1, 1))
    with pytest.raises(ValueError, match="axis must be 0, 1 or 2"):
        mesh_slices(np.zeros((3, 3)), np.array([[0, 1, 2]]), 3, 0.0)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("position", [-2.0, 0.0, 0.7, 2.9])
def test_the_cut_of_a_sphere_has_its_area_and_its_circumference(axis: int, position: float) -> None:
    # The surface is inscribed: a little smaller, in second order of the rings' distance.
    center = (0.3, -0.2, 0.5)
    mesh = spherical(3.0, center, rings=80)
    segments, _ = mesh_slices(mesh.vertices, mesh.faces, axis, center[axis] + position)
    radius = math.sqrt(9 - position**2)
    length = np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1).sum()
    assert length == pytest.approx(2 * math.pi * radius, rel=5e-3)
    # All run around in one direction: half the sum of their cross products is the area, about any origin.
    (a, b), (c, d) = segments[:, 0].T, segments[:, 1].T
    assert abs(0.5 * (a * d - b * c).sum()) == pytest.approx(math.pi * radius**2, rel=1e-2)


@pytest.mark.parametrize("position", [-1.0, 0.0, 0.3, 1.0, 3.0])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_cuts_of_closed_surfaces_are_closed_to_the_last_bit_through_vertices_too(axis: int, position: float) -> None:
    """A plane through rings of vertices, through whole walls and past the poles leaves no end loose."""
    for mesh in (spherical(3.0, rings=12), cube_pair()):
        segments, face = mesh_slices(mesh.vertices, mesh.faces, axis, position)
        regions = mesh.regions.numpy()[face]
        for region in (1, 2):
            own = segments[(regions == region).any(1)]
            _, counts = np.unique(own.reshape(-1, 2), axis=0, return_counts=True)
            assert (counts % 2 == 0).all()


def test_nothing_is_cut_beside_a_mesh() -> None:
    mesh = spherical(1.0)
    segments, face = mesh_slices(mesh.vertices, mesh.faces, 0, 1.5)
    assert segments.shape == (0, 2, 2)
    assert face.shape == (0,)


def test_a_wall_has_a_line_of_either_region_on_its_own_side() -> None:
    layout = Layout((40, 40, 60), (0.1, 0.1, 0.1), 0.1)
    mesh = cube_pair()
    lines, owners = contours(layout, (mesh,), (0.05, 0.05, 0.05), width=2.0)
    first = layout.pixels(np.array([0.0, 0.0]), 0)
    # In the view along z: upright lines near x = 0.
    upright = (np.abs(lines[:, :, 1] - first[1]) < 1.5).all(1) & (lines[:, :, 0] < 40).all(1)
    places = {owner: lines[upright & (owners == owner)][:, :, 1].mean() - first[1] for owner in (0, 1)}
    assert places == pytest.approx({0: -1.0, 1: 1.0})
    # Regions are numbered on from mesh to mesh, and the outside has no line.
    _, owners = contours(layout, (mesh, spherical(0.5)), (0.0, 0.0, 0.0), width=0.0)
    assert set(owners.tolist()) == {0, 1, 2}


def test_lines_end_where_their_view_ends() -> None:
    layout = Layout((20, 30, 40), (0.1, 0.1, 0.1), 0.1)
    lines, _ = contours(layout, (spherical(1.7),), (0.0, 0.0, 0.0), width=0.0)
    (depth, height, across), gap = layout.sizes, layout.gap
    for line in lines:
        inside = [
            ((line >= (top - 0.5, left - 0.5)) & (line <= (top + tall - 0.5, left + wide - 0.5))).all()
            for top, left, tall, wide in (
                (0, 0, height, across),
                (height + gap, 0, depth, across),
                (0, across + gap, height, depth),
            )
        ]
        assert any(inside)
    # A circle of 1.7 um in the view along z, whose y ends at -1.55 and +1.45 um.
    along_z = lines[(lines[:, :, 0] <= height).all(1) & (lines[:, :, 1] <= across).all(1)]
    length = 0.1 * np.linalg.norm(along_z[:, 1] - along_z[:, 0], axis=1).sum()
    lost = 2 * (math.acos(1.55 / 1.7) + math.acos(1.45 / 1.7)) * 1.7
    assert length == pytest.approx(2 * math.pi * 1.7 - lost, rel=1e-2)


def result(volume: np.ndarray, model: np.ndarray, parts: tuple[ew.Value, ...]) -> FitResult:
    scene = ew.Scene(ew.Specimen(parts), ew.brightfield(), ew.Grid(volume.shape, VOXEL))
    return FitResult(
        scenes=(scene,),
        values={"microscope.optics.na": torch.tensor(0.5)},
        stderr={},
        covariance=torch.empty(0, 0),
        condition=1.0,
        names=["microscope.optics.na"],
        history=[3.0, 2.0, 1.0],
        images=(torch.as_tensor(model),),
        targets=(torch.as_tensor(volume),),
        masks=(torch.zeros(volume.shape, dtype=torch.bool),),
        chi2=1.0,
        converged=True,
        message="converged after 2 steps",
        notes=(),
    )


def coloured(picture: Path) -> int:
    """Return how many pixels of a picture have the first colour of outlines."""
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    return int((np.abs(pixels - (0, 190, 255)).max(2) < 40).sum())


def test_the_overlay_draws_the_outlines(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    volume = ball()
    with_mesh = overlay(volume, VOXEL, spherical(4.0), tmp_path / "new" / "with.png", at=(0.5, 0.0, 1.0))
    without = overlay(torch.as_tensor(volume), VOXEL, (), tmp_path / "without.png")
    # Three circles of about 4 um; the picture has about 60 pixels per micrometre of a field of 12 um.
    assert coloured(with_mesh) > 3 * 2 * math.pi * 4 * 20
    assert coloured(without) == 0


def test_pictures_of_fits_show_volumes(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    data, model = ball(), ball(at=(0.0, 0.4, 0.0))
    projected = result(data, model, ()).picture(tmp_path / "projected.png")
    outlined = result(data, model, (spherical(4.0),)).picture(tmp_path / "outlined.png")
    assert coloured(projected) == 0
    assert coloured(outlined) > 300


def fluorescent(part: ew.Value, shape: tuple[int, int, int] = (9, 20, 24)) -> ew.Scene:
    microscope = ew.widefield(ew.GaussianPSF(sigma=(0.6, 0.3, 0.3)))
    return ew.Scene(ew.Specimen((part,)), microscope, ew.Grid(shape, (0.4, 0.2, 0.2)))


def test_movies_of_volumes_show_the_difference_vanish(tmp_path: Path) -> None:
    truth = fluorescent(ew.Points(center=[[0.0, 0.0, 0.0]], emission=[1e4]))
    start = ew.substitute(truth, {"specimen.parts.0.center": [[0.2, 0.2, -0.2]]})
    watch, image = Movie(tmp_path / "fit.gif"), ew.render(truth)
    for number, scene in enumerate((start, truth)):
        watch(ew.Step(0, number, 1.0, (scene,), (image,), last=number == 1))
    frames = []
    with Image.open(tmp_path / "fit.gif") as movie:
        for number in range(2):
            movie.seek(number)
            frames.append(np.asarray(movie.convert("RGB")).astype(int))
    third = frames[0].shape[1] * 2 // 3
    colour = [int((np.ptp(frame[36:, third:], axis=2) > 60).sum()) for frame in frames]
    assert colour[0] > 100
    assert colour[1] == 0


def test_movies_outline_meshes(tmp_path: Path) -> None:
    scene = fluorescent(spherical(1.2, rings=10))
    image = ew.render(scene)
    movie = Movie(tmp_path / "fit.webp")
    for number in range(2):
        movie(ew.Step(0, number, 1.0, (scene,), (image,), last=number == 1))
    assert coloured(tmp_path / "fit.webp") > 200


def test_movies_bear_volumes_that_are_thin_or_lack_voxels(tmp_path: Path) -> None:
    scene = fluorescent(spherical(1.2, rings=10), (9, 20, 1))
    image = ew.render(scene)
    image[3, :10] = torch.nan
    movie = Movie(tmp_path / "fit.gif")
    movie(ew.Step(0, 0, 1.0, (scene,), (image,), last=True))
    assert (tmp_path / "fit.gif").stat().st_size > 1000
