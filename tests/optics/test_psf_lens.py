"""The image of a point behind a lens: closed forms, brute force over the pupil."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import scipy.special
import torch
from torch import Tensor

from exitwave.lattice import Lattice
from exitwave.model import get, paths, substitute
from exitwave.optics.psf.bessel import bessel, jinc, second
from exitwave.optics.psf.pupil import PupilPSF
from exitwave.optics.psf.rays import Coverslip
from exitwave.optics.psf.sampling import RANGE
from exitwave.optics.psf.scalar import ScalarPSF
from exitwave.optics.psf.vectorial import VectorialPSF

DOUBLE = torch.float64
LENSES = (ScalarPSF, VectorialPSF, PupilPSF)
ZERO = torch.zeros(1, dtype=DOUBLE)


def double(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=DOUBLE)


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def airy(v: Tensor) -> Tensor:
    return torch.where(v == 0, 1.0, 2 * torch.from_numpy(scipy.special.j1(v.numpy())) / v).square()


# Closed forms


@pytest.mark.parametrize("kind", LENSES)
def test_small_apertures_give_airys_disc(kind: Any) -> None:
    psf = kind(na=0.05, wavelength=0.5, index=1.0)
    x = torch.linspace(-40.0, 40.0, 161, dtype=DOUBLE)
    found = psf.at(ZERO, ZERO, x)[0, 0]
    expected = airy(2 * math.pi * 0.05 / 0.5 * x)
    assert float((found / found.amax() - expected).abs().amax()) < 1e-3
    # The first dark ring, exactly where it belongs: no pixel is stretched.
    ring = 0.609835 * 0.5 / 0.05
    # Light polarised along the axis leaves a little there.
    left = 0.05**2 / 2 if kind is VectorialPSF else 1e-6
    assert float(psf.at(ZERO, ZERO, double(ring))[0, 0, 0] / found.amax()) < left
    assert float(psf.focus().radius) == pytest.approx(ring, rel=1e-5)


@pytest.mark.parametrize("kind", LENSES)
def test_along_the_axis_small_apertures_give_a_squared_sinc(kind: Any) -> None:
    psf = kind(na=0.05, wavelength=0.5, index=1.33)
    z = torch.linspace(-900.0, 900.0, 121, dtype=DOUBLE)
    found = psf.at(z, ZERO, ZERO)[:, 0, 0]
    expected = torch.sinc(0.5 * z * 0.05**2 / (1.33 * 0.5)).square()
    assert float((found / psf.focus().peak - expected).abs().amax()) < 2e-3


def test_zeros_along_the_axis_at_high_aperture_are_evenly_spaced() -> None:
    # Without apodisation every angle adds sin d theta = -d cos: a sinc of z (1 - cos), spaced by lambda / (n - n cos).
    n, na, wavelength = 1.515, 1.4, 0.5
    psf = PupilPSF(na=na, wavelength=wavelength, index=n, apodisation=0.0)
    space = wavelength / (n - math.sqrt(n * n - na * na))
    dark = psf.at(double(space, 2 * space, 3 * space), ZERO, ZERO)[:, 0, 0]
    assert float(dark.amax() / psf.focus().peak) < 1e-12
    assert psf.band(1e-3)[0] == pytest.approx(1 / space)


@pytest.mark.parametrize(
    ("kind", "layers"),
    [(kind, {}) for kind in LENSES] + [(kind, {"medium": 1.36, "depth": 0.5}) for kind in LENSES[:2]],
)
def test_cutoff_is_twice_na_over_wavelength_whatever_the_medium(kind: Any, layers: dict[str, float]) -> None:
    psf = kind(na=0.9, wavelength=0.5, index=1.515, **layers)
    count, step = 361, 0.12
    x = (torch.arange(count, dtype=DOUBLE) - count // 2) * step
    # A line's transform sums the plane's over fy.
    line = psf.at(ZERO, ZERO, x)[0, 0] * torch.cos(math.pi * x / (count * step)).square()
    spectrum = torch.fft.rfft(torch.fft.ifftshift(line)).abs()
    frequency = torch.fft.rfftfreq(count, step, dtype=DOUBLE)
    cutoff = 2 * 0.9 / 0.5
    assert psf.band(1e-3)[1:] == pytest.approx((cutoff, cutoff))
    assert float(spectrum[frequency > 1.02 * cutoff].amax() / spectrum[0]) < 1e-4
    assert float(spectrum[(frequency > 0.9 * cutoff) & (frequency < 0.97 * cutoff)].amin() / spectrum[0]) > 5e-4


def test_transfer_in_focus_is_the_overlap_of_two_pupils() -> None:
    psf = ScalarPSF(na=0.1, wavelength=0.5, index=1.0)
    order, half = 90, 100.0
    lattice = Lattice(
        (1, 181, 181), (1e-3, 2 * half / 181, 2 * half / 181), (0, order, order), (0, 0, 0), (1, 181, 181),
        (0.0, -half, -half), (0.0, 30.0, 30.0),
    )  # fmt: skip
    found = psf.transfer(lattice, ZERO)[0]
    frequency = lattice.frequencies(ZERO)[2] / (2 * 0.1 / 0.5)
    share = frequency.clamp(max=1)
    expected = 2 / math.pi * (torch.acos(share) - share * torch.sqrt(1 - share**2))
    # Fading smooths the kinks at 0 and at the cut-off.
    miss = (found[0].real / found[0, 0].real - expected).abs()
    assert float(miss.amax()) < 0.02
    assert float(miss[(frequency > 0.1) & (frequency < 0.9)].amax()) < 6e-3
    assert float(found.imag.abs().amax() / found[0, 0].real) < 1e-4  # the period's ends are half a step apart


# Second routes


def brute_force(psf: VectorialPSF, z: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Return the mean over two polarisations of the focused field's square, summed over directions of the pupil."""
    n, m = float(psf.index), float(psf.index if psf.medium is None else psf.medium)
    wavelength, depth = float(psf.wavelength), float(psf.depth)
    nodes, weights = (torch.from_numpy(part) for part in scipy.special.roots_legendre(240))
    edge = min(float(psf.na), m) / n
    sine = edge * torch.sin(0.25 * math.pi * (nodes + 1))  # dense at the rim
    step = edge * torch.cos(0.25 * math.pi * (nodes + 1)) * 0.25 * math.pi * weights
    phi = torch.arange(320, dtype=DOUBLE) * (2 * math.pi / 320)
    cosine, bent = torch.sqrt(1 - sine**2), torch.sqrt(1 - (sine * n / m) ** 2)
    t_s = 2 * n * cosine / (n * cosine + m * bent)
    t_p = 2 * n * cosine / (m * cosine + n * bent)
    k = 2 * math.pi / wavelength
    path = k * (n * cosine * (z[:, None] - depth) + m * bent * depth)
    amplitude = torch.polar((sine * step / torch.sqrt(cosine)).expand_as(path), path)
    total = torch.zeros(len(z), len(y), len(x), dtype=DOUBLE)
    for turn in (0.0, 0.5 * math.pi):
        angle = phi - turn
        radial, around = torch.cos(angle), -torch.sin(angle)
        field = (
            t_p[:, None] * radial * bent[:, None] * torch.cos(phi) - t_s[:, None] * around * torch.sin(phi),
            t_p[:, None] * radial * bent[:, None] * torch.sin(phi) + t_s[:, None] * around * torch.cos(phi),
            -t_p[:, None] * radial * (sine * n / m)[:, None],
        )
        for row, down in enumerate(y):
            for column, along in enumerate(x):
                tilt = k * n * sine[:, None] * (torch.sin(phi) * down + torch.cos(phi) * along)
                wave = torch.polar(torch.ones_like(tilt), tilt)
                for part in field:
                    total[:, row, column] += (amplitude @ (part * wave).sum(-1)).abs().square()
    return total


