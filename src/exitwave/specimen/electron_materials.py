"""Materials under electrons: secondary yield, backscattering, range and escape depth, each with its source.

All are for electrons that land upright on a flat, thick, clean and uncharged piece. Helium and other ions are not
covered: their yields are several times those of electrons, and rise with energy where those of electrons fall.

>>> gold = electron_material("gold")
>>> round(gold.secondary(20.0), 2), round(gold.backscatter(20.0), 2), round(gold.range(20.0), 2)
(0.2, 0.48, 0.86)
"""

from __future__ import annotations

import math
import re

from exitwave.model import Value
from exitwave.specimen.materials import material, named

ELEMENTS = {
    "H": (1, 1.008), "C": (6, 12.011), "N": (7, 14.007), "O": (8, 15.999), "F": (9, 18.998), "Na": (11, 22.990),
    "Mg": (12, 24.305), "Al": (13, 26.982), "Si": (14, 28.085), "P": (15, 30.974), "S": (16, 32.06),
    "Cl": (17, 35.45), "K": (19, 39.098), "Ca": (20, 40.078), "Ti": (22, 47.867), "Cr": (24, 51.996),
    "Fe": (26, 55.845), "Co": (27, 58.933), "Ni": (28, 58.693), "Cu": (29, 63.546), "Zn": (30, 65.38),
    "Ge": (32, 72.630), "Zr": (40, 91.224), "Mo": (42, 95.95), "Pd": (46, 106.42), "Ag": (47, 107.868),
    "Sn": (50, 118.71), "Ce": (58, 140.116), "W": (74, 183.84), "Pt": (78, 195.084), "Au": (79, 196.967),
    "Pb": (82, 207.2),
}  # fmt: skip
"""Atomic number and standard atomic weight of the elements that a formula may name."""

# Exponent of the range of electrons of a few keV in the law of secondary yields.
_POWER = 1.67
# The constant that puts the maximum of that law where it belongs: (1 - 1/n)(exp(z) - 1) = z for n = 1.67.
_PEAK = 1.61404


class ElectronMaterial(Value):
    """A material under electrons: chemical `formula`, `density` in g/cm^3, and what its secondary electrons are.

    `maximum` is the highest secondary yield and `peak` the energy in keV where it is reached; published maxima lie
    about between maximum / scatter and maximum * scatter. `escape_depth` of the secondary electrons is in micrometres.
    """

    name: str
    formula: str
    density: float
    maximum: float
    peak: float
    scatter: float
    escape_depth: float
    citation: str

    def check(self) -> None:
        self.shares()
        for name in ("density", "maximum", "peak", "escape_depth"):
            number = getattr(self, name)
            if not 0 < number < math.inf:
                raise ValueError(f"ElectronMaterial.{name} must be positive, got {number!r}; pass a number above 0")
        if not 1 <= self.scatter < math.inf:
            raise ValueError(
                f"ElectronMaterial.scatter must be a factor of at least 1, got {self.scatter!r}; use 1 for none"
            )

    def shares(self) -> dict[str, float]:
        """Return the share of every element in the mass.

        >>> {symbol: round(share, 3) for symbol, share in electron_material("TiO2 rutile").shares().items()}
        {'Ti': 0.599, 'O': 0.401}
        """
        if not re.fullmatch(r"([A-Z][a-z]?\d*)+", self.formula):
            raise ValueError(
                f"expected a chemical formula such as 'SiO2', got {self.formula!r}; drop brackets and gaps"
            )
        masses: dict[str, float] = {}
        for symbol, number in re.findall(r"([A-Z][a-z]?)(\d*)", self.formula):
            if symbol not in ELEMENTS:
                raise ValueError(
                    f"expected elements among {', '.join(ELEMENTS)}, got {symbol!r} in {self.formula!r}; correct the "
                    "formula"
                )
            masses[symbol] = masses.get(symbol, 0.0) + int(number or 1) * ELEMENTS[symbol][1]
        whole = sum(masses.values())
        if not whole:
            raise ValueError(f"expected at least one atom, got the formula {self.formula!r}; correct its numbers")
        return {symbol: mass / whole for symbol, mass in masses.items()}

    def secondary(self, energy: float) -> float:
        """Return the secondary electrons per electron that lands with an energy of 0.1 to 30 keV.

        maximum x^(1 - n) (1 - exp(-z x^n)) / (1 - exp(-z)), x = energy / peak: electrons lose energy evenly along a
        range that grows as the power n = 1.67 of the energy, and z puts the maximum at the peak. That power fits
        collected measurements up to 30 keV (Y. Lin, D. C. Joy, Surf. Interface Anal. 37, 895, 2005, who print 1.28
        where 1 / (1 - exp(-z)) is 1.249). The older 1.35 (H. Seiler, J. Appl. Phys. 54, R1, 1983) is for energies near
        the peak: it gives 2 to 4 times as much at 20 keV. Measurements of one material differ by 1.5 either way.

        >>> round(electron_material("silver").secondary(0.8), 3), round(electron_material("silver").secondary(20.0), 2)
        (1.5, 0.22)
        """
        ratio = self._within(energy, 0.1, 30.0, "secondary yield") / self.peak
        return self.maximum * ratio ** (1 - _POWER) * math.expm1(-_PEAK * ratio**_POWER) / math.expm1(-_PEAK)

    def backscatter(self, energy: float) -> float:
        """Return the share of electrons of 1 to 40 keV that are scattered back out of a thick piece.

        E^m C of every element, weighted by mass (R. Castaing, Adv. Electron. Electron Phys. 13, 317, 1960), with
        m = 0.1382 - 0.9211 / sqrt(Z) and C = 0.1904 - 0.2235 ln Z + 0.1292 ln^2 Z - 0.01491 ln^3 Z (H.-J. Hunger,
        L. Kuchler, Phys. Status Solidi A 56, K45, 1979), fitted from 4 to 40 keV; at 1 keV it is still within a
        tenth of P.-F. Staub, J. Phys. D 27, 1533 (1994). Published values differ by about 0.02.
        Hydrogen, which the fit does not reach, counts as none.

        >>> [round(electron_material(name).backscatter(20.0), 2) for name in ("carbon", "silicon", "silver")]
        [0.06, 0.16, 0.4]
        """
        self._within(energy, 1.0, 40.0, "backscattering")
        return sum(share * _backscatter(ELEMENTS[symbol][0], energy) for symbol, share in self.shares().items())

    def range(self, energy: float) -> float:
        """Return how deep electrons of 1 to 100 keV get, in micrometres.

        0.0276 A E^1.67 / (Z^0.889 density) (K. Kanaya, S. Okayama, J. Phys. D 5, 43, 1972); in compounds the elements
        stop by their share in the mass (Bragg's rule). Ranges are defined in several ways, which differ by 1.7.

        >>> round(electron_material("silicon").range(10.0), 1)
        1.5
        """
        self._within(energy, 1.0, 100.0, "range")
        stopping = 0.0
        for symbol, share in self.shares().items():
            number, weight = ELEMENTS[symbol]
            stopping += share * number**0.889 / (0.0276 * weight * energy**1.67)
        return 1 / (stopping * self.density)

    def backscatter_depth(self, energy: float) -> float:
        """Return the depth in micrometres over which backscattering rises as 1 - exp(-thickness / depth).

        A quarter of the range: films scatter back in proportion to their thickness up to about half of it (H. Niedrig,
        J. Appl. Phys. 53, R15, 1982), which this exponential has the same area above it as.
        """
        return self.range(energy) / 4

    def _within(self, energy: float, low: float, high: float, what: str) -> float:
        if not low <= energy <= high:
            raise ValueError(
                f"expected an energy in [{low:g}, {high:g}] keV for the {what} of {self.name}, got {energy:g}; "
                "pass keV inside that range"
            )
        return energy


