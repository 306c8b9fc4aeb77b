"""Coherent kernels in place of a condenser's points."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch
from physics.koehler import DEPTH_OF_FIELD, NA, abbe, crowd, deviation, kernels
from physics.waves import irradiance, plate, speckle
from physics.waves import source as source_of
from torch import Tensor

import exitwave as ew
from exitwave.fourier import union
from exitwave.optics.modes import Modes, modes
from exitwave.optics.window import windows

DOUBLE = torch.float64

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
    places = windows(objective, wave, 0, source.direction)
    return modes(objective, wave, 0, source, places, union([window.band for window in places]))


@pytest.mark.parametrize("count", [1, 4, 16])
def test_loss_bounds_the_light_that_left_out_kernels_carry(count: int) -> None:
    lamp = ew.Koehler(0.3, wavelength=0.5, rings=3)
    few = ew.Koehler(0.3, wavelength=0.5, rings=3, method="socs", kernels=count)
    objective = ew.Objective(NA, 1.5)
    bound = chosen(objective, few).loss
    data = {"speckle": speckle(72, 4), "phase": torch.exp(1j * speckle(72, 8).real), "empty": torch.ones(72, 72)}
    for wave in (plate(transmission.to(torch.complex128), 0.2) for transmission in data.values()):
        missing = float((irradiance(wave, objective, lamp) - irradiance(wave, objective, few)).mean())
        assert abs(missing) <= bound * float(wave.data.abs().square().mean()) + 1e-9
    # A single diffraction order at the worst frequency reaches the bound.
    worst = 0.0
    for order in range(0, 26, 2):
        ramp = torch.exp(2j * math.pi * order * torch.arange(72, dtype=DOUBLE) / 72).expand(72, 72)
        both = (irradiance(plate(ramp, 0.2), objective, each) for each in (lamp, few))
        worst = max(worst, abs(float((next(both) - next(both)).mean())))
    assert worst <= bound + 1e-9
    assert worst >= 0.3 * bound


def test_loss_is_that_of_the_worst_frequency_however_many_there_are() -> None:
    """The light of all points less that of the kernels, at every frequency of a band of hundreds."""
    lamp = ew.Koehler(0.3, wavelength=0.5, rings=2, method="socs", kernels=4)
    objective = ew.Objective(NA, 1.5)
    wave = plate(torch.ones(400, 400, dtype=DOUBLE), 0.2)
    source = source_of(lamp, wave)
    places = windows(objective, wave, 0, source.direction)
    band = union([window.band for window in places])
    found = modes(objective, wave, 0, source, places, band)
    fy, fx = band.frequencies(places[0].step, wave.medium)
    light = torch.zeros(band.shape, dtype=DOUBLE)
    for window, weight in zip(places, source.weight, strict=True):
        light += weight * window.kernel(objective, fy + window.tilt[0], fx + window.tilt[1]).abs().square()
    assert found.loss == pytest.approx(float((light - found.kernels.abs().square().sum(0)).abs().max()))


@pytest.mark.parametrize("plate_name", PLATES)
@pytest.mark.parametrize("count", [3, 6])
def test_empty_field_is_as_bright_by_few_kernels_as_by_all_points(plate_name: str, count: int) -> None:
    lamp = ew.Koehler(0.3, wavelength=0.5, rings=3)
    empty, objective = plate(torch.ones(72, 72, dtype=torch.complex128), 0.2), PLATES[plate_name]
    by_points = irradiance(empty, objective, lamp)
    by_kernels = irradiance(empty, objective, replace(lamp, method="socs", kernels=count))
    assert by_kernels.numpy() == pytest.approx(by_points.numpy(), rel=1e-6)


def test_empty_field_kept_bright_brings_few_kernels_close() -> None:
    """Four kernels would leave out a tenth of the light, and a defocused image has little contrast beside that."""
    assert deviation(kernels(4), DEPTH_OF_FIELD) < 0.15
    assert deviation(kernels(12), DEPTH_OF_FIELD) < 0.02


def test_dark_field_has_no_brightness_to_keep() -> None:
    """A single point at the rim lights the field a little; that leaves the light of the specimen as it is."""
    ring = [[0.6 * math.sin(angle), 0.6 * math.cos(angle)] for angle in range(6)]
    lamp = ew.SourcePoints([[0.0, 0.4999], *ring], [0.02, *([1.0] * 6)], wavelength=0.5)
    wave, objective = plate(speckle(72, 4), 0.2), ew.Objective(NA)
    whole = float(irradiance(wave, objective, lamp).mean())
    assert 0 < float(irradiance(plate(torch.ones(72, 72, dtype=torch.complex128), 0.2), objective, lamp).mean()) < 0.01
    assert float(irradiance(wave, objective, replace(lamp, method="socs", kernels=3)).mean()) < whole


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


def test_kept_kernels_stay_within_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    lamp = ew.Koehler(0.3, wavelength=0.5, rings=1, method="socs", kernels=4)
    first = chosen(ew.Objective(NA, 7.5), lamp)
    monkeypatch.setattr("exitwave.optics.modes._BYTES", 2 * first.kernels.nbytes)
    second = chosen(ew.Objective(NA, 7.6), lamp)
    assert chosen(ew.Objective(NA, 7.5), lamp) is first
    chosen(ew.Objective(NA, 7.7), lamp)
    # The one that was not used for longest went.
    assert chosen(ew.Objective(NA, 7.5), lamp) is first
    assert chosen(ew.Objective(NA, 7.6), lamp) is not second


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
