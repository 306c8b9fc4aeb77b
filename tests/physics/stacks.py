"""Beads at many depths, and slabs against ever more slabs."""

from __future__ import annotations

import torch

import exitwave as ew

MEDIUM, HALF_DEPTH = 1.33, 10.0


def beads(place: list[tuple[float, float, float]], radius: list[float], step: list[float]) -> ew.Specimen:
    """Return beads at places (z, y, x) in water."""
    center = torch.tensor(place, dtype=torch.float64)
    size = torch.tensor(radius, dtype=torch.float64)[:, None]
    body = ew.Particles(ew.Sphere(), center, size, MEDIUM + torch.tensor(step, dtype=torch.float64))
    return ew.Specimen((body,), medium=MEDIUM)


def deep_crowd(count: int) -> ew.Specimen:
    """Return beads spread over -9 to 9 um of depth, one in the light of another."""
    generator = torch.Generator().manual_seed(count)
    drawn = torch.rand(count, 3, dtype=torch.float64, generator=generator)
    height = torch.linspace(-9.0, 9.0, count, dtype=torch.float64)
    place = [(float(z), 3 * float(y) - 1.5, 3 * float(x) - 1.5) for z, (y, x, _) in zip(height, drawn, strict=True)]
    return beads(place, (0.5 + 0.5 * drawn[:, 2]).tolist(), [0.05] * count)


def field(specimen: ew.Specimen, slabs: int) -> torch.Tensor:
    """Return the image of a specimen in so many slabs over +-10 um, NA .5 focused in the middle."""
    way = ew.Multislice(slabs=slabs, depth=(-HALF_DEPTH, HALF_DEPTH))
    return ew.optical_field(ew.Scene(specimen, ew.hologram(0.5, defocus=0.0, interaction=way), ew.Grid((96, 96), 0.2)))


def convergence(specimen: ew.Specimen, slabs: int, many: int = 128) -> float:
    """Return |E - E_many| / |E_many - 1| of a few slabs against many."""
    fine = field(specimen, many)
    return float(torch.linalg.norm(field(specimen, slabs) - fine) / torch.linalg.norm(fine - 1))
