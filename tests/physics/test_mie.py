"""The thin exit wave of spheres against Mie theory, imaged by an aplanatic objective.

The amplitudes S1, S2 come from miepython; the rest is derived here. With light exp(-i w t) the scattered far field of
a sphere is S exp(i k r) / (-i k r) (Bohren and Huffman, 1983, 3.12). By stationary phase a plane-wave spectrum A(f)
has the far field -i (n / lambda) cos(theta) A exp(i k r) / r, hence A = -S / (2 pi (n / lambda)^2 cos(theta)). An
aplanatic lens multiplies the electric field by sqrt(cos(theta)). Behind it the x-polarised component of light
scattered towards (theta, phi) is S2 cos^2(phi) + S1 sin^2(phi), and the integral over phi leaves two Bessel functions.
"""

from __future__ import annotations

from dataclasses import dataclass

import miepython
import numpy as np
import pytest
import torch
from scipy.special import jv

import exitwave as ew

WAVELENGTH, MEDIUM, NA = 0.55, 1.33, 0.5
K = 2 * np.pi * MEDIUM / WAVELENGTH


def amplitudes(radius: float, step: float, cosine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Bohren and Huffman's S1, S2. miepython computes with exp(+i w t): its amplitudes are the conjugates."""
    s1, s2 = miepython.S1_S2(1 + step / MEDIUM, K * radius, cosine, norm="wiscombe")
    return np.conj(s1), np.conj(s2)


@dataclass(frozen=True)
class Image:
    """The image of a Mie sphere, x-polarised: E = 1 + even(rho) + oval(rho) cos(2 phi), 1 in the empty field."""

    radius: float
    step: float
    defocus: float = 0.0
    na: float = NA

    def parts(self, rho: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # Enough nodes for Bessel functions of 2 pi rho NA / lambda.
        node, weight = np.polynomial.legendre.leggauss(60 + int(2 * rho.max()))
        f, df = (node + 1) / 2 * self.na / WAVELENGTH, weight / 2 * self.na / WAVELENGTH
        cosine = np.sqrt(1 - (f * WAVELENGTH / MEDIUM) ** 2)
        s1, s2 = amplitudes(self.radius, self.step, cosine)
        to_plane = np.exp(1j * K * (cosine - 1) * self.defocus)
        ring = -to_plane / (2 * np.pi * (MEDIUM / WAVELENGTH) ** 2 * np.sqrt(cosine)) * 2 * np.pi * f * df
        argument = 2 * np.pi * np.outer(rho, f)
        return jv(0, argument) @ (ring * (s1 + s2) / 2), -jv(2, argument) @ (ring * (s2 - s1) / 2)

    def field(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        rho, place = np.unique(np.hypot(y[:, None], x).round(9), return_inverse=True)
        even, oval = self.parts(rho)
        twice = np.cos(2 * np.arctan2(y[:, None], x))
        return 1 + even[place].reshape(twice.shape) + oval[place].reshape(twice.shape) * twice


def bead(radius: float, step: float, dtype: torch.dtype, height: float = 0.0) -> ew.Particles:
    center = torch.tensor([[height, 0.0, 0.0]], dtype=dtype)
    size, index = torch.tensor([[radius]], dtype=dtype), torch.tensor([MEDIUM + step], dtype=dtype)
    return ew.Particles(ew.Sphere(), center, size, index)


def error(radius: float, step: float, defocus: float, pixel: float, samples: int, dtype: torch.dtype) -> float:
    """Return |E - E_Mie| / |E_Mie - 1|, both norms over the whole field."""
    grid = ew.Grid((samples, samples), pixel)
    microscope = ew.hologram(na=NA, wavelength=WAVELENGTH, defocus=defocus)
    scene = ew.Scene(ew.Specimen((bead(radius, step, dtype),), medium=MEDIUM), microscope, grid)
    rendered = ew.optical_field(scene).numpy()
    axis = grid.axis(0, torch.zeros((), dtype=torch.float64)).numpy()
    exact = Image(radius, step, defocus).field(axis, axis)
    return float(np.linalg.norm(rendered - exact) / np.linalg.norm(exact - 1))


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


@pytest.mark.parametrize(
    ("radius", "step", "pixel", "bound"),
    [(0.25, 0.05, 0.05, 0.035), (0.5, 0.05, 0.05, 0.032), (1.0, 0.05, 0.1, 0.052), (1.0, 0.01, 0.1, 0.023)],
)
@pytest.mark.parametrize("defocus", [0.0, 3.0, -3.0])
def test_field_of_a_thin_sphere_is_mies(radius: float, step: float, pixel: float, bound: float, defocus: float) -> None:
    samples = round(9.6 / pixel)
    assert error(radius, step, defocus, pixel, samples, torch.float64) <= bound


def test_field_of_a_thin_sphere_is_mies_in_single_precision() -> None:
    assert error(0.5, 0.05, 3.0, 0.05, 192, torch.float32) <= 0.032


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
