"""Draws: how recipes of cells and nuclei turn what they declare into numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from exitwave.quantity import Prior

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Generators = Callable[[str], torch.Generator]
"""Gives an independent generator for every purpose."""


def numpy_random(generator: torch.Generator) -> np.random.Generator:
    """Return a generator of NumPy that is seeded by one of torch."""
    return np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))


def drawn(item: Any, count: int, generator: torch.Generator) -> Floats:
    """Return `count` draws of what is declared by `per_particle`: a number, or a prior."""
    if isinstance(item, Prior):
        return item.draw((count,), generator).double().numpy()
    return np.full(count, float(item))


def drawn_radii(radii: tuple[Any, ...], generator: Generators) -> Floats | None:
    """Return the semi-axes (3,) of an ellipsoid, each drawn on its own; None where the field is to be filled."""
    if not radii:
        return None
    return np.array([drawn(item, 1, generator(f"radii.{number}"))[0] for number, item in enumerate(radii)])


def check_radii(name: str, radii: Any) -> None:
    """Raise a one-line error where the semi-axes of an ellipsoid are not three, or none."""
    if not isinstance(radii, tuple) or len(radii) not in (0, 3):
        got = len(radii) if isinstance(radii, tuple) else 1
        raise ValueError(f"{name}.radii needs 3 semi-axes (z, y, x), or none for the field, got {got}; list them")


def require_depth(name: str, extent: tuple[float, ...]) -> None:
    """Raise a one-line error where a volume is asked for in an image."""
    if len(extent) != 3:
        raise ValueError(
            f"{name} fills a volume, got a grid (height, width); give it a depth: Grid((32, 128, 128), ...)"
        )


def unit(vectors: Floats) -> Floats:
    """Return vectors (N, 3) with length 1; zeros stay."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
