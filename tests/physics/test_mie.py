"""The exit wave of spheres against Mie theory: the thin specimen, and Mie's own laws as a check of the oracle."""

from __future__ import annotations

import miepython
import numpy as np
import pytest
import torch
from physics.mie import MEDIUM, NA, WAVELENGTH, Image, K, amplitudes, bead, error, tilted_field

import exitwave as ew


def test_oracle_obeys_the_optical_theorem() -> None:
    """The extinction cross-section is what the forward wave takes out of the incident one, -2 Re A(0)."""
    for radius, step in ((0.25, 0.05), (1.0, 0.05), (1.0, 0.01)):
        extinction = miepython.efficiencies_mx(1 + step / MEDIUM, K * radius)[0] * np.pi * radius**2
        forward = -2 * np.pi / K**2 * amplitudes(radius, step, np.ones(1))[0][0]
        assert -2 * forward.real == pytest.approx(extinction, rel=1e-9)


def test_oracle_becomes_the_optical_path_of_a_faint_sphere() -> None:
    """The forward amplitude is i times the phase summed over the plane, i 2 pi / lambda dn V: sign and prefactor."""
    radius, step = 0.5, 1e-4
    forward = -2 * np.pi / K**2 * amplitudes(radius, step, np.ones(1))[0][0]
    phase = 2 * np.pi / WAVELENGTH * step * 4 / 3 * np.pi * radius**3
    assert forward == pytest.approx(1j * phase, rel=1e-3)


def test_oracle_images_the_power_that_enters_the_aperture() -> None:
    """The image's scattered irradiance, summed over the plane, is the cross-section of the aperture's cone."""
    image = Image(1.0, 0.05)
    rho = (np.arange(5000) + 0.5) * 0.02
    even, oval = image.parts(rho)
    power = np.sum((2 * np.pi * abs(even) ** 2 + np.pi * abs(oval) ** 2) * rho) * 0.02
    node, weight = np.polynomial.legendre.leggauss(200)
    edge = np.sqrt(1 - (NA / MEDIUM) ** 2)
    cosine, solid = edge + (node + 1) / 2 * (1 - edge), weight / 2 * (1 - edge)
    s1, s2 = amplitudes(1.0, 0.05, cosine)
    # Mean over phi of |S2 cos^2 + S1 sin^2|^2.
    bright = (3 * abs(s1) ** 2 + 3 * abs(s2) ** 2 + 2 * np.real(s1 * s2.conj())) / 8
    assert power == pytest.approx(2 * np.pi * np.sum(bright * solid) / K**2, rel=2e-3)


def test_oracle_for_tilted_light_is_the_other_one_along_the_axis() -> None:
    """A sum over a frequency grid, and the mean of both polarisations, instead of Bessel functions."""
    grid = (np.arange(64) - 32) * 0.15
    even, _ = Image(0.8, 0.05, 2.0).parts(np.hypot(grid[:, None], grid).ravel())
    tilted = tilted_field(0.8, 0.05, 0.0, 2.0, 64, 0.15)
    assert np.linalg.norm(tilted.ravel() - 1 - even) < 0.02 * np.linalg.norm(even)


@pytest.mark.parametrize(
    ("radius", "step", "pixel", "bound"),
    [(0.25, 0.05, 0.05, 0.035), (0.5, 0.05, 0.05, 0.032), (1.0, 0.05, 0.1, 0.052), (1.0, 0.01, 0.1, 0.023)],
)
@pytest.mark.parametrize("defocus", [0.0, 3.0, -3.0])
def test_field_of_a_thin_sphere_is_mies(radius: float, step: float, pixel: float, bound: float, defocus: float) -> None:
    samples = round(9.6 / pixel)
    assert error(radius, step, defocus, pixel, samples) <= bound


def test_field_of_a_thin_sphere_is_mies_in_single_precision() -> None:
    assert error(0.5, 0.05, 3.0, 0.05, 192, dtype=torch.float32) <= 0.032


def test_bead_off_the_axis_and_off_the_plane_is_the_shifted_sphere() -> None:
    """Sub-pixel position, z and defocus together: Mie's sphere at (2, 0.73, -1.18), focus at z = 5."""
    grid = ew.Grid((120, 128), 0.06)
    body = bead(0.5, 0.05, torch.float64)
    body = ew.substitute(body, {"center": torch.tensor([[2.0, 0.73, -1.18]], dtype=torch.float64)})
    microscope = ew.hologram(na=NA, wavelength=WAVELENGTH, defocus=5.0)
    rendered = ew.optical_field(ew.Scene(ew.Specimen((body,), medium=MEDIUM), microscope, grid)).numpy()
    y, x = (grid.axis(number, torch.zeros((), dtype=torch.float64)).numpy() for number in range(2))
    exact = Image(0.5, 0.05, 3.0).field(y - 0.73, x + 1.18)
    assert np.linalg.norm(rendered - exact) / np.linalg.norm(exact - 1) <= 0.032
