"""Unit strings."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exitwave.units import known, parse


@pytest.mark.parametrize(
    ("text", "unit", "number"),
    [
        ("10 nm", "um", 0.01),
        ("10nm", "um", 0.01),
        (" 550  nm ", "um", 0.55),
        ("79.1 angstrom", "um", 0.00791),
        ("2 mm", "um", 2000.0),
        ("1e-6 m", "um", 1.0),
        ("-.5e1 um", "um", -5.0),
        ("+3. \u00b5m", "um", 3.0),  # the micro sign
        ("3 \u03bcm", "um", 3.0),  # the Greek letter
        ("7", "um", 7.0),
        ("180 deg", "rad", math.pi),
        ("5 mrad", "rad", 0.005),
        ("50 %", "1", 0.5),
        ("4 1/mm", "1/um", 0.004),
        ("9 nm^2", "um^2", 9e-6),
        ("100 photon", "photon", 100.0),
        ("0.02 wave", "wave", 0.02),
    ],
)
def test_numbers_with_units(text: str, unit: str, number: float) -> None:
    assert parse(text, unit) == pytest.approx(number, rel=1e-15)


@given(st.floats(-1e6, 1e6), st.sampled_from(["nm", "um", "mm", "m", "angstrom"]))
@settings(derandomize=True, deadline=None)
def test_lengths_are_read_back(micrometres: float, unit: str) -> None:
    factor = {"nm": 1e-3, "um": 1.0, "mm": 1e3, "m": 1e6, "angstrom": 1e-4}[unit]
    assert parse(f"{micrometres / factor!r} {unit}", "um") == pytest.approx(micrometres, rel=1e-14, abs=1e-300)


def test_decimal_fractions_stay_short() -> None:
    """550 nm is the double nearest to 0.55, as if it had been written so."""
    for nanometres in range(1, 1000):
        assert parse(f"{nanometres} nm", "um") == float(f"{nanometres}e-3")


@pytest.mark.parametrize(
    ("text", "unit", "words"),
    [
        ("ten nm", "um", "expected a number with a unit such as '10 um', got 'ten nm'; write the number first"),
        ("", "um", "expected a number with a unit such as '10 um', got ''"),
        ("nan", "um", "got 'nan'"),
        ("inf um", "um", "got 'inf um'"),
        ("10 nmm", "um", "unknown unit 'nmm' in '10 nmm'; did you mean 'nm'?"),
        ("10 parsec", "um", "unknown unit 'parsec' in '10 parsec'"),
        ("1,5 um", "um", "unknown unit ',5 um'"),
        ("10 deg", "um", "expected a unit of the same kind as um (um, "),
        ("10 nm", "1", "expected a unit of the same kind as 1 (1, %), got '10 nm'"),
    ],
)
def test_unknown_units_are_refused_in_one_line(text: str, unit: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are compared below
        parse(text, unit)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_known_units() -> None:
    assert known("um")
    assert not known("furlong")
