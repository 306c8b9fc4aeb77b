"""Deep specimens: spheres against Mie theory, limits, and slabs against ever more slabs."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from physics.mie import DEPTH_OF_FIELD, MEDIUM, NA, WAVELENGTH, automatic_slabs, error, error_in_tilted_light
from physics.stacks import beads, convergence, deep_crowd
from torch import Tensor

import exitwave as ew

DOUBLE = torch.float64


def field(specimen: ew.Specimen, microscope: ew.Microscope, side: int = 48, pixel: float = 0.2) -> np.ndarray:
    return ew.optical_field(ew.Scene(specimen, microscope, ew.Grid((side, side), pixel))).numpy()


def laser(
    interaction: ew.Transmission | ew.Multislice,
    na: float = NA,
    defocus: float = 0.0,
    tilt: tuple[float, float] = (0, 0),
) -> ew.Microscope:
    return ew.Microscope(ew.Coherent(WAVELENGTH, direction=tilt), interaction, ew.Objective(na, defocus), ew.Ideal())


# Spheres


@pytest.mark.parametrize("defocus", [0.0, DEPTH_OF_FIELD, -DEPTH_OF_FIELD])
@pytest.mark.parametrize(
    ("radius", "step", "samples", "bound"),
    [(1.0, 0.05, 96, 0.015), (2.5, 0.1, 160, 0.025), (5.0, 0.05, 224, 0.015), (5.0, 0.1, 224, 0.035)],
)
def test_field_of_a_deep_sphere_is_mies(radius: float, step: float, samples: int, bound: float, defocus: float) -> None:
    """With as many slabs as follow from radius, index step and aperture."""
    assert error(radius, step, defocus, 0.1, samples, ew.Multislice()) <= bound


@pytest.mark.parametrize(("radius", "step", "samples", "bound"), [(1.0, 0.05, 96, 0.02), (2.5, 0.1, 128, 0.035)])
@pytest.mark.parametrize("defocus", [0.0, 3.0])
def test_field_of_a_deep_sphere_in_tilted_light_is_mies(
    radius: float, step: float, samples: int, bound: float, defocus: float
) -> None:
    assert error_in_tilted_light(radius, step, defocus, samples, ew.Multislice()) <= bound


def test_field_of_a_deep_sphere_is_mies_in_single_precision() -> None:
    assert error(2.5, 0.1, 3.0, 0.1, 160, ew.Multislice(), dtype=torch.float32) <= 0.025


def test_error_against_mie_falls_with_slabs() -> None:
    errors = [error(2.5, 0.1, 0.0, 0.1, 128, ew.Multislice(slabs=count)) for count in (1, 2, 4, 8, 32)]
    assert errors[0] > 0.15
    assert all(after < before for before, after in itertools.pairwise(errors[:4]))
    assert errors[-1] < 0.02


# Limits


def test_one_slab_is_the_thin_specimen_at_that_height() -> None:
    body = beads([(1.5, 0.3, -0.4)], [0.8], [0.05])
    thin, one = (field(body, laser(way, defocus=4.0)) for way in (ew.Transmission(), ew.Multislice(slabs=1)))
    assert one == pytest.approx(thin, abs=1e-9)


def test_small_faint_beads_need_no_slabs() -> None:
    """What depth changes falls as the square of the size; index steps would add what is scattered twice."""
    changes = []
    for radius in (0.4, 0.2, 0.1):
        body = beads([(0.0, 0.0, 0.0)], [radius], [5e-4])
        thin, deep = (field(body, laser(way), pixel=0.1) for way in (ew.Transmission(), ew.Multislice(slabs=8)))
        changes.append(np.linalg.norm(deep - thin) / np.linalg.norm(thin - 1))
    assert changes[0] > 3 * changes[1] > 9 * changes[2]
    assert changes[2] < 1e-3


@pytest.mark.parametrize("tilt", [(0.0, 0.0), (0.1, -0.3)])
def test_nothing_between_the_slabs_leaves_the_light_alone(tilt: tuple[float, float]) -> None:
    microscope = laser(ew.Multislice(slabs=7, depth=(-9.0, 5.0)), defocus=3.0, tilt=tilt)
    assert field(ew.Specimen((), medium=MEDIUM), microscope) == pytest.approx(1, abs=1e-6)
    shown = ew.brightfield(na=0.5, condenser_na=0.3, interaction=ew.Multislice(slabs=7, depth=(-9.0, 5.0)))
    image = ew.render(ew.Scene(ew.Specimen((), medium=MEDIUM), shown, ew.Grid((20, 24), 0.2)))
    assert image.numpy() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("na", [0.5, 1.2])
def test_light_between_slabs_travels_as_in_the_medium(na: float) -> None:
    """A film in the plane z = -4, seen through twelve empty ones, is that film out of focus."""
    film = ew.Film(opd=0.02, absorbance=0.1, scale=2.0, height=-4.0, seed=3)
    thin, deep = (
        field(
            ew.Specimen((film,), medium=MEDIUM),
            ew.Microscope(ew.Coherent(WAVELENGTH), way, ew.Objective(na, focus, index=1.33), ew.Ideal()),
        )
        # Without particles a thin specimen stands at z = 0. Both canvases have the same margin.
        for way, focus in ((ew.Transmission(), 6.0), (ew.Multislice(slabs=13, depth=(-4.0, 8.0)), 2.0))
    )
    assert float(np.abs(thin - 1).max()) > 0.1
    assert np.linalg.norm(deep - thin) < 1e-3 * np.linalg.norm(thin - 1)


def test_gentle_deep_specimen_keeps_the_light_when_the_aperture_takes_all_of_it() -> None:
    body = beads([(-3.0, 0.4, 0.0), (0.0, -1.0, 0.5), (3.0, 0.2, -0.8)], [2.0, 1.5, 2.0], [0.005, 0.01, -0.008])
    microscope = ew.brightfield(na=0.9, condenser_na=0, interaction=ew.Multislice(slabs=9), defocus=6.0)
    image = ew.render(ew.Scene(body, microscope, ew.Grid((128, 128), 0.2)))
    assert float(image.std()) > 0.01
    assert float(image.mean()) == pytest.approx(1, abs=1e-3)


# Tilted light


@pytest.mark.parametrize("sine", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("slabs", [1, 5])
def test_tilted_light_passes_more_of_a_layer(sine: float, slabs: int) -> None:
    """A layer of thickness d delays light at theta in the medium by 2 pi dn d / (lambda cos(theta)), to first order."""
    thickness, step = 2.0, 0.005
    layer = ew.Particles(
        ew.Box(),
        center=torch.zeros(1, 3, dtype=DOUBLE),
        size=torch.tensor([[thickness / 2, 1e4, 1e4]], dtype=DOUBLE),
        index=torch.tensor([MEDIUM + step], dtype=DOUBLE),
        absorption=torch.tensor([0.1], dtype=DOUBLE),
    )
    microscope = laser(ew.Multislice(slabs=slabs), na=0.8, tilt=(0.0, sine))
    wave = field(ew.Specimen((layer,), medium=MEDIUM), microscope, 16, 0.15)
    exact = math.sqrt((MEDIUM + step) ** 2 - sine**2) - math.sqrt(MEDIUM**2 - sine**2)
    assert np.angle(wave) == pytest.approx(2 * math.pi * thickness / WAVELENGTH * exact, rel=0.005)
    longer = 1 / math.sqrt(1 - (sine / MEDIUM) ** 2)
    assert np.abs(wave) ** 2 == pytest.approx(math.exp(-0.1 * thickness * longer), rel=1e-5)


def test_koehlers_deep_image_is_the_mean_over_its_directions() -> None:
    body = beads([(-2.0, 0.5, -1.0), (1.5, -0.5, 0.8)], [1.0, 0.8], [0.06, 0.04])
    grid, lamp = ew.Grid((40, 44), 0.2), ew.Koehler(0.35, wavelength=WAVELENGTH, rings=1)
    optics, way = ew.Objective(NA, 1.0), ew.Multislice(slabs=5)
    together = ew.render(ew.Scene(body, ew.Microscope(lamp, way, optics, ew.Ideal()), grid))
    mean = torch.zeros_like(together)
    for direction in lamp.source().direction:
        one = ew.Microscope(ew.Coherent(WAVELENGTH, direction=direction), way, optics, ew.Ideal())
        mean += ew.optical_field(ew.Scene(body, one, grid)).abs() ** 2 / 7
    assert together.numpy() == pytest.approx(mean.numpy(), abs=1e-6)


def test_tilted_light_shifts_the_shadows_of_a_deep_specimen_by_their_depth() -> None:
    """Beads at z = -4 and 4 under the same place: seen at z = 0 their shadows part by 8 tan(theta)."""
    stained = ew.Particles(
        ew.Sphere(),
        center=torch.tensor([[-4.0, 0.0, 0.0], [4.0, 0.0, 0.0]], dtype=DOUBLE),
        size=torch.full((2, 1), 1.0, dtype=DOUBLE),
        index=torch.full((2,), MEDIUM, dtype=DOUBLE),
        absorption=torch.full((2,), 0.03, dtype=DOUBLE),
    )
    centroids = []
    for number in range(2):
        one = ew.substitute(stained, {"center": stained.center * torch.eye(2, dtype=DOUBLE)[number][:, None]})
        one = ew.substitute(one, {"absorption": stained.absorption * torch.eye(2, dtype=DOUBLE)[number]})
        microscope = laser(ew.Multislice(slabs=9, depth=(-5.0, 5.0)), na=0.6, tilt=(0.0, 0.3))
        dark = 1 - np.abs(field(ew.Specimen((one,), medium=MEDIUM), microscope, 96)) ** 2
        x = (np.arange(96) - 48) * 0.2
        centroids.append((dark.sum(0) * x).sum() / dark.sum())
    tangent = 0.3 / math.sqrt(MEDIUM**2 - 0.3**2)
    assert centroids[0] - centroids[1] == pytest.approx(8 * tangent, rel=0.05)


# Depth


def test_sixteen_slabs_stand_for_twenty_micrometres() -> None:
    assert convergence(deep_crowd(2), 16) <= 0.05
    assert convergence(deep_crowd(6), 16) <= 0.05


def test_depth_matters_and_slabs_converge() -> None:
    errors = [convergence(deep_crowd(3), count) for count in (1, 4, 16, 48)]
    assert errors[0] > 0.5
    assert all(after < before for before, after in itertools.pairwise(errors))
    assert errors[-1] < 0.01


@pytest.mark.parametrize("shift", [7.3, -2.0])
def test_specimen_moved_with_the_focus_gives_the_same_image(shift: float) -> None:
    place = [(-2.0, 0.5, -1.0), (1.5, -0.5, 0.8)]
    fields = []
    for move in (0.0, shift):
        body = beads([(z + move, y, x) for z, y, x in place], [1.0, 0.8], [0.06, 0.04])
        fields.append(field(body, laser(ew.Multislice(), defocus=1.0 + move)))
    assert fields[1] == pytest.approx(fields[0], abs=1e-6)


def test_height_has_the_derivative_that_differences_say() -> None:
    """Linear splitting is smooth in z: through a plane and between two."""

    def strength(height: Tensor) -> Tensor:
        center = torch.stack([height, height.new_tensor(0.3), height.new_tensor(-0.2)])[None]
        body = beads([(0.0, 0.0, 0.0)], [0.6], [0.05])
        body = ew.substitute(body, {"parts.0.center": center})
        microscope = laser(ew.Multislice(slabs=7, depth=(-3.0, 3.0)), defocus=2.0)
        return (ew.render(ew.Scene(body, microscope, ew.Grid((24, 24), 0.2))) - 1).square().sum()

    for height in (0.1, 0.5, 1.3):
        start = torch.tensor(height, dtype=DOUBLE, requires_grad=True)
        (gradient,) = torch.autograd.grad(strength(start), start)
        nearby = [float(strength(torch.tensor(height + move, dtype=DOUBLE))) for move in (1e-4, -1e-4)]
        assert float(gradient) == pytest.approx((nearby[0] - nearby[1]) / 2e-4, rel=1e-3)


# Choosing slabs


def test_slabs_follow_aperture_index_and_size() -> None:
    wavelength = torch.tensor([WAVELENGTH])

    def chosen(radius: float, step: float, na: float) -> int:
        return ew.Multislice().planes(beads([(0.0, 0.0, 0.0)], [radius], [step]), wavelength, torch.tensor(na)).count

    by_aperture = [chosen(3.0, 0.005, na) for na in (0.2, 0.5, 0.9)]
    assert by_aperture[0] < by_aperture[1] < by_aperture[2]
    assert chosen(5.0, 0.05, 0.5) < chosen(5.0, 0.6, 0.5)
    assert chosen(1.0, 0.05, 0.5) < chosen(5.0, 0.05, 0.5) == automatic_slabs(5.0, 0.05)
    assert ew.Multislice(slabs=3).planes(deep_crowd(2), wavelength, torch.tensor(0.5)).count == 3


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ew.Multislice(slabs=0), "Multislice.slabs must be a positive integer"),
        (lambda: ew.Multislice(slabs=2.5), "Multislice.slabs must be a positive integer"),  # pyright: ignore[reportArgumentType]
        (lambda: ew.Multislice(depth=(3.0, -3.0)), "Multislice.depth must be two rising heights"),
    ],
)
def test_impossible_slabs_are_refused(build: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize("height", [-5.5, 5.5, 9.0])
def test_particle_beyond_the_slabs_is_an_error(height: float) -> None:
    scene = ew.Scene(
        beads([(height, 0.0, 0.0)], [1.0], [0.05]), laser(ew.Multislice(depth=(-6.0, 6.0))), ew.Grid((8, 8), 0.2)
    )
    with pytest.raises(ValueError, match=r"between the slabs at -6 and 6 um, got .*; widen Multislice.depth"):
        ew.render(scene)


def test_thousands_of_slabs_are_refused_with_their_memory() -> None:
    scene = ew.Scene(
        beads([(0.0, 0.0, 0.0)], [1.0], [0.05]), laser(ew.Multislice(slabs=20000)), ew.Grid((512, 512), 0.2)
    )
    with pytest.raises(ValueError, match=r"all slabs must take at most 8 GiB, got [\d.]+ GiB for 20000 x"):
        ew.render(scene)
