"""Scanned electrons: the beam's width, the detector's side, and what is counted line by line."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.signal
import torch
from scipy.stats import chisquare, poisson
from torch import Tensor
from torch.autograd import forward_ad, gradcheck

from exitwave.field import Light
from exitwave.grid import Grid
from exitwave.illumination.beam import Beam
from exitwave.model import substitute
from exitwave.optics.electrons import ElectronDetector
from exitwave.sensor.scan import ScanSensor, trailing

DOUBLE = torch.float64
PIXEL = (0.01, 0.02)


def wrong(value: Any) -> Any:
    """Return `value`, hidden from the type checker."""
    return value


def light(signal: Tensor, colours: int = 1) -> Light:
    return Light(signal.expand(colours, *signal.shape), torch.ones(colours), Grid(tuple(signal.shape), PIXEL))


def flat(height: int = 300, width: int = 300, signal: float = 1.0) -> Light:
    return light(torch.full((height, width), signal, dtype=DOUBLE))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rough(height: int = 7, width: int = 9, dtype: torch.dtype = DOUBLE) -> Tensor:
    """Return signals from 0.5 to 1.5."""
    return 0.5 + torch.rand(height, width, generator=generator(5), dtype=dtype)


def plain(**settings: Any) -> ScanSensor:
    """Return a sensor whose counts are the signal."""
    return ScanSensor(**{"gain": 1.0, "offset": 0.0, "bits": 32} | settings)


def noiseless(**settings: Any) -> ScanSensor:
    """Return a sensor that shows lines' offsets and brightness, and hardly anything of shot noise and rounding."""
    return ScanSensor(**{"gain": 1e8, "offset": 0.0, "bits": 32, "dose": 9e8, "frames": 10000} | settings)


# The beam


def test_beam_is_narrowest_in_focus() -> None:
    beam = Beam(probe=0.004, convergence=0.01, focus=0.3)
    heights = torch.linspace(-0.7, 1.3, 5, dtype=DOUBLE)
    sigma = beam.sigma(heights)
    assert int(sigma.argmin()) == 2  # at 0.3
    assert float(sigma[2]) == 0.004
    assert float(sigma[0]) == pytest.approx(math.hypot(0.004, 0.005))
    assert torch.allclose(sigma, sigma.flip(0))


def test_beam_out_of_focus_is_as_wide_as_its_filled_cone() -> None:
    """Far from focus it is a disk of radius a |z|; its standard deviation along an axis is found by summing points."""
    radius = 0.05 * 4
    axis = torch.linspace(-radius, radius, 1201, dtype=DOUBLE)
    inside = (axis[:, None] ** 2 + axis[None] ** 2 <= radius**2).double()
    deviation = torch.sqrt((inside * axis**2).sum() / inside.sum())
    found = Beam(probe=1e-6, convergence=0.05, focus=1.0).sigma(torch.tensor([5.0, -3.0], dtype=DOUBLE))
    assert found.numpy() == pytest.approx(float(deviation), rel=2e-3)


def test_parallel_beam_is_equally_wide_everywhere_with_a_finite_gradient() -> None:
    heights = torch.zeros(3, requires_grad=True)
    sigma = Beam(convergence=0.0).sigma(heights)
    sigma.sum().backward()
    assert heights.grad is not None
    assert sigma.tolist() == pytest.approx([0.0036] * 3)
    assert heights.grad.tolist() == [0.0] * 3


def test_width_of_the_beam_is_differentiable() -> None:
    given = [torch.tensor(value, dtype=DOUBLE, requires_grad=True) for value in (0.004, 0.01, 0.2)]
    heights = torch.tensor([-0.5, 0.2, 1.0], dtype=DOUBLE, requires_grad=True)

    def sigma(probe: Tensor, convergence: Tensor, focus: Tensor, z: Tensor) -> Tensor:
        return Beam(probe=probe, convergence=convergence, focus=focus).sigma(z)

    assert gradcheck(sigma, (*given, heights), eps=1e-7, check_forward_ad=True)


