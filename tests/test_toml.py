"""TOML: every value comes back as it went, and bad text is refused with its place."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import exitwave as ew

# Strategies for random scenes


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


@st.composite
def arrays(draw: st.DrawFn, shape: tuple[int, ...], low: float, high: float) -> torch.Tensor:
    """Return a tensor of any floating dtype; its numbers may have any bits that the dtype has."""
    half = [torch.float16] if high < 6e4 else []
    dtype = draw(st.sampled_from([torch.float32, torch.float64, *half]))
    count = math.prod(shape)
    found = draw(st.lists(numbers(low, high), min_size=count, max_size=count))
    tensor = torch.tensor(found, dtype=torch.float64).to(dtype)
    # Rounding to few bits may leave the range.
    return tensor.clamp(low, high).reshape(shape)


@st.composite
def quantity(draw: st.DrawFn, low: float, high: float) -> Any:
    """Return a number of any kind, or a prior that stays within a range, possibly with a prior inside."""
    kind = draw(st.sampled_from(["number", "number", "tensor", "uniform", "normal", "choice", "mixture", "nested"]))
    if kind == "number":
        return draw(numbers(low, high))
    if kind == "tensor":
        return draw(arrays((), low, high))
    first, second = sorted((draw(numbers(low, high)), draw(numbers(low, high))))
    if kind == "uniform":
        return ew.Uniform(first, second)
    if kind == "normal":
        return ew.TruncatedNormal(second, draw(numbers(0.01, 2)), first, second)
    if kind == "choice":
        return ew.Choice((first, second), draw(st.sampled_from([None, (0.5, 2.0)])))
    if kind == "mixture":
        return ew.Mixture((ew.Uniform(first, second), ew.Choice((first,))), (0.3, 0.7))
    return ew.Uniform(ew.Uniform(first, second), ew.Choice((second,)))


SHAPES: list[Any] = [
    ew.Sphere(),
    ew.Ellipsoid(),
    ew.Rod(),
    ew.Box(),
    ew.Disk(),
    ew.Crystal(),
    ew.Crystal(per_face=True),
    ew.Superellipsoid(),
    ew.RoundedCrystal((3.785, 3.785, 9.514), ((1, 0, 1), (0, 0, 1)), per_face=True),
    ew.Crystal((1.0, 2.0, 3.5), ((1, 0, 0), (0, 1, 0), (0, 0, 1)), "2/m", (math.pi / 2, 1.9, math.pi / 2)),
]


@st.composite
def particles(draw: st.DrawFn) -> ew.Particles:
    shape = draw(st.sampled_from(SHAPES))
    count = draw(st.integers(0, 3))
    columns = len(shape.lengths)
    size = draw(arrays((count, columns), 0.25, 20))
    if isinstance(shape, ew.Rod):
        size = torch.sort(size, 1).values
    if shape.ratios:
        size[:, -1] = size[:, -1].clamp(max=1.0)
    optional: dict[str, Any] = {}
    if draw(st.booleans()):
        optional["absorption"] = draw(arrays((count,), 0, 5))
        optional["dispersion"] = draw(arrays((count,), -0.5, 0.5))
        rotation = draw(arrays((count, 4), -1, 1))
        rotation[:, 0] = 1.0
        optional["rotation"] = rotation
    label = draw(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=8))
    return ew.Particles(
        shape, draw(arrays((count, 3), -50, 50)), size, draw(arrays((count,), 1, 3)), label=label, **optional
    )


@st.composite
def films(draw: st.DrawFn) -> ew.Film:
    return ew.Film(
        opd=draw(quantity(0, 0.5)),
        absorbance=draw(quantity(0, 2)),
        scale=draw(quantity(0.1, 50)),
        exponent=draw(quantity(0, 5)),
        seed=draw(st.integers(0, 2**63 - 1)),
    )


@st.composite
def microscopes(draw: st.DrawFn) -> ew.Microscope:
    colours = draw(st.integers(1, 3))
    wavelength = draw(arrays((colours,), 0.3, 1))
    lamp: Any = draw(
        st.sampled_from(
            [
                ew.Koehler(draw(quantity(0, 0.9)), wavelength, rings=draw(st.integers(0, 5))),
                ew.Coherent(wavelength, direction=draw(arrays((2,), -0.5, 0.5))),
            ]
        )
    )
    terms = draw(st.integers(0, 5))
    optics = ew.Objective(
        na=draw(quantity(0.1, 0.95)),
        defocus=draw(quantity(-20, 20)),
        zernike=draw(arrays((terms,), -1, 1)),
        index=draw(st.sampled_from([1.0, 1.33, 1.515])),
    )
    sensor: Any = draw(
        st.sampled_from(
            [
                ew.Ideal(),
                ew.Ideal(response=torch.eye(3)[:, :colours] + 0.1),
                ew.Interferometer(offset=draw(quantity(-1, 1)), tilt=draw(arrays((2,), -0.1, 0.1))),
                ew.Camera(
                    dose=draw(quantity(1, 1e6)),
                    gain=draw(arrays((2, 3), 0, 2)),
                    offset=draw(arrays((), 0, 100)),
                    em_gain=draw(quantity(1, 500)),
                    bits=draw(st.integers(1, 16)),
                ),
            ]
        )
    )
    return ew.Microscope(lamp, ew.Transmission(), optics, sensor)


@st.composite
def scenes(draw: st.DrawFn) -> ew.Scene:
    parts = draw(st.lists(st.one_of(particles(), films()), max_size=3))
    specimen = ew.Specimen(tuple(parts), medium=draw(quantity(1, 2)), dispersion=draw(quantity(-0.1, 0.1)))
    grid = ew.Grid(
        draw(st.tuples(st.integers(1, 4096), st.integers(1, 4096))),
        draw(st.one_of(numbers(1e-3, 10), st.tuples(numbers(1e-3, 10), numbers(1e-3, 10)))),
    )
    return ew.Scene(specimen, draw(microscopes()), grid)


@given(scenes())
@settings(
    derandomize=True,
    deadline=None,
    max_examples=80,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_every_scene_comes_back_as_it_went(scene: ew.Scene) -> None:
    text = ew.dump(scene)
    back = ew.load(text)
    assert back == scene
    assert ew.dump(back) == text
    # Equality compares numbers and dtypes; look once more at the bits.
    for path in ew.paths(scene):
        first, second = ew.get(scene, path), ew.get(back, path)
        assert type(first) is type(second)
        if isinstance(first, torch.Tensor):
            assert first.dtype == second.dtype
            assert first.shape == second.shape


def test_a_loaded_scene_renders_the_same_bytes(tmp_path: Path) -> None:
    bead = ew.Particles(ew.Sphere(), [[0, 0.1, 0.2]], [[0.7]], [1.45])
    scene = ew.Scene(ew.Specimen((bead,), medium=1.33), ew.brightfield(na=0.5, rings=1), ew.Grid((16, 16), 0.2))
    path = tmp_path / "scene.toml"
    path.write_text(ew.dump(scene), encoding="utf-8")
    assert torch.equal(ew.render(ew.load(path)), ew.render(scene))


def test_single_precision_is_written_as_its_shortest_decimal() -> None:
    text = ew.dump(ew.Particles(ew.Sphere(), [[0.1, 0.2, 0.3]], [[0.7]], [1.59]))
    assert "0.1,\n" in text
    assert "0.10000000149" not in text


def test_recipes_may_carry_units() -> None:
    scene = ew.load(
        """
        type = "Scene"
        [grid]
        shape = [32, 48]
        pixel = "100 nm"
        [specimen]
        medium = 1.33
        [[specimen.parts]]
        type = "Particles"
        center = [["0 nm", 0.5, "-1.5 um"]]
        size = [["350 nm"]]
        index = [1.59]
        absorption = ["20 1/mm"]
        shape = { type = "Sphere" }
        [microscope.illumination]
        type = "Koehler"
        condenser_na = 0.3
        wavelength = ["450 nm", 0.55, "620 nm"]
        [microscope.interaction]
        type = "Transmission"
        [microscope.optics]
        type = "Objective"
        na = "50 %"
        defocus = { type = "Uniform", low = "-500 nm", high = "0.002 mm" }
        [microscope.sensor]
        type = "Interferometer"
        offset = "30 deg"
        tilt = [0.1, "0.2 rad/um"]
        """
    )
    assert scene.grid.spacing == (0.1, 0.1)
    assert scene.specimen.parts[0].size.flatten().tolist() == pytest.approx([0.35])
    assert scene.specimen.parts[0].center.tolist() == [[0.0, 0.5, -1.5]]
    assert scene.specimen.parts[0].absorption.tolist() == pytest.approx([0.02])
    assert scene.microscope.illumination.wavelength.tolist() == [0.45, 0.55, 0.62]
    assert float(scene.microscope.optics.na) == 0.5
    assert scene.microscope.optics.defocus == ew.Uniform(-0.5, 2.0)
    assert float(scene.microscope.sensor.offset) == pytest.approx(math.pi / 6)
    assert ew.load(ew.dump(scene)) == scene


def test_priors_may_have_words() -> None:
    scene = ew.load(
        """
        type = "Scene"
        [grid]
        shape = [8, 8]
        pixel = "10 nm"
        [[specimen.parts]]
        type = "Population"
        shape = { type = "Sphere" }
        arrangement = { type = "Pile" }
        count = 5
        size = [0.02]
        secondary = { type = "MaterialYield", body = "silver", on = "silicon", energy = 5 }
        [microscope.illumination]
        type = "Beam"
        [microscope.interaction]
        type = "SecondaryElectrons"
        [microscope.optics]
        type = "ElectronDetector"
        [microscope.sensor]
        type = "ScanSensor"
        """
    )
    assert scene.specimen.parts[0].secondary == ew.MaterialYield("silver", on="silicon", energy=5)
    assert ew.load(ew.dump(scene)) == scene


def test_classes_of_others_are_imported_by_name() -> None:
    assert ew.load('type = "exitwave.specimen:Sphere"') == ew.Sphere()
    text = ew.dump(Ring(radius=0.5))
    assert f'type = "{__name__}:Ring"' in text or 'type = "Ring"' in text
    assert ew.load(text) == Ring(radius=0.5)


class Ring(ew.Value):
    """A class outside the package."""

    radius: ew.Quantity = ew.param("um", low=0.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not toml at all", "the recipe is not valid TOML: "),
        ("na = 1", 'the table at the recipe needs a type, got none; add for example type = "Scene"'),
        ("type = 5", 'expected a type such as "Uniform" at the recipe, got 5'),
        ('type = "Sphre"', "unknown type 'Sphre' at the recipe; did you mean 'Sphere'?"),
        ('type = "Zzz"', "unknown type 'Zzz' at the recipe; write 'package.module:Name' for a class of your own"),
        ('type = "nowhere.at.all:Thing"', "cannot import the type 'nowhere.at.all:Thing' at the recipe"),
        ('type = "exitwave.optics:Lens"', "cannot import the type 'exitwave.optics:Lens'"),
        (
            'type = "Objective"\ndefocuss = 1',
            "Objective has no field 'defocuss' (in the recipe); did you mean 'defocus'?",
        ),
        (
            'type = "Objective"\nna = "10 nm"',
            "the recipe.na: expected a unit of the same kind as 1 (1, %), got '10 nm'",
        ),
        ('type = "Objective"\nna = nan', "Objective.na must be finite"),
        ('type = "Objective"\nna = 3', "Objective.na must lie in (0, 1.7), got 3"),
        ('type = "Objective"\nna = true', "Objective.na must be a number in 1, got True"),
        (
            'type = "Objective"\nna = {low = 1, high = 2}',
            'expected a type such as "Uniform" at the recipe.na, got None',
        ),
        ('type = "Objective"\nna = {type = "Uniform", low = 0.1}', "cannot build the prior at the recipe.na"),
        ('type = "Objective"\nna = {type = "Uniform", low = 1, high = 3}', "got a prior over [1, 3]; narrow it"),
        ('type = "Objective"\nna = {dtype = "int8", data = 1}', "expected dtype float16, bfloat16, float32, float64"),
        (
            'type = "Objective"\nzernike = {dtype = "float32", data = [1, 2], shape = [3]}',
            "expected nested lists of numbers that fill the shape at the recipe.zernike",
        ),
        ('type = "Grid"\nshape = [4, 4]\npixel = "3 deg"', "the recipe.pixel: expected a unit of the same kind as um"),
        ('type = "Microscope"', "cannot build Microscope at the recipe"),
        ('type = "Scene"\ngrid = 3\nspecimen = 3\nmicroscope = 3', "Scene.specimen must be a Specimen, got int"),
    ],
)
def test_bad_recipes_are_refused_in_one_line(text: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are compared below
        ew.load(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unreadable_files_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot read the recipe .*missing\.toml: .*; pass a TOML file"):
        ew.load(tmp_path / "missing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"cannot read the recipe .*binary\.toml"):
        ew.load(tmp_path / "binary.toml")
