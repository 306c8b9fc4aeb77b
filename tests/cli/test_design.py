"""`exitwave design`: what it says that a measurement would tell."""

from __future__ import annotations

from pathlib import Path

from cli.commands import BEAD, done, refused, run

FREE = ("--free", "specimen.parts.0.size,specimen.parts.0.index")


def _bounds(told: str) -> dict[str, float]:
    lines = [line.split() for line in told.splitlines() if line.startswith("specimen.")]
    return {words[0].partition(".0.")[2].partition("[")[0]: float(words[-2]) for words in lines}


def test_bounds_shrink_as_the_noise_does() -> None:
    """Standard errors of a linear problem are proportional to the noise of a phase."""
    rough = _bounds(done("design", "bead.toml", *FREE))
    fine = _bounds(done("design", "bead.toml", *FREE, "--set", "microscope.sensor.noise=1 mrad"))
    for name in ("size", "index"):
        assert 9 < rough[name] / fine[name] < 11


def test_a_fit_of_a_drawn_image_knows_what_design_foretold() -> None:
    bounds = _bounds(done("design", "bead.toml", *FREE))
    done("render", "bead.toml", "--out", "image.tif")
    fitted = _bounds(done("fit", "bead.toml", "image.tif", *FREE, "--set", "specimen.parts.0.size=[[1.05]]"))
    for name, bound in bounds.items():
        assert 0.8 < fitted[name] / bound < 1.25


def test_four_planes_halve_the_bounds_of_one() -> None:
    """Of planes that lie close, each says the same."""
    one = _bounds(done("design", "bead.toml", *FREE))
    four = _bounds(done("design", "bead.toml", *FREE, "--planes", "4", "--step", "1 nm"))
    assert abs(one["index"] / four["index"] - 2) < 0.2


def test_priors_bound_what_the_image_does_not_show() -> None:
    free = ("--free", "specimen.parts.0.index,specimen.medium")
    told = done("design", "bead.toml", *free, "--prior", "specimen.medium=Normal(1.33, 0.001)")
    assert 0.0005 < _bounds(told.replace("specimen.medium", "specimen.parts.0.medium"))["medium"] < 0.0015


def test_a_sensor_without_noise_cannot_tell() -> None:
    Path("ideal.toml").write_text(BEAD.replace('"Interferometer", noise = "10 mrad"', '"Ideal"'))
    assert "needs a sensor with noise" in refused("design", "ideal.toml", "--free", "specimen.medium")


def test_planes_and_step_go_together() -> None:
    assert run("design", "bead.toml", *FREE, "--planes", "3").exit_code == 2