@pytest.mark.parametrize("settings", [{"energy": 0.0}, {"probe": 0.0}, {"convergence": -0.1}])
def test_impossible_beams_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"Beam.{next(iter(settings))} must lie in"):
        Beam(**settings)


# The detector


def tilted(angle: float, azimuth: float) -> Tensor:
    """Return the normal (z, y, x) of a facet that leans by an angle towards an azimuth."""
    level = math.sin(angle)
    return torch.tensor([math.cos(angle), level * math.sin(azimuth), level * math.cos(azimuth)], dtype=DOUBLE)


def test_flat_support_is_one_for_every_detector() -> None:
    up = torch.tensor([1.0, 0.0, 0.0])
    for asymmetry in (0.0, 0.4, 1.0):
        for elevation in (0.0, 0.6, 1.5707):
            found = ElectronDetector(asymmetry=asymmetry, azimuth=2.0, elevation=elevation).collected(up)
            assert float(found) == pytest.approx(1.0)


def test_lens_sees_all_slopes_alike() -> None:
    normals = torch.nn.functional.normalize(torch.randn(4, 5, 3, generator=generator()), dim=-1)
    assert torch.equal(ElectronDetector().collected(normals), torch.ones(4, 5))


def test_facets_facing_the_detector_are_brighter() -> None:
    """At 45 degrees' elevation and asymmetry 1/2 the support has 1 + sqrt(1/8); a facet that faces it 3/2."""
    detector = ElectronDetector(asymmetry=0.5, azimuth=math.pi / 2, elevation=math.pi / 4)
    support = 1 + math.sqrt(1 / 8)
    facing, averted, aside = (tilted(math.pi / 4, azimuth) for azimuth in (math.pi / 2, -math.pi / 2, 0.0))
    assert float(detector.collected(facing)) == pytest.approx(1.5 / support)
    assert float(detector.collected(averted)) == pytest.approx(1.0 / support)
    assert float(detector.collected(aside)) == pytest.approx(1.25 / support)


def test_azimuth_turns_from_x_to_y() -> None:
    for azimuth, brightest in ((0.0, (0.0, 0.0, 1.0)), (math.pi / 2, (0.0, 1.0, 0.0)), (math.pi, (0.0, 0.0, -1.0))):
        detector = ElectronDetector(asymmetry=0.8, azimuth=azimuth, elevation=0.0)
        assert float(detector.collected(torch.tensor(brightest))) == pytest.approx(1.8)


def test_a_facet_turned_away_from_the_most_partial_detector_is_dark() -> None:
    detector = ElectronDetector(asymmetry=1.0, elevation=0.5)
    away = -tilted(math.pi / 2 - 0.5, 0.0)
    assert float(detector.collected(away)) == pytest.approx(0.0, abs=1e-12)


def test_detector_is_differentiable() -> None:
    given = [torch.tensor(value, dtype=DOUBLE, requires_grad=True) for value in (0.5, 0.7, 0.6)]
    normals = torch.stack([tilted(0.3, 1.0), tilted(1.0, -2.0)]).requires_grad_()

    def collected(asymmetry: Tensor, azimuth: Tensor, elevation: Tensor, normal: Tensor) -> Tensor:
        return ElectronDetector(asymmetry=asymmetry, azimuth=azimuth, elevation=elevation).collected(normal)

    assert gradcheck(collected, (*given, normals), check_forward_ad=True)


# Where the beam is


def test_still_beam_reads_the_signal_exactly() -> None:
    signal = rough(31, 42)
    assert torch.equal(plain().read(light(signal), None), signal)
    # The same where derivatives by the drift and the jitter are asked for, which are sampled.
    free = plain(drift=torch.zeros(2, dtype=DOUBLE, requires_grad=True), jitter=torch.tensor(0.0, requires_grad=True))
    assert torch.equal(free.read(light(signal), None).detach(), signal)


