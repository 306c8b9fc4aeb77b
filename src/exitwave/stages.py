"""Stages: what the four parts of a microscope must be able to do, for light that passes and for light that is emitted.

Illumination, interaction, optics and sensor follow one another in every microscope. The interaction says which kind it
is: it takes the others and hands `Light` to the sensor. Anything with the methods of a protocol may stand in its place.
"""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from exitwave.field import Canvas, Light, Source, Wave
from exitwave.fourier import Response
from exitwave.grid import Grid
from exitwave.lattice import Lattice
from exitwave.specimen import Specimen


@runtime_checkable
class Illumination(Protocol):
    """What reaches a specimen that light passes."""

    def source(self) -> Source: ...


@runtime_checkable
class Optics(Protocol):
    """What collects the light that leaves a specimen as a wave."""

    @property
    def na(self) -> Tensor: ...

    def reach(self, source: Source, medium: Tensor, heights: tuple[float, float]) -> float: ...

    def field(self, wave: Wave, source: Source) -> Tensor: ...

    def irradiance(self, wave: Wave, source: Source, response: Response) -> Tensor: ...


@runtime_checkable
class Excitation(Protocol):
    """What makes fluorophores emit: its strength by the distance from the focus, relative to the focus.

    `scanned` light is a spot that moves over the specimen while one detector counts, and lights up a `volume` in um^3;
    any other reaches whole planes alike and a camera sees them at once.
    """

    scanned: ClassVar[bool]

    def volume(self) -> Tensor | None: ...

    def relative(self, z: Tensor, y: Tensor, x: Tensor) -> Tensor | None: ...

    def band(self, rtol: float) -> tuple[float, float, float]: ...

    def reach(self, rtol: float, depth: float) -> tuple[float, float, float]: ...


class Spread(Protocol):
    """How light from a point spreads, apart from what excites it; `share` is how much of a place's light does so."""

    def share(self, position: Tensor) -> Tensor | None: ...

    def band(self, rtol: float, excitation: Excitation) -> tuple[float, float, float]: ...

    def reach(self, rtol: float, depth: float, excitation: Excitation) -> tuple[float, float, float]: ...

    def transfer(self, lattice: Lattice, like: Tensor, excitation: Excitation) -> Tensor: ...


@runtime_checkable
class Collector(Protocol):
    """What collects emitted light: one spread for all places, or several that share them."""

    def spreads(self) -> tuple[Spread, ...]: ...


@runtime_checkable
class Probe(Protocol):
    """What scans a specimen with electrons or ions: the standard deviation of its spot at heights, in micrometres."""

    def sigma(self, height: Tensor) -> Tensor: ...


@runtime_checkable
class Counter(Protocol):
    """What collects the electrons that leave surfaces: how many by their normals (..., 3), relative to the support."""

    def collected(self, normal: Tensor) -> Tensor: ...


@runtime_checkable
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


@runtime_checkable
class Interaction(Protocol):
    """What leaves a specimen, and how it comes to the sensor."""

    def require(self, illumination: object, optics: object, sensor: object) -> None:
        """Raise a one-line error where the other stages are not of this kind of microscope."""
        ...

    def light(self, specimen: Specimen, illumination: object, optics: object, sensor: Sensor, grid: Grid) -> Light: ...


@runtime_checkable
class Passing(Protocol):
    """An interaction of light that passes the specimen."""

    def span(self, specimen: Specimen, wavelength: Tensor, na: Tensor) -> tuple[float, float]: ...

    def wave(self, specimen: Specimen, canvas: Canvas, wavelength: Tensor, na: Tensor) -> Wave: ...


def require(stage: object, kind: type, name: str, remedy: str) -> None:
    """Raise a one-line error where a stage of a microscope cannot do what its place asks for."""
    if not isinstance(stage, kind):
        raise TypeError(f"Microscope.{name} must suit its interaction, got {type(stage).__name__}; {remedy}")
