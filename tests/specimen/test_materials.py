"""Materials against tabulated values and second routes, not against their own formulas."""

from __future__ import annotations

import math

import pytest

from exitwave import toml
from exitwave.specimen.materials import MATERIALS, SODIUM_D, Material, material

FRAUNHOFER_F, FRAUNHOFER_D, FRAUNHOFER_C = 0.486134, 0.587562, 0.656273
MERCURY_E, CADMIUM_F, CADMIUM_C = 0.546074, 0.479991, 0.643847


def refractive_mixture(fraction: float, wavelength: float) -> float:
    """Return the index of protein in water by the Maxwell Garnett rule, from the protein's refractive increment."""
    water, volume = material("water").index(wavelength), 0.71
    increment = 0.190 * (0.940 + 0.0200 / wavelength**2) / (0.940 + 0.0200 / SODIUM_D**2)
    contrast = fraction * increment / (1.5 * volume * water)
    return water * math.sqrt((1.0 + 2.0 * contrast) / (1.0 - contrast))


@pytest.mark.parametrize(
    ("name", "index", "tolerance"),
    [
        ("air", 1.000277, 1e-6),
        ("water", 1.33299, 2e-5),
        ("immersion oil", 1.515, 5e-4),
        ("BK7 glass", 1.51673, 2e-5),
        ("cover glass", 1.523, 5e-4),
        ("fused silica", 1.45841, 2e-5),
        ("polystyrene", 1.591, 1e-3),
        ("PMMA", 1.491, 1e-3),
        ("TiO2 rutile", 2.613, 1e-3),
        ("TiO2 anatase", 2.561, 1e-9),
    ],
)
def test_index_at_the_sodium_line_is_the_tabulated_one(name: str, index: float, tolerance: float) -> None:
    assert material(name).index_d == pytest.approx(index, abs=tolerance)


@pytest.mark.parametrize(
    ("wavelength", "index"), [(0.40466, 1.34274), (0.486133, 1.33712), (0.656272, 1.33115), (0.70652, 1.33002)]
)
def test_water_at_other_lines(wavelength: float, index: float) -> None:
    # Relative to air at 20 C, from handbook tables (0.706 um) and common refractometry (C, F and h lines).
    assert material("water").index(wavelength) == pytest.approx(index, abs=1.5e-4)


@pytest.mark.parametrize(
    ("name", "number", "tolerance"), [("BK7 glass", 64.17, 0.01), ("fused silica", 67.8, 0.1), ("water", 55.7, 0.4)]
)
def test_abbe_number_is_the_tabulated_one(name: str, number: float, tolerance: float) -> None:
    n = material(name).index
    assert (n(FRAUNHOFER_D) - 1.0) / (n(FRAUNHOFER_F) - n(FRAUNHOFER_C)) == pytest.approx(number, abs=tolerance)


@pytest.mark.parametrize(("name", "index", "number"), [("immersion oil", 1.5180, 44.0), ("cover glass", 1.5255, 56.0)])
def test_microscopy_standards_are_met_at_the_mercury_line(name: str, index: float, number: float) -> None:
    n = material(name).index
    assert n(MERCURY_E) == pytest.approx(index, abs=1e-4)
    assert (n(MERCURY_E) - 1.0) / (n(CADMIUM_F) - n(CADMIUM_C)) == pytest.approx(number, abs=0.2)


def test_lysozyme_follows_from_its_unit_cell_and_refractive_increment() -> None:
    grams = 8 * 14_305 * 1.66054e-24
    fraction = 0.71 * grams / (79.1**2 * 37.9 * 1e-24)
    crystal, protein = material("lysozyme crystal"), material("lysozyme")
    assert fraction == pytest.approx(0.57, abs=0.01)
    assert crystal.index_d == pytest.approx(refractive_mixture(fraction, SODIUM_D), abs=3e-3)
    assert crystal.density == pytest.approx(fraction / 0.71 + (1.0 - fraction) * 0.9982, abs=0.01)
    assert protein.index_d == pytest.approx(refractive_mixture(1.0, SODIUM_D), abs=5e-3)
    assert material("protein crystal").index_d == pytest.approx(refractive_mixture(0.53, SODIUM_D), abs=3e-3)
    for entry, share in ((crystal, fraction), (protein, 1.0)):
        rise = refractive_mixture(share, 0.45) - refractive_mixture(share, 0.65)
        assert entry.index(0.45) - entry.index(0.65) == pytest.approx(rise, rel=0.05)


def test_bacteria_are_denser_than_water_by_one_factor() -> None:
    for wavelength in (0.40, 0.50, 0.60, 0.70):
        ratio = material("bacterial cytoplasm").index(wavelength) / material("water").index(wavelength)
        assert ratio == pytest.approx(1.0387, abs=1e-3)


@pytest.mark.parametrize("entry", MATERIALS, ids=lambda entry: entry.name)
def test_two_numbers_stand_for_the_formula_over_the_visible(entry: Material) -> None:
    # One Cauchy coefficient is good to a few per cent of the dispersion itself.
    spread = entry.index(max(0.45, entry.low)) - entry.index(0.70)
    for wavelength in (0.45, 0.50, 0.55, 0.60, 0.65, 0.70):
        cauchy = entry.index_d + entry.dispersion * (wavelength**-2 - SODIUM_D**-2)
        assert cauchy == pytest.approx(entry.index(wavelength), abs=0.08 * spread)
    assert entry.dispersion > 0.0
    assert entry.density >= 0.0
    assert len(entry.citation) > 20


@pytest.mark.parametrize("entry", MATERIALS, ids=lambda entry: entry.name)
def test_index_falls_with_wavelength_and_ends_with_the_data(entry: Material) -> None:
    steps = [entry.low + (entry.high - entry.low) * k / 50 for k in range(51)]
    indices = [entry.index(min(step, entry.high)) for step in steps]
    assert indices == sorted(set(indices), reverse=True)
    for wrong in (0.99 * entry.low, 1.01 * entry.high, 550.0, math.nan):
        with pytest.raises(ValueError, match=f"expected a wavelength of {entry.name} in .* um, got"):
            entry.index(wrong)


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("polystyrol", "did you mean 'polystyrene'"),
        ("pmma", "did you mean 'PMMA'"),
        ("TiO2", "did you mean 'TiO2 rutile' or 'TiO2 anatase'"),
        ("bacteria", "did you mean 'bacterial cytoplasm'"),
        ("xyz", "choose one of air, water, .*bacterial cytoplasm"),
        ("", "choose one of air, water"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(wrong: str, near: str) -> None:
    with pytest.raises(ValueError, match=f"expected the name of a material, got '{wrong}'; {near}") as error:
        material(wrong)
    assert "\n" not in str(error.value)


def test_names_are_unique_and_materials_are_values() -> None:
    assert len({entry.name for entry in MATERIALS}) == len(MATERIALS)
    for entry in MATERIALS:
        assert toml.load(toml.dump(entry)) == entry
