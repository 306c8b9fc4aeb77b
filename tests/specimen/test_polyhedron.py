"""Silhouettes and volumes of many convex bodies at a time, against Qhull and one body at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull

import exitwave as ew
from exitwave.specimen.polyhedron import gathered, hulls
from exitwave.specimen.shapes import axes_of


def disordered(count: int, crystal: ew.Crystal) -> tuple[ew.Crystal, torch.Tensor, torch.Tensor]:
    """Return crystals with faces of unequal growth (N, F) in any pose (N, 3, 3)."""
    generator = torch.Generator().manual_seed(count)
    free, size = crystal.unconstrained(torch.ones(count, len(crystal.lengths), dtype=torch.float64))
    assert isinstance(free, ew.Crystal)
    noise = torch.randn(size.shape, generator=generator, dtype=torch.float64)
    rotation = torch.randn(count, 4, generator=generator, dtype=torch.float64)
    return free, size * torch.exp(0.2 * noise), axes_of(rotation)


def area(polygon: np.ndarray) -> float:
    """Return the area of a polygon, positive where it turns from the first axis to the second."""
    after = np.roll(polygon, -1, 0)
    return float((polygon[:, 0] * after[:, 1] - polygon[:, 1] * after[:, 0]).sum() / 2)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_hulls_of_scattered_points_are_those_of_qhull(dtype: torch.dtype) -> None:
    points = torch.randn(40, 30, 2, generator=torch.Generator().manual_seed(1), dtype=dtype)
    for polygon, cloud in zip(hulls(points), points.double().numpy(), strict=True):
        expected = ConvexHull(cloud)
        assert {tuple(corner) for corner in polygon.double().tolist()} == set(map(tuple, cloud[expected.vertices]))
        assert area(polygon.double().numpy()) == pytest.approx(expected.volume, rel=1e-6)


def test_hulls_have_no_corner_twice_and_none_within_an_edge() -> None:
    """Points that repeat, stand on the edges, or differ by rounding only, as those of symmetric crystals do."""
    square = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    edges = (square + torch.roll(square, 1, 0)) / 2
    points = torch.cat([square, edges, square + 1e-14, square - 1e-14, 0.5 * square + 0.25])[None]
    turned = points @ torch.tensor([[0.8, 0.6], [-0.6, 0.8]], dtype=torch.float64)
    for cloud in (points, turned, 1e-4 * points, 1e4 * turned):
        (polygon,) = hulls(cloud)
        assert len(polygon) == 4
        assert area(polygon.numpy()) == pytest.approx(float(torch.linalg.vector_norm(cloud[0, 1] - cloud[0, 0])) ** 2)
    assert hulls(torch.zeros(0, 5, 2)) == []


def test_crystals_in_a_crowd_are_what_they_are_alone() -> None:
    crystal, size, axes = disordered(30, ew.Crystal())
    volume, outlines, boxes = crystal.volume(size), crystal.outline(size, axes), crystal.oriented_box(size, axes)
    for k in range(len(size)):
        alone = slice(k, k + 1)
        assert torch.equal(volume[alone], crystal.volume(size[alone]))
        assert torch.equal(outlines[k], crystal.outline(size[alone], axes[alone])[0])
        assert torch.equal(boxes[alone], crystal.oriented_box(size[alone], axes[alone]))


@pytest.mark.parametrize(
    "crystal",
    [ew.Crystal(), ew.Crystal((1, 1, 1), ((1, 1, 1), (1, 0, 0)), "m-3m"), ew.Crystal((1, 1, 1), ((1, 2, 0),), "m-3m")],
    ids=["lysozyme", "cuboctahedron", "24 faces"],
)
def test_volumes_and_outlines_are_those_of_the_corners(crystal: ew.Crystal) -> None:
    free, size, axes = disordered(6, crystal)
    corners = gathered(free.vertices(size))
    outlines, volumes = free.outline(size, axes), free.volume(size)
    for k in range(len(size)):
        there = corners[k][corners[k].any(-1)].numpy()
        assert len(there) == int(free.vertices(size[k : k + 1]).any(-1).sum())
        assert float(volumes[k]) == pytest.approx(ConvexHull(there).volume, rel=1e-9)
        flat = there @ axes[k, 1:].numpy().T
        assert area(outlines[k].numpy()) == pytest.approx(ConvexHull(flat).volume, rel=1e-9)


def test_volume_grows_by_the_area_of_a_face_that_moves_out() -> None:
    """The derivative of the volume by the distance of a face is its area; all of them span the volume."""
    crystal, size, _ = disordered(5, ew.Crystal())
    size.requires_grad_()
    volume = crystal.volume(size)
    (areas,) = torch.autograd.grad(volume.sum(), size)
    assert (areas >= 0).all()
    torch.testing.assert_close((areas * size).sum(1) / 3, volume)
