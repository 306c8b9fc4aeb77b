"""Detection: pinholes, light sheets, one and two photons, motion."""

from __future__ import annotations

import math
from typing import Any

import pytest
import scipy.special
import torch
from torch import Tensor

from exitwave.illumination.excitation import Flood, LightSheet, ScannedSpot
from exitwave.lattice import Lattice
from exitwave.model import get, paths, substitute
from exitwave.optics.psf.detection import Detection
from exitwave.optics.psf.gaussian import GaussianPSF
from exitwave.optics.psf.measured import MeasuredPSF
from exitwave.optics.psf.pinhole import through
from exitwave.optics.psf.pupil import PupilPSF
from exitwave.optics.psf.scalar import ScalarPSF
from exitwave.optics.psf.tiled import TiledPSF

DOUBLE = torch.float64
ZERO = torch.zeros(1, dtype=DOUBLE)
WIDE = GaussianPSF(sigma=(0.8, 0.3, 0.25))
SPOT = GaussianPSF(sigma=(0.6, 0.24, 0.3))
LENS = ScalarPSF(na=0.8, wavelength=0.52, index=1.0)
LASER = ScannedSpot(ScalarPSF(na=0.8, wavelength=0.488, index=1.0))
FLAT = Lattice((4, 4, 4), (0.8, 0.4, 0.4), (1, 2, 2), (0, 0, 0), (4, 4, 4), (-1.6, -0.8, -0.8))


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def lags(*half: float, count: int = 33) -> tuple[Tensor, Tensor, Tensor]:
    z, y, x = (torch.linspace(-end, end, count, dtype=DOUBLE) for end in half)
    return z, y, x


def cell(places: tuple[Tensor, ...]) -> float:
    return math.prod(float(part[1] - part[0]) for part in places)


def narrowed(first: Tensor, second: Tensor) -> Tensor:
    return (first.pow(-2) + second.pow(-2)).rsqrt()


# Products of Gaussians are Gaussians


def test_a_point_pinhole_multiplies_both_spots() -> None:
    found = Detection(WIDE, pinhole=0.0).at(*lags(2.0, 1.0, 1.0), ScannedSpot(SPOT))
    expected = GaussianPSF(sigma=narrowed(WIDE.sigma, SPOT.sigma)).at(*lags(2.0, 1.0, 1.0))
    assert relative(found, expected) < 1e-4


def test_a_light_sheet_narrows_the_depth_alone() -> None:
    found = Detection(WIDE).at(*lags(2.0, 1.0, 1.0), LightSheet(thickness=0.5))
    sigma = WIDE.sigma.clone()
    sigma[0] = narrowed(sigma[0], torch.tensor(0.5, dtype=DOUBLE))
    assert relative(found, GaussianPSF(sigma=sigma).at(*lags(2.0, 1.0, 1.0))) < 1e-9


@pytest.mark.parametrize("photons", [1, 2, 3])
def test_without_a_pinhole_only_the_excitation_counts(photons: int) -> None:
    found = Detection(WIDE).at(*lags(2.0, 1.0, 1.0), ScannedSpot(SPOT, photons=photons))
    expected = GaussianPSF(sigma=SPOT.sigma / photons**0.5).at(*lags(2.0, 1.0, 1.0))
    assert relative(found, expected) < 1e-4


@pytest.mark.parametrize("excitation", [Flood(), LightSheet(thickness=0.7), ScannedSpot(SPOT), ScannedSpot(SPOT, 2)])
@pytest.mark.parametrize("pinhole", [None, 0.6])
def test_transfer_is_the_transform_of_the_image_of_a_point(excitation: Any, pinhole: float | None) -> None:
    detection = Detection(WIDE, pinhole=pinhole, sweep=0.3)
    period = (9.0, 4.2, 4.0)
    order = tuple(
        math.ceil(1.1 * size * end) for size, end in zip(period, detection.band(1e-6, excitation), strict=True)
    )
    nearest = (-4.5, -2.1, -2.0)
    lattice = Lattice((30, 30, 30), tuple(p / 30 for p in period), order, (0, 0, 0), (30, 30, 30), nearest)  # pyright: ignore[reportArgumentType]
    found = detection.transfer(lattice, ZERO, excitation)
    places = lags(4.0, 1.8, 1.8, count=41)
    h = detection.at(*places, excitation)
    for pick in ((0, 0, 0), (1, 0, 2), (-1, 2, 1)):
        f = [frequency.flatten()[k] for frequency, k in zip(lattice.frequencies(ZERO), pick, strict=True)]
        phase = f[0] * places[0][:, None, None] + f[1] * places[1][:, None] + f[2] * places[2]
        expected = (h * torch.exp(-2j * math.pi * phase)).sum() * cell(places)
        assert complex(found[pick]) == pytest.approx(complex(expected), abs=2e-5)
    assert float(found[0, 0, 0].real) == pytest.approx(1.0, abs=2e-3)


