"""Commands run in this process, and two recipes small enough to be drawn by the dozen."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner, Result

from exitwave.cli import app

TINY = """# A few beads.
#
# Only this line's upper neighbour is the description.
type = "Scene"

[grid]
shape = [48, 64]
pixel = "100 nm"

[specimen]
medium = 1.33

[[specimen.parts]]
type = "Population"
shape = { type = "Sphere" }
arrangement = { type = "Scattered", margin = 0.2 }
count = 4
size = [{ type = "Uniform", low = "300 nm", high = "600 nm" }]
index = { type = "Normal", mean = 1.45, sigma = 0.01 }
label = "bead"

[microscope.illumination]
type = "Koehler"
rings = 1

[microscope.interaction]
type = "Transmission"

[microscope.optics]
type = "Objective"
na = 0.5

[microscope.sensor]
type = "Camera"
dose = 9000.0
"""

BEAD = """type = "Scene"
grid = { shape = [64, 64], pixel = 0.1 }

[specimen]
medium = 1.33
parts = [{ type = "Particles", shape = { type = "Sphere" }, center = [[0, 0, 0]], size = [[1.0]], index = [1.36] }]

[microscope]
illumination = { type = "Coherent" }
interaction = { type = "Transmission" }
optics = { type = "Objective" }
sensor = { type = "Interferometer", noise = "10 mrad" }
"""


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def done(*words: str | Path) -> str:
    result = run(*words)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def refused(*words: str | Path) -> str:
    """Run a command that fails, check that it says so in one line and nothing else, and return the line."""
    result = run(*words)
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr
