"""Weak objects in partially coherent light: transfer of phase and amplitude by quadrature and by an outside code."""

from __future__ import annotations

import pytest
from physics.transfer import Lens, deviation_from_quadrature, deviation_from_waveorder


@pytest.mark.parametrize("defocus", [0.0, 2.0, -5.0])
def test_transfer_of_weak_objects_is_the_integral_over_the_source(defocus: float) -> None:
    """Koehler's disk at .6 of the aperture, every frequency along x, within 1 % of the strongest transfer."""
    assert deviation_from_quadrature(Lens(defocus=defocus)) < 0.01


@pytest.mark.parametrize("defocus", [1.0, -3.0])
def test_transfer_of_weak_objects_is_waveorders(defocus: float) -> None:
    """An independent code, all frequencies of the image: within 1 % of the strongest transfer."""
    pytest.importorskip("waveorder.util", exc_type=ImportError)
    amplitude, phase = deviation_from_waveorder(Lens(defocus=defocus), 0.3, samples=80)
    assert amplitude < 0.01
    assert phase < 0.01
