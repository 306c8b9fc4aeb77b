"""Holograms: fringes of an off-axis reference, and the field that can be had back from them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from physics.stacks import beads

import exitwave as ew

DOUBLE = torch.float64
WAVELENGTH = 0.5
EMPTY = ew.Specimen((), medium=1.33)


def off_axis(
    direction: tuple[float, float],
    amplitude: float = 1.0,
    na: float = 0.3,
    defocus: float = 4.0,
    sensor: ew.Ideal | ew.Camera | None = None,
    interaction: ew.Transmission | ew.Multislice | None = None,
) -> ew.Microscope:
    reference = ew.Reference(direction, amplitude)
    return ew.hologram(na, WAVELENGTH, defocus, reference=reference, sensor=sensor, interaction=interaction)


def bright() -> ew.Camera:
    """Return a camera whose expectation is the irradiance averaged over its pixels."""
    return ew.Camera(dose=1.0, quantum_efficiency=1.0, gain=1.0, offset=0.0, full_well=1e9, bits=32)


def test_in_line_hologram_is_the_square_of_the_field() -> None:
    scene = ew.Scene(beads([(0.0, 0.3, -0.5)], [1.0], [0.05]), ew.hologram(defocus=12.0), ew.Grid((64, 72), 0.15))
    assert ew.render(scene).numpy() == pytest.approx(ew.optical_field(scene).abs().numpy() ** 2, abs=1e-6)


@pytest.mark.parametrize("amplitude", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("turns", [(0, 12), (9, -5)])
def test_fringes_of_an_empty_field(turns: tuple[int, int], amplitude: float) -> None:
    """|1 + r exp(2 pi i q . x)|^2 = 1 + r^2 + 2 r cos(2 pi q . x), q = direction / lambda: contrast 2 r / (1 + r^2)."""
    side, pixel = 60, 0.2
    direction = (turns[0] / (side * pixel) * WAVELENGTH, turns[1] / (side * pixel) * WAVELENGTH)
    image = ew.render(ew.Scene(EMPTY, off_axis(direction, amplitude), ew.Grid((side, side), pixel)))
    place = (np.arange(side) - side // 2) * pixel
    phase = 2 * np.pi / WAVELENGTH * (direction[0] * place[:, None] + direction[1] * place[None])
    assert image.numpy() == pytest.approx(1 + amplitude**2 + 2 * amplitude * np.cos(phase), abs=1e-4)


@pytest.mark.parametrize("interaction", [ew.Transmission(), ew.Multislice(slabs=4)], ids=["thin", "deep"])
def test_field_comes_back_from_its_hologram(interaction: ew.Transmission | ew.Multislice) -> None:
    """The sideband about the reference's frequency is r times the conjugate field: cut it out and shift it back."""
    side, pixel, amplitude = 240, 0.125, 1.5
    body = beads([(0.0, 0.3, -0.5), (1.0, 2.0, 1.5)], [1.0, 0.6], [0.05, 0.03])
    direction = (0.0, 66 / (side * pixel) * WAVELENGTH)  # beyond three times the aperture: no overlap
    microscope = off_axis(direction, amplitude, interaction=interaction)
    scene = ew.Scene(body, microscope, ew.Grid((side, side), pixel))
    hologram = ew.render(scene).numpy()
    # A smooth window keeps the border's jump out of the sideband.
    edge = np.clip(np.minimum(np.arange(side), np.arange(side)[::-1]) / 40, 0, 1)
    window = np.sin(np.pi / 2 * edge) ** 2
    x = (np.arange(side) - side // 2) * pixel
    shifted = hologram * np.outer(window, window) * np.exp(2j * np.pi * direction[1] / WAVELENGTH * x)[None]
    f = np.fft.fftfreq(side, pixel)
    low = np.hypot(f[:, None], f[None]) < 1.3 * 0.3 / WAVELENGTH
    found = np.fft.ifft2(np.fft.fft2(shifted) * low) / amplitude
    middle = slice(70, 170)
    straight = ew.Microscope(ew.Coherent(WAVELENGTH), interaction, ew.Objective(0.3, 4.0), ew.Ideal())
    field = ew.optical_field(ew.Scene(body, straight, ew.Grid((side, side), pixel))).numpy()
    assert found[middle, middle] == pytest.approx(field[middle, middle], abs=1e-3)
    assert np.abs(field[middle, middle] - 1).max() > 0.3


def test_reference_leaves_the_field_itself_alone() -> None:
    body, grid = beads([(0.0, 0.3, -0.5)], [1.0], [0.05]), ew.Grid((32, 32), 0.2)
    with_reference, without = (
        ew.optical_field(ew.Scene(body, microscope, grid))
        for microscope in (off_axis((0.5, 0.5)), ew.hologram(0.3, WAVELENGTH, 4.0))
    )
    assert with_reference.numpy() == pytest.approx(without.numpy())


@pytest.mark.parametrize("direction", [(0.0, 1.3), (-1.3, 0.2)])
def test_fringes_finer_than_two_pixels_are_refused(direction: tuple[float, float]) -> None:
    with pytest.raises(
        ValueError, match=r"fringes must be at least two pixels wide, got 0.385 um at a pixel of 0.2 um"
    ):
        ew.render(ew.Scene(EMPTY, off_axis(direction), ew.Grid((16, 16), 0.2)))


def test_reference_needs_coherent_light() -> None:
    optics = ew.Objective(0.3, reference=ew.Reference((0.5, 0.0)))
    microscope = ew.Microscope(ew.Koehler(0.1, rings=1), ew.Transmission(), optics, ew.Ideal())
    with pytest.raises(ValueError, match="a reference beam needs coherent light"):
        ew.render(ew.Scene(EMPTY, microscope, ew.Grid((16, 16), 0.2)))


@pytest.mark.parametrize("periods", [6, 14, 22])
def test_pixels_average_the_fringes(periods: int) -> None:
    """Square pixels of side p dim fringes of frequency q by sinc(q p)."""
    side, pixel = 48, 0.2
    frequency = periods / (side * pixel)
    microscope = off_axis((0.0, frequency * WAVELENGTH), sensor=bright())
    image = ew.render(ew.Scene(EMPTY, microscope, ew.Grid((side, side), pixel))).numpy()
    spectrum = np.fft.fft(image.mean(0)) / side
    assert spectrum[0].real == pytest.approx(2, rel=1e-5)
    contrast = 2 * abs(spectrum[periods]) / spectrum[0].real
    assert contrast == pytest.approx(math.sin(math.pi * frequency * pixel) / (math.pi * frequency * pixel), rel=1e-4)


def test_pixels_average_the_hologram_of_a_bead() -> None:
    """The camera's pixel is the mean of the same hologram over a fine grid of its area."""
    pixel = 0.2
    body = beads([(0.0, 0.3, -0.5)], [0.8], [0.05])
    coarse = ew.render(ew.Scene(body, off_axis((0.35, 0.45), sensor=bright()), ew.Grid((41, 41), pixel)))
    # Odd counts: the middle sample of the fine grid is the middle of the middle pixel.
    fold = 9
    fine = ew.render(ew.Scene(body, off_axis((0.35, 0.45)), ew.Grid((41 * fold, 41 * fold), pixel / fold)))
    mean = fine.reshape(41, fold, 41, fold).mean((1, 3))
    assert coarse.numpy() == pytest.approx(mean.numpy(), abs=0.02)


def test_parallel_reference_makes_no_fringes() -> None:
    """Illumination and reference along one direction: 1 and 1 add up to 4; fringes count from there."""
    lamp = ew.Coherent(0.5, direction=(0.0, 0.2))
    for tilt, expected in ((0.2, 0.0), (0.45, 0.5)):
        optics = ew.Objective(na=0.5, reference=ew.Reference((0.0, tilt)))
        scene = ew.Scene(
            ew.Specimen(()), ew.Microscope(lamp, ew.Transmission(), optics, ew.Ideal()), ew.Grid((8, 40), 0.25)
        )
        row = ew.render(scene)[4].double()
        x = (torch.arange(40) - 20) * 0.25
        assert row.numpy() == pytest.approx((2 + 2 * torch.cos(2 * torch.pi * expected * x)).numpy(), abs=2e-5)
