"""`--set`: what it understands, and how it refuses the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from cli.commands import refused

import exitwave as ew
from exitwave.cli.override import overridden
from exitwave.data import recipe


def test_overrides_take_units_lists_priors_and_structure() -> None:
    scene = overridden(
        recipe(Path("tiny.toml")),
        [
            "microscope.optics.defocus=-3 um",
            "microscope.optics.zernike=[0.1, '0.05 wave']",
            "specimen.parts.0.index.mean=1.5",
            "specimen.parts.0.size.0.high='0.7 um'",
            'specimen.parts.0.count={ type = "Uniform", low = 2, high = 3 }',
            "specimen.parts.0.count.low=1",
            "specimen.parts.0.label=7",
            "grid.shape=[32, 32]",
            "grid.shape.1=40",
            "microscope.sensor.bits=12",
        ],
    )
    assert float(scene.microscope.optics.defocus) == -3
    assert scene.microscope.optics.zernike.tolist() == [0.1, 0.05]
    population = scene.specimen.parts[0]
    assert float(population.index.mean) == 1.5
    assert float(population.index.sigma) == 0.01
    assert float(population.size[0].high) == 0.7
    assert population.count == ew.Uniform(1, 3)
    assert population.label == "7"
    assert scene.grid.shape == (32, 40)
    assert scene.microscope.sensor.bits == 12


def test_overrides_reach_single_numbers_of_arrays() -> None:
    scene = recipe(Path("bead.toml"))
    moved = overridden(scene, ["specimen.parts.0.center.0.2=500 nm"])
    assert moved.specimen.parts[0].center.tolist() == [[0.0, 0.0, 0.5]]
    # Not of the usual precision, and so written otherwise in TOML.
    moved = overridden(scene.to(torch.float64), ["specimen.parts.0.center.0.2=500 nm"])
    assert moved.specimen.parts[0].center.tolist() == [[0.0, 0.0, 0.5]]
    assert moved.specimen.parts[0].center.dtype == torch.float64


def test_overrides_are_checked_together() -> None:
    scene = overridden(recipe(Path("bead.toml")), ["microscope.optics.na=1.2", "microscope.optics.index=1.515"])
    assert float(scene.microscope.optics.na) == 1.2


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("microscope.optics.nna=1", "did you mean 'na'?"),
        ("na=0.4", "did you mean 'microscope.optics.na'?"),
        ("specimen.parts.5.count=1", "a number below 1"),
        ("grid.shape.0.1=3", "nothing lies below a plain value"),
        ("microscope.optics.na=1.2", "na must be below the immersion index 1"),
        ("microscope.optics.na=3", "must lie in (0, 1.7)"),
        ("microscope.optics.na=nan", "must be finite"),
        ("microscope.optics.defocus=3 xm", "unknown unit 'xm'"),
        ("microscope.optics.defocus=3 deg", "a unit of the same kind as um"),
        ("microscope.optics.defocus=far", "expected a number with a unit"),
        ("microscope.illumination.wavelength=0 nm", "must lie in (0, inf) um"),
        ("grid.pixel=-1", "must be positive and finite"),
        ("grid.shape=64", "must be (height, width)"),
        ("specimen.parts.0.index={type=", "expected a number, a text, or a list or table of TOML"),
        ('specimen.parts.0.index={type="Norml",mean=1}', "did you mean 'Normal'?"),
        ("specimen.parts.0.size=[1, 2]", "needs 1 entries for Sphere"),
        ("specimen.parts.0.count=100000", "use fewer or smaller particles"),
    ],
)
def test_bad_overrides_are_explained(assignment: str, said: str) -> None:
    extra = ["--set", 'specimen.parts.0.arrangement={type="Scattered",overlap=0}']
    assert said in refused("render", "tiny.toml", "--set", assignment, *extra[: 2 * ("100000" in assignment)])
    assert not Path("tiny.png").exists()
