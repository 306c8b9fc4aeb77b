"""Polarised light: retarders, compensators and birefringent particles between polarisers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from physics.closed_forms import retarder, retarder_between_polars
from torch import Tensor

import exitwave as ew

DOUBLE = torch.float64
CROSSED = math.pi / 2
GRID = ew.Grid((12, 16), 0.5)


def row(*numbers: float) -> Tensor:
    return torch.tensor([numbers], dtype=DOUBLE)


def crystal(
    center: tuple[float, float, float] = (0.0, 0.0, 0.0),
    optic_axis: tuple[float, float, float] = (0.3, 0.5, 0.8),
    rotation: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0),
    birefringence: float = 0.06,
    size: tuple[float, float, float] = (1.0, 0.6, 1.5),
    index: float = 1.40,
) -> ew.Particles:
    return ew.Particles(
        ew.Box(), row(*center), row(*size), row(index)[0], row(*rotation),
        birefringence=row(birefringence)[0], optic_axis=row(*optic_axis),
    )  # fmt: skip


def picture(specimen: ew.Specimen, microscope: ew.Microscope, side: int = 33, pixel: float = 0.2) -> Tensor:
    return ew.render(ew.Scene(specimen, microscope, ew.Grid((side, side), pixel)))


# Retarders


@pytest.mark.parametrize("azimuth", np.linspace(0, math.pi, 9))
@pytest.mark.parametrize("retardance", [0.4, math.pi, 4.3])
def test_retarder_between_crossed_polars(azimuth: float, retardance: float) -> None:
    """sin^2(2 phi) sin^2(Gamma / 2), and what is missing there shows between parallel polars."""
    assert retarder_between_polars(azimuth, retardance) < 1e-5
    assert retarder_between_polars(azimuth, retardance, parallel=True) < 1e-5


@pytest.mark.parametrize("angle", [0.0, 0.5, math.pi / 2, 2.0])
def test_polars_without_a_specimen_follow_malus(angle: float) -> None:
    empty = ew.Specimen((), medium=1.33)
    image = ew.render(ew.Scene(empty, ew.polarized(polarizer=0.3, analyzer=0.3 + angle), GRID))
    assert image.numpy() == pytest.approx(math.cos(angle) ** 2, abs=1e-6)


@pytest.mark.parametrize("wavelength", [0.45, 0.55, 0.65])
@pytest.mark.parametrize(("azimuth", "sign"), [(math.pi / 4, 1), (3 * math.pi / 4, -1)])
def test_compensator_adds_to_a_slow_axis_along_its_own_and_subtracts_across(
    wavelength: float, azimuth: float, sign: int
) -> None:
    """First-order red, .55 um: a crystal of .1 um turns it blue or yellow, as the paths add or subtract."""
    path = 0.1
    scene = retarder(
        azimuth, 2 * math.pi * path / wavelength, ew.polarized(retardance=0.55, wavelength=wavelength), wavelength
    )
    expected = math.sin(math.pi * (0.55 + sign * path) / wavelength) ** 2
    assert ew.render(scene).numpy() == pytest.approx(expected, abs=1e-5)


def test_interference_colour_of_first_order_red() -> None:
    """Green is out, red and blue are in: magenta."""
    sensor = ew.Ideal(response=np.eye(3))
    microscope = ew.polarized(retardance=0.55, wavelength=(0.45, 0.55, 0.65))
    coloured = ew.Microscope(microscope.illumination, microscope.interaction, microscope.optics, sensor)
    image = ew.render(ew.Scene(ew.Specimen((), medium=1.33), coloured, GRID))
    expected = [math.sin(math.pi * 0.55 / wavelength) ** 2 for wavelength in (0.45, 0.55, 0.65)]
    assert image.mean((1, 2)).numpy() == pytest.approx(expected, abs=1e-5)


# Crystals


def test_optic_axis_along_the_light_makes_no_difference() -> None:
    upright = ew.Specimen((crystal(optic_axis=(1.0, 0.0, 0.0)),), medium=1.33)
    isotropic = ew.Specimen((crystal(birefringence=0.0),), medium=1.33)
    assert float(picture(upright, ew.polarized(analyzer=CROSSED)).abs().max()) < 1e-9
    parallel = ew.polarized(analyzer=0.0)
    assert picture(upright, parallel).numpy() == pytest.approx(picture(isotropic, parallel).numpy(), abs=1e-6)


def test_retardance_is_that_of_the_index_ellipsoids_section() -> None:
    """The section across z has the half axes n_o and n_e(theta): eigenvalues of the impermeability's lateral block."""
    generator = torch.Generator().manual_seed(3)
    count = 50
    drawn = torch.randn(count, 7, dtype=DOUBLE, generator=generator)
    body = ew.Particles(
        ew.Sphere(),
        center=torch.zeros(count, 3, dtype=DOUBLE),
        size=torch.ones(count, 1, dtype=DOUBLE),
        index=1.5 + 0.1 * torch.rand(count, dtype=DOUBLE, generator=generator),
        rotation=drawn[:, :4],
        birefringence=0.4 * torch.rand(count, dtype=DOUBLE, generator=generator) - 0.2,
        optic_axis=drawn[:, 4:],
    )
    excess, cosine, sine = (part.numpy() for part in body.retardance())
    along = torch.einsum("nij,nj->ni", body.axes, drawn[:, 4:]).numpy()
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    ordinary, extraordinary = body.index.numpy(), (body.index + body.birefringence).numpy()
    turn = np.einsum("ni,nj->nij", along, along)
    inverse = np.eye(3) / ordinary[:, None, None] ** 2 + turn * (extraordinary**-2 - ordinary**-2)[:, None, None]
    values, vectors = np.linalg.eigh(inverse[:, 1:, 1:])  # along (y, x)
    indices = values**-0.5  # the first is the slow one
    slow = np.arctan2(vectors[:, 0, 0], vectors[:, 1, 0])
    gap = indices[:, 0] - indices[:, 1]
    assert np.abs(excess) == pytest.approx(gap, abs=1e-12)
    assert ordinary + excess == pytest.approx(np.where(excess > 0, indices[:, 0], indices[:, 1]), abs=1e-12)
    assert cosine == pytest.approx(gap * np.cos(2 * slow), abs=1e-12)
    assert sine == pytest.approx(gap * np.sin(2 * slow), abs=1e-12)