@pytest.mark.parametrize(
    "numbers",
    [
        {"na": 1.4, "index": 1.515},
        {"na": 1.4, "index": 1.515, "medium": 1.33, "depth": 4.0},
        {"na": 1.2, "index": 1.33, "medium": 1.45, "depth": 3.0},
        {"na": 0.3, "index": 1.0},
    ],
)
def test_vectorial_image_is_the_sum_over_all_directions(numbers: dict[str, Any]) -> None:
    psf = VectorialPSF(wavelength=0.52, **numbers)
    z, y, x = double(-2.0, -0.3, 0.0, 1.1), double(-1.0, 0.0, 0.15), double(0.0, 0.2, 0.7, 2.5)
    found, expected = psf.at(z, y, x), brute_force(psf, z, y, x)
    expected = expected * float(found[2, 1, 0] / expected[2, 1, 0])
    assert relative(found, expected) < (1e-9 if "medium" not in numbers or numbers["medium"] > 1.4 else 1e-4)


def test_at_small_apertures_polarisation_does_not_matter() -> None:
    lags = torch.linspace(-3.0, 3.0, 31, dtype=DOUBLE)
    z = torch.linspace(-20.0, 20.0, 9, dtype=DOUBLE)
    scalar, vectorial = (kind(na=0.1, wavelength=0.5, index=1.0).at(z, ZERO, lags) for kind in LENSES[:2])
    assert relative(vectorial, scalar) < 5e-3


def test_at_high_apertures_polarisation_widens_the_focus() -> None:
    x = torch.linspace(0.0, 0.4, 401, dtype=DOUBLE)

    def width(kind: Any) -> float:
        line = kind(na=1.4, wavelength=0.52, index=1.515).at(ZERO, ZERO, x)[0, 0]
        return float(x[(line > 0.5 * line[0]).sum()])

    assert width(VectorialPSF) > 1.05 * width(ScalarPSF)


