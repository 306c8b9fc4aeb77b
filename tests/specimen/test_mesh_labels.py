"""Meshes from images of labels: clean surfaces whatever the image, and smooth ones around smooth bodies."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from exitwave.specimen.meshes import centroids, collisions, mesh_from_labels, region_labels, volumes, voxelize
from exitwave.specimen.meshes.nets import net
from exitwave.specimen.meshes.surface import Integers, enclosed
from exitwave.specimen.meshes.topology import edges


def places(count: int, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> np.ndarray:
    return np.stack(np.meshgrid(*[(np.arange(count) - count // 2) * step for step in spacing], indexing="ij"), -1)


def cells(count: int = 8, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> np.ndarray:
    """Return a ball of 13 um cut into Voronoi cells, with labels 5, 15, 25, ..."""
    at = places(30, spacing)
    seeds = np.random.default_rng(0).uniform(-9, 9, (count, 3))
    labels = 10 * np.linalg.norm(at[..., None, :] - seeds, axis=-1).argmin(-1) + 5
    labels[np.linalg.norm(at, axis=-1) > 13] = 0
    return labels


def faults(faces: Integers) -> int:
    """Return the edges without two faces that turn one way, and the vertices at which a surface touches itself."""
    sides = edges(faces)
    torn = int(((sides.count != 2) | (sides.balance != 0)).sum())
    if torn:
        return torn
    corner = np.arange(3 * len(faces)).reshape(-1, 3)
    pairs = np.argsort(sides.of.ravel(), kind="stable").reshape(-1, 2)
    (f, i), (g, j) = (np.divmod(pairs[:, k], 3) for k in (0, 1))
    rows = np.concatenate([corner[f, i], corner[f, (i + 1) % 3]])
    columns = np.concatenate([corner[g, (j + 1) % 3], corner[g, j]])
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(corner.size, corner.size))
    return connected_components(graph, directed=False)[0] - len(np.unique(faces))


@pytest.mark.parametrize("labels", [2, 3, 9])
def test_every_region_of_noise_is_bounded_by_clean_surfaces(labels: int) -> None:
    """Random voxels touch by edges and corners in every way there is."""
    image = np.random.default_rng(labels).integers(0, labels, (9, 10, 11))
    body = net(image)
    for region in range(1, labels):
        outward = body.faces[body.regions[:, 0] == region]
        inward = body.faces[body.regions[:, 1] == region][:, ::-1]
        assert faults(np.concatenate([outward, inward])) == 0
    assert (enclosed(body.points, body.faces, body.regions, labels - 1) > 0).all()


def test_plane_between_voxels_lies_halfway() -> None:
    image = np.zeros((5, 6, 7), dtype=int)
    image[:, :, :3] = 1
    image[:, :, 3:] = 2
    body = net(image)
    wall = body.faces[(body.regions == [1, 2]).all(1)]
    inner = body.points[np.unique(wall)]
    assert np.allclose(inner[(inner[:, 0] > 0) & (inner[:, 0] < 4)][:, 2], 2.5)


def test_ball_of_voxels_becomes_round() -> None:
    radius = 12.0
    image = (np.linalg.norm(places(32), axis=-1) < radius).astype(int)
    ball = mesh_from_labels(image, 0.5, edge=1.0)
    assert float(volumes(ball)) == pytest.approx(image.sum() / 8, rel=1e-5)
    out = ball.vertices.double().norm(dim=1)
    assert float(out.mean()) == pytest.approx(radius / 2, rel=0.01)
    # Voxels themselves are off by .29 voxels of .5 um in the mean square along each axis.
    assert float(out.std()) < 0.06
    normal = torch.nn.functional.normalize(ball.area_vectors().double(), dim=1)
    along = torch.nn.functional.normalize(ball.corners().double().mean(1), dim=1)
    assert float((normal * along).sum(1).clamp(-1, 1).acos().square().mean().sqrt()) < math.radians(8)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0)])
def test_cells_come_back_as_they_were(spacing: tuple[float, float, float]) -> None:
    image = cells(spacing=spacing)
    names = region_labels(image)
    mesh = mesh_from_labels(torch.from_numpy(image), spacing, edge=2.0)
    expected = torch.from_numpy(np.bincount(image.ravel())[names] * np.prod(spacing))
    torch.testing.assert_close(volumes(mesh).double(), expected, rtol=2e-3, atol=0)
    found = voxelize(mesh, image.shape, spacing).numpy()
    for region, name in enumerate(names.tolist(), 1):
        both = ((image == name) & (found == region)).sum()
        assert 2 * both / ((image == name).sum() + (found == region).sum()) > 0.97
    assert mesh.closed().all()
    assert len(collisions(mesh)) <= 4
    length = (mesh.corners() - mesh.corners().roll(1, 1)).norm(dim=-1)
    assert float(length.mean()) == pytest.approx(2.0, rel=0.05)


def test_regions_are_the_sorted_labels_around_the_origin() -> None:
    image = torch.zeros(8, 8, 12, dtype=torch.uint8)
    image[2:6, 2:6, 2:6] = 200
    image[2:6, 2:6, 6:10] = 30
    mesh = mesh_from_labels(image, (0.5, 0.5, 1.0), edge=0.5)
    assert region_labels(image).tolist() == [30, 200]
    # Voxels 6 to 9 of 12 have their middle at 7.5, 1.5 voxels right of the origin.
    expected = torch.tensor([[-0.25, -0.25, 1.5], [-0.25, -0.25, -2.5]])
    torch.testing.assert_close(centroids(mesh), expected, rtol=0, atol=0.05)
    assert torch.unique(mesh.regions, dim=0).tolist() == [[1, 0], [1, 2], [2, 0]]
    assert mesh.density.unique().tolist() == [1.0, 2.0], "two membranes lie between two cells"


def test_labels_reach_the_border_and_single_voxels_stay() -> None:
    image = np.ones((5, 5, 5), dtype=int)
    image[2, 2, 2] = 2
    mesh = mesh_from_labels(image, 1.0, edge=0.7)
    assert volumes(mesh).tolist() == pytest.approx([124.0, 1.0], rel=0.02)


@pytest.mark.parametrize(
    ("labels", "spacing", "edge", "message"),
    [
        (np.zeros((4, 4, 4), dtype=int), 1.0, None, "must hold a label other than 0"),
        (np.ones((4, 4, 4)), 1.0, None, r"must be integers \(Z, Y, X\), got float64"),
        (np.ones((4, 4), dtype=int), 1.0, None, r"got int64 with shape \(4, 4\)"),
        (np.ones((4, 4, 4), dtype=int), (1.0, 0.0, 1.0), None, "spacing must be one or three sizes"),
        (np.ones((4, 4, 4), dtype=int), 1.0, -1.0, "edge must be positive, in um, got -1"),
    ],
)
def test_what_is_no_image_of_labels(labels: np.ndarray, spacing: float, edge: float | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mesh_from_labels(labels, spacing, edge)
