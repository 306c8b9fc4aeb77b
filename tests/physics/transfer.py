"""Weak objects: the transfer functions of phase and absorption, by quadrature over the source and by an outside code.

An amplitude 1 + psi with a small complex psi has the irradiance 1 + F^-1{C(f) psi(f) + C*(-f) psi*(-f)} with
C(f) = sum_s w_s P(s + f) P*(s) (Hopkins, 1953). A real phase psi = i phi is thus transferred by i (C(f) - C*(-f)), a
real amplitude by C(f) + C*(-f).
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass

import numpy as np
import torch
from physics.waves import irradiance, plate
from torch import Tensor

import exitwave as ew


@dataclass(frozen=True)
class Lens:
    """An objective with a sharp pupil, out of focus; lengths in micrometres."""

    na: float = 0.5
    defocus: float = 0.0
    wavelength: float = 0.5
    medium: float = 1.33

    def pupil(self, fy: np.ndarray, fx: np.ndarray) -> np.ndarray:
        square = fy**2 + fx**2
        height = np.sqrt(np.maximum((self.medium / self.wavelength) ** 2 - square, 0))
        return (square <= (self.na / self.wavelength) ** 2) * np.exp(2j * np.pi * self.defocus * height)

    @property
    def objective(self) -> ew.Objective:
        return ew.Objective(na=self.na, defocus=self.defocus)


def disk_nodes(condenser_na: float, wavelength: float, arc: float = 2 * np.pi, count: int = 400) -> np.ndarray:
    """Return frequencies (S, 2) along (y, x) that stand for equal areas of a disk, or of its sector about the x axis.

    Gauss-Legendre nodes would gain nothing here: the pupil's rim crosses the source.
    """
    radius = condenser_na / wavelength * np.sqrt((np.arange(count) + 0.5) / count)
    angle = arc * ((np.arange(count) + 0.5) / count - 0.5)
    return np.stack([np.outer(radius, np.sin(angle)), np.outer(radius, np.cos(angle))], -1).reshape(-1, 2)


def correlation(lens: Lens, source: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    """Return C (F,) at frequencies (F,) along x for an evenly bright source (S, 2)."""
    direct = np.conj(lens.pupil(source[:, 0], source[:, 1]))
    return np.array([np.mean(lens.pupil(source[:, 0], source[:, 1] + f) * direct) for f in frequency])


def phase_transfer(lens: Lens, source: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    """Return the transfer (F,) of a weak phase at frequencies (F,) along x."""
    return 1j * (correlation(lens, source, frequency) - np.conj(correlation(lens, source, -frequency)))


def amplitude_transfer(lens: Lens, source: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    """Return the transfer (F,) of a weak change of the amplitude at frequencies (F,) along x."""
    return correlation(lens, source, frequency) + np.conj(correlation(lens, source, -frequency))


def rendered(lens: Lens, lamp: ew.Value, phase: bool, samples: int = 128, pixel: float = 0.2) -> Tensor:
    """Return the engine's transfer (samples, samples) of a weak phase or amplitude, in the order of an FFT.

    The object is a faint point in the middle: every frequency at once.
    """
    strength = 1e-6
    point = torch.ones(samples, samples, dtype=torch.complex128)
    point[0, 0] += strength * (1j if phase else 1.0)
    image = irradiance(plate(point, pixel, lens.wavelength, lens.medium), lens.objective, lamp)
    # Far from the point the field is empty; its irradiance matters at zero frequency alone.
    return torch.fft.fft2(image - image[samples // 2, samples // 2]) / strength


def deviation_from_quadrature(lens: Lens, condenser_na: float = 0.3, samples: int = 96, pixel: float = 0.2) -> float:
    """Return how far the engine's transfer of weak objects is from the integral over a disk, along x.

    The largest difference, as a share of the strongest transfer, 2.
    """
    count = samples * 2 // 5
    frequency = np.arange(1, count) / (samples * pixel)
    nodes = disk_nodes(condenser_na, lens.wavelength)
    lamp = ew.Koehler(condenser_na, wavelength=lens.wavelength, rings=12)
    worst = 0.0
    for phase, transfer in ((True, phase_transfer), (False, amplitude_transfer)):
        found = rendered(lens, lamp, phase, samples, pixel)[0, 1:count].numpy()
        worst = max(worst, float(np.abs(found - transfer(lens, nodes, frequency)).max()) / 2)
    return worst


def waveorders_source(lens: Lens, condenser_na: float, samples: int = 128, pixel: float = 0.2) -> ew.SourcePoints:
    """Return the condenser's disk as waveorder samples it: at the image's frequencies, its rim a few of them soft."""
    optics, util = importlib.import_module("waveorder.optics"), importlib.import_module("waveorder.util")
    fy, fx = util.generate_frequencies((samples, samples), pixel)
    bright = optics.generate_tilted_pupil(fx, fy, condenser_na, lens.wavelength, lens.medium, 0.0, 0.0).double()
    lit = bright > 1e-3
    direction = torch.stack([fy[lit], fx[lit]], -1).double() * lens.wavelength
    return ew.SourcePoints(direction, bright[lit], wavelength=lens.wavelength)


def waveorders(lens: Lens, condenser_na: float, samples: int = 128, pixel: float = 0.2) -> tuple[Tensor, Tensor]:
    """Return waveorder's transfer functions (samples, samples) of a weak amplitude and a weak phase."""
    thin = importlib.import_module("waveorder.models.isotropic_thin_3d")
    amplitude, phase = thin.calculate_transfer_function(
        (samples, samples), pixel, [lens.defocus], lens.wavelength, lens.medium, condenser_na, lens.na
    )
    return amplitude[0], phase[0]


def deviation_from_waveorder(lens: Lens, condenser_na: float, samples: int = 128) -> tuple[float, float]:
    """Return how far the engine's transfer of a weak amplitude and a weak phase is from waveorder's.

    The largest difference over all frequencies, as a share of the strongest transfer.
    """
    lamp = waveorders_source(lens, condenser_na, samples)
    theirs = waveorders(lens, condenser_na, samples)
    ours = [rendered(lens, lamp, phase, samples) for phase in (False, True)]
    strongest = max(float(part.abs().max()) for part in theirs)
    first, second = (float((a - b).abs().max()) / strongest for a, b in zip(ours, theirs, strict=True))
    return first, second