# Behind lenses


def test_a_pinhole_is_the_mean_over_its_disk() -> None:
    nodes, weights = (torch.from_numpy(part) for part in scipy.special.roots_legendre(12))
    radius, z = 0.35, torch.tensor([0.0, 1.5], dtype=DOUBLE)
    y, x = torch.arange(-2, 3, dtype=DOUBLE) * 0.2, torch.arange(0, 4, dtype=DOUBLE) * 0.3
    expected = torch.zeros(2, 5, 4, dtype=DOUBLE)
    for node, weight in zip(nodes, weights, strict=True):
        ring = radius * math.sqrt(0.5 * (float(node) + 1))
        for angle in torch.arange(16) * (2 * math.pi / 16):
            moved = LENS.at(z, y + ring * math.sin(angle), x + ring * math.cos(angle))
            expected += moved * float(weight) / 32
    found = through(LENS, torch.tensor(radius, dtype=DOUBLE), z, y, x)
    assert float((found - expected).abs().amax() / expected.amax()) < 1e-3


@pytest.mark.parametrize("pinhole", [0.3, 1.0, 4.0])
def test_confocal_light_adds_up_to_one_whatever_the_pinhole(pinhole: float) -> None:
    z, y, x = lags(9.0, 6.0, 6.0, count=97)
    places = (z[::3], y, x)
    h = Detection(LENS, pinhole=pinhole).at(*places, LASER)
    assert float(h.sum() * cell(places)) == pytest.approx(1.0, abs=0.02)


def test_a_closed_pinhole_sections_and_a_wide_one_does_not() -> None:
    _, y, x = lags(0.0, 8.0, 8.0, count=109)
    z = torch.tensor([-4.0, 0.0], dtype=DOUBLE)

    def far(pinhole: float | None) -> float:
        planes = Detection(LENS, pinhole=pinhole).at(z, y, x, LASER).sum((1, 2))
        return float(planes[0] / planes[1])

    assert far(0.5) < far(1.0) < far(3.0) < far(None)
    assert far(0.5) < 0.02
    assert far(None) > 0.7


def test_a_wide_pinhole_leaves_the_excitation_alone() -> None:
    places = (ZERO, *lags(0.0, 1.0, 1.0, count=21)[1:])
    wide, all_of_it = (Detection(LENS, pinhole=pinhole).at(*places, LASER) for pinhole in (30.0, None))
    assert relative(wide / wide.amax(), all_of_it / all_of_it.amax()) < 0.02


def test_confocal_cutoffs_are_the_sums_of_both() -> None:
    cutoff = 2 * 0.8 / 0.52 + 2 * 0.8 / 0.488
    x = torch.arange(-150, 151, dtype=DOUBLE) * 0.06
    line = Detection(LENS, pinhole=0.0).at(ZERO, ZERO, x, LASER)[0, 0]
    spectrum = torch.fft.rfft(torch.fft.ifftshift(line)).abs() / line.sum()
    frequency = torch.fft.rfftfreq(301, 0.06, dtype=DOUBLE)
    assert float(spectrum[frequency > 1.02 * cutoff].amax()) < 1e-4
    assert float(spectrum[(frequency > 0.6 * cutoff) & (frequency < 0.7 * cutoff)].amin()) > 1e-3


