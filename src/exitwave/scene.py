"""Scenes: a specimen, the microscope that looks at it, and the grid of the image."""

from __future__ import annotations

from typing import Any

from exitwave.grid import Grid
from exitwave.model import Value, leaves
from exitwave.quantity import is_prior
from exitwave.specimen import Specimen
from exitwave.stages import Interaction, require


class Microscope(Value):
    """Illumination, interaction, optics and sensor, in the order of the light; presets build ordinary ones."""

    illumination: Any
    interaction: Any
    optics: Any
    sensor: Any

    def check(self) -> None:
        for name in ("illumination", "interaction", "optics", "sensor"):
            if not isinstance(getattr(self, name), Value):
                got = type(getattr(self, name)).__name__
                raise TypeError(f"Microscope.{name} must be a value such as a preset gives, got {got}")
        require(self.interaction, Interaction, "interaction", "use Transmission(), Multislice() or Emission()")
        self.interaction.require(self.illumination, self.optics, self.sensor)


class Scene(Value):
    """Everything that determines an image.

    >>> import exitwave as ew
    >>> bead = ew.Particles(ew.Sphere(), center=[[0, 0, 0]], size=[[1.0]], index=[1.59])
    >>> scene = ew.Scene(ew.Specimen((bead,), medium=1.33), ew.brightfield(na=0.5), ew.Grid((64, 64), 0.1))
    >>> ew.render(scene).shape
    torch.Size([64, 64])
    """

    specimen: Specimen
    microscope: Microscope
    grid: Grid

    def check(self) -> None:
        for name, kind in (("specimen", Specimen), ("microscope", Microscope), ("grid", Grid)):
            if not isinstance(getattr(self, name), kind):
                raise TypeError(
                    f"Scene.{name} must be a {kind.__name__}, got {type(getattr(self, name)).__name__}; "
                    "write Scene(specimen, microscope, grid)"
                )


def require_numbers(scene: Scene) -> None:
    """Raise a one-line error where a prior stands in place of a number."""
    for path, _, item in leaves(scene):
        if is_prior(item):
            raise TypeError(f"expected numbers, got a prior at {path}; draw it with sample(scene, Key(seed)) first")
