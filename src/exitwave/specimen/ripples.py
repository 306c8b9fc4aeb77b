"""Ripples: smooth random functions of the place, for what varies in a tissue without a jump."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# So many waves that their sum is normal.
_WAVES = 48


@dataclass(frozen=True, eq=False)
class Ripples:
    """A sum of plane waves of random direction and phase, with wavelengths around one length; normal, of variance 1.

    >>> ripples = Ripples.drawn(2.0, 1, np.random.default_rng(0))
    >>> ripples.at(np.zeros((4, 3))).shape
    (4, 1)
    """

    wave: Floats
    """Wave vectors (K, 3) in radians per micrometre."""
    phase: Floats
    """Phases (K,) in radians."""
    height: Floats
    """Amplitudes (K, C) of the waves in every component."""

    @classmethod
    def drawn(cls, scale: float, components: int, random: np.random.Generator) -> Ripples:
        """Return ripples with wavelengths of about `scale` micrometres, in independent components."""
        direction = random.standard_normal((_WAVES, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        wave = 2 * np.pi / scale * random.uniform(0.5, 1.2, (_WAVES, 1)) * direction
        height = random.standard_normal((_WAVES, components))
        height *= np.sqrt(2 / (height**2).sum(0))
        return cls(wave, random.uniform(0, 2 * np.pi, _WAVES), height)

    def at(self, points: Floats) -> Floats:
        """Return the values (P, C) at places (P, 3) in micrometres."""
        return np.cos(points @ self.wave.T + self.phase) @ self.height
