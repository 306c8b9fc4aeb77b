"""Spectra by spreading against sums over points and closed forms, and volumes against sums over frequencies."""

from __future__ import annotations

import dataclasses
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from raster.shells import FOLDED, SMALL, STILL, ball, cloud, middle, relative, rendered, scattered
from torch import Tensor

from exitwave import native
from exitwave.lattice import Lattice
from exitwave.raster.quadrature import Emitters
from exitwave.raster.simplex import direct
from exitwave.raster.spectrum import spectrum, volume
from exitwave.raster.spread import plan, spread
from exitwave.raster.stencil import FLAT, WIDTHS, stencil_for
from exitwave.specimen import Filaments, Mesh, Points, Tetrahedra

compiled = pytest.mark.skipif(native.KERNELS is None, reason="installed without the compiled kernels")
TESTS = Path(__file__).parents[1]
LATTICES = {"small": SMALL, "folded": FOLDED, "still": STILL}
every_lattice = pytest.mark.parametrize("lattice", LATTICES.values(), ids=LATTICES)
both_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def without_kernels(patch: pytest.MonkeyPatch, run: Callable[[], list[Tensor]]) -> list[Tensor]:
    with patch.context() as here:
        here.setattr(native, "KERNELS", None)
        return run()


@every_lattice
@pytest.mark.parametrize("rtol", [1e-2, 1e-5, 1e-9])
def test_points_have_their_spectrum(lattice: Lattice, rtol: float) -> None:
    position, weight = scattered(lattice, 60, torch.float64)
    found = spectrum(Emitters(position, weight), lattice, rtol)
    assert relative(found, direct(Points(position, weight), lattice)) < rtol


@every_lattice
def test_single_precision_reaches_five_digits(lattice: Lattice) -> None:
    position, weight = scattered(lattice, 60, torch.float32)
    found = spectrum(Emitters(position, weight), lattice, 1e-6)
    assert found.dtype is torch.complex64
    assert relative(found, direct(Points(position.double(), weight.double()), lattice)) < 2e-5


def test_points_on_the_faces_of_the_box_are_whole() -> None:
    low = torch.tensor(SMALL.origin, dtype=torch.float64)
    high = low + torch.tensor(SMALL.period, dtype=torch.float64)
    place = torch.stack([low, high, torch.stack([low[0], high[1], low[2]])])
    weight = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    found = spectrum(Emitters(place, weight), SMALL, 1e-6)
    assert relative(found, torch.full_like(found, 7.0)) < 1e-6


def test_points_outside_the_box_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    position, weight = scattered(SMALL, 40, torch.float64)
    outside = position + torch.tensor([[0.0, 0.0, SMALL.period[2]]], dtype=torch.float64)
    strange = torch.tensor([[math.nan, 0.0, 0.0], [0.0, math.inf, 0.0], [0.0, 0.0, -1e30]], dtype=torch.float64)
    alone = spectrum(Emitters(position, weight), SMALL, 1e-4)

    def run() -> list[Tensor]:
        place = torch.cat([position, outside, strange]).requires_grad_()
        bright = torch.cat([weight, weight, weight[:3]]).requires_grad_()
        found = spectrum(Emitters(place, bright), SMALL, 1e-4)
        return [found.detach(), *torch.autograd.grad(found.abs().square().sum(), (place, bright))]

    for found, by_place, by_weight in (run(), without_kernels(monkeypatch, run)):
        assert torch.allclose(found, alone)
        assert not by_place[40:].any()
        assert not by_weight[40:].any()
        assert by_place[:40].all()


@every_lattice
def test_surfaces_lines_and_solids_have_their_closed_forms(lattice: Lattice) -> None:
    corners = torch.tensor([[0, 0, 0], [0.4, 0.1, 0.0], [0.1, 0.4, 0.1], [0.1, 0.0, 0.4]], dtype=torch.float64)
    corners = corners + middle(lattice) - 0.15
    shell = ball(0.25, 3)
    inside = shell.vertices + middle(lattice)
    bright = torch.linspace(0.5, 2.0, len(shell.faces), dtype=torch.float64)
    fill = torch.tensor([5.0], dtype=torch.float64)
    for part in (
        Filaments(corners),
        Tetrahedra(corners, [[0, 1, 2, 3]]),
        Mesh(inside, shell.faces, bright),
        Mesh(inside, shell.faces, fill_density=fill),
        Mesh(inside, shell.faces, bright, fill_density=fill),
    ):
        assert relative(rendered(part, lattice, 1e-4), direct(part, lattice)) < 1e-4