def test_drifting_beam_shears_a_ramp() -> None:
    """Row r of a signal 2 + 3 y - x is that at y + (r - middle) drift_y, x + (r - middle) drift_x."""
    grid = Grid((40, 60), PIXEL)
    like = torch.zeros(1, dtype=DOUBLE)
    y, x = grid.axis(0, like)[:, None], grid.axis(1, like)[None]
    drift = (0.0017, -0.0043)
    read = plain(drift=drift).read(light(2 + 3 * y - x), None)
    line = (torch.arange(40, dtype=DOUBLE) - 20)[:, None]
    expected = 2 + 3 * (y + line * drift[0]) - (x + line * drift[1])
    assert torch.allclose(read[5:-5, 8:-8], expected[5:-5, 8:-8], rtol=0, atol=1e-12)


def test_parabolas_are_sampled_exactly() -> None:
    """Cubic convolution is exact to the second order (Keys), which linear interpolation is not."""
    x = Grid((9, 60), PIXEL).axis(1, torch.zeros(1, dtype=DOUBLE))
    read = plain(drift=(0.0, 0.0063)).read(light((1 + x**2).expand(9, 60)), None)
    expected = 1 + (x + 0.0063 * (torch.arange(9, dtype=DOUBLE) - 4)[:, None]) ** 2
    assert torch.allclose(read[:, 4:-4], expected[:, 4:-4], rtol=0, atol=1e-12)


def test_drift_by_whole_pixels_moves_lines_and_repeats_the_edge() -> None:
    signal = rough(6, 20)
    read = plain(drift=(PIXEL[0], 2 * PIXEL[1])).read(light(signal), None)
    for row in range(6):
        source = min(max(row + row - 3, 0), 5)
        column = (torch.arange(20) + 2 * (row - 3)).clamp(0, 19)
        assert torch.allclose(read[row], signal[source, column], rtol=0, atol=1e-12)


@pytest.mark.parametrize("deviation", [0.05, 0.4, 1.7, 6.0])
def test_jitter_lowers_a_sinusoids_expected_amplitude(deviation: float) -> None:
    """The mean over normal offsets of deviation s is a factor exp(-2 pi^2 f^2 s^2)."""
    period, width = 40, 400
    phase = 2 * math.pi * torch.arange(width, dtype=DOUBLE) / period
    read = plain(jitter=deviation * PIXEL[1]).read(light((2 + torch.cos(phase)).expand(2, width)), None)
    inner = slice(80, 320)
    amplitude = 2 * (read[0, inner] * torch.cos(phase[inner])).mean()
    assert float(amplitude) == pytest.approx(math.exp(-2 * (math.pi * deviation / period) ** 2), abs=2e-5)
    assert float(read[0, inner].mean()) == pytest.approx(2.0, abs=1e-6)


def test_expected_jitter_is_the_mean_of_the_drawn() -> None:
    """Of a hard edge between offset lines, whose middle interpolation overshoots."""
    height, width = 20000, 24
    signal = torch.ones(height, width, dtype=DOUBLE)
    signal[:, 12:] = 2.0
    sensor = noiseless(jitter=0.8 * PIXEL[1], drift=(0.0, 0.3 * PIXEL[1] / height))
    drawn, expected = (sensor.read(light(signal), draws) / 1e8 for draws in (generator(), None))
    error = (drawn - expected).mean(0)
    assert float((error.abs() / (drawn.std(0) / height**0.5 + 1e-7)).max()) < 4.5


def test_drawn_offsets_have_the_deviation_of_the_jitter() -> None:
    """Offsets show in a ramp; they are normal, and those of one seed differ from line to line."""
    ramp = Grid((4000, 60), PIXEL).axis(1, torch.zeros(1, dtype=DOUBLE)) + 3
    read = noiseless(jitter=0.013).read(light(ramp.expand(4000, 60)), generator()) / 1e8
    offset = (read - ramp)[:, 20:40]
    assert float(offset.std(1).max()) < 1e-6
    assert float(offset.mean()) == pytest.approx(0.0, abs=4 * 0.013 / 4000**0.5)
    assert float(offset[:, 0].std()) == pytest.approx(0.013, rel=4 / 8000**0.5)
    assert float((offset[:, 0].abs() < 0.013).double().mean()) == pytest.approx(0.683, abs=0.03)


