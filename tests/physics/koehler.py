"""Partial coherence: one crowd of beads under many ways to sum a condenser's disk."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

import exitwave as ew

NA, CONDENSER_NA, WAVELENGTH, MEDIUM = 0.5, 0.3, 0.55, 1.33
DEPTH_OF_FIELD = WAVELENGTH * MEDIUM / NA**2


def crowd(count: int = 25, side: float = 10.0) -> ew.Specimen:
    """Return beads of many sizes and index steps over a square field, one phase object or two thick each."""
    generator = torch.Generator().manual_seed(7)
    drawn = torch.rand(4, count, dtype=torch.float64, generator=generator)
    center = torch.stack([torch.zeros(count, dtype=torch.float64), *(side * (drawn[:2] - 0.5))], -1)
    body = ew.Particles(ew.Sphere(), center, 0.4 + 0.8 * drawn[2, :, None], MEDIUM + 0.02 + 0.05 * drawn[3])
    return ew.Specimen((body,), medium=MEDIUM)


def picture(lamp: ew.Value, defocus: float, specimen: ew.Specimen | None = None) -> Tensor:
    """Return the image of a crowd under a lamp."""
    microscope = ew.Microscope(lamp, ew.Transmission(), ew.Objective(NA, defocus), ew.Ideal())
    return ew.render(ew.Scene(specimen or crowd(), microscope, ew.Grid((84, 84), 0.12)))


def abbe(rings: int, condenser_na: float = CONDENSER_NA) -> ew.Koehler:
    return ew.Koehler(condenser_na, wavelength=WAVELENGTH, rings=rings)


def kernels(count: int, rings: int = 12) -> ew.Koehler:
    return ew.Koehler(CONDENSER_NA, wavelength=WAVELENGTH, rings=rings, method="socs", kernels=count)


def deviation(lamp: ew.Value, defocus: float, rings: int = 12) -> float:
    """Return |I - I_dense| / |I_dense - 1|, the norms over the field, against a dense Abbe sum."""
    dense = _dense(rings, defocus)
    return float(torch.linalg.norm(picture(lamp, defocus) - dense) / torch.linalg.norm(dense - 1))


@cache
def _dense(rings: int, defocus: float) -> Tensor:
    return picture(abbe(rings), defocus)
