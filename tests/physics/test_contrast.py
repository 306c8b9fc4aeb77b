"""Contrast modes: DIC, Zernike's phase contrast, darkfield, oblique light, and phase by defocus."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from physics.closed_forms import phase_contrast_of_a_disk, sheared_ramp, zero_of_defocused_transfer
from physics.transfer import Lens, disk_nodes, phase_transfer, rendered
from physics.waves import cosine, irradiance, modulation, plate, smooth_disk, speckle
from torch import Tensor

import exitwave as ew

DOUBLE = torch.float64
LASER = ew.Coherent()
EMPTY = ew.Specimen((), medium=1.33)


def bead(step: float, radius: float = 1.0, absorption: float = 0.0) -> ew.Specimen:
    body = ew.Particles(
        ew.Sphere(),
        center=torch.zeros(1, 3, dtype=DOUBLE),
        size=torch.tensor([[radius]], dtype=DOUBLE),
        index=torch.tensor([1.33 + step], dtype=DOUBLE),
        absorption=torch.tensor([absorption], dtype=DOUBLE),
    )
    return ew.Specimen((body,), medium=1.33)


def picture(specimen: ew.Specimen, microscope: ew.Microscope, side: int = 48, pixel: float = 0.15) -> Tensor:
    return ew.render(ew.Scene(specimen, microscope, ew.Grid((side, side), pixel)))


# Differential interference contrast


@pytest.mark.parametrize("bias", [0.0, 0.7, math.pi / 2])
@pytest.mark.parametrize("shear", [(0.0, 0.2), (0.15, 0.0), (-0.1, 0.25)])
def test_dic_image_of_a_phase_ramp_is_uniform(bias: float, shear: tuple[float, float]) -> None:
    assert sheared_ramp(bias, shear) < 1e-5
    assert sheared_ramp(bias, shear, ew.Koehler(0.3, wavelength=0.5, rings=2)) < 1e-5


@pytest.mark.parametrize("bias", [0.0, 0.4, math.pi / 2, math.pi])
def test_empty_dic_field_is_the_bias(bias: float) -> None:
    assert picture(EMPTY, ew.dic(bias=bias)).numpy() == pytest.approx(math.sin(bias / 2) ** 2, abs=1e-6)


@pytest.mark.parametrize("bias", [0.0, 0.6, -math.pi / 2])
def test_dic_shows_the_difference_of_the_phase_at_two_places(bias: float) -> None:
    """sin^2((phi(r + d/2) - phi(r - d/2) + b) / 2) where all light passes: bright where the phase rises along d."""
    samples, pixel = 128, 0.2
    phase = 0.8 * smooth_disk(samples, pixel, 4.0, 0.8)
    objective = ew.Objective(na=0.95, plate=ew.Shear((0.0, 2 * pixel), bias))
    image = irradiance(plate(torch.exp(1j * phase), pixel), objective, LASER)
    difference = phase.roll(-1, 1) - phase.roll(1, 1)
    assert image.numpy() == pytest.approx(torch.sin((difference + bias) / 2).square().numpy(), abs=1e-5)


def test_dic_without_bias_is_blind_to_the_sign_of_the_phase() -> None:
    even = [picture(bead(step), ew.dic(bias=0.0)) for step in (0.01, -0.01)]
    assert float(even[0].max()) > 1e-3
    assert even[0].numpy() == pytest.approx(even[1].numpy(), abs=1e-9)
    relief = [picture(bead(step), ew.dic()) - 0.5 for step in (0.01, -0.01)]
    assert float((relief[0] + relief[1]).abs().max()) < 0.1 * float(relief[0].abs().max())


def test_shear_along_y_is_the_transposed_image_of_shear_along_x() -> None:
    along_x, along_y = (picture(bead(0.03), ew.dic(shear=shear, rings=0)) for shear in ((0.0, 0.2), (0.2, 0.0)))
    assert along_x.numpy() == pytest.approx(along_y.T.numpy(), abs=1e-9)
    # A phase bump rises on its left: bright there, dark on the right.
    assert float(along_x[:, :24].mean()) > 0.5 > float(along_x[:, 25:].mean())


def test_shear_beyond_the_field_is_refused() -> None:
    with pytest.raises(ValueError, match="the shear must be smaller than the field"):
        picture(EMPTY, ew.dic(shear=(0.0, 8.0)))


# Zernike's phase contrast


@pytest.mark.parametrize(("phase", "transmission"), [(-math.pi / 2, 0.25), (math.pi / 2, 0.25), (1.0, 1.0), (-2, 0.0)])
def test_phase_contrast_of_a_disk_is_zernikes(phase: float, transmission: float) -> None:
    assert phase_contrast_of_a_disk(phase, transmission) < 1e-5


@pytest.mark.parametrize("phase", [-math.pi / 2, math.pi / 2])
@pytest.mark.parametrize("transmission", [0.1, 0.25, 1.0])
def test_empty_phase_contrast_field_is_the_rings_transmission(phase: float, transmission: float) -> None:
    image = picture(EMPTY, ew.phase_contrast(phase=phase, transmission=transmission))
    assert image.numpy() == pytest.approx(transmission, rel=1e-6)


def test_what_delays_light_is_dark_in_positive_and_bright_in_negative_contrast() -> None:
    faint = {
        (step, phase): float(picture(bead(step, 0.6), ew.phase_contrast(phase=phase))[24, 24])
        for step in (0.005, -0.005)
        for phase in (-math.pi / 2, math.pi / 2)
    }
    assert faint[0.005, -math.pi / 2] < 0.24 < 0.26 < faint[0.005, math.pi / 2]
    assert faint[-0.005, math.pi / 2] < 0.24 < 0.26 < faint[-0.005, -math.pi / 2]


def test_weak_phase_has_twice_its_contrast_over_the_rings_amplitude() -> None:
    """I = T - 2 sqrt(T) phi for light beside the ring: -2 phi / sqrt(T) of the background, here at a grating."""
    samples, periods, strength = 96, 12, 1e-4
    wave = plate(torch.exp(1j * strength * cosine(samples, periods)), 0.2)  # .625 per um: beside the ring
    for phase, sign in ((-math.pi / 2, -1), (math.pi / 2, 1)):
        lamp = ew.Annulus(0.26, 0.30, wavelength=0.5)
        plate_ring = ew.PhaseRing(0.25, 0.31, phase, 0.25)
        image = irradiance(wave, ew.Objective(na=0.9, plate=plate_ring), lamp)
        assert modulation(image, periods) == pytest.approx(sign * 2 * 0.5 * strength, rel=0.1)


# Darkfield


def test_empty_darkfield_is_dark() -> None:
    assert float(picture(EMPTY, ew.darkfield()).abs().max()) < 1e-9


@pytest.mark.parametrize(("name", "strength"), [("step", 0.001), ("absorption", 0.01)])
def test_darkfield_of_a_faint_object_is_quadratic_in_its_strength(name: str, strength: float) -> None:
    once, twice = (picture(bead(**({"step": 0.0, name: factor * strength})), ew.darkfield()) for factor in (1.0, 2.0))
    assert float(once.max()) > 0
    assert twice.numpy() == pytest.approx(4 * once.numpy(), abs=0.05 * float(twice.max()))


def test_darkfield_is_the_brightfield_wave_without_its_background() -> None:
    """The wave t - 1 in place of t under every point of the source, transformed on the whole grid."""
    samples, pixel, wavelength = 96, 0.15, 0.5
    data = speckle(samples, 3)
    data[: samples // 4] = data[-samples // 4 :] = 1
    frequency = 1 / (samples * pixel)
    points = torch.tensor([[18.0, 3.0], [-17.0, 6.0], [1.0, -19.0]], dtype=DOUBLE) * frequency * wavelength
    lamp, objective = ew.SourcePoints(points, (1.0, 2.0, 0.5), wavelength), ew.Objective(na=0.45, defocus=2.0)
    wave = plate(data, pixel, wavelength)
    f = torch.fft.fftfreq(samples, pixel, dtype=DOUBLE)
    pupil = objective.pupil(f[:, None], f[None], (frequency, frequency), wave, 0)
    place = torch.arange(samples, dtype=DOUBLE) * pixel
    expected = torch.zeros(samples, samples, dtype=DOUBLE)
    for (sy, sx), weight in zip(points / wavelength, lamp.source().weight, strict=True):
        tilted = torch.exp(2j * math.pi * (sy * place[:, None] + sx * place[None]))
        expected += weight * torch.fft.ifft2(torch.fft.fft2((data - 1) * tilted) * pupil).abs() ** 2
    image = irradiance(wave, objective, lamp)
    assert image.numpy() == pytest.approx(expected.numpy(), abs=1e-6 * float(expected.max()))


def test_annulus_inside_the_aperture_is_no_darkfield() -> None:
    with pytest.raises(ValueError, match="darkfield needs an annulus outside the objective's aperture"):
        ew.darkfield(na=0.5, inner_na=0.4)


# Half disks


def test_two_halves_make_the_whole_disk() -> None:
    wave, objective = plate(speckle(64, 5), 0.2), ew.Objective(na=0.5, defocus=1.0)
    for azimuth in (0.0, 0.8):
        halves = [
            ew.HalfDisk(0.4, azimuth=azimuth + turn, wavelength=0.5, points=20, rings=10) for turn in (0, math.pi)
        ]
        both = sum(irradiance(wave, objective, half) for half in halves) / 2
        whole = irradiance(wave, objective, ew.Koehler(0.4, wavelength=0.5, rings=10))
        assert float((both - whole).abs().max()) < 0.02 * float((whole - whole.mean()).abs().max())


def test_differential_phase_contrast_transfers_a_weak_phase_as_the_source_says() -> None:
    """(I_right - I_left) / (I_right + I_left) of a phase grating against the integral over the half disk."""
    lens, samples = Lens(na=0.5), 96
    right, left = (ew.HalfDisk(0.4, azimuth=azimuth, wavelength=0.5, points=48, rings=16) for azimuth in (0.0, math.pi))
    found = (rendered(lens, right, True, samples) - rendered(lens, left, True, samples)) / 2
    frequency = np.arange(1, 40) / (samples * 0.2)
    half = disk_nodes(0.4, 0.5, math.pi)
    expected = (phase_transfer(lens, half, frequency) - phase_transfer(lens, half * [1, -1], frequency)) / 2
    strongest = np.abs(expected).max()
    assert np.abs(found[0, 1:40].numpy() - expected).max() < 0.01 * strongest
    # Along the division both halves see the same.
    assert float(found[1:, 0].abs().max()) < 1e-6 * strongest


# Defocus


@pytest.mark.parametrize(("order", "defocus"), [(1, 2.0), (1, 10.0), (3, 10.0), (8, 40.0)])
def test_zeros_of_phase_contrast_by_defocus(order: int, defocus: float) -> None:
    """They lie where k z (1 - cos(theta)) = order pi."""
    assert zero_of_defocused_transfer(order, defocus) < 1e-5
