"""Presets: functions that return ordinary microscopes, to be used as they are or taken apart."""

from __future__ import annotations

from exitwave.illumination import Coherent, Koehler
from exitwave.interaction import Transmission
from exitwave.optics import Objective
from exitwave.quantity import Numeric
from exitwave.scene import Microscope
from exitwave.sensor import Camera, Ideal, Interferometer


def brightfield(
    na: Numeric = 0.5,
    condenser_na: Numeric = 0.3,
    wavelength: Numeric = 0.55,
    defocus: Numeric = 0.0,
    index: Numeric = 1.0,
    rings: int = 3,
    sensor: Ideal | Camera | None = None,
) -> Microscope:
    """Return a brightfield microscope with Köhler illumination; `condenser_na` 0 makes it coherent.

    Lengths in micrometres. `index` is that of the immersion, `rings` the sampling of the condenser's disk.

    >>> brightfield(na=0.8, condenser_na=0.5).optics.na
    tensor(0.8000, dtype=torch.float64)
    """
    coherent = isinstance(condenser_na, float | int) and condenser_na == 0
    lamp = Coherent(wavelength) if coherent else Koehler(condenser_na, wavelength, rings=rings)
    return Microscope(lamp, Transmission(), Objective(na, defocus, index=index), sensor or Ideal())


def hologram(
    na: Numeric = 0.5,
    wavelength: Numeric = 0.55,
    defocus: Numeric = 20.0,
    index: Numeric = 1.0,
    sensor: Ideal | Camera | None = None,
) -> Microscope:
    """Return an in-line holographic microscope: a plane wave along the axis, the camera out of focus.

    >>> hologram(defocus=30.0).optics.defocus
    tensor(30., dtype=torch.float64)
    """
    return Microscope(Coherent(wavelength), Transmission(), Objective(na, defocus, index=index), sensor or Ideal())


def quantitative_phase(
    na: Numeric = 0.5,
    wavelength: Numeric = 0.55,
    defocus: Numeric = 0.0,
    index: Numeric = 1.0,
    sensor: Interferometer | None = None,
) -> Microscope:
    """Return a quantitative phase microscope: coherent light, and the argument of the field in radians as the image.

    >>> quantitative_phase().sensor.noise
    tensor(0.0100, dtype=torch.float64)
    """
    optics = Objective(na, defocus, index=index)
    return Microscope(Coherent(wavelength), Transmission(), optics, sensor or Interferometer())
