"""Sensors: their noise against its model, their pixels against numerical integration, their refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from physics.waves import plate, source
from scipy.stats import poisson
from torch import Tensor

import exitwave as ew
from exitwave.field import Light
from exitwave.optics import Objective
from exitwave.sensor.camera import shot_noise

DOUBLE = torch.float64
SIDE = 200


def wrong(value: Any) -> Any:
    """Return `value`, hidden from the type checker."""
    return value


def light(irradiance: float | Tensor = 1.0, side: int = SIDE, colours: int = 1) -> Light:
    data = torch.ones(colours, side, side, dtype=DOUBLE) * irradiance
    return Light(data, torch.ones(colours, dtype=DOUBLE) / colours, ew.Grid((side, side), 0.1))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Noise


@pytest.mark.parametrize(
    "settings",
    [
        {"dose": 500.0, "quantum_efficiency": 1.0, "gain": 1.0, "read_noise": 0.0},
        {"dose": 500.0, "quantum_efficiency": 0.6, "gain": 2.0, "read_noise": 0.0, "offset": 100.0},
        {"dose": 1.0, "quantum_efficiency": 0.5, "gain": 3.0, "read_noise": 8.0, "offset": 200.0},
        {"dose": 20.0, "quantum_efficiency": 0.9, "gain": 0.5, "read_noise": 5.0, "em_gain": 100.0, "offset": 90.0},
        {"dose": 2e4, "quantum_efficiency": 0.8, "gain": 0.6, "read_noise": 2.0},
    ],
    ids=["shot", "efficiency", "read", "register", "bright"],
)
def test_mean_and_variance_of_noise_are_the_models(settings: dict[str, float]) -> None:
    camera = ew.Camera(**settings, bits=16)
    expected = camera.read(light(), None)
    image = camera.read(light(), generator())
    variance = camera.variance(expected)
    count = image.numel()
    assert float(image.mean()) == pytest.approx(float(expected.mean()), abs=5 * float(variance.mean() / count) ** 0.5)
    # Relative standard error of a sample variance, with room for the skewness of few electrons.
    assert float(image.var()) == pytest.approx(float(variance.mean()), rel=8 * (2 / count) ** 0.5)


def test_expectation_is_dose_efficiency_gain_and_offset() -> None:
    camera = ew.Camera(dose=400.0, quantum_efficiency=0.7, gain=0.5, offset=12.0, em_gain=3.0, bits=16)
    counts = camera.read(light(0.25), None)
    assert counts.numpy() == pytest.approx(400 * 0.25 * 0.7 * 3 * 0.5 + 12)


def test_shot_noise_grows_as_the_square_root_of_the_dose() -> None:
    relative = {}
    for dose in (100.0, 10000.0):
        image = ew.Camera(dose=dose, quantum_efficiency=1.0, gain=1.0, read_noise=0.0, bits=16).read(
            light(), generator()
        )
        relative[dose] = float(image.std() / image.mean())
    assert relative[100.0] == pytest.approx(0.1, rel=0.02)
    assert relative[100.0] / relative[10000.0] == pytest.approx(10, rel=0.03)


def test_register_doubles_the_variance_of_shot_noise() -> None:
    """Excess noise factor: var(n_out) / (M^2 n_in) is 2 at high gain, and the mean is M n."""
    camera = ew.Camera(dose=50.0, quantum_efficiency=1.0, gain=0.1, read_noise=0.0, em_gain=300.0, bits=32)
    electrons = camera.read(light(), generator()) / 0.1
    assert float(electrons.mean()) == pytest.approx(50 * 300, rel=0.005)
    assert float(electrons.var()) / (300**2 * 50) == pytest.approx(2, rel=0.03)


def test_single_electrons_leave_the_register_exponentially_distributed() -> None:
    """Basden et al.: one electron in gives exp(-x / M) / M. At 0.01 electrons per pixel hardly any pixel has two."""
    camera = ew.Camera(dose=0.02, quantum_efficiency=1.0, gain=1.0, read_noise=0.0, em_gain=1000.0, bits=24)
    counts = camera.read(light(side=500), generator()).flatten()
    seen = counts[counts > 0]
    assert len(seen) / counts.numel() == pytest.approx(1 - np.exp(-0.02), rel=0.05)
    for level in (500.0, 1000.0, 2000.0):
        share = float((seen > level).double().mean())
        assert share == pytest.approx(np.exp(-level / 1000), abs=0.03)


def test_dark_pixels_stay_dark_in_the_register() -> None:
    camera = ew.Camera(dose=100.0, read_noise=0.0, em_gain=500.0, offset=7.0, bits=16)
    assert camera.read(light(0.0), generator()).unique().tolist() == [7.0]


def test_every_pixel_has_its_own_gain_offset_and_noise() -> None:
    """Columns of an sCMOS camera: map by map, the statistics of each column are those of its own numbers."""
    draws = generator(3)
    gain, offset, noise = (
        scale * (0.5 + torch.rand(1, 8, generator=draws, dtype=DOUBLE)).expand(4000, 8) for scale in (2.0, 100.0, 10.0)
    )
    camera = ew.Camera(dose=100.0, quantum_efficiency=1.0, gain=gain, offset=offset, read_noise=noise, bits=16)
    field = Light(torch.ones(1, 4000, 8, dtype=DOUBLE), torch.ones(1, dtype=DOUBLE), ew.Grid((4000, 8), 0.1))
    image = camera.read(field, generator())
    assert image.mean(0).numpy() == pytest.approx((offset + gain * 100)[0].numpy(), rel=0.01)
    assert image.var(0).numpy() == pytest.approx((gain**2 * (100 + noise**2))[0].numpy(), rel=0.12)
    assert camera.variance(camera.read(field, None))[0].numpy() == pytest.approx(
        (gain**2 * (100 + noise**2))[0].numpy() + 1 / 12
    )


def test_noise_is_the_generators() -> None:
    camera = ew.Camera(dose=100.0, em_gain=10.0, gain=1.0, bits=16)
    first, again, other = (camera.read(light(), generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    state = torch.get_rng_state()
    camera.read(light(), generator())
    assert torch.equal(torch.get_rng_state(), state)


def test_render_draws_the_same_noise_as_the_sensor() -> None:
    scene = ew.Scene(ew.Specimen((), medium=1.33), ew.brightfield(sensor=ew.Camera()), ew.Grid((32, 32), 0.2))
    assert torch.equal(ew.render(scene, generator(4)), ew.render(scene, generator(4)))
    assert float(ew.render(scene, generator(4)).std()) == pytest.approx(
        float(scene.microscope.sensor.variance(ew.render(scene)).mean().sqrt()), rel=0.1
    )


# The converter


def test_counts_are_integers_within_the_bits() -> None:
    for bits in (1, 8, 12, 16):
        camera = ew.Camera(dose=1e6, gain=1.0, full_well=1e9, bits=bits)
        image = camera.read(light(torch.linspace(0, 1, SIDE, dtype=DOUBLE)), generator())
        assert torch.equal(image, image.round())
        assert (float(image.min()), float(image.max())) == (0.0, 2**bits - 1)
        assert float(camera.read(light(), None).max()) == 2**bits - 1


def test_full_well_saturates_before_the_converter() -> None:
    camera = ew.Camera(dose=1e5, quantum_efficiency=1.0, gain=0.1, offset=50.0, full_well=1e4, read_noise=0.0, bits=16)
    assert camera.read(light(), None).numpy() == pytest.approx(1e4 * 0.1 + 50)
    assert camera.read(light(), generator()).unique().tolist() == [1050.0]


def test_offset_keeps_the_dark_noise_from_being_cut() -> None:
    camera = ew.Camera(dose=1.0, gain=1.0, offset=100.0, read_noise=10.0, bits=12)
    dark = camera.read(light(0.0), generator())
    assert float(dark.mean()) == pytest.approx(100, abs=0.3)
    assert float(dark.std()) == pytest.approx(10, rel=0.03)
    cut = ew.Camera(dose=1.0, gain=1.0, read_noise=10.0, bits=12).read(light(0.0), generator())
    assert float(cut.min()) == 0.0


def test_vignette_darkens_the_corners() -> None:
    camera = ew.Camera(dose=1000.0, quantum_efficiency=1.0, gain=1.0, vignette=0.3, bits=16)
    image = camera.read(light(side=201), None)
    assert [float(image[0, 0]), float(image[200, 0]), float(image[100, 100])] == pytest.approx([700, 700, 1000])
    assert float(image[0, 100]) == pytest.approx(850)


# Pixels


def test_pixels_integrate_the_irradiance() -> None:
    """The transfer function against a sum over 12 x 15 points in every pixel, between the samples too."""
    noise = torch.randn(2, 40, 48, dtype=DOUBLE, generator=generator(5))
    wave = plate(torch.exp(1j * noise[0] - noise[1].abs()), (0.2, 0.25), 0.5)
    objective, lamp = Objective(na=0.5, defocus=1.0), ew.Koehler(0.3, wavelength=0.5, rings=1)
    pixel = (0.6, 0.5)
    found = objective.irradiance(wave, source(lamp, wave), lambda fy, fx: ew.Camera().transfer(fy, fx, pixel))[0]
    points = objective.irradiance(wave, source(lamp, wave), lambda fy, fx: None)[0]
    spectrum = torch.fft.fft2(points)
    fy = torch.fft.fftfreq(40, 0.2, dtype=DOUBLE)[:, None]
    fx = torch.fft.fftfreq(48, 0.25, dtype=DOUBLE)[None]
    total = torch.zeros_like(points)
    for dy in (np.arange(12) + 0.5) / 12 - 0.5:
        for dx in (np.arange(15) + 0.5) / 15 - 0.5:
            shift = 2j * np.pi * (fy * dy * pixel[0] + fx * dx * pixel[1])
            total += torch.fft.ifft2(spectrum * torch.exp(shift)).real / (12 * 15)
    assert float((points - total).abs().max()) > 0.05
    assert found.numpy() == pytest.approx(total.numpy(), abs=2e-3)


def test_pixels_of_a_camera_blur_what_points_resolve() -> None:
    bead = ew.Particles(ew.Sphere(), [[0, 0, 0]], [[0.5]], [1.45])
    images = []
    for sensor in (ew.Ideal(), ew.Camera(dose=1e4, quantum_efficiency=1.0, gain=1e-4, read_noise=0.0, bits=8)):
        microscope = ew.brightfield(na=0.9, condenser_na=0.5, defocus=1.0, sensor=sensor)
        images.append(ew.render(ew.Scene(ew.Specimen((bead,), medium=1.33), microscope, ew.Grid((41, 41), 0.19))))
    assert float(images[1].std()) < 0.985 * float(images[0].std())
    assert float(images[1].mean()) == pytest.approx(float(images[0].mean()), abs=1e-3)


# Ideal and interferometer


def test_ideal_sensor_has_no_noise() -> None:
    assert torch.equal(ew.Ideal().read(light(0.7), generator()), ew.Ideal().read(light(0.7), None))
    assert ew.Ideal().variance(light().data[0]).unique().tolist() == [1.0]


def test_interferometer_reads_the_phase_with_its_background_and_noise() -> None:
    phase = torch.full((1, 100, 100), 0.8, dtype=DOUBLE)
    field = Light(
        torch.polar(torch.full_like(phase, 0.5), phase), torch.ones(1, dtype=DOUBLE), ew.Grid((100, 100), 0.2)
    )
    sensor = ew.Interferometer(offset=0.3, tilt=(0.1, -0.2), noise=0.05)
    expected = sensor.read(field, None)
    assert float(expected[50, 50]) == pytest.approx(1.1)
    assert float(expected[60, 50] - expected[50, 50]) == pytest.approx(0.1 * 2.0)
    assert float(expected[50, 60] - expected[50, 50]) == pytest.approx(-0.2 * 2.0)
    noise = sensor.read(field, generator()) - expected
    assert float(noise.std()) == pytest.approx(0.05, rel=0.03)
    assert float(noise.mean()) == pytest.approx(0, abs=0.002)
    assert sensor.variance(expected).numpy() == pytest.approx(0.05**2)


# Refusals


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: ew.Camera(bits=0), ValueError, "Camera.bits must be an integer from 1 to 32, got 0"),
        (lambda: ew.Camera(bits=wrong(8.5)), ValueError, "got 8.5"),
        (lambda: ew.Camera(dose=0.0), ValueError, "Camera.dose must lie in (0, 1e+09) photon, got 0"),
        (
            lambda: ew.Camera(quantum_efficiency=1.2),
            ValueError,
            "Camera.quantum_efficiency must lie in [0, 1], got 1.2",
        ),
        (lambda: ew.Camera(gain=float("nan")), ValueError, "Camera.gain must be finite, got NaN"),
        (lambda: ew.Camera(read_noise=[[1.0, -2.0]]), ValueError, "got values from -2 to 1"),
        (lambda: ew.Camera(em_gain=0.5), ValueError, "Camera.em_gain must lie in [1, 10000], got 0.5"),
        (lambda: ew.Camera(response=[[0.0, 0.0]]), ValueError, "every row of response needs a positive entry"),
        (lambda: ew.Ideal(response=[1.0, 0.0]), ValueError, "must have 2 dimensions (C, L), got shape (2,)"),
        (
            lambda: ew.Ideal(response=np.eye(2)).read(light(), None),
            ValueError,
            "must have 1 columns, one per wavelength",
        ),
        (lambda: ew.Interferometer().read(light(colours=2), None), ValueError, "phase needs one wavelength, got 2"),
        (
            lambda: ew.Camera(offset=np.ones((3, 4))).read(light(side=5), None),
            ValueError,
            "Camera.offset must be one number or a map like the image (5, 5), got (3, 4)",
        ),
    ],
)
def test_sensors_refuse_in_one_line(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        make()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mean", [0.3, 40.0, 199.0, 201.0, 5000.0])
def test_shot_noise_has_poissons_distribution(mean: float) -> None:
    """On both sides of the change from exact draws to the expansion: distribution, mean, variance and skewness."""
    count = 400_000
    drawn = shot_noise(torch.full((count,), mean, dtype=DOUBLE), torch.Generator().manual_seed(5)).numpy()
    assert (drawn == drawn.round()).all()
    assert drawn.min() >= 0
    steps = np.arange(int(max(0, mean - 6 * mean**0.5)), int(mean + 6 * mean**0.5) + 3)
    below = np.searchsorted(np.sort(drawn), steps, side="right") / count
    # Kolmogorov and Smirnov: one sample in a thousand lies beyond 1.95 / sqrt(n).
    assert np.abs(below - poisson.cdf(steps, mean)).max() < 1.95 / count**0.5
    centred = drawn - mean
    assert centred.mean() == pytest.approx(0, abs=4 * (mean / count) ** 0.5)
    assert (centred**2).mean() == pytest.approx(mean, rel=0.02)
    assert (centred**3).mean() == pytest.approx(mean, abs=4 * (15 * mean**3 / count) ** 0.5 + 0.05 * mean)
