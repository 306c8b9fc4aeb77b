"""Fourier transforms of simplices in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from raster.shells import SMALL, ball, relative
from torch import Tensor

from exitwave.raster.simplex import at, direct, elements, wave
from exitwave.specimen import Filaments, Mesh, Points, Tetrahedra

CORNERS = torch.tensor([[0.1, -0.2, 0.05], [0.6, 0.1, 0.0], [-0.2, 0.5, 0.3], [0.0, -0.1, 0.55]], dtype=torch.float64)
# The mean, and two waves: one that runs across all edges, and one along which some corners are level.
FREQUENCY = torch.tensor([[0.0, 0.0, 0.0], [1.1, -0.7, 0.4], [0.0, 0.0, 2.0]], dtype=torch.float64)


def mean_by_nodes(phases: np.ndarray, nodes: int = 22) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of exp(-i phase) over simplices and its derivatives, by Gauss's rule on a collapsed cube."""
    order = phases.shape[1] - 1
    node, weight = np.polynomial.legendre.leggauss(nodes)
    node, weight = (node + 1) / 2, weight / 2
    share, total = np.ones((1, 1)), np.ones(1)
    for axis in range(order):
        rest = share[:, -1:]
        split = np.stack([rest * node, rest * (1 - node)], -1)
        kept = np.broadcast_to(share[:, None, :-1], (len(share), nodes, share.shape[1] - 1))
        share = np.concatenate([kept, split], -1).reshape(len(share) * nodes, -1)
        total = np.outer(total, weight * (1 - node) ** (order - 1 - axis)).ravel()
    total *= math.factorial(order)
    waves = np.exp(-1j * phases @ share.T) * total
    return waves.sum(-1), -1j * waves @ share


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("size", [0.0, 1e-9, 0.3, 0.7, 1.4, 4.0])
def test_closed_form_has_all_digits_whatever_the_phases(order: int, size: float) -> None:
    phases = torch.randn(30, order + 1, generator=torch.Generator().manual_seed(order), dtype=torch.float64) * size
    phases[:10, 1] = phases[:10, 0]
    phases[5:15] += 3.0
    value, slope = mean_by_nodes(phases.numpy())
    phases.requires_grad_()
    found = wave(phases)
    assert abs(found.detach().numpy() - value).max() < 4e-15
    (real,) = torch.autograd.grad(found.real.sum(), phases, retain_graph=True)
    (imaginary,) = torch.autograd.grad(found.imag.sum(), phases)
    assert abs((real + 1j * imaginary).numpy() - slope).max() < 1e-14


def test_disk_of_many_triangles_is_a_bessel_function() -> None:
    angle = torch.arange(400, dtype=torch.float64) * (2 * math.pi / 400)
    rim = torch.stack([0 * angle, angle.sin(), angle.cos()], -1)
    number = torch.arange(400)
    faces = torch.stack([torch.zeros_like(number), number + 1, (number + 1) % 400 + 1], -1)
    disk = Mesh(torch.cat([rim.new_zeros(1, 3), rim]), faces)
    radius = torch.linspace(0.05, 2.0, 9, dtype=torch.float64)
    found = at(elements(disk), torch.stack([radius, 0.6 * radius, 0.8 * radius], -1), SMALL)
    # Phases from the middle of the disk.
    origin = torch.tensor(SMALL.origin).double()
    turn = 2 * math.pi * (torch.stack([radius, 0.6 * radius, 0.8 * radius], -1) @ origin)
    expected = torch.special.bessel_j1(2 * math.pi * radius) / radius
    assert torch.allclose(found * torch.complex(turn.cos(), -turn.sin()), expected.to(found), atol=5e-4)


def test_solid_sphere_has_its_closed_form() -> None:
    radius = 0.5
    found = direct(ball(radius, 8, fill=3.0), SMALL)
    fz, fy, fx = SMALL.frequencies(found.real)
    k = 2 * math.pi * (fz.square() + fy.square() + fx.square()).sqrt() * radius
    k[0, 0, 0] = 1.0
    share = 3 * (k.sin() - k * k.cos()) / k**3
    share[0, 0, 0] = 1.0
    origin = 2 * math.pi * (fz * SMALL.origin[0] + fy * SMALL.origin[1] + fx * SMALL.origin[2])
    expected = 3.0 * 4 / 3 * math.pi * radius**3 * share * torch.complex(origin.cos(), origin.sin())
    assert relative(found, expected) < 5e-2  # flat faces lie inside the sphere


