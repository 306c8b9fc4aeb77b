"""What excites: where it is bright, and the spectra it brings."""

from __future__ import annotations

import math

import pytest
import torch

from exitwave.illumination.excitation import Flood, LightSheet, ScannedSpot
from exitwave.optics.psf.gaussian import GaussianPSF
from exitwave.optics.psf.scalar import ScalarPSF

DOUBLE = torch.float64
ZERO = torch.zeros(1, dtype=DOUBLE)


def test_flooding_light_has_no_factor() -> None:
    assert Flood().relative(ZERO, ZERO, ZERO) is None
    assert Flood().volume() is None
    assert Flood().band(1e-3) == (0.0, 0.0, 0.0)
    assert Flood().reach(1e-3, 5.0) == (math.inf, math.inf, math.inf)


def test_a_sheet_is_as_bright_as_its_thickness_says() -> None:
    sheet = LightSheet(thickness=1.5)
    z = torch.tensor([0.0, 1.5, 3.0], dtype=DOUBLE)
    found = sheet.relative(z, ZERO, ZERO)
    assert found is not None
    assert found.flatten().tolist() == pytest.approx([1.0, math.exp(-0.5), math.exp(-2.0)])
    edge = sheet.reach(1e-3, 0.0)[0]
    dim = sheet.relative(torch.tensor([edge], dtype=DOUBLE), ZERO, ZERO)
    assert dim is not None
    assert float(dim) == pytest.approx(1e-3)
    # Its transform, relative to that at 0, at the frequency where it is said to end.
    z = torch.linspace(-12.0, 12.0, 2401, dtype=DOUBLE)
    line = sheet.relative(z, ZERO, ZERO)
    assert line is not None
    wave = torch.cos(2 * math.pi * sheet.band(1e-3)[0] * z)
    assert float((line.flatten() * wave).sum() / line.sum()) == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("photons", [1, 2, 3])
def test_photons_sharpen_a_spot_and_light_up_less(photons: int) -> None:
    spot = ScannedSpot(GaussianPSF(sigma=(0.6, 0.2, 0.3)), photons=photons)
    x = torch.tensor([0.0, 0.3], dtype=DOUBLE)
    found = spot.relative(ZERO, ZERO, x)
    assert found is not None
    assert found.flatten().tolist() == pytest.approx([1.0, math.exp(-0.5 * photons)])
    volume = spot.volume()
    assert volume is not None
    assert float(volume) == pytest.approx((2 * math.pi / photons) ** 1.5 * 0.6 * 0.2 * 0.3, rel=1e-4)


def test_a_clear_focus_is_the_unit_and_an_aberrated_one_is_dimmer() -> None:
    clear, deep = (
        ScannedSpot(ScalarPSF(na=1.2, wavelength=0.488, index=1.515, medium=1.33, depth=depth)).relative(
            torch.linspace(-8.0, 2.0, 101, dtype=DOUBLE), ZERO, ZERO
        )
        for depth in (0.0, 20.0)
    )
    assert clear is not None
    assert deep is not None
    assert float(clear.amax()) == pytest.approx(1.0, abs=1e-6)
    assert float(deep.amax()) < 0.5


def test_bands_of_more_photons_are_wider() -> None:
    lens = ScalarPSF(na=1.0, wavelength=0.9, index=1.33)
    one, two = ScannedSpot(lens).band(1e-3), ScannedSpot(lens, photons=2).band(1e-3)
    assert two == pytest.approx([2 * end for end in one])


@pytest.mark.parametrize("photons", [0, 1.5, True, 7])
def test_odd_numbers_of_photons_are_refused(photons: object) -> None:
    with pytest.raises(ValueError, match="photons must be 1, 2 or 3"):
        ScannedSpot(GaussianPSF(sigma=(1.0, 1.0, 1.0)), photons=photons)  # pyright: ignore[reportArgumentType]


def test_a_sheet_needs_thickness() -> None:
    with pytest.raises(ValueError, match="thickness must lie in"):
        LightSheet(thickness=0.0)
