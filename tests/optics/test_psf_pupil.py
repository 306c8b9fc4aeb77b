"""Aberrated pupils against a clear lens, a padded Fourier transform and what symmetry asks for."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from exitwave.model import substitute
from exitwave.optics import noll, zernike
from exitwave.optics.psf.pupil import PupilPSF
from exitwave.optics.psf.scalar import ScalarPSF

DOUBLE = torch.float64
ZERO = torch.zeros(1, dtype=DOUBLE)


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def grid(count: int, step: float) -> Tensor:
    return (torch.arange(count, dtype=DOUBLE) - count // 2) * step


@pytest.mark.parametrize(("na", "index"), [(0.3, 1.0), (1.2, 1.33), (1.45, 1.515)])
def test_a_clear_pupil_is_a_lens(na: float, index: float) -> None:
    z, lags = torch.linspace(-2.0, 2.0, 5, dtype=DOUBLE), grid(24, 0.11)
    pupil, lens = (kind(na=na, wavelength=0.52, index=index).at(z, lags, lags) for kind in (PupilPSF, ScalarPSF))
    assert relative(pupil, lens) < 1e-8
    in_focus = PupilPSF(na=na, wavelength=0.52, index=index).at(ZERO, lags, ZERO)
    assert relative(in_focus, ScalarPSF(na=na, wavelength=0.52, index=index).at(ZERO, lags, ZERO)) < 1e-7


def test_aberrations_agree_with_a_padded_fourier_transform() -> None:
    na, wavelength, index, coefficients = 0.8, 0.5, 1.0, (0.06, -0.04, 0.05, 0.0, 0.03, 0.0, 0.07)
    psf = PupilPSF(na=na, wavelength=wavelength, index=index, zernike=coefficients, defocus=0.4)
    count, step = 1024, 0.125
    found = psf.at(torch.tensor([1.0], dtype=DOUBLE), grid(17, step), grid(21, step))[0]
    frequency = torch.fft.fftfreq(count, step, dtype=DOUBLE)
    fy, fx = frequency[:, None], frequency
    square = (fy**2 + fx**2) * (wavelength / index) ** 2
    cosine = torch.sqrt((1 - square).clamp(min=1e-6))
    phase = 2 * math.pi * index / wavelength * cosine * 0.6
    for number, coefficient in enumerate(coefficients):
        phase = phase + 2 * math.pi * coefficient * zernike(number + 5, fy * wavelength / na, fx * wavelength / na)
    # A rim one frequency wide stands for the share of a cell that lies inside.
    inside = ((na / wavelength - torch.sqrt(fy**2 + fx**2)) * count * step + 0.5).clamp(0, 1)
    field = torch.fft.fftshift(torch.fft.ifft2(torch.polar(inside / torch.sqrt(cosine), phase)))
    image = field.abs().square()[count // 2 - 8 : count // 2 + 9, count // 2 - 10 : count // 2 + 11]
    assert relative(image * float(found.sum() / image.sum()), found) < 2e-3


def test_distances_wrap_nothing_around() -> None:
    psf = PupilPSF(na=1.2, wavelength=0.5, index=1.33)
    far = torch.tensor([0.0, 40.0], dtype=DOUBLE)
    found = psf.at(ZERO, ZERO, far)[0, 0]
    assert float(found[1] / found[0]) < 1e-6


def test_shapes_of_single_aberrations() -> None:
    lags = grid(17, 0.12)
    ends = torch.tensor([-0.5, 0.5], dtype=DOUBLE)

    def image(number: int) -> Tensor:
        coefficients = [0.0] * (number - 5) + [0.12]
        return PupilPSF(na=0.8, wavelength=0.5, index=1.0, zernike=coefficients).at(ends, lags, lags)

    # Astigmatism (6: cosine of twice the angle) stretches along y on one side of the focus and along x on the other.
    below, above = image(6)
    assert noll(6) == (2, 2)
    assert relative(below, above.mT) < 1e-9
    assert relative(below, above) > 0.1
    # Coma (8: along x) is even in y, not in x.
    flat = image(8)[0]
    assert relative(flat.flip(0), flat) < 1e-9
    assert relative(flat.flip(1), flat) > 0.1
    # Spherical aberration (11) is round and moves light along the axis.
    below, above = image(11)
    assert relative(below, below.mT) < 1e-9
    assert relative(below, above) > 0.1


def test_defocus_is_a_shift_along_the_axis() -> None:
    lags, z = grid(5, 0.2), torch.linspace(-1.0, 1.0, 5, dtype=DOUBLE)
    psf = PupilPSF(na=1.1, wavelength=0.5, index=1.33, zernike=(0.1,))
    moved = substitute(psf, {"defocus": torch.tensor(0.7, dtype=DOUBLE)})
    assert relative(moved.at(z + 0.7, lags, lags), psf.at(z, lags, lags)) < 1e-9


def test_strehl_ratio_of_weak_aberrations() -> None:
    psf = PupilPSF(na=0.1, wavelength=0.5, index=1.0, zernike=(0.03, 0.0, 0.0, 0.02))
    peak = psf.at(ZERO, ZERO, ZERO) / psf.focus().peak
    # Marechal: exp(-(2 pi rms)^2) for Zernike terms normalised to waves RMS.
    assert float(peak) == pytest.approx(math.exp(-((2 * math.pi) ** 2) * (0.03**2 + 0.02**2)), rel=1e-3)


def test_reach_holds_what_aberrations_throw_aside() -> None:
    psf = PupilPSF(na=0.8, wavelength=0.5, index=1.0, zernike=(0.0, 0.0, 0.0, 0.3))
    clear = PupilPSF(na=0.8, wavelength=0.5, index=1.0)
    depth, reach = psf.reach(1e-3, 2.0)[::2]
    assert math.isinf(depth)
    assert reach > clear.reach(1e-3, 2.0)[2] + 1
    lags = grid(161, 2 * reach / 160)
    height = torch.tensor([2.0], dtype=DOUBLE)
    inside = psf.at(height, lags, lags).sum() * (2 * reach / 160) ** 2
    assert float(inside / psf.lateral(height)) > 0.97