@pytest.mark.parametrize(
    ("detection", "excitation", "lengths"),
    [
        (Detection(LENS, pinhole=1.0), LASER, (0.52, 0.488)),
        (Detection(LENS), ScannedSpot(LENS, photons=2), (0.52, 0.52)),
    ],
)
def test_bands_of_products_end_where_their_transfer_fades(
    detection: Detection, excitation: Any, lengths: tuple[float, float]
) -> None:
    z, y, x = (
        torch.arange(-40, 41).double() * 0.2,
        torch.arange(-32, 33).double() * 0.1,
        torch.arange(-32, 33).double() * 0.1,
    )
    h = detection.at(z, y, x, excitation)
    size = torch.fft.rfftn(h).abs() / h.sum()
    frequencies = (
        torch.fft.fftfreq(81, 0.2, dtype=DOUBLE).abs()[:, None, None],
        torch.fft.fftfreq(65, 0.1, dtype=DOUBLE).abs()[:, None],
        torch.fft.rfftfreq(65, 0.1, dtype=DOUBLE),
    )
    band = detection.band(1e-2, excitation)
    for frequency, end, slack in zip(frequencies, band, (0.5, 0.85, 0.85), strict=True):
        assert float((size * (frequency > end)).amax()) < 1e-2
        assert float((size * (frequency > slack * end)).amax()) > 1e-2
    assert band[1] < detection.band(1e-4, excitation)[1] < sum(1.6 / length for length in lengths)


def test_two_photons_section_and_need_no_pinhole() -> None:
    places = lags(9.0, 4.0, 4.0, count=65)
    h = Detection(LENS).at(*places, ScannedSpot(ScalarPSF(na=0.8, wavelength=0.9, index=1.0), photons=2))
    assert float(h.sum() * cell(places)) == pytest.approx(1.0, abs=0.05)
    planes = h.sum((1, 2))
    assert float(planes[0] / planes.amax()) < 0.1


def test_a_light_sheet_counts_light_within_it() -> None:
    detection, sheet = Detection(LENS), LightSheet(thickness=1.0)
    z, y, x = lags(5.0, 9.0, 9.0, count=91)
    total = detection.at(z, y, x, sheet).sum() * cell((z, y, x))
    assert float(total) == pytest.approx(1.0, abs=0.03)  # less the rings beyond the window
    # A sheet thicker than what is counted is no sheet.
    thick = detection.at(z[::30], y, x, LightSheet(thickness=1e3))
    assert relative(thick, detection.at(z[::30], y, x, Flood())) < 1e-3


def test_motion_during_the_exposure_is_averaged() -> None:
    moving, still = Detection(LENS, sweep=2.0), Detection(LENS)
    found = moving.at(ZERO, ZERO, ZERO, Flood())
    z = torch.linspace(-1.0, 1.0, 2001, dtype=DOUBLE)
    expected = torch.trapezoid(still.at(z, ZERO, ZERO, Flood())[:, 0, 0], z) / 2
    assert float(found) == pytest.approx(float(expected), rel=1e-6)
    like = torch.zeros(1, dtype=DOUBLE)
    fz = FLAT.frequencies(like)[0]
    factor = moving.transfer(FLAT, like, Flood()) / still.transfer(FLAT, like, Flood())
    assert torch.allclose(factor.real, torch.sinc(2.0 * fz).expand(FLAT.bands), atol=1e-9)


def test_a_pinhole_needs_distances_on_a_grid() -> None:
    uneven = torch.tensor([0.0, 0.1, 0.3], dtype=DOUBLE)
    with pytest.raises(ValueError, match="evenly spaced"):
        Detection(LENS, pinhole=1.0).at(ZERO, uneven, uneven, LASER)


def test_reach_is_that_of_the_narrower_factor() -> None:
    sheet = LightSheet(thickness=0.5)
    z, y, x = Detection(LENS, sweep=0.4).reach(1e-3, 5.0, sheet)
    assert z == pytest.approx(0.5 * math.sqrt(2 * math.log(1e3)) + 0.2)
    assert (y, x) == LENS.reach(1e-3, 5.0)[1:]
    assert math.isinf(Detection(LENS).reach(1e-3, 5.0, Flood())[0])
    spot = Detection(LENS, pinhole=1.0).reach(1e-3, 5.0, ScannedSpot(SPOT))
    assert spot == pytest.approx(SPOT.reach(1e-3, 5.0))
    # Behind a pinhole, and of two photons, light is followed over the range in which it is counted.
    span = float(LENS.focus().span)
    assert Detection(LENS, pinhole=1.0).reach(1e-3, 1e3, LASER)[0] == pytest.approx(span)
    assert Detection(LENS).reach(1e-3, 1e3, ScannedSpot(LENS, photons=2))[0] == pytest.approx(span)
    assert math.isinf(Detection(LENS).reach(1e-3, 1e3, LASER)[0])


