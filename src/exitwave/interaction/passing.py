"""Light that passes a specimen, from the source to the sensor: the course that thin and deep specimens share."""

from __future__ import annotations

import torch

from exitwave.field import Canvas, Light, Source, Wave
from exitwave.grid import Grid
from exitwave.interaction.margin import canvas_around
from exitwave.specimen import Specimen
from exitwave.stages import Illumination, Optics, Passing, Sensor, require


def require_passing(illumination: object, optics: object, sensor: object) -> None:
    """Raise a one-line error where the stages are not those of a microscope in transmitted light."""
    require(illumination, Illumination, "illumination", "use a source of transmitted light such as Koehler()")
    require(optics, Optics, "optics", "use an Objective()")
    require(sensor, Sensor, "sensor", "use a Camera() or Ideal()")


def passed_light(
    interaction: Passing, specimen: Specimen, illumination: Illumination, optics: Optics, sensor: Sensor, grid: Grid
) -> Light:
    """Return the light on a sensor: complex amplitudes where it reads those, else irradiances."""
    wave, source = expose(interaction, specimen, illumination, optics, grid)
    if sensor.coherent:
        data = optics.field(wave, source)
    else:
        pixel = (grid.spacing[0], grid.spacing[1])
        data = optics.irradiance(wave, source, lambda fy, fx: sensor.transfer(fy, fx, pixel))
    return Light(data, source.spectrum, grid)


def expose(
    interaction: Passing, specimen: Specimen, illumination: Illumination, optics: Optics, grid: Grid
) -> tuple[Wave, Source]:
    """Return the wave that leaves the specimen and the source that lights it."""
    like = torch.zeros((), dtype=specimen.dtype, device=specimen.device)
    source = illumination.source()
    farthest = float(torch.linalg.vector_norm(source.direction.detach(), dim=-1).max())
    medium = float(specimen.medium.detach())
    if farthest >= medium:
        raise ValueError(
            f"light must fall in at less than the medium's index {medium:g} times the sine of a right angle, got "
            f"{farthest:.4g}; it cannot travel there: use a smaller condenser aperture"
        )
    canvas = canvas_of(interaction, specimen, source, optics, grid)
    source = source.to(like)
    return interaction.wave(specimen, canvas, source.wavelength, optics.na), source


def canvas_of(interaction: Passing, specimen: Specimen, source: Source, optics: Optics, grid: Grid) -> Canvas:
    """Return the canvas that a scene is computed on: its grid and a margin of the optics' reach on every side."""
    if len(grid.shape) != 2:
        raise ValueError(f"transmitted light needs a grid (height, width), got {grid.shape}; drop the depth")
    heights = interaction.span(specimen, source.wavelength.detach(), optics.na.detach())
    reach = optics.reach(source, specimen.medium.detach(), heights)
    return canvas_around(grid, reach, "use a smaller grid, a coarser pixel or less defocus")