def test_solid_sphere_has_its_closed_form() -> None:
    radius = 0.4
    found = rendered(ball(radius, 30, fill=3.0), SMALL, 1e-4)
    fz, fy, fx = SMALL.frequencies(found.real)
    k = 2 * math.pi * (fz.square() + fy.square() + fx.square()).sqrt() * radius
    k[0, 0, 0] = 1.0
    share = 3 * (k.sin() - k * k.cos()) / k**3
    share[0, 0, 0] = 1.0
    turn = 2 * math.pi * (fz * SMALL.origin[0] + fy * SMALL.origin[1] + fx * SMALL.origin[2])
    expected = 3.0 * 4 / 3 * math.pi * radius**3 * share * torch.complex(turn.cos(), turn.sin())
    assert relative(found, expected) < 4e-3  # flat faces lie inside the sphere


def test_solid_cut_by_the_box_ends_at_its_faces() -> None:
    box = Lattice((40, 40, 40), (0.1, 0.1, 0.1), (9, 9, 9), (4, 4, 4), (32, 32, 32), (0.0, 0.0, 0.0))
    fz, fy, fx = box.frequencies(torch.zeros((), dtype=torch.float64))
    blur = torch.exp(-2 * math.pi**2 * 0.2**2 * (fz.square() + fy.square() + fx.square()))
    shell = ball(1.0, 24, fill=2.0)
    place = shell.vertices * torch.tensor([1.0, 1.0, 3.0]) + torch.tensor([0.1, -0.2, 0.5])
    found = volume(rendered(dataclasses.replace(shell, vertices=place), box, 1e-3) * blur, box)
    # The same density on points all over the part of the body that lies in the box.
    steps = (torch.arange(160, dtype=torch.float64) + 0.5) / 40 - 2.0
    z, y, x = torch.meshgrid(steps, steps, steps, indexing="ij")
    inside = (z - 0.1).square() + (y + 0.2).square() + ((x - 0.5) / 3).square() < 1
    cells = torch.where(inside, 2.0, 0.0).reshape(40, 4, 40, 4, 40, 4).mean((1, 3, 5)).double()
    # Cells of 0.1 um, whose middles lie half a cell from the samples.
    fourier = torch.fft.fftn(cells) * 0.1**3
    select = [torch.cat([torch.arange(10), torch.arange(31, 40)]), torch.cat([torch.arange(10), torch.arange(31, 40)])]
    half = fourier[select[0]][:, select[1]][..., :10]
    shift = torch.exp(-1j * math.pi * 0.1 * (fz + fy + fx))
    expected = volume(half * shift * blur, box)
    assert relative(found, expected) < 1e-2


