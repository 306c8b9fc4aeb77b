"""Imaging of known waves and of simple specimens against closed forms and second routes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from physics.waves import field, irradiance, plate
from scipy.interpolate import CubicSpline
from scipy.special import j1
from torch import Tensor

import exitwave as ew
from exitwave.optics import Objective, noll, zernike

DOUBLE = torch.float64
LASER = ew.Coherent()


def axis(samples: int, pixel: float) -> Tensor:
    return (torch.arange(samples, dtype=DOUBLE) - samples // 2) * pixel


def cosine(samples: int, periods: int) -> Tensor:
    """Return a cosine grating (H, W) along x with whole periods in the field."""
    row = torch.cos(2 * math.pi * periods * torch.arange(samples, dtype=DOUBLE) / samples)
    return row.expand(samples, samples)


def modulation(image: Tensor, periods: int) -> float:
    """Return the amplitude of the cosine with `periods` in the field, in the mean row of an image."""
    return float(torch.fft.fft(image.mean(0))[periods].abs()) * 2 / image.shape[1]


def particle(
    shape: ew.Sphere | ew.Box,
    size: list[float],
    step: float,
    center: tuple[float, float, float] = (0.0, 0.0, 0.0),
    rotation: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0),
    absorption: float = 0.0,
    medium: float = 1.33,
    dispersion: float = 0.0,
) -> ew.Specimen:
    def row(*numbers: float) -> Tensor:
        return torch.tensor([numbers], dtype=DOUBLE)

    body = ew.Particles(
        shape,
        center=row(*center),
        size=row(*size),
        index=row(medium + step)[0],
        rotation=row(*rotation),
        absorption=row(absorption)[0],
        dispersion=row(dispersion)[0],
    )
    return ew.Specimen((body,), medium=medium)


# Gratings


@pytest.mark.parametrize("periods", [2, 5, 8, 13])
@pytest.mark.parametrize("defocus", [0.7, 3.0, -11.0])
def test_phase_grating_becomes_visible_by_defocus(periods: int, defocus: float) -> None:
    """A grating of phase eps cos(2 pi f x) has modulation 2 eps |sin(k z (cos(theta) - 1))| at defocus z."""
    samples, pixel, wavelength, medium, strength = 64, 0.25, 0.5, 1.33, 1e-3
    wave = plate(torch.exp(1j * strength * cosine(samples, periods)), pixel, wavelength, medium)
    image = irradiance(wave, Objective(na=0.9, defocus=defocus, index=1.33), LASER)
    theta = math.asin(periods / (samples * pixel) * wavelength / medium)
    expected = 2 * strength * abs(math.sin(2 * math.pi * medium / wavelength * defocus * (math.cos(theta) - 1)))
    assert modulation(image, periods) == pytest.approx(expected, abs=1e-5 * 2 * strength)


def test_coherent_cutoff_is_na_over_wavelength() -> None:
    """The amplitude's last frequency is NA / lambda = 1 per um: 20 periods in 20 um."""
    samples, pixel = 128, 20 / 128
    for periods, expected in ((10, 0.1), (19, 0.1), (21, 0.0), (30, 0.0)):
        image = field(plate(1 + 0.1 * cosine(samples, periods), pixel, 0.5), Objective(na=0.5), LASER)
        assert modulation(image.real, periods) == pytest.approx(expected, abs=1e-12)


def test_cutoff_with_matched_condenser_is_twice_na_over_wavelength() -> None:
    samples, pixel = 128, 20 / 128
    lamp = ew.Koehler(condenser_na=0.5, wavelength=0.5, rings=4)
    seen = {}
    for periods in (20, 36, 41, 50):
        image = irradiance(plate(1 + 1e-3 * cosine(samples, periods), pixel, 0.5), Objective(na=0.5), lamp)
        seen[periods] = modulation(image, periods) / 2e-3
    assert seen[20] > 0.3
    assert seen[36] > 0.01
    # What is left is the square of the grating, which the weak-object transfer leaves out.
    assert max(seen[41], seen[50]) < 1e-9