# Charging


def test_a_step_leaves_an_exponential_streak() -> None:
    """Step of height h at column c: 1 + h (1 - q (1 - a^(n + 1))), n columns on, a = exp(-pixel / length)."""
    signal = torch.ones(2, 200, dtype=DOUBLE)
    signal[0, 30:] = 1.6
    read = plain(charging=0.4, charging_length=0.3).read(light(signal), None)
    n = torch.arange(170, dtype=DOUBLE)
    assert torch.equal(read[1], torch.ones(200, dtype=DOUBLE))
    assert read[0, :30].tolist() == [1.0] * 30
    streak = 1 + 0.6 * (1 - 0.4 * (1 - torch.exp(-PIXEL[1] * (n + 1) / 0.3)))
    assert torch.allclose(read[0, 30:], streak, rtol=0, atol=1e-13)


def test_streaks_are_dark_behind_bright_places_and_fade() -> None:
    signal = torch.ones(1, 100, dtype=DOUBLE)
    signal[0, 20:30] = 2.0
    read = plain(charging=0.5, charging_length=0.1).read(light(signal), None)[0]
    assert bool((read[30:80] < 1).all())
    assert ((1 - read[35]) / (1 - read[30])).item() == pytest.approx(math.exp(-1))  # five pixels of 0.02 um on


def test_line_fully_charged_for_ever_keeps_its_fast_changes_only() -> None:
    """With charging 1 a lasting signal fades into the support's."""
    read = plain(charging=1.0, charging_length=0.04).read(flat(1, 300, 3.0), None)[0]
    assert float(read[0]) == pytest.approx(1 + 2 * math.exp(-0.5))
    assert float(read[-1]) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("width", [1, 2, 3, 37, 1000, 1024])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.964, 0.99999, 1.0])
def test_recursive_filter_is_scipys(width: int, decay: float) -> None:
    values = torch.randn(3, width, generator=generator(1), dtype=DOUBLE)
    expected = scipy.signal.lfilter([1.0], [1.0, -decay], values.numpy())
    found = trailing(values, torch.tensor(decay, dtype=DOUBLE))
    assert np.abs(found.numpy() - expected).max() < 1e-11


def test_streaks_in_single_precision_are_right_to_a_millionth() -> None:
    signal = 3 * torch.rand(50, 1024, generator=generator(2))
    for length in (0.001, 0.2, 3.0, 900.0):
        sensor = plain(charging=0.3, charging_length=length)
        apart = sensor.read(light(signal), None) - sensor.read(light(signal.double()), None)
        assert float(apart.abs().max()) < 1e-6


# Noise


@pytest.mark.parametrize(
    "settings",
    [
        {"dose": 100.0},
        {"dose": 3.0, "gain": 500.0, "bits": 16},
        {"dose": 10.0, "frames": 4, "lines": 8},
        {"dose": 50.0, "excess": 1.7},
        {"dose": 400.0, "excess": 3.0, "gamma": 0.6},
        {"dose": 900.0, "gamma": 1.8, "gain": 40.0},
        {"dose": 400.0, "line_noise": 0.03},
        {"dose": 400.0, "line_noise": 0.05, "gamma": 0.7},
    ],
    ids=["dose", "few", "averages", "excess", "gamma", "steep", "lines", "lines-gamma"],
)
@pytest.mark.parametrize("signal", [0.5, 1.4])
def test_mean_and_variance_of_noise_are_the_models(settings: dict[str, float], signal: float) -> None:
    given: dict[str, Any] = {"gain": 100.0, "offset": 50.0, "bits": 12} | settings
    sensor = ScanSensor(**given)
    image = sensor.read(flat(signal=signal), generator())
    expected = sensor.read(flat(signal=signal), None)
    variance = float(sensor.variance(expected)[0, 0])
    # Lines' brightness is one number per line; gamma bends the mean by its curvature.
    count = image.shape[0] if "line_noise" in settings else image.numel()
    gamma, slack = float(sensor.gamma), 0.0
    if gamma != 1:
        shot = float(sensor.excess) * signal / float(sensor.dose) + (float(sensor.line_noise) * signal) ** 2
        slack = abs(0.5 * given["gain"] * gamma * (gamma - 1) * signal ** (gamma - 2) * shot) * 1.1
    assert float(image.mean()) == pytest.approx(float(expected[0, 0]), abs=5 * (variance / count) ** 0.5 + slack)
    assert float(image.var()) == pytest.approx(variance, rel=8 * (2 / count) ** 0.5 + (0.02 if gamma != 1 else 0.0))