@pytest.mark.parametrize("rings", [0, 2])
def test_unpolarised_light_is_the_mean_of_two_polarisations_without_analyser(rings: int) -> None:
    """Built from four pictures between polarisers along x and y."""
    specimen = ew.Specimen((crystal(), crystal(center=(0.0, 1.0, -1.2), optic_axis=(0.0, 1.0, -0.2))), medium=1.33)
    four = [
        picture(specimen, ew.polarized(na=0.5, polarizer=p, analyzer=a, defocus=2.0, rings=rings))
        for p in (0.2, 0.2 + CROSSED)
        for a in (-0.4, -0.4 + CROSSED)
    ]
    lamp = ew.Koehler(0.1, wavelength=0.55, rings=rings)
    plain = ew.Microscope(lamp, ew.Transmission(), ew.Objective(na=0.5, defocus=2.0), ew.Ideal())
    assert picture(specimen, plain).numpy() == pytest.approx((torch.stack(four).sum(0) / 2).numpy(), abs=1e-6)


def test_retarding_crystal_neither_gains_nor_loses_light() -> None:
    """A wide aperture and a gentle crystal: the mean over the image of all polarisations is 1 to a few in ten thousand.

    The crystal is an ellipsoid, whose steep rim alone sends light beyond the aperture.
    """
    body = ew.Particles(
        ew.Ellipsoid(), row(0.0, 0.0, 0.0), row(0.5, 2.0, 3.0), row(1.34)[0],
        birefringence=row(0.05)[0], optic_axis=row(0.0, 0.6, 0.8),
    )  # fmt: skip
    microscope = ew.brightfield(na=0.9, condenser_na=0, defocus=4.0)
    image = ew.render(ew.Scene(ew.Specimen((body,), medium=1.33), microscope, ew.Grid((160, 160), 0.2)))
    assert float(image.std()) > 0.01
    assert float(image.mean()) == pytest.approx(1, abs=3e-4)


