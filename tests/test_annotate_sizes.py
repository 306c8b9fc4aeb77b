"""Sizes of silhouettes against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special

import exitwave as ew
from exitwave.annotate import annotate
from exitwave.annotate.sizes import sizes

# What 64 corners on a round outline cost: areas and chords are a little smaller than the body's.
AREA, LENGTH, WIDTH = 1.7e-3, 5e-4, 1.3e-3


def measured(*parts: ew.Value, pixel: float | tuple[float, float] = 0.1, side: int = 64) -> dict[str, np.ndarray]:
    specimen = ew.Specimen(parts, medium=1.33)
    return sizes(annotate(ew.Scene(specimen, ew.brightfield(na=0.5), ew.Grid((side, side), pixel))))


def body(shape: ew.Sphere | ew.Box | ew.Ellipsoid | ew.Rod, size: list[float], turn: float = 0.0) -> ew.Particles:
    """Return one body that is turned about the optical axis."""
    rotation = [[math.cos(turn / 2), 0.0, 0.0, math.sin(turn / 2)]]
    return ew.Particles(shape, center=[[0.0, 0.31, -0.17]], size=[size], index=[1.5], rotation=rotation)


def test_a_circle_has_one_diameter() -> None:
    found = measured(body(ew.Sphere(), [1.2]))
    for name in ("diameter", "min_feret", "max_feret"):
        assert found[name] == pytest.approx([2.4], rel=WIDTH)
        assert (found[name] <= 2.4 + 1e-6).all()
    assert found["area"] == pytest.approx([math.pi * 1.44], rel=AREA)
    assert found["perimeter"] == pytest.approx([math.pi * 2.4], rel=LENGTH)
    assert found["circularity"] == pytest.approx([1.0], abs=1e-3)
    assert found["aspect_ratio"] == pytest.approx([1.0], abs=WIDTH)
    assert found["center_row"] == pytest.approx([32 + 3.1])
    assert found["center_col"] == pytest.approx([32 - 1.7])


@pytest.mark.parametrize("turn", [0.0, 0.4, 2.0])
def test_an_ellipse_has_its_axes_as_feret_diameters(turn: float) -> None:
    a, b = 1.7, 0.6
    found = measured(body(ew.Ellipsoid(), [0.9, b, a], turn))
    assert found["min_feret"] == pytest.approx([2 * b], rel=WIDTH)
    assert found["max_feret"] == pytest.approx([2 * a], rel=1e-6)
    assert found["area"] == pytest.approx([math.pi * a * b], rel=AREA)
    assert found["diameter"] == pytest.approx([2 * math.sqrt(a * b)], rel=AREA / 2)
    assert found["perimeter"] == pytest.approx([4 * a * scipy.special.ellipe(1 - (b / a) ** 2)], rel=LENGTH)


@pytest.mark.parametrize("turn", [0.0, 0.7, 1.9])
@pytest.mark.parametrize("pixel", [0.1, (0.1, 0.25)])
def test_a_rectangle_is_exact_however_it_is_turned(turn: float, pixel: float | tuple[float, float]) -> None:
    found = measured(body(ew.Box(), [0.2, 0.75, 1.0], turn), pixel=pixel)
    assert found["min_feret"] == pytest.approx([1.5], rel=1e-6)
    assert found["max_feret"] == pytest.approx([2.5], rel=1e-6)
    assert found["area"] == pytest.approx([3.0], rel=1e-6)
    assert found["perimeter"] == pytest.approx([7.0], rel=1e-6)
    assert found["aspect_ratio"] == pytest.approx([0.6], rel=1e-6)
    assert found["circularity"] == pytest.approx([4 * math.pi * 3 / 49], rel=1e-6)


def test_a_stadium_measures_the_same_as_a_rod_and_as_a_wire() -> None:
    radius, straight = 0.4, 2.2
    rod = body(ew.Rod(), [radius, straight / 2 + radius], turn=0.5)
    wire = ew.Chains(vertices=[[0, -1.1, 0], [0, 1.1, 0]], radius=[radius], label="wire")
    for found in (measured(rod), measured(wire)):
        assert found["min_feret"] == pytest.approx([2 * radius], rel=WIDTH)
        assert found["max_feret"] == pytest.approx([straight + 2 * radius], rel=WIDTH)
        assert found["area"] == pytest.approx([2 * radius * straight + math.pi * radius**2], rel=AREA)
        assert found["perimeter"] == pytest.approx([2 * straight + 2 * math.pi * radius], rel=LENGTH)


def test_a_wire_that_closes_a_loop_has_two_rims_and_no_cut() -> None:
    corners = [[0, -1, -1], [0, -1, 1], [0, 1, 1], [0, 1, -1], [0, -1, -1]]
    found = measured(ew.Chains(vertices=corners, radius=[0.25], label="wire"))
    rounds = 2 * math.pi * 0.25  # the outer rim's four quarters
    assert found["perimeter"] == pytest.approx([8 + rounds + 6], rel=LENGTH)
    assert found["area"] == pytest.approx([4 + 4 * 2 * 0.25 + math.pi / 16 - 1.5**2], rel=AREA)
    assert found["max_feret"] == pytest.approx([2 * math.sqrt(2) + 0.5], rel=1e-6)
    assert found["center_row"] == pytest.approx([32])


def test_a_ball_of_triangles_measures_like_a_ball() -> None:
    found = measured(ew.icosphere(1.0, subdivisions=5))
    for name in ("diameter", "min_feret", "max_feret"):
        assert found[name] == pytest.approx([2.0], rel=3e-3)
    assert found["circularity"] == pytest.approx([1.0], abs=2e-3)


def test_parts_that_lie_apart_are_one_silhouette_without_what_joins_them() -> None:
    plates = ew.Mesh(
        vertices=[[z, y, x + at] for at in (-2.0, 2.0) for z in (0, 1.0) for y in (-0.5, 0.5) for x in (-0.5, 0.5)],
        faces=[[corner + 8 * at for corner in face] for at in (0, 1) for face in BOX],
        label="plates",
    )
    found = measured(plates)
    assert found["area"] == pytest.approx([2.0])
    assert found["perimeter"] == pytest.approx([8.0])
    assert found["max_feret"] == pytest.approx([math.hypot(5, 1)])


BOX = [
    *([0, 2, 3], [0, 3, 1], [4, 5, 7], [4, 7, 6], [0, 1, 5], [0, 5, 4]),
    *([2, 6, 7], [2, 7, 3], [0, 4, 6], [0, 6, 2], [1, 3, 7], [1, 7, 5]),
]


def test_what_is_hidden_or_cut_off_counts_in_full() -> None:
    free = measured(body(ew.Ellipsoid(), [0.5, 0.6, 1.7]))
    lid = ew.Particles(ew.Sphere(), center=[[5.0, 0, 0]], size=[[1.5]], index=[1.5])
    hidden = measured(body(ew.Ellipsoid(), [0.5, 0.6, 1.7]), lid, side=16)
    for name in ("diameter", "min_feret", "max_feret", "perimeter"):
        assert hidden[name][0] == pytest.approx(free[name][0])


def test_a_scene_without_instances_has_empty_columns() -> None:
    found = measured()
    assert set(found) >= {"diameter", "min_feret", "max_feret", "area", "perimeter", "aspect_ratio", "circularity"}
    assert all(column.shape == (0,) for column in found.values())


def test_volumes_have_no_silhouettes() -> None:
    scene = ew.sample(ew.recipe("nuclei"), ew.Key(0))
    small = ew.substitute(scene, {"grid": ew.Grid((4, 16, 16), scene.grid.pixel)})
    with pytest.raises(TypeError, match="expected the Truth of an image, got VolumeTruth"):
        sizes(annotate(small))