def test_few_electrons_are_poisson_distributed() -> None:
    counts = ScanSensor(dose=2.5, gain=2.5, offset=0.0).read(flat(200, 200), generator()).flatten()
    seen = np.bincount(counts.numpy().astype(int), minlength=12)
    probable = poisson.pmf(np.arange(9), 2.5)
    observed = np.append(seen[:9], seen[9:].sum())
    assert chisquare(observed, 40000 * np.append(probable, 1 - probable.sum())).pvalue > 1e-3


def test_averaging_frames_and_lines_lowers_the_variance_by_their_number() -> None:
    def variance(**settings: int) -> float:
        return float(ScanSensor(dose=20.0, gain=500.0, bits=16, **settings).read(flat(), generator()).var())

    assert variance() / variance(frames=4) == pytest.approx(4, rel=0.03)
    assert variance() / variance(lines=3, frames=2) == pytest.approx(6, rel=0.03)


def test_variance_in_the_dark_is_that_of_rounding_whatever_gamma() -> None:
    for gamma in (0.3, 1.0, 2.5):
        sensor = ScanSensor(gamma=gamma)
        dark = sensor.read(flat(2, 2, 0.0), None)
        assert dark.tolist() == [[20.0] * 2] * 2
        assert sensor.variance(dark).numpy() == pytest.approx(1 / 12)
        assert bool(torch.isfinite(sensor.variance(dark - 5)).all())


def test_variance_of_a_dark_place_lies_below_that_of_the_support() -> None:
    sensor = ScanSensor(dose=100.0, gain=100.0)
    image = sensor.read(light(torch.tensor([[0.25, 1.0, 1.75]], dtype=DOUBLE)), None)
    assert sensor.variance(image)[0].tolist() == pytest.approx([25 + 1 / 12, 100 + 1 / 12, 175 + 1 / 12])


@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.95])
def test_brightness_of_lines_is_an_autoregression(correlation: float) -> None:
    """Deviation sigma from the first line on, correlation rho^k between lines k apart, zero mean."""
    first, brightness = [], []
    sensor = noiseless(line_noise=0.02, line_correlation=correlation)
    draws = generator()
    for _ in range(40):
        line = sensor.read(flat(1000, 2), draws)[:, 0] / 1e8 - 1
        first.append(line[0])
        brightness.append(line)
    noise = torch.stack(brightness)
    effective = noise.numel() * (1 - correlation) / (1 + correlation)
    assert float(noise.mean()) == pytest.approx(0.0, abs=4 * 0.02 / effective**0.5)
    assert float(noise.std()) == pytest.approx(0.02, rel=4 / effective**0.5)
    assert float(torch.stack(first).std()) == pytest.approx(0.02, rel=0.5)
    for lag in (1, 2, 5):
        product = (noise[:, lag:] * noise[:, :-lag]).mean() / noise.square().mean()
        assert float(product) == pytest.approx(correlation**lag, abs=4 / effective**0.5)


def test_fully_correlated_lines_are_equally_bright() -> None:
    line = noiseless(line_noise=0.05, line_correlation=1.0).read(flat(50, 2), generator(3))[:, 0] / 1e8
    assert float(line.std()) < 1e-5
    assert abs(float(line[0]) - 1) > 1e-4