def test_crystal_turned_with_its_polars_gives_the_turned_image() -> None:
    """A quarter turn about z, x to y: the quaternion (cos 45, 0, 0, sin 45)."""
    half = math.sqrt(0.5)
    start = ew.Specimen((crystal(center=(0.0, 0.6, -0.8)),), medium=1.33)
    turned = ew.Specimen((crystal(center=(0.0, -0.8, -0.6), rotation=(half, 0.0, 0.0, half)),), medium=1.33)

    def polars(turn: float) -> ew.Microscope:
        return ew.polarized(
            na=0.5, polarizer=0.2 + turn, analyzer=1.5 + turn, retardance=0.1, azimuth=0.9 + turn, rings=0
        )

    image = picture(start, polars(0.0))
    assert float(image.std()) > 0.01
    assert picture(turned, polars(math.pi / 2)).numpy() == pytest.approx(image.flip(0).T.numpy(), abs=1e-6)
    assert float((picture(turned, polars(0.0)) - image.flip(0).T).abs().max()) > 0.01


def test_field_of_birefringent_particles_needs_polarisers() -> None:
    scene = ew.Scene(ew.Specimen((crystal(),), medium=1.33), ew.hologram(), GRID)
    with pytest.raises(ValueError, match="birefringent particles in unpolarised light; give the objective"):
        ew.optical_field(scene)


# Two crystals one behind the other


def linear_retarder(azimuth: float, retardance: float) -> np.ndarray:
    """Return the Jones matrix in (x, y) whose slow axis lies at `azimuth`, the mean phase left out."""
    turn = np.array([[math.cos(azimuth), -math.sin(azimuth)], [math.sin(azimuth), math.cos(azimuth)]])
    return turn @ np.diag(np.exp([0.5j * retardance, -0.5j * retardance])) @ turn.T


def stack(lower: tuple[float, float], upper: tuple[float, float]) -> ew.Specimen:
    """Return two wide plates of (azimuth, retardance at .55 um) at z = -2 and 2."""
    parts = []
    for height, (azimuth, retardance) in ((-2.0, lower), (2.0, upper)):
        birefringence = retardance * 0.55 / (2 * math.pi)  # the plates are 1 um thick
        axis = (0.0, math.sin(azimuth), math.cos(azimuth))
        parts.append(crystal((height, 0.0, 0.0), axis, (1.0, 0.0, 0.0, 0.0), birefringence, (0.5, 1e4, 1e4), 1.33))
    return ew.Specimen(tuple(parts), medium=1.33)


@pytest.mark.parametrize(("polarizer", "analyzer"), [(0.0, CROSSED), (0.3, 0.9), (1.0, 1.0)])
def test_stacked_retarders_are_the_product_of_their_jones_matrices(polarizer: float, analyzer: float) -> None:
    """45 degrees apart they do not commute: light meets the lower one first."""
    lower, upper = (0.2, 1.2), (0.2 + math.pi / 4, 2.1)
    microscope = ew.polarized(
        polarizer=polarizer, analyzer=analyzer, condenser_na=1e-6, rings=0, interaction=ew.Multislice(slabs=6)
    )
    image = ew.render(ew.Scene(stack(lower, upper), microscope, GRID))

    def through(first: tuple[float, float], second: tuple[float, float]) -> float:
        light = linear_retarder(*second) @ linear_retarder(*first) @ [math.cos(polarizer), math.sin(polarizer)]
        return abs(np.dot([math.cos(analyzer), math.sin(analyzer)], light)) ** 2

    assert image.numpy() == pytest.approx(through(lower, upper), abs=1e-5)
    # Transposing a product of symmetric matrices turns it round, so that some polars cannot tell.
    if (polarizer, analyzer) == (0.3, 0.9):
        assert abs(through(lower, upper) - through(upper, lower)) > 0.01


def test_thin_specimen_adds_parallel_and_crossed_retarders() -> None:
    """Where the matrices commute, the thin specimen's sum of retardances is exact too."""
    for turn, sign in ((0.0, 1), (math.pi / 2, -1)):
        microscope = ew.polarized(condenser_na=1e-6, rings=0, defocus=0.0)
        scene = ew.Scene(stack((math.pi / 4, 0.8), (math.pi / 4 + turn, 0.5)), microscope, GRID)
        expected = math.sin((0.8 + sign * 0.5) / 2) ** 2
        assert ew.render(scene).numpy() == pytest.approx(expected, abs=1e-5)
