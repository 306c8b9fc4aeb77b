"""Values: declarations, dotted paths, substitution, and what is refused."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import exitwave as ew
from exitwave import Quantity, Value, param
from exitwave.model import classes, fields, params
from exitwave.units import known

DOUBLE = torch.float64


def beads(**changes: Any) -> ew.Particles:
    given: dict[str, Any] = {
        "center": [[0.0, 0.0, 0.0], [0.0, 1.0, -1.0]],
        "size": [[0.5], [0.7]],
        "index": [1.45, 1.5],
    }
    return ew.Particles(ew.Sphere(), **(given | changes))


def scene(**changes: Any) -> ew.Scene:
    film = ew.Film(opd=0.01, seed=2)
    return ew.Scene(
        ew.Specimen((beads(), film), medium=1.33), ew.brightfield(na=0.5, **changes), ew.Grid((24, 24), 0.2)
    )


def wrong(value: Any) -> Any:
    """Return `value`, hidden from the type checker: what users without one may pass."""
    return value


# Declarations


def test_numbers_become_tensors_of_the_usual_dtype() -> None:
    assert ew.Objective(na=0.5).na.dtype == DOUBLE
    assert beads().center.dtype == torch.float32
    assert ew.Objective(na=torch.tensor(0.5)).na.dtype == torch.float32
    assert beads(center=np.zeros((2, 3))).center.dtype == DOUBLE
    assert beads(index=torch.tensor([1, 2])).index.dtype == torch.float32
    assert ew.Objective(na=np.float64(0.5)).na.shape == ()
    assert ew.Objective(na=1, index=1.33).na.dtype == DOUBLE


def test_one_number_may_stand_for_a_list_of_one() -> None:
    assert ew.Coherent(wavelength=0.6).wavelength.tolist() == [0.6]
    assert ew.Objective(zernike=0.1).zernike.tolist() == [0.1]
    assert ew.Camera(gain=0.5).gain.shape == ()


def test_optional_fields_are_filled_in() -> None:
    particles = beads(center=torch.zeros(2, 3, dtype=DOUBLE))
    assert particles.rotation.tolist() == [[1, 0, 0, 0]] * 2
    assert particles.absorption.tolist() == [0, 0]
    assert particles.rotation.dtype == DOUBLE
    assert ew.Koehler(wavelength=(0.4, 0.5)).spectrum.tolist() == [1, 1]


def test_values_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ew.Objective().na = 0.3  # pyright: ignore[reportAttributeAccessIssue]


def test_every_declared_unit_is_known_and_every_parameter_is_described() -> None:
    for name, cls in classes().items():
        if not cls.__module__.startswith("exitwave."):
            continue
        for field, spec in params(cls).items():
            assert known(spec.unit) or spec.unit == "any", (name, field)
            assert spec.doc or spec.unit == "any" or name in ("Mixture", "Choice", "LogNormal"), (name, field)
            assert spec.low < spec.high


def test_letters_of_dimensions_are_matched() -> None:
    class Ramp(Value):
        x: Quantity = param("um", dims=("N",))
        y: Quantity = param("um", dims=("N", 2))

    assert Ramp([1, 2, 3], np.ones((3, 2))).y.shape == (3, 2)
    with pytest.raises(ValueError, match=r"Ramp\.y must have N = 3 entries like x, got 2; pass arrays of one length"):
        Ramp([1, 2, 3], np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"Ramp\.y must have shape \(N, 2\), got \(3, 4\); reshape it"):
        Ramp([1, 2, 3], np.ones((3, 4)))


def test_bounds_are_open_where_declared() -> None:
    assert float(ew.Film(opd=0.0).opd) == 0
    with pytest.raises(ValueError, match=r"Film\.scale must lie in \(0, inf\) um, got 0"):
        ew.Film(scale=0.0)
    assert ew.Camera(quantum_efficiency=1.0).quantum_efficiency == 1


# Equality, copies, conversion


def test_equality_is_that_of_contents_and_types() -> None:
    assert scene() == scene()
    assert scene() != scene(defocus=1.0)
    assert ew.Sphere() != ew.Box()
    assert ew.Objective(na=torch.tensor(0.5)) != ew.Objective(na=torch.tensor(0.5, dtype=DOUBLE))
    assert ew.Crystal(per_face=True) != ew.Crystal()
    assert hash(scene()) == hash(scene())
    assert scene() != "scene"


def test_pickles_and_copies_are_equal() -> None:
    recipe = scene(wavelength=(0.45, 0.6))
    for other in (pickle.loads(pickle.dumps(recipe)), copy.deepcopy(recipe), copy.copy(recipe)):
        assert other == recipe
        assert torch.equal(ew.render(other), ew.render(recipe))
    prior = ew.Normal(mean=ew.Uniform(5, 10), sigma=0.3)
    assert pickle.loads(pickle.dumps(prior)) == prior


def test_conversion_reaches_every_tensor_and_nothing_else() -> None:
    recipe = scene()
    double = recipe.to(DOUBLE)
    assert all(ew.get(double, path).dtype == DOUBLE for path in ew.paths(double))
    assert double.grid == recipe.grid
    assert double.to(torch.float32) == recipe.to(torch.float32)
    assert ew.render(double).dtype == DOUBLE
    assert ew.render(recipe).dtype == torch.float32
    assert recipe.to("cpu") == recipe


def test_rendering_follows_the_specimens_precision() -> None:
    single, double = ew.render(scene()), ew.render(scene().to(DOUBLE))
    assert single.double().numpy() == pytest.approx(double.numpy(), abs=2e-5)


# Paths


def test_paths_name_every_parameter() -> None:
    found = ew.paths(scene())
    assert list(found)[:3] == ["specimen.parts.0.center", "specimen.parts.0.size", "specimen.parts.0.index"]
    assert "microscope.illumination.condenser_na" in found
    assert found["microscope.optics.na"].unit == "1"
    for path in found:
        assert isinstance(ew.get(scene(), path), Tensor)


def test_paths_reach_into_priors() -> None:
    recipe = ew.Film(opd=ew.Uniform(0.1, 0.2))
    assert next(iter(ew.paths(recipe))) == "opd"
    assert ew.get(recipe, "opd.high") == 0.2


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (
            "microscope.optics.defocos",
            "Objective has no field 'defocos' (in 'microscope.optics.defocos'); did you mean 'defocus'?",
        ),
        ("microscope.xyz", "valid names: illumination, interaction, optics, sensor"),
        ("specimen.parts.7.size", "expected a number below 2 in 'specimen.parts.7.size', got '7'; count parts from 0"),
        ("specimen.parts.first", "got 'first'"),
        ("specimen.parts.0.size.9", "expected a number below 2"),
        ("specimen.parts.0.size.1.0.x", "nothing lies below a plain value"),
        (
            "specimen.parts.1.seed.0",
            "nothing lies below a plain value in 'specimen.parts.1.seed.0', got '0'; shorten the path",
        ),
    ],
)
def test_unknown_paths_are_refused_with_a_remedy(path: str, words: str) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: ew.get(scene(), path),
        lambda: ew.substitute(scene(), {path: torch.zeros(())}),
    ]
    for call in calls:
        with pytest.raises(KeyError) as caught:
            call()
        assert words in caught.value.args[0]
        assert "\n" not in caught.value.args[0]


# Substitution


def test_substitution_leaves_the_original_and_the_rest_alone() -> None:
    before = scene()
    after = ew.substitute(before, {"microscope.optics.na": torch.tensor(0.4), "specimen.parts.1.seed": 9})
    assert before == scene()
    assert float(after.microscope.optics.na) == pytest.approx(0.4)
    assert ew.get(after, "specimen.parts.1.seed") == 9
    assert ew.get(after, "specimen.parts.0") is ew.get(before, "specimen.parts.0")
    assert ew.substitute(before, {}) == before


def test_substitution_of_every_path_by_itself_changes_nothing() -> None:
    recipe = scene()
    assert ew.substitute(recipe, {path: ew.get(recipe, path) for path in ew.paths(recipe)}) == recipe


def test_gradients_pass_through_substitution() -> None:
    leaf = torch.tensor(0.5, dtype=DOUBLE, requires_grad=True)
    after = ew.substitute(scene(), {"microscope.optics.na": leaf})
    assert ew.get(after, "microscope.optics.na") is leaf
    (gradient,) = torch.autograd.grad(ew.render(after).sum(), leaf)
    assert float(gradient) != 0
    row = torch.tensor([0.6], requires_grad=True)
    after = ew.substitute(scene(), {"specimen.parts.0.size.1": row})
    (gradient,) = torch.autograd.grad(ew.get(after, "specimen.parts.0.size").sum(), row)
    assert gradient.tolist() == [1]


def test_vmap_passes_through_substitution() -> None:
    """Tensors of a transform have no numbers to check; volumes of many bead sizes at once."""

    def volume(size: Tensor) -> Tensor:
        particles = ew.get(ew.substitute(scene(), {"specimen.parts.0.size": size}), "specimen.parts.0")
        return particles.shape.volume(particles.size).sum()

    sizes = torch.rand(5, 2, 1) + 0.1
    many = torch.func.vmap(volume)(sizes)
    assert many.numpy() == pytest.approx([float(volume(size)) for size in sizes])
    slopes = torch.func.vmap(torch.func.grad(volume))(sizes)
    assert slopes.numpy() == pytest.approx((4 * torch.pi * sizes**2).numpy(), rel=1e-5)


def test_substitution_of_plain_numbers_is_checked() -> None:
    assert float(ew.substitute(scene(), {"microscope.optics.na": 0.3}).microscope.optics.na) == 0.3
    with pytest.raises(ValueError, match=r"Objective\.na must lie in \(0, 1\.7\), got 2"):
        ew.substitute(scene(), {"microscope.optics.na": 2.0})
    with pytest.raises(ValueError, match=r"na must be below the immersion index 1, got 1\.2"):
        ew.substitute(scene(), {"microscope.optics.na": 1.2})
    with pytest.raises(TypeError, match=r"Objective\.na must be a number in 1, got '0.5'"):
        ew.substitute(scene(), {"microscope.optics.na": "0.5"})


def test_substitution_keeps_shapes() -> None:
    with pytest.raises(ValueError, match=r"Objective\.na must keep shape \(\), got \(2,\); reshape the tensor"):
        ew.substitute(scene(), {"microscope.optics.na": torch.tensor([0.4, 0.5])})
    with pytest.raises(ValueError, match=r"Particles\.size must keep shape \(2, 1\), got \(3, 1\)"):
        ew.substitute(scene(), {"specimen.parts.0.size": torch.ones(3, 1)})


def test_substitution_refuses_a_path_and_one_below_it() -> None:
    optics = ew.Objective()
    with pytest.raises(KeyError, match="'optics' and a path below it are both given"):
        ew.substitute(scene(), {"microscope.optics": optics, "microscope.optics.na": torch.tensor(0.4)})


def test_substitution_of_structure() -> None:
    microscope = ew.hologram(na=0.3)
    after = ew.substitute(scene(), {"microscope": microscope, "grid.shape": (8, 9)})
    assert after.microscope == microscope
    assert ew.render(after).shape == (8, 9)


# Refusals: each in one line that says what was expected, what came, and what to do


def bead(**more: Any) -> ew.Particles:
    return ew.Particles(ew.Sphere(), center=[[0.0, 0.0, 0.0]], size=[[1.0]], index=[1.4], **more)


REFUSALS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "annulus outside the range": (
        lambda: ew.Annulus(0.5, 1.7),
        ValueError,
        "Annulus.outer_na must lie in [0, 1.6], got",
    ),
    "annulus inside out": (lambda: ew.Annulus(0.5, 0.4), ValueError, "needs an inner edge below its outer one"),
    "dark lamps": (
        lambda: ew.SourcePoints([[0.0, 0.0]], weight=[0.0]),
        ValueError,
        "a source needs light, got weights that sum to zero; give one point a weight",
    ),
    "amplifying particle": (lambda: bead(absorption=[-0.1]), ValueError, "Particles.absorption must lie in [0, inf)"),
    "negative extraordinary index": (
        lambda: bead(birefringence=[-1.0]),
        ValueError,
        "index + birefringence must be at least 0.5, got 0.4",
    ),
    "no optic axis": (
        lambda: bead(optic_axis=[[0.0, 0.0, 0.0]]),
        ValueError,
        "optic_axis must hold vectors of non-zero length, got a zero",
    ),
    "unknown method": (
        lambda: ew.Koehler(0.3, method="soc"),
        ValueError,
        "Koehler.method must be one of abbe, socs, got 'soc'",
    ),
    "number as a plate": (lambda: ew.Objective(na=0.5, plate=3), TypeError, "Objective.plate must be a PhaseRing or"),
    "darkfield in the aperture": (
        lambda: ew.darkfield(na=torch.tensor(0.7), inner_na=0.6),
        ValueError,
        "darkfield needs an annulus outside the objective's aperture 0.7, got inner_na 0.6",
    ),
    "phase ring outside the aperture": (
        lambda: ew.phase_contrast(na=0.2),
        ValueError,
        "the annulus must lie inside the objective's aperture 0.2, got it at 0.28",
    ),
    "slabs that fall": (lambda: ew.Multislice(depth=(1.0, -1.0)), ValueError, "must be two rising heights"),
    "no slabs": (lambda: ew.Multislice(slabs=0), ValueError, "Multislice.slabs must be a positive integer, got 0"),
    "na above the index": (
        lambda: ew.Objective(na=1.4, index=1.33),
        ValueError,
        "na must be below the immersion index 1.33, got 1.4; use a water (index=1.33) or an oil objective",
    ),
    "na zero": (
        lambda: ew.Objective(na=0.0),
        ValueError,
        "Objective.na must lie in (0, 1.7), got 0; pass a value inside",
    ),
    "wavelength": (lambda: ew.Coherent(-0.5), ValueError, "Coherent.wavelength must lie in (0, inf) um, got -0.5"),
    "wavelengths": (lambda: ew.Koehler(wavelength=(0.5, 0.0)), ValueError, "got values from 0 to 0.5"),
    "spectrum length": (
        lambda: ew.Koehler(wavelength=(0.5, 0.6), spectrum=(1.0,)),
        ValueError,
        "Koehler.spectrum must have L = 2 entries like wavelength, got 1; pass arrays of one length",
    ),
    "dark source": (
        lambda: ew.Coherent(spectrum=0.0),
        ValueError,
        "a source needs light, got a spectrum that sums to zero",
    ),
    "rings": (lambda: ew.Koehler(rings=-1), ValueError, "Koehler.rings must be an integer from 0 to 100, got -1"),
    "nan": (
        lambda: ew.Objective(defocus=float("nan")),
        ValueError,
        "Objective.defocus must be finite, got NaN or infinity",
    ),
    "infinity": (lambda: beads(index=[1.5, float("inf")]), ValueError, "Particles.index must be finite"),
    "pixel": (lambda: ew.Grid((8, 8), 0.0), ValueError, "Grid.pixel must be positive and finite, got 0.0 um"),
    "pixel nan": (
        lambda: ew.Grid((8, 8), float("nan")),
        ValueError,
        "Grid.pixel must be positive and finite, got nan um",
    ),
    "pixel text": (lambda: ew.Grid((8, 8), wrong("fine")), TypeError, "Grid.pixel must be a number in um, got 'fine'"),
    "pixel count": (lambda: ew.Grid((8, 8), (0.1, 0.1, 0.1)), ValueError, "one number or 2 numbers for (8, 8), got 3"),
    "grid shape": (
        lambda: ew.Grid((8, -1), 0.1),
        ValueError,
        "Grid.shape must be (height, width) or (depth, height, width)",
    ),
    "grid floats": (lambda: ew.Grid(wrong((8.0, 8.0)), 0.1), ValueError, "got (8.0, 8.0)"),
    "lengths": (
        lambda: beads(index=[1.5]),
        ValueError,
        "Particles.index must have N = 2 entries like center, got 1; pass arrays of one length",
    ),
    "dimensions": (
        lambda: beads(size=[0.5, 0.7]),
        ValueError,
        "Particles.size must have 2 dimensions (N, k), got shape (2,)",
    ),
    "columns": (
        lambda: beads(size=[[0.5, 0.5], [0.7, 0.7]]),
        ValueError,
        "size of a Sphere must have 1 columns (radius), got 2; pass shape (N, 1)",
    ),
    "center columns": (
        lambda: beads(center=[[0, 0], [0, 0]]),
        ValueError,
        "Particles.center must have shape (N, 3), got (2, 2)",
    ),
    "negative radius": (lambda: beads(size=[[0.5], [-0.7]]), ValueError, "Particles.size must lie in (0, inf) um"),
    "short rod": (
        lambda: ew.Particles(ew.Rod(), [[0, 0, 0]], [[0.5, 0.3]], [1.4]),
        ValueError,
        "half_length includes its caps and must be at least its radius, got radius 0.5 and half_length 0.3 um",
    ),
    "zero quaternion": (
        lambda: beads(rotation=np.zeros((2, 4))),
        ValueError,
        "quaternions of non-zero length, got a zero",
    ),
    "open crystal": (lambda: ew.Crystal(forms=((1, 1, 0),)), ValueError, "do not close in a solid, got an open shape"),
    "no forms": (lambda: ew.Crystal(forms=((0, 0, 0),)), ValueError, "Crystal.forms must be Miller indices"),
    "laue": (lambda: ew.Crystal(laue="4mm"), ValueError, "Crystal.laue must be one of -1, 2/m, mmm"),
    "cell": (lambda: ew.Crystal(cell=(1.0, 1.0, 0.0)), ValueError, "Crystal.cell must be three positive lengths"),
    "parts": (
        lambda: ew.Specimen(wrong([beads()])),
        TypeError,
        "Specimen.parts must be a tuple, got list; write (particles,)",
    ),
    "part": (lambda: ew.Specimen((3,)), TypeError, "Specimen.parts must hold values such as Particles, got int"),
    "medium": (lambda: ew.Specimen((), medium=0.0), ValueError, "Specimen.medium must lie in [0.5, 5], got 0"),
    "scene": (
        lambda: ew.Scene(wrong(ew.Grid((8, 8), 1.0)), ew.brightfield(), wrong(ew.Specimen(()))),
        TypeError,
        "Scene.specimen must be a Specimen, got Grid; write Scene(specimen, microscope, grid)",
    ),
    "microscope": (
        lambda: ew.Microscope(1, 2, 3, 4),
        TypeError,
        "Microscope.illumination must be a value such as a preset",
    ),
    "text": (
        lambda: ew.Objective(na="10 nm"),
        TypeError,
        "got '10 nm'; unit strings are read in TOML and on the command line only",
    ),
    "bool": (lambda: ew.Objective(na=True), TypeError, "Objective.na must be a number in 1, got True"),
    "complex": (
        lambda: ew.Objective(na=torch.tensor(1j)),
        TypeError,
        "must be a real number in 1, got torch.complex64",
    ),
    "ragged": (lambda: beads(center=[[0, 0, 0], [0]]), TypeError, "must be a number or nested lists of numbers in um"),
    "class for a value": (
        lambda: ew.Particles(wrong(ew.Sphere), [[0, 0, 0]], [[1]], [1.4]),
        TypeError,
        "a shape such as Sphere()",
    ),
    "film seed": (
        lambda: ew.Film(seed=wrong("x")),
        ValueError,
        "Film.seed must be an integer from 0 to 2^63 - 1, got 'x'",
    ),
    "none": (lambda: ew.Objective(na=None), TypeError, "Objective.na must be a number in 1, got None"),
    "prior beyond the range": (
        lambda: ew.Objective(na=ew.Uniform(0.5, 3.0)),
        ValueError,
        "Objective.na must lie in (0, 1.7), got a prior over [0.5, 3]; narrow it",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_values_refuse_in_one_line(name: str) -> None:
    make, error, words = REFUSALS[name]
    with pytest.raises(error) as caught:
        make()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def lit(illumination: Any, interaction: Any = None, optics: Any = None, part: Any = None) -> ew.Scene:
    microscope = ew.Microscope(
        illumination, interaction or ew.Transmission(), optics or ew.Objective(na=0.5), ew.Ideal()
    )
    return ew.Scene(ew.Specimen((part or bead(),), medium=1.33), microscope, ew.Grid((16, 16), 0.1))


RENDERING: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "light beyond the medium": (
        lambda: ew.render(lit(ew.Annulus(1.35, 1.5))),
        ValueError,
        "light must fall in at less than the medium's index 1.33 times the sine of a right angle, got 1.4",
    ),
    "shear beyond the field": (
        lambda: ew.render(lit(ew.Coherent(), optics=ew.Objective(na=0.5, plate=ew.Shear((0.0, 2.0))))),
        ValueError,
        "the shear must be smaller than the field 1.6 x 1.6 um, got 0 x 2 um",
    ),
    "thousands of slabs": (
        lambda: ew.render(lit(ew.Coherent(), ew.Multislice(slabs=100_000))),
        ValueError,
        "the maps of all slabs must take at most 8 GiB, got",
    ),
    "body beyond the slabs": (
        lambda: ew.render(lit(ew.Coherent(), ew.Multislice(slabs=3, depth=(-0.5, 3.0)))),
        ValueError,
        "the specimen must lie between the slabs at -0.5 and 3 um, got particles from -1 to 1 um; widen",
    ),
    "kernels of what is fitted": (
        lambda: ew.render(
            ew.substitute(
                lit(ew.Koehler(0.3, method="socs")),
                {"microscope.optics.na": torch.tensor(0.5, dtype=torch.float64, requires_grad=True)},
            )
        ),
        ValueError,
        "kernels are fixed and have no derivative",
    ),
    "kernels of a deep specimen": (
        lambda: ew.render(lit(ew.Koehler(0.3, method="socs"), ew.Multislice(slabs=2))),
        ValueError,
        "kernels stand for a thin specimen",
    ),
    "reference in white light": (
        lambda: ew.render(lit(ew.Koehler(0.3), optics=ew.Objective(na=0.5, reference=ew.Reference()))),
        ValueError,
        "a reference beam needs coherent light, got a source of 37 points",
    ),
    "coarse pixel": (
        lambda: ew.render(ew.Scene(ew.Specimen(()), ew.brightfield(na=0.5), ew.Grid((64, 64), 0.6))),
        ValueError,
        "the pixel must be at most lambda / (2 (NA + tilt)) = 0.55 um to sample the field, got 0.6 um; use a finer",
    ),
    "volume": (
        lambda: ew.render(ew.Scene(ew.Specimen(()), ew.brightfield(), ew.Grid((4, 8, 8), 0.2))),
        ValueError,
        "transmitted light needs a grid (height, width), got (4, 8, 8); drop the depth",
    ),
    "huge": (
        lambda: ew.render(ew.Scene(ew.Specimen(()), ew.brightfield(), ew.Grid((100_000, 100_000), 0.2))),
        ValueError,
        "the image with its margin must stay below 536,870,912 samples, got",
    ),
    "deep specimen": (
        lambda: ew.render(
            ew.substitute(scene(), {"specimen.parts.0.center": torch.tensor([[20.0, 0, 0], [-20.0, 0, 0]])})
        ),
        ValueError,
        "a thin specimen must lie within the depth of field",
    ),
    "prior": (
        lambda: ew.render(scene(defocus=ew.Uniform(0, 1))),
        TypeError,
        "got a prior at microscope.optics.defocus; draw it with sample(scene, Key(seed)) first",
    ),
    "incoherent field": (
        lambda: ew.optical_field(scene()),
        ValueError,
        "a field needs coherent light, got a source of 37 points; set condenser_na to 0",
    ),
    "unknown part": (
        lambda: ew.render(ew.Scene(ew.Specimen((ew.Sphere(),)), ew.brightfield(), ew.Grid((16, 16), 0.2))),
        TypeError,
        "expected particles or films in transmitted light, got Sphere",
    ),
}


@pytest.mark.parametrize("name", RENDERING)
def test_rendering_refuses_in_one_line(name: str) -> None:
    make, error, words = RENDERING[name]
    with pytest.raises(error) as caught:
        make()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fields_keep_their_order() -> None:
    assert fields(ew.Scene) == ("specimen", "microscope", "grid")
    assert fields(ew.Grid) == ("shape", "pixel")


def test_representation_is_short_and_has_the_numbers() -> None:
    assert repr(ew.Objective(na=0.5)) == "Objective(na=0.5, defocus=0.0, zernike=[], index=1.0)"
    assert "center=tensor(9, 3)" in repr(ew.Particles(ew.Sphere(), np.zeros((9, 3)), np.ones((9, 1)), np.ones(9)))
