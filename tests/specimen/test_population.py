"""Populations, colonies and films: what recipes draw is what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import exitwave as ew
from exitwave.specimen.population import leaning
from exitwave.specimen.shapes import axes_of


def drawn(population: ew.Population | ew.Colony, seed: int = 0) -> ew.Particles:
    recipe = ew.Scene(ew.Specimen((population,), medium=1.33), ew.brightfield(), ew.Grid((200, 300), 0.5))
    part = ew.sample(recipe, ew.Key(seed)).specimen.parts[0]
    assert isinstance(part, ew.Particles)
    return part


def test_every_particle_draws_and_the_scene_draws_once() -> None:
    radius = ew.Normal(mean=ew.Uniform(5.0, 15.0), sigma=0.01)
    population = ew.Population(ew.Sphere(), ew.Scattered(), count=50, size=(radius,), index=ew.Uniform(1.4, 1.5))
    first, second = drawn(population, 1), drawn(population, 2)
    for part in (first, second):
        assert 0.003 < float(part.size.std()) < 0.02  # sigma within a scene
        assert float(part.index.std()) > 0.015
    assert abs(float(first.size.mean() - second.size.mean())) > 0.1  # the mean changes between scenes


def test_changing_one_prior_leaves_the_other_draws() -> None:
    def population(index: ew.Uniform | float) -> ew.Population:
        return ew.Population(ew.Sphere(), ew.Scattered(), count=20, size=(ew.Uniform(1.0, 2.0),), index=index)

    one, two = drawn(population(1.5)), drawn(population(ew.Uniform(1.4, 1.5)))
    assert torch.equal(one.center, two.center)
    assert torch.equal(one.size, two.size)
    assert not torch.equal(one.index, two.index)


def test_disorder_moves_every_face_of_a_crystal() -> None:
    population = ew.Population(ew.Crystal(), ew.Scattered(), count=300, size=(5.0, 6.0), disorder=0.1)
    part = drawn(population)
    assert part.size.shape == (300, 12)
    spread = torch.log(part.size / torch.tensor([5.0] * 4 + [6.0] * 8)).std()
    assert float(spread) == pytest.approx(0.1, rel=0.05)


def test_crystals_draw_their_birefringence_and_share_an_optic_axis() -> None:
    def population(birefringence: ew.Uniform | float) -> ew.Population:
        return ew.Population(
            ew.Sphere(),
            ew.Scattered(),
            count=40,
            size=(1.0,),
            birefringence=birefringence,
            optic_axis=(0.0, 1.0, 2.0),
        )

    part, plain = drawn(population(ew.Uniform(0.01, 0.02))), drawn(population(0.0))
    assert 0.01 <= float(part.birefringence.min()) < float(part.birefringence.max()) <= 0.02
    assert torch.equal(part.optic_axis, torch.tensor([[0.0, 1.0, 2.0]]).expand(40, 3))
    assert not plain.birefringence.any()
    assert torch.equal(part.center, plain.center)


def test_the_optic_axis_is_body_z_unless_told_otherwise() -> None:
    part = drawn(ew.Population(ew.Sphere(), ew.Scattered(), count=2, size=(1.0,)))
    assert torch.equal(part.optic_axis, torch.tensor([[1.0, 0.0, 0.0]]).expand(2, 3))


def test_tilt_is_the_angle_between_body_z_and_the_axis() -> None:
    turn, tilt, lean = (torch.rand(100, generator=torch.Generator().manual_seed(n)).double() * 3 for n in range(3))
    axes = axes_of(leaning(turn, tilt, lean))
    assert torch.allclose(torch.acos(axes[:, 0, 0].clamp(-1, 1)), tilt, atol=1e-7)
    lateral = torch.atan2(axes[:, 1, 0], axes[:, 2, 0])
    assert torch.allclose(torch.cos(lateral - lean), torch.ones(100, dtype=torch.float64), atol=1e-9)


def test_orientations_are_isotropic_without_a_tilt() -> None:
    part = drawn(ew.Population(ew.Rod(), ew.Scattered(), count=4000, size=(0.1, 0.4)))
    cosine = part.axes[:, 0, 2]
    # Uniform in the cosine: variance 1/3; the standard error of it is 0.005.
    assert float((cosine**2).mean()) == pytest.approx(1 / 3, abs=0.02)


def test_particles_outside_the_drop_are_left_out() -> None:
    part = drawn(ew.Population(ew.Sphere(), ew.Scattered(), count=400, size=(1.0,), within=30.0))
    assert 0 < part.count < 400
    assert float(torch.hypot(part.center[:, 1], part.center[:, 2]).max()) <= 29.0


def test_a_wrong_number_of_lengths_is_refused() -> None:
    with pytest.raises(ValueError, match=r"needs 2 entries for Rod \(radius, half_length\), got 1"):
        ew.Population(ew.Rod(), ew.Scattered(), count=3, size=(1.0,))


def closest(first: np.ndarray, second: np.ndarray) -> float:
    """The distance of two segments (2, 2), by a fine search along both."""
    t = np.linspace(0, 1, 201)[:, None]
    a, b = (segment[0] + t * (segment[1] - segment[0]) for segment in (first, second))
    return float(np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1)).min())


def test_cells_of_a_colony_touch_and_do_not_overlap() -> None:
    colony = ew.Colony(founders=1, generations=5, radius=0.4, half_length=ew.Uniform(1.0, 1.8), tilt=0.0, squeeze=0.03)
    part = drawn(colony)
    assert part.count == 32
    along = part.axes[:, 1:, 2] * (part.size[:, 1:] - part.size[:, :1])
    ends = torch.stack([part.center[:, 1:] - along, part.center[:, 1:] + along], 1).numpy()
    gaps = np.array([[closest(a, b) for b in ends] for a in ends]) + 9 * np.eye(32)
    # Axes are a width apart, less the squeeze and what a relaxation leaves.
    assert gaps.min() > 0.8 * 0.93
    assert (gaps.min(0) < 0.8 * 1.05).mean() > 0.9


def test_film_has_its_variance_spectrum_and_is_its_seeds() -> None:
    film = ew.Film(opd=0.02, absorbance=0.1, scale=5.0, exponent=4.0, seed=3)
    like = torch.zeros((), dtype=torch.float64)
    path, stain = film.maps((512, 512), (0.5, 0.5), like)
    assert float(path.std()) == pytest.approx(0.02, rel=0.1)
    assert float(stain.min()) > 0
    assert float(stain.mean()) == pytest.approx(0.1, rel=0.15)
    power = torch.fft.rfft2(path).abs() ** 2
    frequency = torch.hypot(
        torch.fft.fftfreq(512, 0.5, dtype=torch.float64)[:, None],
        torch.fft.rfftfreq(512, 0.5, dtype=torch.float64)[None],
    )

    def level(f: float) -> float:
        ring = (frequency > 0.95 * f) & (frequency < 1.05 * f)
        return float(power[ring].mean())

    # (1 + (f scale)^2)^(-exponent / 2), the formula of the docstring, at two frequencies of the power law.
    expected = ((1 + (0.6 * 5.0) ** 2) / (1 + (0.3 * 5.0) ** 2)) ** -2.0
    assert level(0.6) / level(0.3) == pytest.approx(expected, rel=0.15)
    again, _ = film.maps((512, 512), (0.5, 0.5), like)
    other, _ = ew.Film(opd=0.02, seed=4).maps((512, 512), (0.5, 0.5), like)
    assert torch.equal(path, again)
    assert abs(float((path * other).mean())) < 0.1 * 0.02**2


def test_film_stays_in_place_when_the_margin_grows() -> None:
    film = ew.Film(opd=0.02, scale=5.0)
    like = torch.zeros((), dtype=torch.float64)
    small, _ = film.maps((300, 300), (0.5, 0.5), like)
    large, _ = film.maps((332, 332), (0.5, 0.5), like)
    assert torch.equal(small, large[16:-16, 16:-16])


def test_every_scene_of_a_recipe_draws_another_film() -> None:
    recipe = ew.Scene(ew.Specimen((ew.Film(opd=0.01),)), ew.brightfield(), ew.Grid((16, 16), 0.1))
    seeds = {ew.sample(recipe, ew.Key(0, index)).specimen.parts[0].seed for index in range(5)}
    assert len(seeds) == 5


# The mean of an image over the largest count: between what a dark field and what a bright one may have.
MEANS = {
    "lysozyme": (0.1, 0.9),
    "colloids": (0.1, 0.9),
    "bacteria": (0.1, 0.6),
    "lysozyme-dic": (0.1, 0.7),
    "colloids-darkfield": (0.02, 0.2),
    "crystals-polarized": (0.005, 0.5),
}


@pytest.mark.parametrize("name", MEANS)
def test_recipes_render_in_range_and_differ_from_scene_to_scene(name: str) -> None:
    recipe = ew.recipe(name)
    # A quarter of the field; crystals keep their density.
    fewer = {
        "lysozyme": {"specimen.parts.0.count": 15, "specimen.parts.2.count": 0},
        "lysozyme-dic": {"specimen.parts.0.count": 12},
        "crystals-polarized": {"specimen.parts.0.count": 7},
    }
    small = ew.substitute(recipe, {"grid.shape": (256, 256), **fewer.get(name, {})})
    images = []
    for index in range(2):
        key = ew.Key(5, index)
        scene = ew.sample(small, key)
        images.append(ew.render(scene, key.generator("noise")))
        white = 2**scene.microscope.sensor.bits - 1
        assert 0 <= float(images[-1].min()) < float(images[-1].max()) <= white
        assert MEANS[name][0] * white < float(images[-1].mean()) < MEANS[name][1] * white
        assert len(ew.annotate(scene)) > 0
        assert math.isfinite(float(images[-1].std()))
    assert not torch.equal(*images)
