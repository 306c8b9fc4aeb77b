"""The image of a sphere by Mie theory, through an aplanatic objective, as an oracle for exit waves.

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
import torch
from scipy.special import jv

import exitwave as ew

WAVELENGTH, MEDIUM, NA = 0.55, 1.33, 0.5
K = 2 * np.pi * MEDIUM / WAVELENGTH
DEPTH_OF_FIELD = WAVELENGTH * MEDIUM / NA**2


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


def tilted_field(radius: float, step: float, sine: float, defocus: float, samples: int, pixel: float) -> np.ndarray:
    """Return the image of a Mie sphere in light that falls in with index times sine `sine` along x, relative to it.

    The amplitude of unpolarised light, (S1 + S2) / 2 at the angle between the two directions, and the flux through the
    plane: the square root of the cosines of both directions, where `Image` has the one of the outgoing light.
    """
    wide, short = 4 * samples, WAVELENGTH / MEDIUM
    g = np.fft.fftfreq(wide, pixel)
    fy, fx = g[:, None], g[None] + sine / WAVELENGTH
    square = fy**2 + fx**2
    inside = square <= (NA / WAVELENGTH) ** 2
    out, incident = np.sqrt(np.maximum(1 - square * short**2, 1e-9)), np.sqrt(1 - (sine / MEDIUM) ** 2)
    cosine = fx * short * sine / MEDIUM + out * incident
    table = np.linspace(cosine[inside].min(), 1, 4000)
    mean = np.mean(amplitudes(radius, step, table), axis=0)
    scattered = np.interp(cosine, table, mean.real) + 1j * np.interp(cosine, table, mean.imag)
    spectrum = -scattered / (2 * np.pi * (MEDIUM / WAVELENGTH) ** 2 * np.sqrt(out * incident))
    spectrum = spectrum * inside * np.exp(1j * K * (out - incident) * defocus)
    middle = slice((wide - samples) // 2, (wide + samples) // 2)
    return 1 + np.fft.fftshift(np.fft.ifft2(spectrum) / pixel**2)[middle, middle]


def bead(radius: float, step: float, dtype: torch.dtype, height: float = 0.0) -> ew.Particles:
    center = torch.tensor([[height, 0.0, 0.0]], dtype=dtype)
    size, index = torch.tensor([[radius]], dtype=dtype), torch.tensor([MEDIUM + step], dtype=dtype)
    return ew.Particles(ew.Sphere(), center, size, index)


def rendered(
    radius: float,
    step: float,
    defocus: float,
    grid: ew.Grid,
    interaction: ew.Transmission | ew.Multislice,
    dtype: torch.dtype = torch.float64,
    sine: float = 0.0,
) -> np.ndarray:
    """Return the engine's field of a bead in the middle of a grid, in light along the axis or tilted along x."""
    lamp = ew.Coherent(WAVELENGTH, direction=(0.0, sine))
    microscope = ew.Microscope(lamp, interaction, ew.Objective(NA, defocus), ew.Ideal())
    scene = ew.Scene(ew.Specimen((bead(radius, step, dtype),), medium=MEDIUM), microscope, grid)
    return ew.optical_field(scene).numpy()


def error(
    radius: float,
    step: float,
    defocus: float,
    pixel: float,
    samples: int,
    interaction: ew.Transmission | ew.Multislice | None = None,
    dtype: torch.dtype = torch.float64,
) -> float:
    """Return |E - E_Mie| / |E_Mie - 1|, both norms over the whole field, of a thin bead unless told otherwise."""
    grid = ew.Grid((samples, samples), pixel)
    found = rendered(radius, step, defocus, grid, interaction or ew.Transmission(), dtype)
    axis = grid.axis(0, torch.zeros((), dtype=torch.float64)).numpy()
    exact = Image(radius, step, defocus).field(axis, axis)
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact - 1))


def error_in_tilted_light(
    radius: float, step: float, defocus: float, samples: int, interaction: ew.Transmission | ew.Multislice
) -> float:
    """Return |E - E_Mie| / |E_Mie - 1| in light at two fifths of the aperture, on pixels of .1 um."""
    sine, pixel = 0.4 * NA, 0.1
    found = rendered(radius, step, defocus, ew.Grid((samples, samples), pixel), interaction, sine=sine)
    exact = tilted_field(radius, step, sine, defocus, samples, pixel)
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact - 1))


def automatic_slabs(radius: float, step: float) -> int:
    """Return how many slabs `Multislice` chooses for a bead."""
    specimen = ew.Specimen((bead(radius, step, torch.float64),), medium=MEDIUM)
    return ew.Multislice().planes(specimen, torch.tensor([WAVELENGTH]), torch.tensor(NA)).count