@pytest.mark.parametrize("kind", LENSES)
@pytest.mark.parametrize("na", [0.5, 1.2])
def test_every_plane_gets_the_same_light_and_all_add_up_to_one(kind: Any, na: float) -> None:
    psf = kind(na=na, wavelength=0.5, index=1.33)
    depth = 1.33 * 0.5 / na**2
    z = double(-depth, 0.0, 1.5 * depth)
    step = 0.24 / na  # just fine enough for the intensity
    lags = torch.arange(-80, 81, dtype=DOUBLE) * step
    planes = psf.at(z, lags, lags).sum((1, 2)) * step**2
    assert float((planes / psf.lateral(z) - 1).abs().amax()) < 0.02  # the rings beyond the window
    span = float(psf.focus().span)
    assert span == pytest.approx(RANGE * depth)
    assert float(psf.lateral(z)[0]) * 2 * span == pytest.approx(1.0)


# Sampling, precision, derivatives


@pytest.mark.parametrize("kind", LENSES)
def test_distances_off_the_axis_and_uneven_give_the_same_numbers(kind: Any) -> None:
    psf = kind(na=1.2, wavelength=0.5, index=1.33)
    z, y, x = double(-1.0, 0.5), double(-0.31, 0.0, 0.2), double(-0.4, 0.13, 0.31)
    whole = psf.at(z, y, x)
    for row, down in enumerate(y):
        for column, along in enumerate(x):
            assert torch.allclose(whole[:, row, column], psf.at(z, down[None], along[None])[:, 0, 0], rtol=1e-8)
    turned = psf.at(z, x, y).mT
    assert torch.allclose(whole, turned, rtol=1e-8)


@pytest.mark.parametrize("kind", LENSES)
def test_single_precision_suffices(kind: Any) -> None:
    psf = kind(na=1.4, wavelength=0.52, index=1.515)
    z, x = torch.arange(-8.0, 9.0) * 0.8, torch.arange(-16.0, 17.0) * 0.2
    found = psf.at(z, x, x)
    assert found.dtype is torch.float32
    assert relative(found.double(), psf.at(z.double(), x.double(), x.double())) < 3e-5


NUMBERS: tuple[Callable[[], Any], ...] = (
    lambda: ScalarPSF(na=1.1, wavelength=0.5, index=1.35, medium=1.4, depth=2.0),
    lambda: VectorialPSF(
        na=1.2, wavelength=0.5, index=1.33, medium=1.4, depth=2.0, coverslip=Coverslip(172.0, design_immersion=1.32)
    ),
    lambda: PupilPSF(na=0.9, wavelength=0.5, index=1.33, zernike=(0.05, 0.0, -0.1), defocus=0.3, apodisation=0.4),
)


@pytest.mark.parametrize("make", NUMBERS)
def test_derivatives_by_every_number(make: Callable[[], Any]) -> None:
    psf = make()
    names = list(paths(psf))
    given = [get(psf, name).double().clone().requires_grad_() for name in names]

    def image(*numbers: Tensor) -> Tensor:
        moved = substitute(psf, dict(zip(names, numbers, strict=True)))
        return moved.at(double(-0.6, 0.4), double(0.0, 0.2), double(-0.3, 0.0))

    assert torch.autograd.gradcheck(image, given, check_forward_ad=True, eps=1e-6, atol=1e-5, rtol=1e-4)


def test_bessel_functions_and_their_derivatives() -> None:
    x = torch.cat([double(0.0, 1e-9, 1e-5), torch.linspace(0.1, 120.0, 400, dtype=DOUBLE)])
    zeroth, first = bessel(x)
    found = second(x, zeroth, first)
    assert float((found - torch.from_numpy(scipy.special.jv(2, x.numpy()))).abs().amax()) < 1e-9
    some = double(0.0, 1e-9, 0.3, 2.0, 5.5, 17.0).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: (*bessel(v), second(v, *bessel(v))), some, check_forward_ad=True)
    assert torch.autograd.gradcheck(jinc, some, check_forward_ad=True)
    # The disk's transform is the mean of exp(i x cos) over it.
    radius = torch.sqrt((torch.arange(2000, dtype=DOUBLE) + 0.5) / 2000)
    assert float(jinc(double(3.7))) == pytest.approx(float(bessel(3.7 * radius)[0].mean()), abs=1e-6)


# Bad input


@pytest.mark.parametrize("kind", LENSES)
def test_an_aperture_beyond_the_immersion_is_refused(kind: Any) -> None:
    with pytest.raises(ValueError, match=r"na must be below the immersion index 1.33, got 1.4; use a water"):
        kind(na=1.4, wavelength=0.5, index=1.33)
