"""Sources: what stands for a condenser's aperture, and coherent kernels in place of its points."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from physics.koehler import DEPTH_OF_FIELD, NA, WAVELENGTH, abbe, crowd, deviation, kernels, picture
from physics.waves import irradiance, plate, speckle
from physics.waves import source as source_of
from torch import Tensor

import exitwave as ew
from exitwave.fourier import union
from exitwave.optics.modes import Modes, modes
from exitwave.optics.window import Window

DOUBLE = torch.float64


def second_moments(lamp: ew.Annulus | ew.HalfDisk | ew.SourcePoints) -> np.ndarray:
    source = lamp.source()
    return torch.einsum("s,si,sj->ij", source.weight, source.direction, source.direction).numpy()


# Points


@pytest.mark.parametrize(("inner", "outer", "rings"), [(0.0, 0.3, 8), (0.25, 0.35, 1), (0.6, 0.9, 3)])
def test_annulus_stands_for_equal_areas(inner: float, outer: float, rings: int) -> None:
    """Mean of |s|^2 over a ring is (inner^2 + outer^2) / 2, and no direction is preferred."""
    lamp = ew.Annulus(inner, outer, points=30, rings=rings)
    source = lamp.source()
    assert float(source.weight.sum()) == pytest.approx(1)
    assert (source.weight @ source.direction).numpy() == pytest.approx(0, abs=1e-12)
    assert second_moments(lamp) == pytest.approx(np.eye(2) * (inner**2 + outer**2) / 4, rel=1e-9, abs=1e-12)
    radius = torch.linalg.vector_norm(source.direction, dim=-1)
    assert inner < float(radius.min())
    assert float(radius.max()) < outer
    # As many points in the inner half of the area as in the outer one.
    middle = math.sqrt((inner**2 + outer**2) / 2)
    assert float((radius < middle * (1 - 1e-9)).sum() - (radius > middle * (1 + 1e-9)).sum()) == 0


@pytest.mark.parametrize("azimuth", [0.0, 1.1, -2.5])
def test_half_disk_leans_towards_its_azimuth(azimuth: float) -> None:
    """The centroid of a half disk of radius R lies 4 R / (3 pi) from its middle; azimuths count from x towards y."""
    lamp = ew.HalfDisk(0.4, azimuth=azimuth, points=40, rings=40)
    source = lamp.source()
    assert float(source.weight.sum()) == pytest.approx(1)
    centroid = 4 * 0.4 / (3 * math.pi) * np.array([math.sin(azimuth), math.cos(azimuth)])
    assert (source.weight @ source.direction).numpy() == pytest.approx(centroid, abs=2e-4)
    assert second_moments(lamp) == pytest.approx(np.eye(2) * 0.4**2 / 4, rel=1e-3, abs=1e-4)
    towards = source.direction @ torch.tensor([math.sin(azimuth), math.cos(azimuth)], dtype=DOUBLE)
    assert float(towards.min()) > 0


def test_two_half_disks_are_the_disk_without_overlap() -> None:
    first, second = (ew.HalfDisk(0.4, inner_na=0.1, azimuth=a).source().direction for a in (0.3, 0.3 + math.pi))
    assert first.numpy() == pytest.approx(-second.numpy(), abs=1e-12)


def test_image_under_an_led_array_is_the_sum_of_its_lamps() -> None:
    direction = [(y, x) for y, x in itertools.product((-0.2, 0.0, 0.15), (-0.1, 0.25))]
    weight = [1.0, 0.5, 2.0, 0.0, 0.3, 1.2]
    together = picture(ew.SourcePoints(direction, weight, WAVELENGTH), 2.0)
    alone = [picture(ew.Coherent(WAVELENGTH, direction=one), 2.0) for one in direction]
    mean = sum(w * image for w, image in zip(weight, alone, strict=True)) / sum(weight)
    # The canvas is the same for all: its margin follows from the objective alone.
    assert together.numpy() == pytest.approx(torch.as_tensor(mean).numpy(), abs=1e-5)


def test_measured_source_of_ring_points_is_the_annulus() -> None:
    ring = ew.Annulus(0.2, 0.3, wavelength=WAVELENGTH)
    points = ew.SourcePoints(ring.source().direction, wavelength=WAVELENGTH)
    assert picture(points, 1.0).numpy() == pytest.approx(picture(ring, 1.0).numpy(), abs=1e-9)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ew.Annulus(0.3, 1.7), "outer_na"),
        (lambda: ew.Annulus(-0.1, 0.3), "inner_na"),
        (lambda: ew.Annulus(0.4, 0.4), "inner edge below its outer one"),
        (lambda: ew.Annulus(0.5, 0.4), "inner edge below its outer one"),
        (lambda: ew.HalfDisk(0.3, inner_na=0.3), "inner edge below its outer one"),
        (lambda: ew.SourcePoints([[0.0, 0.1], [0.1, 0.0]], [0.0, 0.0]), "weights that sum to zero"),
        (lambda: ew.SourcePoints([[0.0, 0.1], [0.1, 0.0]], [1.0, -1.0]), "weight"),
        (lambda: ew.SourcePoints([[0.0, 1.7]]), "direction"),
        (lambda: ew.Koehler(0.3, spectrum=0.0), "spectrum that sums to zero"),
        (lambda: ew.Koehler(0.3, method="sum"), "method must be one of abbe, socs"),
        (lambda: ew.Annulus(0.3, 0.4, method="Abbe"), "method must be one of abbe, socs"),
        (lambda: ew.Koehler(0.3, method="socs", kernels=0), "kernels must be an integer"),
    ],
)
def test_impossible_sources_are_refused(build: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        build()  # pyright: ignore[reportCallIssue]
    assert "\n" not in str(caught.value)


# Coherent kernels


PLATES = {
    "none": ew.Objective(NA, 1.5),
    "aberrated": ew.Objective(NA, zernike=(0.1, 0.05)),
    "phase ring": ew.Objective(NA, plate=ew.PhaseRing(0.2, 0.3)),
    "shear": ew.Objective(NA, plate=ew.Shear((0.1, 0.2), 0.8)),
}
LAMPS = {
    "disk": ew.Koehler(0.4, wavelength=0.5, rings=3),
    "ring": ew.Annulus(0.2, 0.3, wavelength=0.5),
    "half": ew.HalfDisk(0.4, azimuth=0.4, wavelength=0.5),
    "dark": ew.Annulus(0.55, 0.7, wavelength=0.5, points=11, rings=2),
    "points": ew.SourcePoints([[0.1, 0.2], [-0.3, 0.1], [0.0, 0.0]], [1.0, 3.0, 0.2], wavelength=0.5),
}


@pytest.mark.parametrize("plate_name", PLATES)
@pytest.mark.parametrize("lamp_name", LAMPS)
def test_all_kernels_together_are_abbes_sum(plate_name: str, lamp_name: str) -> None:
    wave = plate(speckle(72, 4), 0.2)
    lamp, objective = LAMPS[lamp_name], PLATES[plate_name]
    whole = irradiance(wave, objective, lamp)
    modal = irradiance(wave, objective, replace(lamp, method="socs", kernels=1000))
    assert float((modal - whole).abs().max()) < 1e-5 * float(whole.max())


@pytest.mark.parametrize("defocus", [0.0, DEPTH_OF_FIELD, -DEPTH_OF_FIELD])
def test_sixteen_kernels_replace_hundreds_of_points(defocus: float) -> None:
    """Condenser at .6 of the aperture: 16 kernels are within 2 % of a dense sum, 19 points are not."""
    assert deviation(kernels(16), defocus) <= 0.02
    assert deviation(abbe(2), defocus) > 0.02


def test_kernels_and_points_agree_ever_better() -> None:
    with_kernels = [deviation(kernels(count, rings=8), 1.0, rings=8) for count in (4, 8, 16, 32, 64)]
    assert all(after < before for before, after in itertools.pairwise(with_kernels))
    assert with_kernels[-1] < 0.004
    with_points = [deviation(abbe(rings), 1.0, rings=8) for rings in (1, 2, 4)]
    assert all(after < before for before, after in itertools.pairwise(with_points))
    both = [deviation(kernels(48, rings), 1.0, rings=8) for rings in (1, 2, 4)]
    assert all(after < before for before, after in itertools.pairwise(both))


def chosen(objective: ew.Objective, lamp: ew.Koehler, samples: int = 72) -> Modes:
    wave = plate(speckle(samples, 4), 0.2)
    source = source_of(lamp, wave)
    windows = [Window(objective, wave, 0, direction) for direction in source.direction]
    return modes(objective, wave, 0, source, windows, union([window.band for window in windows]))


@pytest.mark.parametrize("count", [1, 4, 16])
def test_loss_bounds_the_light_that_left_out_kernels_carry(count: int) -> None:
    lamp = ew.Koehler(0.3, wavelength=0.5, rings=3)
    few = ew.Koehler(0.3, wavelength=0.5, rings=3, method="socs", kernels=count)
    objective = ew.Objective(NA, 1.5)
    bound = chosen(objective, few).loss
    data = {"speckle": speckle(72, 4), "phase": torch.exp(1j * speckle(72, 8).real), "empty": torch.ones(72, 72)}
    for wave in (plate(transmission.to(torch.complex128), 0.2) for transmission in data.values()):
        missing = float((irradiance(wave, objective, lamp) - irradiance(wave, objective, few)).mean())
        assert -1e-9 <= missing <= bound * float(wave.data.abs().square().mean()) + 1e-9
    # A single diffraction order at the worst frequency reaches the bound.
    worst = 0.0
    for order in range(0, 26, 2):
        ramp = torch.exp(2j * math.pi * order * torch.arange(72, dtype=DOUBLE) / 72).expand(72, 72)
        both = (irradiance(plate(ramp, 0.2), objective, each) for each in (lamp, few))
        worst = max(worst, float((next(both) - next(both)).mean()))
    assert worst <= bound + 1e-9
    assert worst >= 0.3 * bound


def test_loss_is_that_of_the_worst_frequency_however_many_there_are() -> None:
    """The light of all points less that of the kernels, at every frequency of a band of hundreds."""
    lamp = ew.Koehler(0.3, wavelength=0.5, rings=2, method="socs", kernels=4)
    objective = ew.Objective(NA, 1.5)
    wave = plate(torch.ones(400, 400, dtype=DOUBLE), 0.2)
    source = source_of(lamp, wave)
    windows = [Window(objective, wave, 0, direction) for direction in source.direction]
    band = union([window.band for window in windows])
    found = modes(objective, wave, 0, source, windows, band)
    fy, fx = band.frequencies(windows[0].step, wave.medium)
    light = torch.zeros(band.shape, dtype=DOUBLE)
    for window, weight in zip(windows, source.weight, strict=True):
        light += weight * window.kernel(objective, fy + window.tilt[0], fx + window.tilt[1]).abs().square()
    assert found.loss == pytest.approx(float((light - found.kernels.abs().square().sum(0)).max()))


def test_kernels_are_kept_while_the_optics_stay() -> None:
    lamp = ew.Koehler(0.3, wavelength=0.5, rings=2, method="socs", kernels=4)
    first = chosen(ew.Objective(NA, 1.5), lamp)
    assert chosen(ew.Objective(NA, 1.5), lamp) is first
    others = [
        chosen(ew.Objective(NA, 1.6), lamp),
        chosen(ew.Objective(NA, 1.5, zernike=(0.1,)), lamp),
        chosen(ew.Objective(NA, 1.5, plate=ew.Shear()), lamp),
        chosen(ew.Objective(NA, 1.5, plate=ew.PhaseRing(0.2, 0.3)), lamp),
    ]
    for other in others:
        assert float((other.kernels - first.kernels).abs().max()) > 1e-3
    wider = ew.Koehler(0.31, wavelength=0.5, rings=2, method="socs", kernels=4)
    assert chosen(ew.Objective(NA, 1.5), wider) is not first
    assert chosen(ew.Objective(0.45, 1.5), lamp).kernels.shape != first.kernels.shape
    more = chosen(ew.Objective(NA, 1.5), ew.Koehler(0.3, wavelength=0.5, rings=2, method="socs", kernels=5))
    assert len(more.kernels) == 5
    assert chosen(ew.Objective(NA, 1.5), lamp, samples=80).kernels.shape != first.kernels.shape


def free(path: str) -> Tensor:
    """Return the gradient of a crowd's picture by one number of its microscope, imaged by kernels."""
    microscope = ew.Microscope(kernels(8, rings=3), ew.Transmission(), ew.Objective(NA, 1.0), ew.Ideal())
    scene = ew.Scene(crowd(), microscope, ew.Grid((32, 32), 0.2))
    number = ew.get(scene, path).clone().requires_grad_()
    (gradient,) = torch.autograd.grad(ew.render(ew.substitute(scene, {path: number})).square().sum(), number)
    return gradient


@pytest.mark.parametrize(
    "path", ["microscope.optics.na", "microscope.optics.defocus", "microscope.illumination.condenser_na"]
)
def test_derivative_by_what_kernels_are_made_of_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r'have no derivative .* method to "abbe"'):
        free(path)


def test_derivative_by_the_specimen_passes_kernels() -> None:
    gradient = free("specimen.parts.0.index")
    assert bool(gradient.isfinite().all())
    assert float(gradient.abs().max()) > 0.1


def test_deep_specimens_are_not_for_kernels() -> None:
    microscope = ew.Microscope(kernels(8, rings=3), ew.Multislice(slabs=3), ew.Objective(NA), ew.Ideal())
    with pytest.raises(ValueError, match="kernels stand for a thin specimen"):
        ew.render(ew.Scene(crowd(), microscope, ew.Grid((16, 16), 0.2)))