@every_lattice
@both_dtypes
def test_volume_is_the_sum_of_its_waves(lattice: Lattice, dtype: torch.dtype) -> None:
    position, weight = scattered(lattice, 5, torch.float64)
    given = direct(Points(position, weight), lattice)
    places = [
        (torch.arange(n, dtype=torch.float64) - n // 2) * step - origin
        for n, step, origin in zip(lattice.window, lattice.spacing, lattice.origin, strict=True)
    ]
    waves = [
        torch.exp(2j * math.pi * torch.outer(frequency.flatten(), place))
        for frequency, place in zip(lattice.frequencies(weight), places, strict=True)
    ]
    twice = torch.full((lattice.bands[2],), 2.0, dtype=torch.float64)
    twice[0] = 1.0
    expected = torch.einsum("abc,az,by,cx,c->zyx", given, *waves, twice.to(given)).real / math.prod(lattice.period)
    found = volume(given.to(torch.complex64 if dtype is torch.float32 else torch.complex128), lattice)
    assert found.dtype is dtype
    assert relative(found, expected) < (1e-6 if dtype is torch.float32 else 1e-13)


def test_volume_sums_to_the_emission() -> None:
    whole = dataclasses.replace(SMALL, corner=(0, 0, 0), window=SMALL.shape)
    position, weight = scattered(whole, 20, torch.float64)
    image = volume(spectrum(Emitters(position, weight), whole, 1e-8), whole)
    assert float(image.sum()) * math.prod(whole.spacing) == pytest.approx(float(weight.sum()), rel=1e-8)


@compiled
@every_lattice
@both_dtypes
@pytest.mark.parametrize("rtol", [1e-2, 1e-6])
def test_kernels_agree_with_plain_torch(
    lattice: Lattice, dtype: torch.dtype, rtol: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A surface that shines itself around something that does has as many.
    channels = 4
    position, _ = scattered(lattice, 50, dtype)
    position[0] += 100.0
    generator = torch.Generator().manual_seed(2)
    weights, more = (torch.randn(50, channels, generator=generator).to(dtype) for _ in range(2))
    move = torch.randn(50, 3, generator=generator).to(dtype)
    planned = plan(lattice, position, rtol, FLAT)
    pull = torch.randn(channels, *planned.shape, generator=generator).to(dtype)

    def run() -> list[Tensor]:
        free = position.clone().requires_grad_(), weights.clone().requires_grad_()
        grids = spread(*free, planned)
        gradients = torch.autograd.grad((grids * pull).sum(), free)
        with torch.autograd.forward_ad.dual_level():
            moved = torch.autograd.forward_ad.make_dual(position, move)
            changed = torch.autograd.forward_ad.make_dual(weights, more)
            tangent = torch.autograd.forward_ad.unpack_dual(spread(moved, changed, planned)).tangent
        assert tangent is not None
        return [grids.detach(), *gradients, tangent]

    limit = 3e-6 if dtype is torch.float32 else 1e-13
    for name, found, expected in zip(
        ("grids", "by position", "by weights", "tangent"), run(), without_kernels(monkeypatch, run), strict=True
    ):
        assert relative(found, expected) < limit * (10 if name in ("by position", "tangent") else 1), name


@compiled
@both_dtypes
def test_any_number_of_threads_gives_the_same_bytes(dtype: torch.dtype) -> None:
    first = cloud(SMALL, dtype, 1)
    for threads in (2, 5):
        assert all(torch.equal(one, other) for one, other in zip(first, cloud(SMALL, dtype, threads), strict=True))


@compiled
def test_simd_levels_agree(tmp_path: Path) -> None:
    here = [one for dtype in (torch.float32, torch.float64) for one in cloud(SMALL, dtype, 1)]
    path = tmp_path / "found.pt"
    code = (
        "import torch; from raster.shells import SMALL, cloud; "
        f"torch.save([x for t in (torch.float32, torch.float64) for x in cloud(SMALL, t, 1)], {str(path)!r})"
    )
    environment = os.environ | {"EXITWAVE_SIMD": "baseline", "PYTHONPATH": str(TESTS)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)
    for found, expected in zip(torch.load(path), here, strict=True):
        assert relative(found, expected) < (1e-12 if expected.dtype in (torch.float64, torch.complex128) else 2e-5)


TINY = Lattice((6, 5, 6), (0.3, 0.3, 0.2), (2, 1, 1), (1, 1, 1), (4, 3, 4), (0.0, 0.0, 0.0))
CORNERS = torch.tensor([[0.1, -0.2, 0.05], [0.4, 0.1, 0.0], [-0.2, 0.3, 0.2], [0.0, -0.1, 0.35]], dtype=torch.float64)
FACES = [[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]]


def surface(vertices: Tensor, density: Tensor, lattice: Lattice) -> Tensor:
    return rendered(Mesh(vertices, FACES, density), lattice, 1e-2)


def solid(vertices: Tensor, density: Tensor, lattice: Lattice) -> Tensor:
    # The last two faces have no area.
    faces = [*FACES, [0, 0, 1], [0, 1, 0]]
    return rendered(Mesh(vertices, faces, fill_density=density[:1]), lattice, 1e-2)


def curve(vertices: Tensor, density: Tensor, lattice: Lattice) -> Tensor:
    return rendered(Filaments(vertices, density=density[:3]), lattice, 1e-2)


@pytest.mark.parametrize("body", [surface, solid, curve])
@pytest.mark.parametrize("lattice", [TINY, dataclasses.replace(TINY, order=(0, 0, 0))], ids=["band", "still"])
def test_derivatives_of_images(body: Callable[[Tensor, Tensor, Lattice], Tensor], lattice: Lattice) -> None:
    vertices = CORNERS.clone().requires_grad_()
    density = torch.tensor([1.0, 2.0, 0.5, 1.5], dtype=torch.float64, requires_grad=True)

    def image(vertices: Tensor, density: Tensor) -> Tensor:
        return volume(body(vertices, density, lattice), lattice)[::2, ::2, ::3]

    assert torch.autograd.gradcheck(image, (vertices, density), check_forward_ad=True, fast_mode=body is not solid)


def test_slopes_are_those_of_the_closed_form() -> None:
    pull = torch.randn(SMALL.bands, generator=torch.Generator().manual_seed(0), dtype=torch.complex128)
    # As if seen through a microscope, which is what tolerances are for.
    fz, fy, fx = SMALL.frequencies(pull.real)
    pull = pull * torch.exp(-0.3 * (fz.square() + fy.square() + fx.square()))

    def slope(spectrum: Callable[[Mesh], Tensor], fill: float | None) -> Tensor:
        shell = ball(0.4, 3, fill)
        vertices = shell.vertices.requires_grad_()
        found = spectrum(Mesh(vertices, shell.faces, fill_density=shell.fill_density if fill else None))
        return torch.autograd.grad((found * pull).real.sum(), vertices)[0]

    for fill in (None, 2.0):
        exact = slope(lambda part: direct(part, SMALL), fill)
        for rtol in (1e-2, 1e-5):
            assert relative(slope(lambda part, rtol=rtol: rendered(part, SMALL, rtol), fill), exact) < 10 * rtol


def test_transforms_of_torch_pass_through() -> None:
    position, weight = scattered(SMALL, 6, torch.float64)

    def image(position: Tensor, weight: Tensor) -> Tensor:
        return volume(spectrum(Emitters(position, weight), SMALL, 1e-3), SMALL)[3, 4:6, 5:7].flatten()

    _, by_weight = torch.autograd.functional.jacobian(image, (position, weight))
    by_place = torch.func.jacfwd(image)(position, weight)
    assert relative(by_place, torch.autograd.functional.jacobian(image, (position, weight))[0]) < 1e-12
    assert relative(torch.func.jacrev(image, argnums=1)(position, weight), by_weight) < 1e-12
    shifted = torch.stack([position, position + 0.01])
    found = torch.func.vmap(image, (0, None))(shifted, weight)
    assert relative(found, torch.stack([image(one, weight) for one in shifted])) < 1e-12


def test_stencils_get_narrower_with_the_tolerance() -> None:
    widths = [stencil_for(1.25, rtol, FLAT, 1e-15).width for rtol in (1e-2, 1e-4, 1e-6, 1e-8)]
    assert widths == sorted(widths)
    assert len(set(widths)) == 4
    # Where rounding is all that is left, no wider one helps.
    assert stencil_for(1.25, 1e-12, FLAT, 5e-7).width < WIDTHS[-1]


def test_stencil_is_smooth_from_cell_to_cell() -> None:
    stencil = stencil_for(1.25, 1e-6, FLAT, 1e-15)
    ends = np.polynomial.polynomial.polyval(np.array([-1.0, 1.0]), stencil.coefficients)
    slopes = np.polynomial.polynomial.polyval(
        np.array([-1.0, 1.0]), np.polynomial.polynomial.polyder(stencil.coefficients)
    )
    assert np.allclose(ends[1:, 0], ends[:-1, 1], atol=1e-9)
    assert np.allclose(slopes[1:, 0], slopes[:-1, 1], atol=1e-7)
    assert abs(ends[0, 0]) < 1e-9
    assert abs(ends[-1, 1]) < 1e-9


def test_nothing_to_see_is_dark() -> None:
    empty = Emitters(torch.zeros(0, 3), torch.zeros(0))
    for emitters in (empty, Emitters(torch.zeros(2, 3), None)):
        found = spectrum(emitters, SMALL)
        assert found.shape == SMALL.bands
        assert not found.any()


def test_bad_use_is_told() -> None:
    with pytest.raises(ValueError, match=r"must have the lattice's bands \(9, 7, 6\), got \(3, 3, 3\)"):
        volume(torch.zeros(3, 3, 3, dtype=torch.complex64), SMALL)
    position, weight = scattered(SMALL, 3, torch.float32)
    found = spectrum(Emitters(position.requires_grad_(), weight), SMALL, 1e-2)
    with pytest.raises(RuntimeError, match="one derivative"):
        torch.autograd.grad(found.abs().square().sum(), position, create_graph=True)
