"""Materials: refractive indices over the visible spectrum, each with its source.

Particles and media take two numbers, `index` at the sodium D line, 0.5893 um, and `dispersion`, the coefficient B of
n(lambda) = index + B (1/lambda^2 - 1/0.5893^2). A material gives both, and the index at any wavelength by the formula
it was published with. As refractometers give them, indices are relative to air; only that of air is relative to vacuum.

>>> round(material("polystyrene").index(0.633), 3), round(material("water").index_d, 4)
(1.588, 1.333)
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import Protocol, TypeVar

from exitwave.model import Value

_Entry = TypeVar("_Entry")

SODIUM_D = 0.5893
"""The wavelength of the sodium D line in micrometres, to which `index_d` refers."""


class Dispersion(Protocol):
    """Anything that gives a refractive index at a vacuum wavelength in micrometres."""

    def index(self, wavelength: float) -> float: ...


class Sellmeier(Value):
    """The Sellmeier formula n^2 = `constant` + sum_i strength_i lambda^2 / (lambda^2 - resonance_i).

    Resonances are squares of wavelengths, in um^2.

    >>> Sellmeier(strengths=(1.0,), resonances=(0.01,)).index(1.0)
    1.4178
    """

    strengths: tuple[float, ...]
    resonances: tuple[float, ...]
    constant: float = 1.0

    def index(self, wavelength: float) -> float:
        """Return the refractive index at a vacuum wavelength in micrometres."""
        square = wavelength * wavelength
        terms = zip(self.strengths, self.resonances, strict=True)
        return math.sqrt(self.constant + sum(b * square / (square - c) for b, c in terms))


class Cauchy(Value):
    """The two-term Cauchy formula n = `index_d` + `coefficient` (1/lambda^2 - 1/0.5893^2), coefficient in um^2.

    >>> Cauchy(1.5, 0.005).index(0.5893)
    1.5
    """

    index_d: float
    coefficient: float

    def index(self, wavelength: float) -> float:
        """Return the refractive index at a vacuum wavelength in micrometres."""
        return self.index_d + self.coefficient * (wavelength**-2 - SODIUM_D**-2)


class Material(Value):
    """A transparent material: a dispersion formula valid from `low` to `high` micrometres, and where it comes from.

    `density` is in g/cm^3; 0.0 where it is not given.
    """

    name: str
    formula: Dispersion
    low: float
    high: float
    citation: str
    density: float = 0.0

    def index(self, wavelength: float) -> float:
        """Return the refractive index at a vacuum wavelength in micrometres; outside the range of the data, an error.

        >>> material("water").index(550.0)
        Traceback (most recent call last):
        ValueError: expected a wavelength of water in [0.182, 1.129] um, got 550; pass micrometres inside that range
        """
        if not self.low <= wavelength <= self.high:
            raise ValueError(
                f"expected a wavelength of {self.name} in [{self.low:g}, {self.high:g}] um, got {wavelength:g}; "
                "pass micrometres inside that range"
            )
        return self.formula.index(wavelength)

    @property
    def index_d(self) -> float:
        """The refractive index at the sodium D line, 0.5893 um."""
        return self.index(SODIUM_D)

    @property
    def dispersion(self) -> float:
        """The Cauchy coefficient B in um^2: least squares over the visible, 0.4 to 0.7 um, through `index_d`.

        >>> round(material("BK7 glass").dispersion, 4)
        0.0042
        """
        first, last = max(0.4, self.low), min(0.7, self.high)
        wavelengths = [first + (last - first) * k / 60 for k in range(61)]
        abscissa = [wavelength**-2 - SODIUM_D**-2 for wavelength in wavelengths]
        rise = [self.index(wavelength) - self.index_d for wavelength in wavelengths]
        return sum(u * n for u, n in zip(abscissa, rise, strict=True)) / sum(u * u for u in abscissa)


# Daimon and Masumura give water relative to vacuum; this square brings it to air of the same 20 C.
_IN_AIR = 1.000272**-2

_PROTEIN = (
    "refractive increment 0.190 ml/g: H. Zhao, P. H. Brown, P. Schuck, Biophys. J. 100, 2309 (2011); its dispersion "
    "0.940 + 0.0200/lambda^2: G. E. Perlmann, L. G. Longsworth, J. Am. Chem. Soc. 70, 2719 (1948); partial specific "
    "volume 0.71 ml/g (textbook value)"
)

MATERIALS = (
    Material(
        "air",
        # The published formula gives n - 1; doubled it gives n^2 - 1 to 1e-7.
        Sellmeier((2 * 0.05792105 / 238.0185, 2 * 0.00167917 / 57.362), (1 / 238.0185, 1 / 57.362)),
        0.23,
        1.69,
        "P. E. Ciddor, Appl. Opt. 35, 1566 (1996); dry air, 15 C, 101.325 kPa",
        density=0.001225,
    ),
    Material(
        "water",
        Sellmeier(
            tuple(_IN_AIR * b for b in (0.5684027565, 0.1726177391, 0.02086189578, 0.1130748688)),
            (0.005101829712, 0.01821153936, 0.02620722293, 10.69792721),
            constant=_IN_AIR,
        ),
        0.182,
        1.129,
        "M. Daimon, A. Masumura, Appl. Opt. 46, 3811 (2007); 20 C",
        density=0.9982,
    ),
    Material(
        "immersion oil",
        # n_e = 1.5180 and V_e = 44, as two numbers of the Cauchy formula.
        Cauchy(1.51510, 0.00611),
        0.40,
        0.76,
        "ISO 8036-1:1998 (n_e = 1.5180, V_e = 44; 23 C)",
    ),
    Material(
        "BK7 glass",
        Sellmeier((1.03961212, 0.231792344, 1.01046945), (0.00600069867, 0.0200179144, 103.560653)),
        0.30,
        2.50,
        "SCHOTT optical glass data sheet N-BK7",
        density=2.51,
    ),
    Material(
        "cover glass",
        # n_e = 1.5255 and V_e = 56, as two numbers of the Cauchy formula.
        Cauchy(1.52319, 0.00487),
        0.40,
        0.76,
        "ISO 8255-1 (n_e = 1.5255, V_e = 56)",
        density=2.51,
    ),
    Material(
        "fused silica",
        Sellmeier((0.6961663, 0.4079426, 0.8974794), (0.0684043**2, 0.1162414**2, 9.896161**2)),
        0.21,
        3.71,
        "I. H. Malitson, J. Opt. Soc. Am. 55, 1205 (1965); 20 C",
        density=2.203,
    ),
    Material(
        "colloidal silica",
        Cauchy(1.44, 0.0033),
        0.40,
        0.70,
        "typical of Stober silica in water, 1.42 to 1.46 with porosity and drying (textbook range); dispersion of "
        "fused silica",
        density=2.0,
    ),
    Material(
        "polystyrene",
        Sellmeier((1.4435,), (0.020216,)),
        0.4368,
        1.052,
        "N. Sultanova, S. Kasarova, I. Nikolov, Acta Phys. Pol. A 116, 585 (2009), in the Sellmeier fit of M. "
        "Polyanskiy, refractiveindex.info; 20 C",
        density=1.05,
    ),
    Material(
        "PMMA",
        Sellmeier((1.1819,), (0.011313,)),
        0.4368,
        1.052,
        "N. Sultanova, S. Kasarova, I. Nikolov, Acta Phys. Pol. A 116, 585 (2009), in the Sellmeier fit of M. "
        "Polyanskiy, refractiveindex.info; 20 C",
        density=1.19,
    ),
    Material(
        "TiO2 rutile",
        # Published as n^2 = 5.913 + 0.2441/(lambda^2 - 0.0803). The extraordinary ray has n_D = 2.91.
        Sellmeier((0.2441 / 0.0803,), (0.0803,), constant=5.913 - 0.2441 / 0.0803),
        0.43,
        1.53,
        "J. R. DeVore, J. Opt. Soc. Am. 41, 416 (1951); ordinary ray",
        density=4.23,
    ),
    Material(
        "TiO2 anatase",
        # The extraordinary ray has n_D = 2.488.
        Cauchy(2.561, 0.0685),
        0.43,
        0.70,
        "ordinary ray at the D line: mineralogical tables (textbook value); dispersion of a film, A. Jolivet et al., "
        "Appl. Surf. Sci. 608, 155214 (2023)",
        density=3.89,
    ),
    Material(
        "lysozyme",
        Cauchy(1.61, 0.0089),
        0.40,
        0.70,
        f"anhydrous protein, computed by the Maxwell Garnett rule; {_PROTEIN}",
        density=1.41,
    ),
    Material(
        "lysozyme crystal",
        Cauchy(1.49, 0.0062),
        0.40,
        0.70,
        "tetragonal crystal in water, computed by the Maxwell Garnett rule from 8 molecules of 14.3 kDa in a cell "
        f"of 79.1 x 79.1 x 37.9 angstrom (0.80 g/ml); {_PROTEIN}",
        density=1.23,
    ),
    Material(
        "protein crystal",
        Cauchy(1.48, 0.0060),
        0.40,
        0.70,
        "computed as for the lysozyme crystal with 47 % solvent, 1.43 to 1.53 for 65 to 27 % (solvent contents: B. "
        f"W. Matthews, J. Mol. Biol. 33, 491, 1968); {_PROTEIN}",
        density=1.22,
    ),
    Material(
        "bacterial cytoplasm",
        Cauchy(1.384, 0.0032),
        0.40,
        0.80,
        "Escherichia coli, 1.0387 relative to water from 0.4 to 0.8 um: A. E. Balaev, K. N. Dvoretski, V. A. "
        "Doubrovski, Proc. SPIE 4707 (2002)",
        density=1.10,
    ),
)
"""All materials of the table."""


def material(name: str) -> Material:
    """Return the material of that name; an unknown name is a one-line error with the nearest valid ones.

    >>> material("glass")
    Traceback (most recent call last):
    ValueError: expected the name of a material, got 'glass'; did you mean 'BK7 glass' or 'cover glass'?
    """
    return named({entry.name: entry for entry in MATERIALS}, name, "a material")


def named(entries: Mapping[str, _Entry], name: str, what: str) -> _Entry:
    """Return the entry of that name; an unknown name is a one-line error with the nearest valid ones."""
    if name in entries:
        return entries[name]
    folded = {known.casefold(): known for known in entries}
    asked = str(name).casefold()
    near = [known for known in folded if asked and asked in known] or difflib.get_close_matches(asked, folded, n=1)
    remedy = f"did you mean {' or '.join(repr(folded[known]) for known in near)}?" if near else "choose one of "
    raise ValueError(f"expected the name of {what}, got {name!r}; {remedy}{'' if near else ', '.join(entries)}")