def test_matched_condenser_transfers_a_faint_absorber_like_incoherent_light() -> None:
    """Condenser NA = objective NA: 2/pi (acos v - v sqrt(1 - v^2)) at v = f lambda / (2 NA)."""
    samples, pixel = 160, 40 / 160
    lamp = ew.Koehler(condenser_na=0.5, wavelength=0.5, rings=12)
    for periods in (20, 40, 60):
        image = irradiance(plate(1 + 1e-3 * cosine(samples, periods), pixel, 0.5), Objective(na=0.5), lamp)
        v = periods / 40 / 2
        expected = 2 / math.pi * (math.acos(v) - v * math.sqrt(1 - v * v))
        assert modulation(image, periods) / 2e-3 == pytest.approx(expected, abs=0.02)


def test_grating_keeps_its_phase_under_a_small_condenser_and_loses_it_under_a_large_one() -> None:
    """In focus and without aberrations a weak phase object is invisible at any condenser aperture."""
    wave = plate(torch.exp(1e-3j * cosine(64, 5)), 0.25, 0.5)
    for condenser_na in (0.1, 0.4):
        image = irradiance(wave, Objective(na=0.5), ew.Koehler(condenser_na, wavelength=0.5, rings=3))
        assert modulation(image, 5) < 2e-6


# Points and edges


