"""Points that stand for segments, triangles and tetrahedra."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from raster.shells import SMALL, STILL, ball, relative
from torch import Tensor

from exitwave.lattice import Lattice
from exitwave.raster import quadrature
from exitwave.raster.quadrature import Emitters, emitters, envelope_of
from exitwave.raster.simplex import at, direct, elements
from exitwave.specimen import Filaments, Mesh, Points, Tetrahedra

CORNERS = torch.tensor([[0.1, -0.2, 0.05], [0.6, 0.1, 0.0], [-0.2, 0.5, 0.3], [0.0, -0.1, 0.55]], dtype=torch.float64)
GAUSS = tuple(math.exp(-math.log(1e4) * u * u) for u in np.linspace(0, math.sqrt(3), 32))


def summed(emitters: Emitters, lattice: Lattice) -> Tensor:
    """Return the spectrum of emitters, point by point."""
    assert emitters.weight is not None
    return direct(Points(emitters.position, emitters.weight), lattice)


def parts(dtype: torch.dtype = torch.float64) -> dict[str, object]:
    ends = torch.tensor([[0, 1], [1, 2], [2, 3]])
    return {
        "points": Points(CORNERS.to(dtype), torch.tensor([1.0, 2.0, 0.0, 3.0], dtype=dtype)),
        "filaments": Filaments(CORNERS.to(dtype), ends, torch.tensor([1.0, 2.0, 3.0], dtype=dtype)),
        "mesh": Mesh(CORNERS.to(dtype), [[0, 1, 2], [1, 3, 2]], torch.tensor([1.0, 2.0], dtype=dtype)),
        "tetrahedra": Tetrahedra(CORNERS.to(dtype), [[0, 1, 2, 3]], torch.tensor([2.0], dtype=dtype)),
    }


@pytest.mark.parametrize("order", [1, 2, 3])
def test_rules_integrate_polynomials_of_their_degree(order: int) -> None:
    for number, rule in enumerate(quadrature._rules(order)):
        nodes = quadrature._NODES[order]
        degree = 2 * nodes[number] - 1 if number < len(nodes) else {3: 2, 7: 5}[len(rule.weight)]
        assert np.allclose(rule.share.sum(-1), 1)
        for power in {0, 1, degree // 2, degree}:
            for left in {0, 1, power // 2} & set(range(power + 1)):
                # The mean of a^p b^q over a simplex (Dirichlet's integral).
                exact = math.factorial(power - left) * math.factorial(left) * math.factorial(order)
                exact /= math.factorial(power + order)
                found = rule.share[:, 0] ** (power - left) * rule.share[:, -1] ** left @ rule.weight
                assert found == pytest.approx(exact, rel=1e-11), (number, power, left)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("pieces", [2, 3, 5])
def test_simplices_are_cut_into_alike_pieces(order: int, pieces: int) -> None:
    corners = quadrature._pieces(order, pieces)
    assert corners.shape == (pieces**order, order + 1, order + 1)
    assert corners.min() >= 0
    assert np.allclose(np.abs(np.linalg.det(corners)), 1 / pieces**order)
    # No two have the same middle, so that together they are the whole.
    assert len(np.unique(corners.mean(1).round(9), axis=0)) == len(corners)


@pytest.mark.parametrize("kind", ["points", "filaments", "mesh", "tetrahedra"])
@pytest.mark.parametrize("rtol", [1e-2, 1e-5])
def test_spectra_are_those_of_the_closed_form(kind: str, rtol: float) -> None:
    part = parts()[kind]
    assert relative(summed(emitters(part, SMALL, rtol), SMALL), direct(part, SMALL)) < rtol


@pytest.mark.parametrize("kind", ["filaments", "mesh", "tetrahedra"])
def test_large_elements_are_cut(kind: str) -> None:
    fine = Lattice((64, 64, 64), (0.05, 0.05, 0.05), (15, 15, 15), (0, 0, 0), (64, 64, 64), (0.0, 0.0, 0.0))
    found = emitters(parts()[kind], fine, 1e-2)
    frequencies = torch.stack(torch.broadcast_tensors(*fine.frequencies(CORNERS)), -1)[::5, ::5, ::5].reshape(-1, 3)
    assert found.weight is not None
    one = at(elements(Points(found.position, found.weight)), frequencies, fine)
    exact = at(elements(parts()[kind]), frequencies, fine)
    assert float((one - exact).abs().max()) < 1e-2 * float(found.weight.sum())


def test_fewer_points_do_where_little_is_seen() -> None:
    part = parts()["mesh"]
    seen, unseen = emitters(part, SMALL, 1e-4), emitters(part, SMALL, 1e-4, GAUSS)
    assert len(unseen.position) < len(seen.position) / 2
    fz, fy, fx = SMALL.frequencies(CORNERS)
    cut = [order / period for order, period in zip(SMALL.order, SMALL.period, strict=True)]
    square = (fz / cut[0]).square() + (fy / cut[1]).square() + (fx / cut[2]).square()
    transfer = torch.exp(-math.log(1e4) * square)
    assert relative(summed(unseen, SMALL) * transfer, direct(part, SMALL) * transfer) < 1e-4


def test_envelope_bounds_what_is_seen() -> None:
    fz, fy, fx = SMALL.frequencies(CORNERS)
    cut = [order / period for order, period in zip(SMALL.order, SMALL.period, strict=True)]
    place = ((fz / cut[0]).square() + (fy / cut[1]).square() + (fx / cut[2]).square()).sqrt()
    for transfer in (torch.exp(-2 * place.square()), (1 - place).clamp(min=0.0), torch.exp(-place) * (1 + 0j)):
        envelope = envelope_of(3 * transfer, SMALL)
        bound = np.interp(place.numpy(), np.linspace(0, math.sqrt(3), len(envelope)), envelope)
        assert (bound >= transfer.abs().numpy() - 1e-12).all()
        assert envelope[0] == 1
        assert list(envelope) == sorted(envelope, reverse=True)


def test_envelopes_stay_while_a_microscope_hardly_changes() -> None:
    fz, fy, fx = SMALL.frequencies(CORNERS)
    square = fz.square() + fy.square() + fx.square()
    found = {envelope_of(torch.exp(-width * square), SMALL) for width in (0.3, 0.3 + 1e-7, 0.3 - 1e-7)}
    assert len(found) == 1


def test_sums_are_what_the_parts_emit() -> None:
    for kind, total in (("points", 6.0), ("filaments", None), ("mesh", None), ("tetrahedra", None)):
        part = parts()[kind]
        weight = emitters(part, SMALL, 1e-3).weight
        assert weight is not None
        expected = direct(part, SMALL)[0, 0, 0].real if total is None else torch.tensor(total)
        assert float(weight.sum()) == pytest.approx(float(expected), rel=1e-12)


def test_solids_have_a_flux_and_dark_faces() -> None:
    solid = emitters(ball(0.5, 3, fill=2.0), SMALL, 1e-4)
    assert solid.weight is None
    assert solid.flux is not None
    assert torch.allclose(solid.flux.sum(0), torch.zeros(3, dtype=torch.float64), atol=1e-13)
    # Outwards, and twice the area.
    across = (solid.flux * solid.position).sum(-1) / solid.position.norm(dim=-1)
    assert float(across.sum()) == pytest.approx(2 * 4 * math.pi * 0.25, rel=0.15)
    assert bool((across > 0).all())


def test_what_might_become_bright_is_not_left_out() -> None:
    shell = ball(0.5, 2)
    fill = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    free = Mesh(shell.vertices, shell.faces, shell.density, fill_density=fill)
    assert emitters(shell, SMALL, 1e-2).flux is None
    assert emitters(free, SMALL, 1e-2).flux is not None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_precision_follows_the_part(dtype: torch.dtype) -> None:
    for part in parts(dtype).values():
        found = emitters(part, SMALL, 1e-3)
        assert found.weight is not None
        assert found.position.dtype is found.weight.dtype is dtype


def strip(vertices: Tensor, density: Tensor) -> tuple[Tensor, ...]:
    found = emitters(Mesh(vertices, [[0, 1, 2], [1, 3, 2]], density), SMALL, 1e-1)
    assert found.weight is not None
    return found.position, found.weight


def shell(vertices: Tensor, density: Tensor) -> tuple[Tensor, ...]:
    faces = [[0, 1, 2], [2, 1, 0], [0, 0, 3], [0, 3, 0]]
    found = emitters(Mesh(vertices, faces, fill_density=density[:1]), SMALL, 1e-1)
    assert found.flux is not None
    return found.position, found.flux


@pytest.mark.parametrize("points", [strip, shell])
def test_derivatives_of_points(points: Callable[[Tensor, Tensor], tuple[Tensor, ...]]) -> None:
    vertices = CORNERS.clone().requires_grad_()
    density = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(points, (vertices, density), check_forward_ad=True, fast_mode=True)


def test_faces_of_no_area_have_finite_slopes() -> None:
    vertices = CORNERS.clone().requires_grad_()
    found = emitters(Mesh(vertices, [[0, 1, 2], [0, 0, 1], [3, 3, 3]]), SMALL, 1e-2)
    assert found.weight is not None
    (slope,) = torch.autograd.grad(found.weight.sum() + found.position.square().sum(), vertices)
    assert bool(torch.isfinite(slope).all())


def test_slopes_are_ten_times_the_tolerance_at_most() -> None:
    pull = torch.randn(SMALL.bands, generator=torch.Generator().manual_seed(0), dtype=torch.complex128)

    def slope(spectrum: Callable[[Mesh], Tensor]) -> Tensor:
        vertices = CORNERS.clone().requires_grad_()
        found = spectrum(Mesh(vertices, [[0, 1, 2], [1, 3, 2]]))
        return torch.autograd.grad((found * pull).real.sum(), vertices)[0]

    exact = slope(lambda part: direct(part, SMALL))
    for rtol in (1e-2, 1e-4):
        assert relative(slope(lambda part, rtol=rtol: summed(emitters(part, SMALL, rtol), SMALL)), exact) < 10 * rtol


def test_bad_numbers_are_told() -> None:
    with pytest.raises(ValueError, match="rtol must be one that quadrature can reach"):
        emitters(ball(0.5, 2), SMALL, 1e-30)
    nowhere = ball(0.5, 2)
    with pytest.raises(ValueError, match=r"vertices must be finite, got NaN"):
        emitters(Mesh(nowhere.vertices * math.nan, nowhere.faces), SMALL, 1e-3)
    huge = Tetrahedra(1e3 * CORNERS, [[0, 1, 2, 3]])
    with pytest.raises(ValueError, match="fill a closed Mesh in place of Tetrahedra"):
        emitters(huge, SMALL, 1e-3)
    assert len(emitters(ball(0.5, 2), STILL, 1e-3).position) == 3 * 32