# Derivatives


CASES: dict[str, tuple[Detection, Any]] = {
    "widefield": (Detection(LENS, pinhole=0.7, sweep=0.4), Flood()),
    "sheet": (Detection(LENS), LightSheet(thickness=1.1)),
    "confocal": (Detection(GaussianPSF(sigma=(0.9, 0.5, 0.4)), pinhole=0.8), ScannedSpot(SPOT)),
    "pinhole": (Detection(LENS, pinhole=0.8), ScannedSpot(SPOT)),
    "two photons": (Detection(LENS), ScannedSpot(PupilPSF(na=0.5, wavelength=0.9, index=1.0, zernike=(0.1,)), 2)),
}


@pytest.mark.parametrize("name", ["widefield", "sheet", "confocal"])
def test_derivatives_of_the_transfer(name: str) -> None:
    pair = CASES[name]
    names = [(number, path) for number in range(2) for path in paths(pair[number])]
    given = [get(pair[number], path).double().clone().requires_grad_() for number, path in names]

    def image(*numbers: Tensor) -> Tensor:
        detection, excitation = (
            substitute(
                pair[which], {path: new for (number, path), new in zip(names, numbers, strict=True) if number == which}
            )
            for which in range(2)
        )
        return detection.transfer(FLAT, ZERO, excitation)

    assert torch.autograd.gradcheck(image, given, check_forward_ad=True, fast_mode=True, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", ["pinhole", "two photons"])
def test_derivative_along_one_direction_of_all_numbers(name: str) -> None:
    detection, excitation = CASES[name]
    start = {path: get(detection, path) for path in paths(detection)}
    slope = {path: torch.full_like(value, 0.1) for path, value in start.items() if path != "sweep"}
    beam = {path: get(excitation, path) for path in paths(excitation) if "defocus" not in path}

    def value(step: Tensor) -> Tensor:
        moved = substitute(detection, {path: start[path] + step * slope[path] for path in slope})
        lit = substitute(excitation, {path: number * (1 + 0.1 * step) for path, number in beam.items()})
        found = moved.transfer(FLAT, ZERO, lit)
        return (torch.view_as_real(found) * torch.linspace(0.5, 1.5, found.numel() * 2).reshape(*found.shape, 2)).sum()

    step = torch.zeros((), dtype=DOUBLE, requires_grad=True)
    (found,) = torch.autograd.grad(value(step), step)
    forward = torch.func.jvp(value, (torch.zeros((), dtype=DOUBLE),), (torch.ones((), dtype=DOUBLE),))[1]
    with torch.no_grad():
        width = 1e-4
        expected = (value(torch.tensor(width, dtype=DOUBLE)) - value(torch.tensor(-width, dtype=DOUBLE))) / (2 * width)
    assert float(found) == pytest.approx(float(forward), rel=1e-9)
    # Where the sum that normalises is cut follows the optics in steps: the derivative ignores that.
    assert float(found) == pytest.approx(float(expected), rel=2e-2)


# Measured stacks and bad input


def test_a_measured_stack_goes_behind_a_sheet_and_a_pinhole() -> None:
    places = lags(3.2, 1.4, 1.4, count=29)
    measured = MeasuredPSF(WIDE.at(*places), tuple(float(p[1] - p[0]) for p in places))  # pyright: ignore[reportArgumentType]
    some = lags(1.5, 0.8, 0.8, count=9)
    for excitation, pinhole in ((LightSheet(0.5), None), (ScannedSpot(SPOT), 0.0)):
        found, expected = (Detection(psf, pinhole=pinhole).at(*some, excitation) for psf in (measured, WIDE))
        assert relative(found, expected) < 0.02


@pytest.mark.parametrize(
    "make", [lambda: Detection(0.5), lambda: ScannedSpot("lens"), lambda: TiledPSF((1,), (1, 1, 1), (1.0, 1.0, 1.0))]
)
def test_something_else_than_a_psf_is_refused(make: Any) -> None:
    with pytest.raises(TypeError, match="PSF"):
        make()