def test_first_dark_ring_of_a_point_is_airys() -> None:
    """A point's amplitude is 2 J1(v) / v with v = 2 pi NA r / lambda; its first zero is at 0.6098 lambda / NA."""
    samples, pixel, wavelength, na = 512, 0.1, 0.5, 0.5
    point = torch.zeros(samples, samples, dtype=DOUBLE)
    point[samples // 2, samples // 2] = 1
    row = field(plate(point, pixel, wavelength), Objective(na=na), LASER)[samples // 2, samples // 2 :].real.numpy()
    r = np.arange(1, 60) * pixel
    zeros = CubicSpline(r, row[1:60]).roots(extrapolate=False)
    assert zeros[0] == pytest.approx(0.609835 * wavelength / na, rel=1e-3)
    v = 2 * np.pi * na * r / wavelength
    np.testing.assert_allclose(row[1:60] / row[0], 2 * j1(v) / v, atol=2e-3)


def test_total_light_of_a_point_is_the_pupils_area() -> None:
    """Parseval: the irradiance summed over the image is pi (NA / lambda)^2, for an amplitude of unit integral."""
    samples, pixel, na = 512, 0.1, 0.5
    point = torch.zeros(samples, samples, dtype=DOUBLE)
    point[10, 200] = 1 / pixel**2
    image = irradiance(plate(point, pixel, 0.5), Objective(na=na, defocus=1.0), LASER)
    assert float(image.sum()) * pixel**2 == pytest.approx(math.pi * (na / 0.5) ** 2, rel=1e-2)  # a soft rim


@pytest.mark.parametrize("defocus", [0.0, 4.0])
def test_edge_of_a_coherently_lit_half_plane_has_a_quarter_of_the_irradiance(defocus: float) -> None:
    samples = 128
    opening = (torch.arange(samples) > 32).to(DOUBLE) * (torch.arange(samples) < 96)
    opening[[32, 96]] = 0.5
    image = irradiance(plate(opening.expand(samples, samples), 0.2, 0.5), Objective(na=0.4, defocus=defocus), LASER)
    assert image[:, [32, 96]].numpy() == pytest.approx(0.25, abs=1e-12 if defocus == 0 else 2e-2)


def test_edge_of_an_opaque_block_has_half_the_amplitude() -> None:
    """From geometry: the block ends between two samples, and its edge is halfway between bright and dark."""
    block = particle(ew.Box(), [1.0, 20.05, 20.05], 0.0, center=(0.0, 0.0, -20.0), absorption=100.0)
    scene = ew.Scene(block, ew.hologram(na=0.4, wavelength=0.5, defocus=0.0), ew.Grid((9, 100), 0.1))
    row = ew.optical_field(scene)[4]
    # The block's wall stands at x = 0.05, between samples 50 and 51.
    assert abs(0.5 * (row[50] + row[51])) ** 2 == pytest.approx(0.25, abs=4e-3)
    assert float(row[20].abs()) < 0.1


# The empty field


@pytest.mark.parametrize(
    "microscope",
    [
        ew.hologram(na=0.5, defocus=0.0),
        ew.hologram(na=0.5, defocus=30.0),
        ew.brightfield(na=0.5, condenser_na=0.3),
        ew.brightfield(na=0.5, condenser_na=0.5, wavelength=(0.45, 0.55, 0.62), sensor=ew.Ideal(response=np.eye(3))),
        ew.Microscope(
            ew.Koehler(0.3, wavelength=(0.45, 0.6), spectrum=(1.0, 3.0)),
            ew.Transmission(),
            Objective(na=0.8, defocus=3.0, zernike=(0.1, -0.05, 0.08, 0.0, 0.02, 0.01, 0.2)),
            ew.Ideal(),
        ),
        ew.Microscope(
            ew.Coherent(direction=(0.2, -0.1)), ew.Transmission(), Objective(na=0.4, defocus=5.0), ew.Ideal()
        ),
    ],
    ids=["coherent", "defocused", "koehler", "rgb", "aberrated", "tilted"],
)
def test_empty_field_is_one(microscope: ew.Microscope) -> None:
    image = ew.render(ew.Scene(ew.Specimen((), medium=1.33), microscope, ew.Grid((20, 33), 0.2)))
    assert image.numpy() == pytest.approx(1.0, abs=2e-6)  # single precision


def test_objective_takes_its_share_of_a_source_wider_than_itself() -> None:
    """Irradiance is relative to the whole source: what is left of a disk of NA .4 in an aperture of .3."""
    microscope = ew.brightfield(na=0.3, condenser_na=0.4, defocus=-7.0, rings=20)
    image = ew.render(ew.Scene(ew.Specimen((), medium=1.33), microscope, ew.Grid((20, 33), 0.2)))
    assert image.numpy() == pytest.approx((0.3 / 0.4) ** 2, rel=0.02)
    assert float(image.std()) < 1e-6


def test_particle_of_the_mediums_index_is_invisible() -> None:
    scene = ew.Scene(particle(ew.Sphere(), [2.0], 0.0), ew.brightfield(na=0.5), ew.Grid((32, 32), 0.2))
    assert ew.render(scene).numpy() == pytest.approx(1.0, abs=1e-6)


# Köhler illumination


def speckle(shape: tuple[int, int], seed: int) -> Tensor:
    """Return a random transmission with strong phase and absorption."""
    noise = torch.randn(2, *shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))
    return torch.exp(2j * noise[0] - noise[1].abs())


@pytest.mark.parametrize(
    ("shape", "pixel", "condenser_na", "zernike_terms"),
    [
        ((96, 96), (0.15, 0.15), 0.3, ()),
        ((75, 96), (0.15, 0.12), 0.5, (0.1, 0.0, -0.2)),
        ((64, 45), (0.2, 0.1), 0.6, ()),  # part of the source misses the objective
        ((64, 80), (0.3, 0.28), 0.4, ()),  # the irradiance's band does not fit the grid
    ],
)
def test_cropped_abbe_sum_is_the_full_one(
    shape: tuple[int, int], pixel: tuple[float, float], condenser_na: float, zernike_terms: tuple[float, ...]
) -> None:
    wave = plate(speckle(shape, 1), pixel, 0.5)
    objective = Objective(na=0.5, defocus=1.3, zernike=zernike_terms)
    lamp = ew.Koehler(condenser_na, wavelength=0.5, rings=2)
    step = (1 / (shape[0] * pixel[0]), 1 / (shape[1] * pixel[1]))
    # The same sum with every transform on the whole grid, and every frequency through the pupil.
    fy = torch.fft.fftfreq(shape[0], pixel[0], dtype=DOUBLE)[:, None]
    fx = torch.fft.fftfreq(shape[1], pixel[1], dtype=DOUBLE)[None]
    spectrum = torch.fft.fft2(wave.data)
    source = lamp.source()
    full = torch.zeros(shape, dtype=DOUBLE)
    for (sy, sx), weight in zip(source.direction / 0.5, source.weight, strict=True):
        # Frequencies at which the tilted wave's diffraction orders travel, within one period of the grid about it.
        gy = fy + torch.round((-sy - fy) * pixel[0]) / pixel[0] + sy
        gx = fx + torch.round((-sx - fx) * pixel[1]) / pixel[1] + sx
        image = torch.fft.ifft2(objective.pupil(gy, gx, step, wave, 0) * spectrum)
        full += weight * image.abs() ** 2
    cropped = irradiance(wave, objective, lamp)
    assert float((cropped - full).abs().max() / full.max()) < 1e-5


def test_closed_condenser_is_coherent() -> None:
    wave = plate(speckle((64, 64), 2), 0.2, 0.5)
    objective = Objective(na=0.5, defocus=2.0)
    closed = irradiance(wave, objective, ew.Koehler(1e-6, wavelength=0.5, rings=2))
    assert closed.numpy() == pytest.approx(irradiance(wave, objective, LASER).numpy(), rel=1e-4, abs=1e-4)


def test_irradiance_of_coherent_light_is_the_fields_square() -> None:
    wave = plate(speckle((50, 64), 3), 0.2, 0.5)
    objective, lamp = Objective(na=0.5, defocus=2.0), ew.Coherent(direction=(0.1, -0.2))
    assert irradiance(wave, objective, lamp).numpy() == pytest.approx(field(wave, objective, lamp).abs().numpy() ** 2)


def test_tilted_light_through_an_out_of_focus_point_shifts_its_shadow() -> None:
    """A shadow at z = 0 seen at z = d lies at d tan(theta) towards where the light travels."""
    scene = ew.Scene(
        particle(ew.Sphere(), [2.0], 0.0, absorption=0.05),
        ew.Microscope(ew.Coherent(0.5, direction=(0.0, 0.3)), ew.Transmission(), Objective(0.6, 5.0), ew.Ideal()),
        ew.Grid((96, 96), 0.2),
    )
    dark = 1 - ew.render(scene)
    x = axis(96, 0.2)
    sine = 0.3 / 1.33
    assert float((dark.sum(0) * x).sum() / dark.sum()) == pytest.approx(5 * sine / math.sqrt(1 - sine**2), rel=0.03)


def test_source_points_stand_for_equal_areas_of_the_disk() -> None:
    """Mean of |s|^2 over a uniform disk of radius R is R^2 / 2, and no direction is preferred."""
    source = ew.Koehler(condenser_na=0.4, rings=5).source()
    assert float(source.weight.sum()) == pytest.approx(1)
    assert source.weight @ source.direction == pytest.approx(0, abs=1e-12)
    second = torch.einsum("s,si,sj->ij", source.weight, source.direction, source.direction)
    assert second.numpy() == pytest.approx(np.eye(2) * 0.4**2 / 4, rel=1e-2, abs=1e-12)


# Margins, focus, energy


@pytest.mark.parametrize(
    "microscope",
    [
        ew.hologram(na=0.5, defocus=40.0),
        ew.hologram(na=0.5, defocus=-5.0),
        ew.brightfield(na=0.5, condenser_na=0.3, defocus=10.0, rings=1),
    ],
    ids=["far", "near", "koehler"],
)
@pytest.mark.parametrize("place", [-9.3, -11.6], ids=["on the edge", "outside"])
def test_light_that_leaves_one_edge_does_not_enter_at_the_other(microscope: ew.Microscope, place: float) -> None:
    """A strong bead at the left border: the image is the cut-out of one three times as wide."""
    body = particle(ew.Sphere(), [1.5], 0.2, center=(0.0, 0.0, place), absorption=0.5)
    image = ew.render(ew.Scene(body, microscope, ew.Grid((48, 128), 0.15)))
    wide = ew.render(ew.Scene(body, microscope, ew.Grid((144, 384), 0.15)))[48:96, 128:256]
    contrast = float((wide - 1).abs().max())
    assert contrast > 0.1
    # The tails of a sharp pupil fall as r^-3/2 and never end; what comes round is below them.
    assert float((image - wide).abs().max()) < 0.02 * contrast
    assert float((image - wide)[:, -32:].abs().max()) < 0.02 * contrast


@pytest.mark.parametrize(
    "microscope",
    [
        ew.dic(na=0.5, condenser_na=0.0, shear=(0.0, 3.0), wavelength=0.5),
        ew.Microscope(ew.Coherent(0.5), ew.Transmission(), Objective(na=0.5, zernike=(0.0,) * 6 + (0.7,)), ew.Ideal()),
        ew.Microscope(
            ew.Coherent(0.5, direction=(0.0, 0.9)),
            ew.Multislice(slabs=5, depth=(-6.0, 6.0)),
            Objective(0.3),
            ew.Ideal(),
        ),
    ],
    ids=["sheared", "aberrated", "slanted"],
)
def test_margin_holds_what_shear_aberrations_and_slant_spread(microscope: ew.Microscope) -> None:
    """A strong bead beyond the left border against a field three times as wide."""
    body = particle(ew.Sphere(), [1.0], 0.1, center=(0.0, 0.0, -8.5), absorption=0.5)
    image = ew.render(ew.Scene(body, microscope, ew.Grid((32, 96), 0.15)))
    wide = ew.render(ew.Scene(body, microscope, ew.Grid((96, 288), 0.15)))[32:64, 96:192]
    contrast = float((wide - wide.mean()).abs().max())
    assert float((image - wide).abs().max()) < 0.02 * contrast


def test_bead_is_in_focus_where_the_focal_plane_is() -> None:
    """A bead at z = d seen with defocus = d is a bead at z = 0 in focus."""
    scenes = [
        ew.Scene(
            particle(ew.Sphere(), [1.0], 0.05, (z, 0.3, -0.2)), ew.hologram(na=0.5, defocus=d), ew.Grid((48, 48), 0.2)
        )
        for z, d in ((0.0, 0.0), (7.0, 7.0), (-3.0, -3.0), (7.0, 0.0))
    ]
    reference, high, low, out_of_focus = (ew.optical_field(scene) for scene in scenes)
    assert high.numpy() == pytest.approx(reference.numpy(), abs=2e-3)
    assert low.numpy() == pytest.approx(reference.numpy(), abs=2e-3)
    assert float((out_of_focus - reference).abs().max()) > 0.2


def test_dense_bead_focuses_light_towards_the_objective() -> None:
    """+z is the direction of light: a converging lens is bright at the plane behind it, dark before it."""
    body = particle(ew.Sphere(), [2.0], 0.03)
    middle = {}
    for defocus in (12.0, -12.0):
        image = ew.render(ew.Scene(body, ew.hologram(na=0.5, defocus=defocus), ew.Grid((33, 33), 0.2)))
        middle[defocus] = float(image[16, 16])
    assert middle[12.0] > 1.3
    assert middle[-12.0] < 0.9


def test_phase_object_keeps_the_light_when_the_aperture_takes_all_of_it() -> None:
    """A smooth phase of several radians, its spectrum inside the pupil: the mean irradiance stays 1."""
    phase = 1.5 * cosine(64, 3) + 1.2 * cosine(64, 5).T + 2 * cosine(64, 2) * cosine(64, 1).T
    wave = plate(torch.exp(1j * phase), 0.5, 0.5, medium=1.5)
    # The pixel samples to 1 per um; NA 0.49 passes 0.98 per um.
    image = irradiance(wave, Objective(na=0.49, defocus=3.0, zernike=(0.1, 0.2)), LASER)
    assert float(image.mean()) == pytest.approx(1, abs=1e-6)
    assert float(image.std()) > 0.2


def test_gentle_prism_neither_gains_nor_loses_light() -> None:
    """A facet that refracts into the aperture hands on its whole flux: irradiance 1 behind it, at the shifted phase."""
    half = math.sqrt(0.5)
    turned = (math.cos(math.pi / 8), 0.0, math.sin(math.pi / 8), 0.0)  # 45 degrees about y
    block = particle(ew.Box(), [12 * half, 20.0, 12 * half], 0.1, rotation=turned)
    scene = ew.Scene(block, ew.hologram(na=0.5, wavelength=0.5, defocus=0.0), ew.Grid((17, 200), 0.1))
    field = ew.optical_field(scene)[8]
    # The facet from x = 0 to x = 12 falls by 2 um of thickness per um.
    slope = torch.angle(field[141:160] / field[140:159]).numpy() / 0.1
    assert slope.mean() == pytest.approx(-2 * math.pi * 0.1 * 2 / 0.5, rel=5e-3)
    assert field[140:160].abs().numpy() ** 2 == pytest.approx(1, abs=0.05)


# Facets beyond the grid


def test_steep_facets_are_dark_and_do_not_alias() -> None:
    """0.96 cycles per sample would come back as -0.04, inside the pupil; that light misses the pupil and is lost."""
    half = math.sqrt(0.5)
    turned = (math.cos(math.pi / 8), 0.0, math.sin(math.pi / 8), 0.0)
    block = particle(ew.Box(), [30 * half, 60.0, 30 * half], 0.3, rotation=turned)
    rows = {}
    for pixel in (0.8, 0.1):
        grid = ew.Grid((1, round(24 / pixel)), pixel)
        rows[pixel] = ew.render(ew.Scene(block, ew.hologram(na=0.3, wavelength=0.5, defocus=0.0), grid))[0]
    x = axis(30, 0.8)
    facet = (x.abs() > 4) & (x.abs() < 11)
    assert float(rows[0.8][facet].max()) < 0.05
    # A grid that resolves the slope sees the same facet dark: there the pupil stops the light.
    fine = axis(240, 0.1)
    assert float(rows[0.1][(fine.abs() > 4) & (fine.abs() < 11)].max()) < 0.05


# Aberrations


def test_zernike_polynomials_are_orthonormal_over_the_disk() -> None:
    radius, weight = np.polynomial.legendre.leggauss(20)
    radius, weight = (radius + 1) / 2, weight / 2
    angle = np.arange(40) * 2 * np.pi / 40
    y = torch.from_numpy(np.outer(radius, np.sin(angle)))
    x = torch.from_numpy(np.outer(radius, np.cos(angle)))
    measure = torch.from_numpy(np.repeat((2 * radius * weight / 40)[:, None], 40, 1))
    basis = torch.stack([zernike(j, y, x) for j in range(1, 37)])
    gram = torch.einsum("jab,kab,ab->jk", basis, basis, measure)
    assert gram.numpy() == pytest.approx(np.eye(36), abs=1e-12)


def test_zernike_polynomials_stand_in_nolls_order() -> None:
    """The first eleven of Noll's table I (1976), in polar form; even terms are cosines."""
    r, a = 0.7, 0.4
    y, x = torch.tensor(r * math.sin(a), dtype=DOUBLE), torch.tensor(r * math.cos(a), dtype=DOUBLE)
    table = [
        1.0,
        2 * r * math.cos(a),
        2 * r * math.sin(a),
        math.sqrt(3) * (2 * r**2 - 1),
        math.sqrt(6) * r**2 * math.sin(2 * a),
        math.sqrt(6) * r**2 * math.cos(2 * a),
        math.sqrt(8) * (3 * r**3 - 2 * r) * math.sin(a),
        math.sqrt(8) * (3 * r**3 - 2 * r) * math.cos(a),
        math.sqrt(8) * r**3 * math.sin(3 * a),
        math.sqrt(8) * r**3 * math.cos(3 * a),
        math.sqrt(5) * (6 * r**4 - 6 * r**2 + 1),
    ]
    assert [float(zernike(j, y, x)) for j in range(1, 12)] == pytest.approx(table)
    orders = [noll(j) for j in range(1, 16)]
    assert [n for n, _ in orders] == [0, 1, 1, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4]
    assert [abs(m) for _, m in orders] == [0, 1, 1, 0, 2, 2, 1, 1, 3, 3, 0, 2, 2, 4, 4]


def test_small_aberration_dims_a_point_by_its_variance() -> None:
    """Maréchal: the Strehl ratio of w waves RMS is exp(-(2 pi w)^2), whatever the term."""
    point = torch.zeros(256, 256, dtype=DOUBLE)
    point[128, 128] = 1
    wave = plate(point, 0.1, 0.5)
    sharp = irradiance(wave, Objective(na=0.5), LASER)[128, 128]
    for terms in ((0.05,), (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.05), (0.03, 0.04)):
        blurred = irradiance(wave, Objective(na=0.5, zernike=terms), LASER)[128, 128]
        assert float(blurred / sharp) == pytest.approx(math.exp(-((2 * math.pi * 0.05) ** 2)), abs=0.01)


def test_astigmatism_parts_the_foci_of_lines() -> None:
    """Noll 6 adds cos(2 phi): lines along y and along x focus on opposite sides of the plane."""
    samples = 128
    line = torch.zeros(samples, samples, dtype=DOUBLE)
    line[:, 64] = 1
    peaks = {}
    for name, data in (("y", line), ("x", line.T)):
        for defocus in (2.0, -2.0):
            objective = Objective(na=0.4, defocus=defocus, zernike=(0.0, 0.25))
            peaks[name, defocus] = float(irradiance(plate(data, 0.2, 0.5), objective, LASER).max())
    assert (peaks["y", 2.0] - peaks["y", -2.0]) * (peaks["x", 2.0] - peaks["x", -2.0]) < 0
    assert peaks["y", 2.0] == pytest.approx(peaks["x", -2.0])


# Colour


def colours(sensor: ew.Ideal) -> Tensor:
    microscope = ew.brightfield(
        na=0.5, condenser_na=0.3, wavelength=(0.45, 0.55, 0.62), defocus=3.0, rings=1, sensor=sensor
    )
    body = particle(ew.Sphere(), [1.0], 0.1, absorption=0.1)
    return ew.render(ew.Scene(body, microscope, ew.Grid((32, 32), 0.2)))


def one_colour(wavelength: float, step: float = 0.1, medium: float = 1.33) -> Tensor:
    microscope = ew.brightfield(na=0.5, condenser_na=0.3, wavelength=wavelength, defocus=3.0, rings=1)
    body = particle(ew.Sphere(), [1.0], step, absorption=0.1, medium=medium)
    return ew.render(ew.Scene(body, microscope, ew.Grid((32, 32), 0.2)))


def test_colour_channels_are_the_images_at_their_wavelengths() -> None:
    """The canvas is as wide as the longest wavelength needs, so the tails of the pupil differ a little."""
    channels = colours(ew.Ideal(response=np.eye(3)))
    for channel, wavelength in zip(channels, (0.45, 0.55, 0.62), strict=True):
        assert channel.numpy() == pytest.approx(one_colour(wavelength).numpy(), abs=2e-3)


def test_response_mixes_wavelengths_and_keeps_white() -> None:
    channels = colours(ew.Ideal(response=np.eye(3)))
    mixed = colours(ew.Ideal(response=[[1.0, 3.0, 0.0], [2.0, 2.0, 2.0]]))
    assert mixed[0].numpy() == pytest.approx((channels[0] + 3 * channels[1]).numpy() / 4)
    assert mixed[1].numpy() == pytest.approx(channels.mean(0).numpy())
    assert colours(ew.Ideal()).numpy() == pytest.approx(channels.mean(0).numpy())


def test_dispersion_is_cauchys() -> None:
    """n(lambda) = n_D + B (1 / lambda^2 - 1 / 0.5893^2), for particles and for the medium."""
    slope = 0.02
    for wavelength in (0.45, 0.62):
        shift = slope * (1 / wavelength**2 - 1 / 0.5893**2)
        microscope = ew.brightfield(na=0.5, condenser_na=0.3, wavelength=wavelength, defocus=3.0, rings=1)
        dispersive = particle(ew.Sphere(), [1.0], 0.1, absorption=0.1, dispersion=slope)
        image = ew.render(ew.Scene(dispersive, microscope, ew.Grid((32, 32), 0.2)))
        assert image.numpy() == pytest.approx(one_colour(wavelength, step=0.1 + shift).numpy(), abs=1e-9)
        both = ew.substitute(dispersive, {"dispersion": torch.tensor(slope)})
        image = ew.render(ew.Scene(both, microscope, ew.Grid((32, 32), 0.2)))
        # The medium's index enters the defocus too; its own dispersion leaves the index step as it was.
        assert image.numpy() == pytest.approx(one_colour(wavelength, 0.1, 1.33 + shift).numpy(), abs=1e-6)


# Phase


def test_quantitative_phase_of_a_slab_is_its_optical_path() -> None:
    """In the middle of a wide plate the phase is 2 pi / lambda (n - n_m) T, here 0.9 rad, on top of the background."""
    thickness = 0.9 * 0.55 / (2 * math.pi * 0.02)
    slab = particle(ew.Box(), [thickness / 2, 30.0, 30.0], 0.02)
    scene = ew.Scene(
        slab, ew.quantitative_phase(sensor=ew.Interferometer(offset=0.2, tilt=(0.01, -0.03))), ew.Grid((40, 40), 0.2)
    )
    y, x = axis(40, 0.2)[:, None], axis(40, 0.2)[None]
    assert ew.render(scene).numpy() == pytest.approx((0.9 + 0.2 + 0.01 * y - 0.03 * x).numpy(), abs=0.02)


def test_absorbing_slab_follows_lambert_and_beer() -> None:
    slab = particle(ew.Box(), [2.0, 40.0, 40.0], 0.0, absorption=0.3)
    image = ew.render(ew.Scene(slab, ew.brightfield(na=0.3, condenser_na=0.2), ew.Grid((16, 16), 0.5)))
    assert image.numpy() == pytest.approx(math.exp(-0.3 * 4.0), rel=0.02)


def test_light_from_the_medium_fills_an_oil_objective_up_to_the_mediums_index() -> None:
    """A point in water sends nothing beyond index 1.33 into NA 1.45; in single precision by the kernels too."""
    for dtype in (DOUBLE, torch.float32):
        body = ew.Particles(
            ew.Sphere(),
            torch.zeros(1, 3, dtype=dtype),
            torch.full((1, 1), 0.1, dtype=dtype),
            torch.full((1,), 1.5, dtype=dtype),
        )
        images = [
            ew.render(
                ew.Scene(
                    ew.Specimen((body,), medium=1.33),
                    ew.brightfield(na, condenser_na=0.4, wavelength=0.6, defocus=1.0, index=1.515, rings=1),
                    ew.Grid((48, 48), 0.1),
                )
            )
            for na in (1.33, 1.45)
        ]
        # The margin of the canvas is narrower for the larger aperture, and the rim of the pupil one step of it soft.
        assert float((images[0] - images[1]).abs().max()) < 5e-3 * float((images[0] - 1).abs().max())