def test_closed_surface_equals_the_tetrahedra_inside() -> None:
    shell = ball(0.5, 2, fill=2.0)
    corners = torch.cat([shell.vertices, torch.tensor([[0.07, -0.02, 0.1]], dtype=torch.float64)])
    apex = torch.full_like(shell.faces[:, :1], len(shell.vertices))
    solid = Tetrahedra(corners, torch.cat([shell.faces, apex], 1), torch.full((len(apex),), 2.0, dtype=torch.float64))
    assert relative(direct(shell, SMALL), direct(solid, SMALL)) < 1e-14


def test_wall_between_cells_carries_the_difference_of_their_fillings() -> None:
    one, other = ball(0.5, 2, fill=3.0), ball(0.3, 2)
    vertices = torch.cat([one.vertices, other.vertices])
    faces = torch.cat([one.faces, other.faces + len(one.vertices)])
    regions = torch.tensor([[1, 0]]).repeat(len(faces), 1)
    regions[len(one.faces) :] = torch.tensor([2, 1])
    fill = torch.tensor([3.0, 1.0], dtype=torch.float64)
    nested = Mesh(vertices, faces, regions=regions, fill_density=fill)
    hole = Mesh(other.vertices, other.faces, fill_density=torch.tensor([2.0], dtype=torch.float64))
    assert relative(direct(nested, SMALL), direct(one, SMALL) - direct(hole, SMALL)) < 1e-13


def test_derivatives_where_phases_coincide() -> None:
    given = torch.tensor([[0.0, 0.0, 0.0], [0.3, 0.3, 1.9], [1.9, 0.3, 0.3]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda given: torch.view_as_real(wave(given)), given, check_forward_ad=True)
    given = torch.full((1, 4), 2.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda given: torch.view_as_real(wave(given)), given)


def surface(vertices: Tensor, density: Tensor) -> Tensor:
    return torch.view_as_real(at(elements(Mesh(vertices, [[0, 1, 2]], density)), FREQUENCY, SMALL))


def lines(vertices: Tensor, density: Tensor) -> Tensor:
    return torch.view_as_real(at(elements(Filaments(vertices, density=density.expand(3))), FREQUENCY, SMALL))


def tetrahedron(vertices: Tensor, density: Tensor) -> Tensor:
    return torch.view_as_real(at(elements(Tetrahedra(vertices, [[0, 1, 2, 3]], density)), FREQUENCY, SMALL))


def shell(vertices: Tensor, density: Tensor) -> Tensor:
    # Two faces have no area, and two are opposite.
    faces = [[0, 1, 2], [2, 1, 0], [0, 0, 3], [0, 3, 0]]
    return torch.view_as_real(at(elements(Mesh(vertices, faces, fill_density=density)), FREQUENCY, SMALL))


@pytest.mark.parametrize("spectrum", [surface, lines, tetrahedron, shell])
def test_derivatives_by_corners_and_density(spectrum: Callable[[Tensor, Tensor], Tensor]) -> None:
    vertices = CORNERS.clone().requires_grad_()
    density = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(spectrum, (vertices, density), check_forward_ad=True, fast_mode=True)


def test_faces_of_no_area_have_no_slope() -> None:
    # An area has a kink where it is zero; its slope there is the mean of those around.
    flat = torch.tensor([[0.0, 0.0, 0.0], [0.25, 0.5, 0.0], [0.5, 1.0, 0.0]], dtype=torch.float64, requires_grad=True)
    density = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    by_vertices, by_density = torch.autograd.grad(surface(flat, density).sum(), (flat, density))
    assert torch.equal(by_vertices, torch.zeros_like(flat))
    assert by_density == 0


def test_other_values_are_refused_by_name() -> None:
    with pytest.raises(TypeError, match="Points, Filaments, Mesh or Tetrahedra, got int"):
        elements(3)
    assert direct(Points(CORNERS), SMALL)[0, 0, 0] == 4
