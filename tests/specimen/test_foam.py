"""Foams: walls are the planes between seeds, cells fill the hull."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from exitwave.specimen.mesh import Mesh
from exitwave.specimen.meshes import blob, foam, icosphere, report, surface_distance, volumes, voxelize

SEEDS = np.random.default_rng(1).uniform(-3.4, 3.4, (8, 3))
HULL = (6.0, 7.0, 8.0)


@pytest.fixture(scope="module")
def eight() -> Mesh:
    return foam(SEEDS, hull=HULL, edge=0.9)


def power(at: np.ndarray, seeds: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.square(at[..., None, :] - seeds).sum(-1) - weights


def test_eight_cells_are_sound(eight: Mesh) -> None:
    found = report(eight)
    assert found.closed == found.oriented == (True,) * 8
    assert found.faults == ()
    length = (eight.corners() - eight.corners().roll(1, 1)).norm(dim=-1)
    assert float(length.mean()) == pytest.approx(0.9, rel=0.05)
    pairs = eight.regions.sort(1).values
    walls = (pairs > 0).all(1)
    assert torch.equal(eight.density, torch.where(walls, 2.0, 1.0))


def test_vertices_lie_on_planes_between_seeds_and_on_the_hull(eight: Mesh) -> None:
    at = eight.vertices.double().numpy()
    faces, regions = eight.faces.numpy(), eight.regions.numpy()
    squares = power(at, SEEDS, np.zeros(8))
    wall = regions[:, 1] > 0
    (behind, before), face = regions[wall].T - 1, faces[wall]
    # The difference of squared distances is twice the seeds' distance times that from the plane.
    away = squares[face, behind[:, None]] - squares[face, before[:, None]]
    away = np.abs(away) / (2 * np.linalg.norm(SEEDS[behind] - SEEDS[before], axis=1)[:, None])
    out = np.abs(np.linalg.norm(at[faces[~wall]] / HULL, axis=-1) - 1)
    # A few stay aside where lines meet closer to one another than the samples can tell.
    assert np.mean(away < 1e-3) > 0.97
    assert np.mean(out < 1e-3) > 0.97
    assert max(away.max(), 6 * out.max()) < 0.5


@pytest.mark.parametrize("weights", [None, np.linspace(0.0, 3.0, 8)])
def test_voxels_belong_to_the_nearest_seed(eight: Mesh, weights: np.ndarray | None) -> None:
    mesh = eight if weights is None else foam(SEEDS, weights, HULL, edge=0.9)
    shape, step = (48, 56, 64), 0.26
    axes = [(np.arange(n) - n // 2) * step for n in shape]
    at = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    nearest = power(at, SEEDS, np.zeros(8) if weights is None else weights).argmin(-1) + 1
    nearest[np.linalg.norm(at / HULL, axis=-1) > 1] = 0
    found = voxelize(mesh, shape, step).numpy()
    for cell in range(1, 9):
        both = ((nearest == cell) & (found == cell)).sum()
        assert 2 * both / ((nearest == cell).sum() + (found == cell).sum()) > 0.975
    # Inside the hull, away from its faces' sagitta, all that differs lies at walls.
    deep = np.linalg.norm(at / HULL, axis=-1) < 0.95
    assert np.mean((found != nearest)[deep]) < 2e-3


def test_two_equal_halves_of_a_ball() -> None:
    halves = foam([[0, 0, -1.0], [0, 0, 1.0]], hull=(2.0, 2.0, 2.0), edge=0.3)
    share = volumes(halves) / (2 / 3 * math.pi * 8)
    # What is missing is the sagitta of the faces, edge^2 / (4 r) of the radius or so.
    assert share.tolist() == pytest.approx([1.0, 1.0], abs=0.02)
    between = (halves.regions == torch.tensor([1, 2])).all(1)
    torch.testing.assert_close(
        halves.area_vectors()[between].sum(0), torch.tensor([0, 0, 4 * math.pi]), rtol=0.02, atol=1e-3
    )


def test_heavier_seeds_have_larger_cells() -> None:
    """The plane moves by the difference of weights over twice the distance between the seeds."""
    shifted = foam([[0, 0, -1.0], [0, 0, 1.0]], [2.0, 0.0], (2.0, 2.0, 2.0), edge=0.4)
    between = (shifted.regions == torch.tensor([1, 2])).all(1)
    x = shifted.corners()[between][..., 2]
    torch.testing.assert_close(x, torch.full_like(x, 0.5), rtol=0, atol=1e-4)


def test_walls_meet_in_lines_of_three_and_points_of_four() -> None:
    corners = [[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]
    four = foam(corners, hull=(3.0, 3.0, 3.0), edge=0.6)
    lowest = four.vertices.norm(dim=1).min()
    assert float(lowest) < 1e-4, "the four cells meet in the middle of the tetrahedron"
    found = report(four)
    assert torch.unique(four.regions, dim=0).shape[0] == 6 + 4
    # Four balls glued: faces of the complex of 10 disks, 10 lines and 5 points add up to 5.
    assert (found.euler, found.faults) == (5, ())


def test_hull_may_be_a_mesh() -> None:
    shape = blob(7.0, 0.15, torch.Generator().manual_seed(2), subdivisions=3)
    cells = foam(torch.from_numpy(SEEDS[:4]), hull=shape, edge=1.5)
    assert cells.vertices.dtype == torch.float64
    assert float(volumes(cells).sum()) == pytest.approx(float(volumes(shape)), rel=0.03)
    assert cells.closed().tolist() == [True] * 4
    found = surface_distance(Mesh(cells.vertices, cells.faces[cells.regions[:, 1] == 0]), shape, 2000)
    assert found.mean_ab < 0.05


def test_without_a_hull_all_seeds_lie_well_inside() -> None:
    cells = foam(SEEDS[:5])
    for cell, seed in enumerate(SEEDS[:5], 1):
        moved = Mesh(cells.vertices - torch.tensor(seed, dtype=torch.float32), cells.faces, regions=cells.regions)
        assert int(voxelize(moved, (1, 1, 1), 1.0)) == cell


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: foam([[0, 0, 0.0]]), "a foam of one cell needs a hull"),
        (lambda: foam([[0, 0.0]]), r"seeds \(N, 3\)"),
        (lambda: foam([[0, 0, 0.0]], [1.0, 2.0]), r"as many weights, got shapes \(1, 3\) and \(2,\)"),
        (lambda: foam([[0, 0, math.nan]]), "must be finite"),
        (lambda: foam([[0, 0, 1.0], [0, 0, 1.0]]), "got two at one place"),
        (lambda: foam([[0, 0, 0.0], [0, 0, 9.0]], hull=(1.0, 1.0, 1.0)), "got none for 1; move them inside"),
        (lambda: foam([[0, 0, 0.0]], hull=(1.0, -1.0, 1.0)), "three semi-axes in um above 0"),
        (lambda: foam([[0, 0, 0.0]], hull=(1.0, 1.0, 1.0), edge=0.0), "edge must be positive"),
        (lambda: foam([[0, 0, 0.0]], hull=(9.0, 9.0, 9.0), edge=0.01), "takes at most 60,000,000 samples"),
        (
            lambda: foam([[0, 0, 0.0]], hull=Mesh(icosphere(1.0).vertices, icosphere(1.0).faces[1:])),
            "hull must be one closed surface",
        ),
    ],
)
def test_what_is_no_foam(build: object, message: str) -> None:
    assert callable(build)
    with pytest.raises(ValueError, match=message):
        build()
