"""Remeshing: even triangles on the same surface, the same regions and the same volumes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from exitwave.specimen.mesh import Mesh
from exitwave.specimen.meshes import (
    blob,
    foam,
    icosphere,
    load_mesh,
    remesh,
    repair,
    report,
    surface_distance,
    torus,
    volumes,
)
from exitwave.specimen.meshes.surface import shapes, surface

MESHES = Path(__file__).resolve().parents[3] / "shared" / "data" / "meshes"
real = pytest.mark.skipif(not MESHES.exists(), reason="the example meshes are not part of the repository")


def lengths(mesh: Mesh) -> torch.Tensor:
    return (mesh.corners() - mesh.corners().roll(1, 1)).norm(dim=-1)


def quality(mesh: Mesh) -> np.ndarray:
    body = surface(mesh)
    return shapes(body.points, body.faces)


@pytest.mark.parametrize("edge", [0.12, 0.25, 0.5])
def test_edges_of_a_sphere_get_the_length_that_was_asked_for(edge: float) -> None:
    old = icosphere(1.0, subdivisions=4)
    new = remesh(old, edge)
    assert float(lengths(new).mean()) == pytest.approx(edge, rel=0.12)
    assert float(lengths(new).max()) < 1.5 * edge
    assert float(lengths(new).min()) > 0.5 * edge
    assert float(volumes(new)) == pytest.approx(float(volumes(old)), rel=1e-5)
    # Between vertices on a sphere of slightly more than its radius the faces cut it short.
    assert surface_distance(old, new, 2000).p99_ab < edge**2 / 4
    assert quality(new).mean() > 0.95
    assert quality(new).min() > 0.6
    assert (report(new).euler, report(new).faults) == (2, ())


def test_long_thin_triangles_become_even() -> None:
    ring = torus(2.0, 0.7, segments=(160, 8))
    assert quality(ring).mean() < 0.5
    new = remesh(ring, 0.3)
    assert quality(new).mean() > 0.95
    assert (report(new).euler, report(new).faults) == (0, ())
    assert float(volumes(new)) == pytest.approx(float(volumes(ring)), rel=1e-4)


def test_even_meshes_stay() -> None:
    old = remesh(icosphere(1.0, subdivisions=3), 0.2)
    new = remesh(old, 0.2, iterations=1)
    assert abs(len(new.faces) - len(old.faces)) < 0.1 * len(old.faces)
    assert surface_distance(old, new, 2000).mean_ab < 2e-3


def test_walls_of_a_foam_stay_flat_and_meet_in_the_same_lines() -> None:
    seeds = [[0, 0, -1.0], [0, 0, 1.0], [0, 2.0, 0], [2.0, 0, 0]]
    old = foam(seeds, hull=(3.0, 3.5, 3.0), edge=0.6)
    new = remesh(old, 0.9)
    assert torch.equal(torch.unique(new.regions, dim=0), torch.unique(old.regions, dim=0))
    torch.testing.assert_close(volumes(new), volumes(old), rtol=1e-4, atol=0)
    # x = 0 stands halfway between the first two seeds.
    between = (new.regions == torch.tensor([1, 2])).all(1)
    assert float(new.corners()[between][..., 2].abs().max()) < 0.04
    found = report(new)
    assert (found.euler, found.faults) == (report(old).euler, ())
    assert found.closed == (True,) * 4


def test_holes_keep_their_rims() -> None:
    sphere = icosphere(1.0, subdivisions=4)
    cup = Mesh(sphere.vertices, sphere.faces[(sphere.corners()[..., 0] < 0.3).all(1)])
    new = remesh(cup, 0.15)
    open_ = report(new)
    assert (open_.euler, open_.closed) == (1, (False,)), "a disk"
    found = surface_distance(cup, new, 2000)
    assert max(found.p99_ab, found.p99_ba) < 0.02


def test_light_stays_where_it_is() -> None:
    sphere = icosphere(1.0, subdivisions=3)
    bright = (sphere.corners().mean(1)[:, 0] > 0).float() + 1
    new = remesh(Mesh(sphere.vertices, sphere.faces, bright, fill_density=[5.0], label="bead"), 0.1)
    top = new.corners().mean(1)[:, 0]
    assert bool((new.density[top > 0.15] == 2).all())
    assert bool((new.density[top < -0.15] == 1).all())
    assert (new.label, new.fill_density.tolist()) == ("bead", [5.0])
    assert float((new.density * new.areas()).sum()) == pytest.approx(6 * math.pi, rel=0.02)


def test_the_same_mesh_comes_out_every_time_in_its_own_precision() -> None:
    egg = blob(torch.tensor(1.0, dtype=torch.float64), 0.2, torch.Generator().manual_seed(1), subdivisions=3)
    first, second = remesh(egg, 0.2), remesh(egg, 0.2)
    assert first == second
    assert first.vertices.dtype == torch.float64


@real
def test_spot_keeps_its_shape() -> None:
    spot = load_mesh(MESHES / "spot.obj")
    new = remesh(spot, 0.06)
    found = report(new)
    assert (found.euler, found.faults) == (2, ())
    assert float(volumes(new)) == pytest.approx(float(volumes(spot)), rel=1e-4)
    apart = surface_distance(spot, new, 4000)
    assert max(apart.mean_ab, apart.mean_ba) < 0.03 * 0.06
    assert quality(new).min() > 0.5


@real
def test_four_real_cells_keep_their_walls() -> None:
    cell = repair(load_mesh(MESHES / "cell4.rec", scale=0.1))[0]
    new = remesh(cell, 0.9)
    assert new.closed().tolist() == [True] * 4
    torch.testing.assert_close(volumes(new), volumes(cell), rtol=1e-3, atol=0)
    assert torch.equal(torch.unique(new.regions, dim=0), torch.unique(cell.regions, dim=0))
    assert quality(new).mean() > 0.93


def test_what_cannot_be_remeshed() -> None:
    with pytest.raises(ValueError, match="edge must be positive, in um, got 0"):
        remesh(icosphere(1.0), 0.0)
    with pytest.raises(ValueError, match="iterations must be at least 1"):
        remesh(icosphere(1.0), 0.2, iterations=0)
