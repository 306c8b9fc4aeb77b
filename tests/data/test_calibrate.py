"""Calibration: a recipe's numbers from the statistics of images without labels."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import exitwave as ew
from exitwave.data.calibrate import calibrate, tiles, usual
from exitwave.data.dials import dials, turned
from exitwave.data.statistics import BLOCKS, by_block, data_bar, reference, statistics

GAIN, DOSE = "microscope.sensor.gain", "microscope.sensor.dose"
SECONDARY = "specimen.parts.0.secondary"


def recipe() -> ew.Scene:
    """Return spheres on a film, 96 x 96 pixels."""
    spheres = ew.Population(
        ew.Sphere(),
        ew.Pile(aggregation_number=2.0),
        count=12,
        size=(ew.LogNormal(0.07, 0.2),),
        secondary=ew.TruncatedNormal(ew.Uniform(3.6, 4.4), 0.2, 1.0, 8.0),
    )
    sensor = ew.ScanSensor(gain=ew.Uniform(24.0, 28.0), offset=6.0, dose=ew.Uniform(100.0, 160.0))
    microscope = ew.substitute(ew.sem(), {"sensor": sensor})
    return ew.Scene(ew.Specimen((spheres, ew.Film(secondary=0.1))), microscope, ew.Grid((96, 96), 0.012))


def changed() -> ew.Scene:
    """Return the recipe with gain 26 -> 20, dose 130 -> 70 and yield 4 -> 3.2."""
    values = {GAIN: ew.Uniform(18.5, 21.5), DOSE: ew.Uniform(55.0, 85.0)}
    return ew.substitute(recipe(), {**values, f"{SECONDARY}.mean": ew.Uniform(2.9, 3.5)})


@cache
def images(n: int = 16) -> tuple[np.ndarray, ...]:
    found = []
    for index in range(n):
        key = ew.Key(77, index)
        found.append(ew.render(ew.sample(changed(), key), key.generator("noise")).numpy())
    return tuple(found)


def test_changed_numbers_are_recovered() -> None:
    found = calibrate(recipe(), images(), [GAIN, DOSE, SECONDARY], rounds=3, n=12)
    middle = {
        path: (float(ew.get(found.recipe, f"{path}.low")) + float(ew.get(found.recipe, f"{path}.high"))) / 2
        for path in (GAIN, DOSE, f"{SECONDARY}.mean")
    }
    assert middle == pytest.approx({GAIN: 20.0, DOSE: 70.0, f"{SECONDARY}.mean": 3.2}, rel=0.1)
    assert sum(found.after.values()) < 0.25 * sum(found.before.values())
    assert found.history[-1] < 0.05 * found.history[0]
    assert ew.get(found.recipe, "microscope.sensor.offset") == 6.0


def test_statistics_do_not_know_left_from_right() -> None:
    for image in images()[:3]:
        found = statistics(image)
        assert found.shape == (sum(BLOCKS.values()),)
        for mirrored in (image[::-1], image[:, ::-1], image[::-1, ::-1]):
            np.testing.assert_allclose(statistics(mirrored), found, rtol=1e-9, atol=1e-9)


def test_statistics_of_noise_are_those_of_its_law() -> None:
    noise = np.random.default_rng(1).normal(100.0, 5.0, (256, 256))
    found = by_block(statistics(noise))
    assert found["intensity"].mean() == pytest.approx(100.0, abs=0.1)
    assert found["intensity"][9] == pytest.approx(100.0, abs=0.15)  # the median's group
    np.testing.assert_allclose(found["spectrum"][2:], np.log10(25.0), atol=0.15)  # white, and Parseval
    np.testing.assert_allclose(found["texture"][:4], 5.0, atol=0.2)
    # The residual of a blur of sigma s keeps 1 - 2 g(0) + g*g(0) of the variance and -2 g(1) + g*g(1) of the next
    # pixel's, for s = 2 and s sqrt(2): g(0) = 1 / (2 pi s^2), g(1) = g(0) e^(-1 / (2 s^2)).
    g = [1 / (8 * np.pi), np.exp(-1 / 8) / (8 * np.pi)]
    h = [1 / (16 * np.pi), np.exp(-1 / 16) / (16 * np.pi)]
    np.testing.assert_allclose(found["texture"][4:6], (h[1] - 2 * g[1]) / (1 - 2 * g[0] + h[0]), atol=0.01)


def test_statistics_follow_gain_and_offset() -> None:
    image = images()[0].astype(np.float64)
    plain, moved = (by_block(statistics(some)) for some in (image, 2 * image + 30))
    np.testing.assert_allclose(moved["intensity"], 2 * plain["intensity"] + 30)
    np.testing.assert_allclose(moved["spectrum"], plain["spectrum"] + 2 * np.log10(2), atol=1e-6)
    np.testing.assert_allclose(moved["edges"][:6], 2 * plain["edges"][:6])
    np.testing.assert_allclose(moved["edges"][6:], 2 * plain["edges"][6:] + 30)
    np.testing.assert_allclose(moved["texture"][:4], 2 * plain["texture"][:4])
    np.testing.assert_allclose(moved["texture"][4:6], plain["texture"][4:6], atol=1e-6)


def test_the_profile_across_an_edge_is_the_edges_own() -> None:
    step = np.where(np.arange(64) < 32, 20.0, 80.0)[None].repeat(64, 0)
    profile = by_block(statistics(step))["edges"][6:]
    np.testing.assert_array_equal(profile[[0, 1, 2, 3, 4, -5, -4, -3, -2, -1]], [20.0] * 5 + [80.0] * 5)
    assert np.all(np.diff(profile) >= 0)


def test_a_data_bar_is_two_levels_in_many_rows() -> None:
    image = np.random.default_rng(2).normal(60, 6, (200, 150)).round()
    assert data_bar(image) is None
    image[160:180] = 0
    assert data_bar(image) is None  # twenty rows are not more than twenty
    image[155:185] = 0
    image[160:175, 20:60] = 255
    assert data_bar(image) == (155, 185)
    assert data_bar((image > 60).astype(np.uint8)) is None  # an image of two levels is not all bar


def test_ranges_move_and_widen() -> None:
    found = dials(recipe(), [GAIN, "specimen.parts.0.size.0", "microscope.sensor.offset"])
    moved = turned(recipe(), found, np.array([np.log(2), np.log(0.5), np.log(3), 0.0]))
    # Twice the middle and, for its size, half the width.
    assert ew.get(moved, f"{GAIN}.low") == pytest.approx(50.0)
    assert ew.get(moved, f"{GAIN}.high") == pytest.approx(54.0)
    assert ew.get(moved, "specimen.parts.0.size.0.median") == pytest.approx(0.21)
    # An offset may be negative: it moves by a tenth of itself, not by a factor.
    assert ew.get(turned(moved, found[2:], np.array([-12.0])), "microscope.sensor.offset") == pytest.approx(-1.2)


def test_logarithmic_ranges_move_together() -> None:
    counts = ew.substitute(recipe(), {"specimen.parts.0.count": ew.LogUniform(5.0, 45.0)})
    found = dials(counts, ["specimen.parts.0.count"])
    moved = turned(counts, found, np.array([np.log(2), np.log(2)]))
    assert float(ew.get(moved, "specimen.parts.0.count.low")) == pytest.approx(30 / 9)
    assert float(ew.get(moved, "specimen.parts.0.count.high")) == pytest.approx(30 * 9)


def test_what_is_usually_free() -> None:
    assert usual(recipe()) == (
        "microscope.sensor.gain",
        "microscope.sensor.offset",
        "microscope.sensor.dose",
        "microscope.illumination.probe",
        "microscope.interaction.shadowing",
        "specimen.parts.1.secondary",
        "specimen.parts.0.secondary",
        "specimen.parts.0.count",
    )


@pytest.mark.parametrize(
    ("free", "message"),
    [
        (["microscope.sensor.gian"], "no field 'gian'"),
        (["microscope.sensor"], "expected a number or a prior"),
        ([GAIN, f"{GAIN}.low"], "twice"),
        ([f"{GAIN}+{DOSE}.low"], "priors of one kind"),
        (["microscope.sensor.charging"], "expected a number other than 0"),
    ],
)
def test_what_cannot_be_free_is_told(free: list[str], message: str) -> None:
    with pytest.raises((KeyError, ValueError), match=message):
        dials(recipe(), free)


def test_images_that_tell_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="two pieces of images or more, got 1"):
        calibrate(recipe(), [np.ones((96, 96))], [GAIN])
    with pytest.raises(ValueError, match="32 x 32"):
        tiles([np.ones((20, 96))], (64, 64), (96, 96))
    with pytest.raises(ValueError, match="finite"):
        statistics(np.full((64, 64), np.nan))
    with pytest.raises(ValueError, match="two images or more"):
        reference(statistics(np.ones((64, 64)))[None])
    with pytest.raises(ValueError, match="got none"):
        calibrate(recipe(), [], [GAIN])


def test_middles_stay_where_their_numbers_may_be() -> None:
    # The yield's mean is drawn within [1, 8], and its parameter is [0, 100].
    (yields,) = dials(recipe(), [SECONDARY])
    assert yields.ends[0] == pytest.approx((np.log(1 / 4), np.log(8 / 4)))
    # The noise of lines is at most 1; a factor never leads to 0.
    lines = ew.substitute(recipe(), {"microscope.sensor.line_noise": 0.5})
    (noise,) = dials(lines, ["microscope.sensor.line_noise"])
    assert noise.ends == ((pytest.approx(-np.log(5)), pytest.approx(np.log(2))),)