def _backscatter(number: int, energy: float) -> float:
    """Return the backscattering of an element by its atomic number; the fits begin well above hydrogen."""
    if number == 1:
        return 0.0
    log = math.log(number)
    power = 0.1382 - 0.9211 / math.sqrt(number)
    return energy**power * (0.1904 - 0.2235 * log + 0.1292 * log**2 - 0.01491 * log**3)


_TABLE = "maximum: CRC Handbook of Chemistry and Physics, Secondary Electron Emission"
_ELEMENT = "escape depth: S. Ono, K. Kanaya, J. Phys. D 12, 619 (1979)"
_INSULATOR = "escape depth of insulators, 10 to 20 nm: H. Seiler, J. Appl. Phys. 54, R1 (1983)"
_TITANIA = (
    "maximum assumed, no measured one: between semiconducting compounds (ZnS 1.8) and quartz (2.1 to 4) of the CRC "
    f"Handbook of Chemistry and Physics, Secondary Electron Emission; {_INSULATOR}"
)

ELECTRON_MATERIALS = (
    ElectronMaterial(
        "carbon", "C", 2.0, 1.0, 0.30, 1.4, 0.0055,
        f"{_TABLE} (graphite; soot has 0.45); {_ELEMENT}; density of amorphous films, 1.8 to 2.1",
    ),
    ElectronMaterial("silicon", "Si", 2.329, 1.1, 0.25, 1.4, 0.0045, f"{_TABLE}; {_ELEMENT}"),
    ElectronMaterial("silver", "Ag", 10.49, 1.5, 0.80, 1.3, 0.0016, f"{_TABLE}; {_ELEMENT}"),
    ElectronMaterial("gold", "Au", 19.30, 1.4, 0.80, 1.4, 0.0014, f"{_TABLE}; {_ELEMENT}"),
    ElectronMaterial(
        "fused silica", "SiO2", material("fused silica").density, 2.9, 0.40, 1.4, 0.015,
        f"{_TABLE} (quartz, 2.1 to 4); {_INSULATOR}",
    ),
    ElectronMaterial(
        "colloidal silica", "SiO2", material("colloidal silica").density, 2.9, 0.40, 1.4, 0.015,
        f"{_TABLE} (quartz, 2.1 to 4); {_INSULATOR}",
    ),
    ElectronMaterial("TiO2 rutile", "TiO2", material("TiO2 rutile").density, 2.0, 0.40, 1.7, 0.015, _TITANIA),
    ElectronMaterial("TiO2 anatase", "TiO2", material("TiO2 anatase").density, 2.0, 0.40, 1.7, 0.015, _TITANIA),
    ElectronMaterial(
        "polystyrene", "C8H8", material("polystyrene").density, 2.5, 0.25, 1.4, 0.010,
        "maximum assumed, between other polymers (Kapton 2.1 at 0.15 keV, Teflon 3.0 at 0.3 keV): R. F. Willis, D. K. "
        f"Skinner, Solid State Commun. 13, 685 (1973); {_INSULATOR}",
    ),
)  # fmt: skip
"""All materials of the table."""


def electron_material(name: str) -> ElectronMaterial:
    """Return the material of that name; an unknown name is a one-line error with the nearest valid ones.

    >>> electron_material("Silver")
    Traceback (most recent call last):
    ValueError: expected the name of a material under electrons, got 'Silver'; did you mean 'silver'?
    """
    return named({entry.name: entry for entry in ELECTRON_MATERIALS}, name, "a material under electrons")
