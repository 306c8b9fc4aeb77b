"""Scenes: a specimen, the microscope that looks at it, and the grid of the image."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from exitwave.field import Canvas, Light, Source, Wave
from exitwave.fourier import Response
from exitwave.grid import Grid
from exitwave.model import Value, leaves
from exitwave.quantity import is_prior
from exitwave.specimen import Specimen


class Illumination(Protocol):
    """What reaches the specimen."""

    def source(self) -> Source: ...


class Interaction(Protocol):
    """What leaves the specimen."""

    def span(self, specimen: Specimen, wavelength: Tensor, na: Tensor) -> tuple[float, float]: ...

    def wave(self, specimen: Specimen, canvas: Canvas, wavelength: Tensor, na: Tensor) -> Wave: ...


class Optics(Protocol):
    """What is collected."""

    @property
    def na(self) -> Tensor: ...

    def reach(self, source: Source, medium: Tensor, heights: tuple[float, float]) -> float: ...

    def field(self, wave: Wave, source: Source) -> Tensor: ...

    def irradiance(self, wave: Wave, source: Source, response: Response) -> Tensor: ...


class Sensor(Protocol):
    """What is counted."""

    coherent: ClassVar[bool]
    """Whether the sensor reads the complex amplitude, or the irradiance."""
    noisy: ClassVar[bool]
    """Whether `variance` is that of a noise model, or 1 for want of one."""

    def transfer(self, fy: Tensor, fx: Tensor, pixel: tuple[float, float]) -> Tensor | None: ...

    def read(self, light: Light, generator: torch.Generator | None) -> Tensor: ...

    def variance(self, image: Tensor) -> Tensor: ...

    def saturated(self, image: Tensor) -> Tensor: ...


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
