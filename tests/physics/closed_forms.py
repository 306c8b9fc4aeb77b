"""Imaging against closed forms: every function returns how far the engine is off, as a share of what it should be.

The tests hold these numbers to a tolerance, the physics report prints them.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from physics.waves import cosine, field, irradiance, modulation, plate, smooth_disk
from scipy.interpolate import CubicSpline
from scipy.optimize import root_scalar
from scipy.special import j1

import exitwave as ew

DOUBLE = torch.float64
LASER = ew.Coherent()
WAVELENGTH = 0.5


def grating_under_defocus(periods: int, defocus: float) -> float:
    """Return the error of a faint phase grating's modulation 2 eps |sin(k z (cos(theta) - 1))|, as a share of 2 eps."""
    samples, pixel, medium, strength = 64, 0.25, 1.33, 1e-3
    wave = plate(torch.exp(1j * strength * cosine(samples, periods)), pixel, WAVELENGTH, medium)
    image = irradiance(wave, ew.Objective(na=0.9, defocus=defocus, index=1.33), LASER)
    theta = math.asin(periods / (samples * pixel) * WAVELENGTH / medium)
    expected = math.sin(2 * math.pi * medium / WAVELENGTH * defocus * (math.cos(theta) - 1))
    return abs(abs(modulation(image, periods)) / (2 * strength) - abs(expected))


def defocused_transfer(frequency: float, defocus: float, medium: float = 1.33) -> float:
    """Return the signed modulation, over 2 eps, of a faint phase grating of `frequency` in 1/um in coherent light."""
    samples, periods, strength = 64, 8, 1e-4
    pixel = periods / (samples * frequency)
    wave = plate(torch.exp(1j * strength * cosine(samples, periods)), pixel, WAVELENGTH, medium)
    # Just wide enough for the grating, so that every pixel samples the pupil.
    objective = ew.Objective(na=1.2 * frequency * WAVELENGTH, defocus=defocus, index=1.33)
    return modulation(irradiance(wave, objective, LASER), periods) / (2 * strength)


def zero_of_defocused_transfer(order: int, defocus: float, medium: float = 1.33) -> float:
    """Return the error of the frequency of zero number `order` of the transfer of coherent phase contrast by defocus.

    k z (1 - cos(theta)) = order pi, hence cos(theta) = 1 - order lambda / (2 n z) and f = n sin(theta) / lambda.
    """
    cosine_theta = 1 - order * WAVELENGTH / (2 * medium * defocus)
    expected = medium / WAVELENGTH * math.sqrt(1 - cosine_theta**2)
    found = root_scalar(
        lambda f: defocused_transfer(f, defocus, medium), bracket=(0.97 * expected, 1.03 * expected), xtol=1e-9
    )
    return abs(found.root / expected - 1)


def first_zero_of_a_point() -> float:
    """Return the error of the radius 0.609835 lambda / NA of Airy's first dark ring."""
    radius, amplitude = _point()
    zeros = CubicSpline(radius, amplitude).roots(extrapolate=False)
    return abs(zeros[0] / (0.609835 * WAVELENGTH / 0.5) - 1)


def profile_of_a_point() -> float:
    """Return the largest error of a point's amplitude 2 J1(v) / v, v = 2 pi NA r / lambda, out to six rings."""
    radius, amplitude = _point()
    v = 2 * np.pi * 0.5 * radius / WAVELENGTH
    return float(np.abs(amplitude - 2 * j1(v) / v).max())