def test_noise_is_the_generators() -> None:
    sensor = ScanSensor(jitter=0.005, line_noise=0.01, line_correlation=0.5, excess=1.5, charging=0.2)
    first, again, other = (sensor.read(light(rough(40, 50)), generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    state = torch.get_rng_state()
    sensor.read(flat(), generator())
    assert torch.equal(torch.get_rng_state(), state)


def test_jitter_leaves_the_electrons_of_a_seed_as_they_were() -> None:
    """On a flat signal lines' offsets change nothing; nor does their being drawn."""
    still, offset = (ScanSensor(jitter=jitter).read(flat(), generator(7)) for jitter in (0.0, 0.02))
    assert torch.equal(still, offset)


# Conversion


def test_counts_are_offset_and_gain_times_a_power() -> None:
    signal = torch.tensor([[0.0, 1e-4, 0.25, 1.0, 4.0]], dtype=DOUBLE)
    for gamma in (0.5, 1.0, 2.0):
        counts = ScanSensor(gain=7.0, offset=3.0, gamma=gamma).read(light(signal), None)
        assert counts[0].tolist() == pytest.approx([3 + 7 * value**gamma for value in signal[0].tolist()])


def test_counts_are_integers_within_the_bits() -> None:
    ramp = light(torch.linspace(0, 2, 300, dtype=DOUBLE).expand(300, 300))
    for bits in (1, 8, 12, 16):
        sensor = ScanSensor(gain=2.0**bits, offset=-(2.0**bits) / 8, bits=bits)
        image = sensor.read(ramp, generator())
        assert torch.equal(image, image.round())
        assert (float(image.min()), float(image.max())) == (0.0, sensor.white)
        expected = sensor.read(ramp, None)
        assert float(expected.max()) == sensor.white == 2**bits - 1
        assert torch.equal(sensor.saturated(expected), expected == sensor.white)


def test_point_samples_and_single_precision_stay_so() -> None:
    sensor = ScanSensor(drift=(0.001, 0.002), jitter=0.004, charging=0.1, gamma=0.8, excess=2.0, line_noise=0.1)
    assert sensor.transfer(torch.zeros(3, 1), torch.zeros(1, 3), PIXEL) is None
    signal = rough(20, 30, torch.float32)
    assert sensor.read(light(signal), None).dtype is torch.float32
    assert sensor.read(light(signal), generator()).dtype is torch.float32
    assert sensor.variance(signal).dtype is torch.float32


# Derivatives

POINT = {
    "charging": 0.3, "charging_length": 0.05, "drift": [0.0013, -0.0027], "jitter": 0.013, "gain": 90.0,
    "offset": 12.0, "gamma": 0.7,
}  # fmt: skip
NOISE = {"dose": 80.0, "excess": 1.4, "line_noise": 0.05, "gain": 90.0, "offset": 12.0, "gamma": 0.7}


@pytest.mark.parametrize("name", POINT)
def test_expected_counts_are_differentiable(name: str) -> None:
    sensor = ScanSensor(**wrong(POINT), bits=16)
    value = torch.tensor(POINT[name], dtype=DOUBLE, requires_grad=True)
    signal = light(rough())
    assert gradcheck(
        lambda given: substitute(sensor, {name: given}).read(signal, None), (value,), eps=1e-7, atol=1e-5,
        check_forward_ad=True,
    )  # fmt: skip


def test_expected_counts_are_differentiable_by_the_signal() -> None:
    sensor = ScanSensor(**wrong(POINT), bits=16)
    signal = rough(5, 6).requires_grad_()
    assert gradcheck(lambda given: sensor.read(light(given), None), (signal,), check_forward_ad=True)


@pytest.mark.parametrize("name", NOISE)
def test_variance_is_differentiable(name: str) -> None:
    sensor = ScanSensor(**wrong(NOISE), bits=16)
    value = torch.tensor(NOISE[name], dtype=DOUBLE, requires_grad=True)
    image = 12 + 90 * rough(4, 5)
    assert gradcheck(
        lambda given: substitute(sensor, {name: given}).variance(image), (value,), atol=1e-4, check_forward_ad=True
    )


@pytest.mark.parametrize("name", ["charging", "drift", "jitter", "gamma"])
def test_derivatives_are_there_where_an_effect_is_off(name: str) -> None:
    """At the value that is left out of the arithmetic, both modes give the slope of small steps."""
    sensor = plain()
    value = {"charging": sensor.charging, "drift": sensor.drift, "jitter": sensor.jitter, "gamma": sensor.gamma}[name]
    signal = light(rough(20, 30))
    free = value.clone().requires_grad_()
    read = substitute(sensor, {name: free}).read(signal, None)
    (slope,) = torch.autograd.grad(read[10:].sum(), free)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(value, torch.ones_like(value))
        tangent = forward_ad.unpack_dual(substitute(sensor, {name: dual}).read(signal, None)).tangent
    assert tangent is not None
    step = 1e-6
    ahead = substitute(sensor, {name: value + step}).read(signal, None)
    assert float(tangent[10:].sum()) == pytest.approx(float(slope.sum()), rel=1e-9, abs=1e-12)
    assert float((ahead - read.detach())[10:].sum() / step) == pytest.approx(float(slope.sum()), rel=1e-3, abs=2e-3)


def test_gradients_in_the_dark_are_finite() -> None:
    signal = torch.zeros(4, 6, dtype=DOUBLE, requires_grad=True)
    gamma = torch.tensor(0.4, dtype=DOUBLE, requires_grad=True)
    sensor = ScanSensor(gamma=gamma, charging=1.0, jitter=0.01, drift=(0.001, 0.001))
    image = sensor.read(light(signal), None)
    (image.sum() + sensor.variance(image).sum()).backward()
    assert signal.grad is not None
    assert gamma.grad is not None
    assert bool(torch.isfinite(signal.grad).all())
    assert bool(torch.isfinite(gamma.grad))


def test_gradient_is_the_same_bytes_for_any_number_of_threads() -> None:
    signal, found, threads = rough(300, 400, torch.float32), [], torch.get_num_threads()
    try:
        for number in (1, 2, 2):
            torch.set_num_threads(number)
            given = signal.clone().requires_grad_()
            image = ScanSensor(**wrong(POINT), bits=16).read(light(given), None)
            found += torch.autograd.grad((image * signal).sum(), given)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[1], found[2])


# Refusals


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"dose": 0.0}, r"ScanSensor.dose must lie in \(0, 1e\+09\) electron, got 0"),
        ({"excess": 0.5}, r"ScanSensor.excess must lie in \[1"),
        ({"charging": 1.1}, "ScanSensor.charging must lie in"),
        ({"charging_length": 0.0}, "ScanSensor.charging_length must lie in"),
        ({"line_correlation": 1.2}, "ScanSensor.line_correlation must lie in"),
        ({"gain": 0.0}, "ScanSensor.gain must lie in"),
        ({"drift": [0.1, 0.1, 0.1]}, r"ScanSensor.drift must have shape \(2\)"),
        ({"frames": 0}, "ScanSensor.frames must be a positive integer, got 0; 1 averages nothing"),
        ({"lines": 2.0}, "ScanSensor.lines must be a positive integer, got 2.0"),
        ({"lines": True}, "ScanSensor.lines must be a positive integer, got True"),
        ({"bits": 33}, "ScanSensor.bits must be an integer from 1 to 32, got 33"),
        ({"bits": 8.0}, "ScanSensor.bits must be an integer from 1 to 32, got 8.0"),
    ],
)
def test_impossible_sensors_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ScanSensor(**wrong(settings))


def test_colours_and_volumes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"needs one signal \(1, H, W\), got shape \(3, 5, 5\); scan one detector"):
        ScanSensor().read(light(torch.ones(5, 5), colours=3), None)
    volume = Light(torch.ones(1, 2, 5, 5), torch.ones(1), Grid((2, 5, 5), 0.1))
    with pytest.raises(ValueError, match=r"got shape \(1, 2, 5, 5\)"):
        ScanSensor().read(volume, None)
