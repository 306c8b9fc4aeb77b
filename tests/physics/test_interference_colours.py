"""Interference colours: what a colour camera sees of birefringent plates between crossed polars."""

from __future__ import annotations

import colorsys
import math

import pytest
import torch
from torch import Tensor

import exitwave as ew

# Path differences in micrometres and the colours of Michel-Levy's chart there (Nesse, Introduction to Optical
# Mineralogy, 3rd ed., plate 1; Sorensen, Eur. J. Mineral. 25, 5, 2013): hue in degrees, or none for greys.
CHART: list[tuple[float, str, tuple[float, float] | None]] = [
    (0.060, "grey", None),
    (0.240, "white", None),
    (0.350, "yellow", (28.0, 65.0)),
    (0.480, "red", (-20.0, 28.0)),
    (0.560, "violet", (230.0, 310.0)),
    (0.630, "blue", (195.0, 250.0)),
    (0.760, "green", (80.0, 190.0)),
    (0.900, "yellow", (35.0, 75.0)),
    (1.010, "red", (-40.0, 30.0)),
    (1.200, "blue or green", (120.0, 250.0)),
]


def plates(path: list[float], wavelengths: int, pol: float = 0.0, plate: float = 0.0) -> Tensor:
    """Return the colours (P, 3) of plates in a row, of given path differences, their slow axis at 45 degrees to x."""
    step, pixel, wavelength = 28.0, 0.7, torch.linspace(0.42, 0.68, wavelengths, dtype=torch.float64)
    offset = [(number - (len(path) - 1) / 2) * step for number in range(len(path))]
    birefringence = 0.01
    part = ew.Particles(
        ew.Box(),
        center=[[0.0, 0.0, x] for x in offset],
        size=[[one / birefringence / 2, 12.0, 12.0] for one in path],
        index=[1.5] * len(path),
        birefringence=[birefringence] * len(path),
        optic_axis=[[0.0, 1.0, 1.0]] * len(path),
    )
    microscope = ew.polarized(
        na=0.2,
        condenser_na=0.05,
        polarizer=pol,
        analyzer=pol + math.pi / 2,
        retardance=plate,
        wavelength=wavelength,
        sensor=ew.Ideal(response=ew.camera_rgb(wavelength)),
    )
    # The mean of both indices is that of the medium: plates without an outline.
    scene = ew.Scene(
        ew.Specimen((part,), medium=1.5 + birefringence / 2), microscope, ew.Grid((16, 40 * len(path)), pixel)
    )
    image = ew.render(scene)
    return torch.stack([image[:, 8, 20 * len(path) + round(x / pixel)] for x in offset])


def shown(colour: Tensor) -> tuple[float, float, float]:
    """Return hue (degrees), saturation and value of a linear colour as a screen shows it."""
    red, green, blue = (float(part) ** (1 / 2.2) for part in colour.clamp(0.0, 1.0))
    hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
    return 360 * hue, saturation, value


def test_colours_follow_michel_levy() -> None:
    colours = plates([path for path, _, _ in CHART], wavelengths=9)
    for (path, name, hues), colour in zip(CHART, colours, strict=True):
        hue, saturation, _ = shown(colour)
        if hues is None:
            assert saturation < 0.25, (path, name, saturation)
            continue
        assert saturation > 0.15, (path, name, saturation)
        low, high = hues
        assert low <= (hue - low) % 360 + low <= high, (path, name, hue)


@pytest.mark.parametrize("wavelengths", [7, 9])
def test_a_few_wavelengths_are_the_whole_spectrum(wavelengths: int) -> None:
    path = torch.linspace(0.05, 1.2, 20, dtype=torch.float64)
    spectrum = torch.arange(0.40, 0.70, 0.001, dtype=torch.float64)
    response = ew.camera_rgb(spectrum)
    wave = torch.sin(math.pi * path[:, None] / spectrum) ** 2
    expected = wave @ (response / response.sum(-1, keepdim=True)).T
    # The rims of the plates ring by a hundredth.
    assert torch.allclose(plates(path.tolist(), wavelengths).double(), expected, atol=0.02)


def test_the_red_plate_tells_the_slow_axis() -> None:
    added, crossed = (shown(plates([0.12], wavelengths=9, plate=plate)[0])[0] for plate in (0.53, -0.53))
    # 0.53 + 0.12 is blue of the second order, 0.53 - 0.12 orange of the first.
    assert 180.0 < added < 260.0
    assert 10.0 < crossed < 60.0


def test_plates_along_a_polariser_are_dark() -> None:
    assert float(plates([0.3, 0.6], wavelengths=3, pol=math.pi / 4).max()) < 1e-6


def test_the_camera_answers_with_three_positive_bumps() -> None:
    wavelength = torch.linspace(0.40, 0.70, 301, dtype=torch.float64)
    response = ew.camera_rgb(wavelength)
    assert response.shape == (3, 301)
    assert float(response.min()) > 0
    peaks = wavelength[response.argmax(-1)]
    assert torch.allclose(peaks, torch.tensor([0.60, 0.54, 0.46], dtype=torch.float64), atol=0.02)


@pytest.mark.parametrize("wavelength", [[550.0], [0.2], [[0.5, 0.6]]])
def test_other_wavelengths_than_visible_ones_are_refused(wavelength: list[float]) -> None:
    with pytest.raises(ValueError, match=r"0\.38 to 0\.78 um, got .*; pass micrometres"):
        ew.camera_rgb(wavelength)
