"""Unit strings: text such as "10 nm" becomes a number in the library's own units.

Inside the library every length is in micrometres, every angle in radians and every dose in photons; unit strings
exist only at its border, in TOML files and on the command line.
"""

from __future__ import annotations

import difflib
import math
import re

# unit -> (dimension, factor to the library's unit of that dimension)
_UNITS: dict[str, tuple[str, float]] = {
    "1": ("1", 1.0),
    "%": ("1", 0.01),
    "um": ("um", 1.0),
    "µm": ("um", 1.0),
    "\u03bcm": ("um", 1.0),  # the Greek letter, beside the micro sign above
    "nm": ("um", 1e-3),
    "angstrom": ("um", 1e-4),
    "mm": ("um", 1e3),
    "m": ("um", 1e6),
    "rad": ("rad", 1.0),
    "mrad": ("rad", 1e-3),
    "deg": ("rad", math.pi / 180),
    "1/um": ("1/um", 1.0),
    "1/mm": ("1/um", 1e-3),
    "um^2": ("um^2", 1.0),
    "nm^2": ("um^2", 1e-6),
    "rad/um": ("rad/um", 1.0),
    "wave": ("wave", 1.0),
    "photon": ("photon", 1.0),
    "photon/um": ("photon/um", 1.0),
    "photon/um^2": ("photon/um^2", 1.0),
    "photon/um^3": ("photon/um^3", 1.0),
    "electron": ("electron", 1.0),
    "keV": ("keV", 1.0),
    "eV": ("keV", 1e-3),
    "count": ("count", 1.0),
}

_QUANTITY = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(\S.*?)?\s*")


def parse(text: str, unit: str) -> float:
    """Return the number that `text` stands for, in the library's unit `unit`.

    `text` is a number, optionally followed by a unit of the same dimension as `unit`; a bare number is taken to be
    in `unit` already.

    >>> parse("10 nm", "um")
    0.01
    >>> parse("30 deg", "rad")
    0.5235987755982988
    >>> parse("0.8", "1")
    0.8
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"expected a number with a unit such as '10 {unit}', got '{text}'; write the number first")
    number, name = float(match[1]), match[2] or unit
    if name not in _UNITS:
        near = difflib.get_close_matches(name, _UNITS, n=1)
        remedy = f"did you mean '{near[0]}'?" if near else "known units: " + ", ".join(_UNITS)
        raise ValueError(f"unknown unit '{name}' in '{text}'; {remedy}")
    dimension, factor = _UNITS[name]
    if dimension != _UNITS[unit][0]:
        fitting = ", ".join(key for key, (other, _) in _UNITS.items() if other == _UNITS[unit][0])
        raise ValueError(f"expected a unit of the same kind as {unit} ({fitting}), got '{text}'")
    # Divide where the factor is a negative power of ten, so that "10 nm" is 0.01 and not 0.010000000000000002.
    inverse = round(1 / factor)
    return number / inverse if factor < 1 and inverse * factor == 1.0 else number * factor


def known(unit: str) -> bool:
    """Return whether `unit` is one of the library's unit names."""
    return unit in _UNITS