def _point() -> tuple[np.ndarray, np.ndarray]:
    samples, pixel = 512, 0.1
    point = torch.zeros(samples, samples, dtype=DOUBLE)
    point[samples // 2, samples // 2] = 1
    row = field(plate(point, pixel, WAVELENGTH), ew.Objective(na=0.5), LASER)[samples // 2, samples // 2 :].real.numpy()
    return np.arange(1, 60) * pixel, row[1:60] / row[0]


def coherent_edge(defocus: float) -> float:
    """Return the error of the irradiance 1/4 on the edge of a coherently lit half plane, as a share of it."""
    samples = 256
    half = torch.ones(samples, samples, dtype=DOUBLE)
    half[:, : samples // 2] = 0
    half[:, [0, samples // 2]] = 0.5
    image = irradiance(plate(half, 0.1, WAVELENGTH), ew.Objective(na=0.5, defocus=defocus), LASER)
    return abs(float(image[0, samples // 2]) / 0.25 - 1)


def passed_beyond_the_cutoff(condenser_na: float) -> float:
    """Return the modulation that a grating just beyond (NA + condenser NA) / lambda keeps, as a share of the faintest.

    The faintest is a grating as far below the cut-off.
    """
    samples, pixel, strength = 128, 20 / 128, 1e-3
    cutoff = round(20 * (0.5 + condenser_na) / WAVELENGTH)
    lamp = ew.Koehler(condenser_na, wavelength=WAVELENGTH, rings=4) if condenser_na else LASER
    below, beyond = (
        modulation(irradiance(plate(1 + strength * cosine(samples, n), pixel, WAVELENGTH), ew.Objective(0.5), lamp), n)
        for n in (cutoff - 3, cutoff + 1)
    )
    return abs(beyond / below)


def sheared_ramp(bias: float, shear: tuple[float, float], lamp: ew.Value = LASER) -> float:
    """Return the largest error of a linear phase ramp's even DIC image sin^2(pi f . d + b / 2)."""
    samples, pixel = 80, 0.2
    turns = (3, -7)  # whole periods in the field, along y and x
    place = torch.arange(samples, dtype=DOUBLE) / samples
    ramp = torch.exp(2j * math.pi * (turns[0] * place[:, None] + turns[1] * place[None]))
    objective = ew.Objective(na=0.8, defocus=1.5, plate=ew.Shear(shear, bias))
    image = irradiance(plate(ramp, pixel, WAVELENGTH), objective, lamp)
    cycles = (turns[0] * shear[0] + turns[1] * shear[1]) / (samples * pixel)
    return float((image - math.sin(math.pi * cycles + bias / 2) ** 2).abs().max())


def phase_contrast_of_a_disk(phase: float, transmission: float) -> float:
    """Return the largest error of Zernike's image |t - <t> + sqrt(T) exp(i phase) <t>|^2 of a disk in axial light.

    The plate's dot covers the direct light alone; the disk is smooth, so that all of its light passes the pupil.
    """
    samples, pixel = 128, 0.2
    data = torch.exp(0.9j * smooth_disk(samples, pixel, 4.0, 0.8))
    dot = 0.5 * WAVELENGTH / (samples * pixel)
    objective = ew.Objective(na=0.95, plate=ew.PhaseRing(0.0, dot, phase, transmission))
    image = irradiance(plate(data, pixel, WAVELENGTH), objective, LASER)
    mean = data.mean()
    expected = (data - mean + math.sqrt(transmission) * np.exp(1j * phase) * mean).abs() ** 2
    return float((image - expected).abs().max())


def retarder_between_polars(azimuth: float, retardance: float, parallel: bool = False) -> float:
    """Return the error of a uniaxial plate between polars: crossed sin^2(2 phi) sin^2(Gamma / 2), parallel the rest."""
    image = ew.render(retarder(azimuth, retardance, ew.polarized(analyzer=0.0 if parallel else math.pi / 2)))
    crossed = math.sin(2 * azimuth) ** 2 * math.sin(retardance / 2) ** 2
    return float((image - (1 - crossed if parallel else crossed)).abs().max())


def retarder(azimuth: float, retardance: float, microscope: ew.Microscope, wavelength: float = 0.55) -> ew.Scene:
    """Return a plate of `retardance` radians whose optic axis lies in its plane at `azimuth`, wider than the field."""
    half, birefringence = 5.0, retardance * wavelength / (2 * math.pi * 10.0)
    axis = torch.tensor([[0.0, math.sin(azimuth), math.cos(azimuth)]], dtype=DOUBLE)
    body = ew.Particles(
        ew.Box(),
        center=torch.zeros(1, 3, dtype=DOUBLE),
        size=torch.tensor([[half, 1e4, 1e4]], dtype=DOUBLE),
        index=torch.tensor([1.5], dtype=DOUBLE),
        birefringence=torch.tensor([birefringence], dtype=DOUBLE),
        optic_axis=axis,
    )
    return ew.Scene(ew.Specimen((body,), medium=1.5), microscope, ew.Grid((12, 16), 0.5))


def light_lost_by_a_phase_object() -> float:
    """Return how far the mean irradiance of a strong smooth phase is from 1 when the aperture takes all its light."""
    phase = 1.5 * cosine(64, 3) + 1.2 * cosine(64, 5).T + 2 * cosine(64, 2) * cosine(64, 1).T
    wave = plate(torch.exp(1j * phase), 0.5, WAVELENGTH, medium=1.5)
    image = irradiance(wave, ew.Objective(na=0.49, defocus=3.0, zernike=(0.1, 0.2)), LASER)
    return abs(float(image.mean()) - 1)
