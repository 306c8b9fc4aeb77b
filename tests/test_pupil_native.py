"""The compiled pupil and square against the plain ones, alone and in whole images."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

import exitwave as ew
from exitwave import native
from exitwave.field import Canvas
from exitwave.fourier import Band
from exitwave.optics.window import Window, intensity, windows

compiled = pytest.mark.skipif(native.KERNELS is None, reason="installed without the compiled kernels")
TESTS = Path(__file__).parent
# NA, wavelength, medium, height in focus, direction of the light, samples and pixel of the canvas.
LIGHT = {
    "low": (0.1, 0.46, 1.0, 9.0, (0.03, -0.07), (150, 221), 0.9),
    "tiny": (0.02, 0.5, 1.0, 5.0, (0.0, 0.0), (20, 90), 2.0),
    "axial": (0.5, 0.55, 1.33, 0.0, (0.0, 0.0), (128, 96), 0.3),
    "deep": (0.5, 0.55, 1.33, 300.0, (0.2, -0.3), (210, 200), 0.2),
    "oil": (1.3, 0.5, 1.515, -300.0, (-0.9, 0.4), (220, 150), 0.1),
    "grazing": (1.4, 0.5, 1.33, 4.0, (0.5, 0.1), (100, 120), 0.12),
    "slit": (0.5, 0.55, 1.33, 4.0, (0.0, 0.0), (90, 1), 0.3),
    "whole": (0.5, 0.5, 1.0, 7.0, (0.0, 0.0), (64, 37), 0.5),
}


@dataclass(frozen=True)
class Flat:
    """A thin wave of noise."""

    canvas: Canvas
    wavelength: Tensor
    medium: Tensor
    plane: Tensor
    thin: bool = True

    def spectrum(self, colour: int, direction: Tensor, band: Band) -> Tensor:
        generator = torch.Generator().manual_seed(colour)
        return torch.randn(1, *band.shape, dtype=torch.complex128, generator=generator).to(torch.complex64)

    def to(self, dtype: torch.dtype) -> Flat:
        return Flat(self.canvas, self.wavelength.to(dtype), self.medium.to(dtype), self.plane.to(dtype))


def light(name: str) -> tuple[ew.Objective, Flat, Window]:
    """Return an objective, a wave in single precision and the window of one of its directions."""
    na, wavelength, medium, height, direction, shape, pixel = LIGHT[name]
    objective = ew.Objective(na, height, index=max(1.0, na + 0.1))
    canvas = Canvas(ew.Grid(shape, pixel), (0, 0), shape)
    wave = Flat(canvas, torch.tensor([wavelength]), torch.tensor([medium]), torch.tensor(0.25))
    return objective, wave, windows(objective, wave, 0, torch.tensor([direction]))[0]


def columns(name: str) -> Tensor:
    """Return the compiled columns of a wave whose spectrum is a part of a larger array."""
    objective, wave, window = light(name)
    top, left = window.band.first
    rows, width = window.band.shape
    outer = Band((top - 3, left - 5), (rows + 4, width + 9))
    spectra = wave.spectrum(0, window.tilt, outer)[(..., *window.band.inside(outer))]
    (found,) = window.columns(native.KERNELS, objective, spectra)  # pyright: ignore[reportArgumentType]
    return found


def expected(name: str, dtype: torch.dtype) -> Tensor:
    """Return the same columns (m, n) by the plain pupil."""
    objective, wave, window = light(name)
    top, left = window.band.first
    rows, width = window.band.shape
    outer = Band((top - 3, left - 5), (rows + 4, width + 9))
    spectrum = wave.spectrum(0, window.tilt, outer)[(0, *window.band.inside(outer))]
    pupil = objective.pupil(window.fy.to(dtype), window.fx.to(dtype), window.step, wave.to(dtype), 0)
    return (spectrum * pupil).mT


def images() -> list[Tensor]:
    """Return an image of every way to sum coherent fields: plain, with a plate, aberrated, polarised, in modes."""
    lamp = ew.Koehler(condenser_na=0.3, wavelength=[0.5, 0.6], rings=1)
    modes = ew.Koehler(condenser_na=0.3, wavelength=0.55, rings=2, method="socs", kernels=6)
    polarised = ew.Objective(0.5, 3.0, polarization=ew.Polarization(0.3, 1.2))
    return [
        render(lamp, ew.Objective(0.5, 3.0)),
        render(lamp, ew.Objective(0.5, -60.0)),
        render(lamp, ew.Objective(0.5, 1.0, zernike=(0.1, 0.0, -0.05))),
        render(lamp, ew.Objective(0.5, 1.0), birefringence=0.01),
        render(lamp, polarised, birefringence=0.01),
        render(ew.Koehler(0.3, [0.55], rings=1), ew.Objective(0.5, plate=ew.Shear((0.0, 0.2), 1.0))),
        render(modes, ew.Objective(0.5, 2.0)),
    ]


def render(lamp: ew.Value, objective: ew.Objective, birefringence: float = 0.0) -> Tensor:
    """Return the image of five beads in single precision."""
    generator = torch.Generator().manual_seed(7)
    center = torch.cat([torch.zeros(5, 1), 9 * torch.rand(5, 2, generator=generator) - 4.5], 1)
    beads = ew.Particles(ew.Sphere(), center, torch.linspace(0.5, 1.2, 5)[:, None], torch.full((5,), 1.38))
    if birefringence:
        beads = ew.Particles(
            ew.Rod(), center, torch.tensor([[0.5, 1.0]]).repeat(5, 1), torch.full((5,), 1.38),
            birefringence=torch.full((5,), birefringence),
        )  # fmt: skip
    microscope = ew.Microscope(lamp, ew.Transmission(), objective, ew.Ideal())
    return ew.render(ew.Scene(ew.Specimen((beads,), medium=1.33), microscope, ew.Grid((70, 84), 0.12)))


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@compiled
@pytest.mark.parametrize("name", LIGHT)
def test_pupil_is_that_of_double_precision_however_far_the_focus(name: str) -> None:
    found, reference = columns(name), expected(name, torch.float64)
    rows = reference.shape[1]
    assert float((found[:, :rows] - reference).abs().max()) < 3e-7 * float(reference.abs().max())
    # The soft rim ends at the same frequency; behind the rows there is the padding of the transform.
    assert torch.equal(found[:, :rows] == 0, reference == 0)
    assert found.shape[1] == light(name)[2].size[0]
    assert not found[:, rows:].any()


@compiled
@pytest.mark.parametrize("name", ["low", "axial", "grazing", "whole"])
def test_pupil_is_the_plain_one_in_single_precision(name: str) -> None:
    found, reference = columns(name), expected(name, torch.float32)
    # The plain one loses digits at the rim and in the phase.
    assert float((found[:, : reference.shape[1]] - reference).abs().max()) < 1e-4 * float(reference.abs().max())


@compiled
def test_transposed_spectrum_is_the_same_light() -> None:
    objective, wave, window = light("axial")
    spectra = wave.spectrum(0, window.tilt, window.band)
    (plain,) = window.columns(native.KERNELS, objective, spectra)  # pyright: ignore[reportArgumentType]
    for other in (spectra.mT.contiguous().mT, spectra.conj().resolve_conj().conj()):
        (found,) = window.columns(native.KERNELS, objective, other)  # pyright: ignore[reportArgumentType]
        assert torch.equal(found, plain)


@compiled
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (17, 31), (520, 600)])
def test_square_adds_the_irradiance_of_a_field(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(1)
    field = torch.randn(*shape, dtype=torch.complex64, generator=generator)
    before = torch.rand(shape, generator=generator)
    for number in (1, 2, 5):
        total = before.clone()
        native.KERNELS.add_square(torch.view_as_real(field), 0.3, total, number)  # pyright: ignore[reportOptionalMemberAccess]
        torch.testing.assert_close(total, before + 0.3 * field.abs().square(), atol=1e-6, rtol=1e-6)


@compiled
@pytest.mark.parametrize(("columns", "rows"), [(1, 1), (5, 9), (21, 40), (2, 90_000)])
def test_columns_become_rows_and_leave_the_padding(columns: int, rows: int) -> None:
    generator = torch.Generator().manual_seed(1)
    source = torch.randn(columns, rows + 7, 2, generator=generator)
    for number in (1, 2, 5):
        target = torch.full((rows, columns + 3, 2), 4.0)
        native.KERNELS.turn_over(source, 4, target, number)  # pyright: ignore[reportOptionalMemberAccess]
        assert torch.equal(target[:, :columns], source[:, 4 : 4 + rows].transpose(0, 1))
        assert (target[:, columns:] == 4.0).all()


@compiled
def test_irradiance_of_several_fields_is_the_plain_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = torch.randn(3, 21, 30, dtype=torch.complex64, generator=torch.Generator().manual_seed(2))
    found = intensity(fields, (150, 64), (200, 80))
    monkeypatch.setattr(native, "KERNELS", None)
    torch.testing.assert_close(found, intensity(fields, (150, 64), (200, 80)), atol=1e-6 * float(found.max()), rtol=0)


@compiled
def test_threads_do_not_show(threads: None) -> None:
    results = []
    for number in (1, 2, 5):
        torch.set_num_threads(number)
        results.append([columns(name) for name in LIGHT])
    for others in results[1:]:
        assert all(torch.equal(one, two) for one, two in zip(results[0], others, strict=True))


@compiled
def test_simd_levels_agree(tmp_path: Path) -> None:
    for level in ("baseline", "v3"):
        path = tmp_path / f"{level}.pt"
        code = (
            "import torch; from test_pupil_native import LIGHT, columns; "
            f"torch.save([columns(name) for name in LIGHT], {str(path)!r})"
        )
        environment = os.environ | {"EXITWAVE_SIMD": level, "PYTHONPATH": str(TESTS)}
        subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)
        for found, name in zip(torch.load(path), LIGHT, strict=True):
            here = columns(name)
            torch.testing.assert_close(found, here, atol=5e-7 * float(here.abs().max()), rtol=0)


@compiled
def test_images_with_and_without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    found = images()
    monkeypatch.setattr(native, "KERNELS", None)
    for mine, plain in zip(found, images(), strict=True):
        assert mine.dtype is torch.float32
        assert float((mine - plain).abs().max()) < 1e-5 * float(plain.max())


@compiled
def test_derivatives_by_the_objective_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    lamp = ew.Koehler(condenser_na=0.3, wavelength=0.55, rings=1)

    def slopes() -> tuple[Tensor, ...]:
        na, defocus = (torch.tensor(number, requires_grad=True) for number in (0.5, 3.0))
        image = render(lamp, ew.Objective(na, defocus))
        return image.detach(), *torch.autograd.grad(image.square().sum(), (na, defocus))

    def tangent() -> Tensor:
        with torch.no_grad(), forward_ad.dual_level():
            defocus = forward_ad.make_dual(torch.tensor(3.0), torch.tensor(1.0))
            found = forward_ad.unpack_dual(render(lamp, ew.Objective(0.5, defocus))).tangent
        assert found is not None
        return found

    found, along = slopes(), tangent()
    torch.testing.assert_close(found[0], render(lamp, ew.Objective(0.5, 3.0)), atol=1e-5, rtol=0)
    monkeypatch.setattr(native, "KERNELS", None)
    for mine, plain in zip((*found, along), (*slopes(), tangent()), strict=True):
        torch.testing.assert_close(mine, plain, atol=1e-4 * float(plain.abs().max()), rtol=0)


@compiled
def test_derivative_by_the_polariser_passes() -> None:
    lamp = ew.Koehler(condenser_na=0.3, wavelength=0.55, rings=1)
    azimuth = torch.tensor(0.3, requires_grad=True)
    objective = ew.Objective(0.5, 3.0, polarization=ew.Polarization(azimuth, 1.2))
    (found,) = torch.autograd.grad(render(lamp, objective, birefringence=0.01).mean(), azimuth)
    # Malus: most of the light is that of the empty field.
    assert float(found) == pytest.approx(math.sin(2 * (1.2 - 0.3)), rel=0.2)


@compiled
def test_free_objective_is_imaged_by_the_kernels_when_nobody_differentiates() -> None:
    lamp = ew.Koehler(condenser_na=0.3, wavelength=0.55, rings=1)
    free = ew.Objective(torch.tensor(0.5, requires_grad=True), torch.tensor(3.0, requires_grad=True))
    with torch.no_grad():
        found = render(lamp, free)
    assert not found.requires_grad
    assert torch.equal(found, render(lamp, ew.Objective(0.5, 3.0)))
