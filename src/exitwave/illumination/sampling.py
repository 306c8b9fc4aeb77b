"""How sources are sampled by plane waves."""

from __future__ import annotations

import math
from functools import singledispatch

import torch
from torch import Tensor

from exitwave.model import Value

METHODS = ("abbe", "socs")


@singledispatch
def refined(illumination: object) -> Value:
    """Return the same light sampled by more plane waves, every one of them imaged: the measure of a sampling's error.

    A new kind of source registers a function here with `@refined.register`.
    """
    raise TypeError(
        f"expected a source that can be sampled more finely, got {type(illumination).__name__}; register it with "
        "exitwave.illumination.refined"
    )


def ring_points(inner: Tensor, outer: Tensor, rings: int, points: int, arc: float) -> Tensor:
    """Return points (rings x points, 2) along (y, x) that stand for equal areas of a ring, or of a sector of it.

    The sector of angle `arc` lies about the x axis. Every circle stands at the mean squared radius of its own ring;
    neighbouring circles are turned against each other by half a step.
    """
    share = (torch.arange(rings, dtype=torch.float64) + 0.5) / rings
    radius = torch.sqrt(inner**2 + (outer**2 - inner**2) * share.to(inner))
    turn = 0.5 * (torch.arange(rings, dtype=torch.float64) % 2) if arc == 2 * math.pi else torch.zeros(rings)
    place = torch.arange(points, dtype=torch.float64)[None] + 0.5 + turn[:, None]
    angle = (arc * (place / points - 0.5)).to(inner)
    return (radius[:, None, None] * torch.stack([torch.sin(angle), torch.cos(angle)], -1)).reshape(-1, 2)


def even(wavelength: object) -> Tensor:
    """Return equal strengths for all wavelengths."""
    return torch.ones_like(wavelength) if isinstance(wavelength, Tensor) else torch.ones(1, dtype=torch.float64)


def kernels_of(method: str, kernels: int) -> int | None:
    """Return the number of coherent modes that a source is to be imaged by; None for every plane wave."""
    return kernels if method == "socs" else None


def check_spectrum(spectrum: Tensor) -> None:
    """Raise a one-line error where a source has no light."""
    if float(spectrum.detach().sum()) <= 0:
        raise ValueError("a source needs light, got a spectrum that sums to zero; give one wavelength a weight")


def check_rings(name: str, count: object, low: int, high: int = 100) -> None:
    """Raise a one-line error where a number of circles or points is none."""
    if not isinstance(count, int) or isinstance(count, bool) or not low <= count <= high:
        raise ValueError(f"{name} must be an integer from {low} to {high}, got {count!r}; a few are enough")


def check_method(name: str, method: object, kernels: object) -> None:
    """Raise a one-line error where the sum over a source has no such method."""
    if method not in METHODS:
        raise ValueError(f"{name}.method must be one of {', '.join(METHODS)}, got {method!r}; abbe is exact")
    check_rings(f"{name}.kernels", kernels, 1, 1000)
