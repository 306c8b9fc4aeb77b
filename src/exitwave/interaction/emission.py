"""Emission: the light that fluorophores give off."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from exitwave.field import Light
from exitwave.grid import Grid
from exitwave.interaction.box import lattice_of
from exitwave.interaction.memory import require_memory
from exitwave.lattice import Lattice
from exitwave.model import Value
from exitwave.quantity import Quantity, param
from exitwave.raster.quadrature import Emitters, emitters
from exitwave.raster.simplex import direct
from exitwave.raster.spectrum import solid_spectrum, spectrum, spectrum_of_samples, volume
from exitwave.specimen import Specimen
from exitwave.stages import Collector, Excitation, Sensor, Spread, require


class Emission(Value):
    """Fluorescence: what the specimen emits, and what the microscope makes of it, is computed in frequency space.

    The image is (density * h)(r) times the volume of a voxel: the density of emission convolved with the point spread
    function of the optics, sampled at the centres of voxels. Points, curves, surfaces and solids enter through their
    Fourier transform, at the frequencies that the optics pass. On a grid (height, width) the image is the plane z = 0,
    in which an emitter in focus sums to its emission.

    `attenuation` weakens light by exp(-attenuation * depth) on its way to the objective, depth counted down from the
    height `surface` (the top of the grid, if it is not given). `bleaching` is the share of the emission that is lost
    from one plane of a stack to the next, the lowest first. `background` is added to every voxel. `rtol` is the
    relative error (of the norm of the image) that numbers of quadrature points and of frequencies are chosen for.
    `method` "spectral" spreads quadrature points on a grid; "direct" sums the closed form of every element at every
    frequency, exactly, and is for tiny scenes. `memory` is the most in GiB that a rendering may take; what is free, if
    it is not given.
    """

    attenuation: Quantity = param("1/um", low=0.0, high=1e3, default=0.0, doc="loss on the way to the objective")
    surface: Quantity = param("um", default=None, doc="z of the specimen's surface towards the objective")
    bleaching: Quantity = param("1", low=0.0, high=1.0, default=0.0, doc="emission lost from plane to plane")
    background: Quantity = param("photon", low=0.0, high=1e9, default=0.0, doc="light in every voxel")
    rtol: float = 1e-5
    method: str = "spectral"
    memory: float | None = None

    def check(self) -> None:
        if not isinstance(self.rtol, float) or not 1e-12 <= self.rtol <= 0.1:
            raise ValueError(f"Emission.rtol must be a number from 1e-12 to 0.1, got {self.rtol!r}; 1e-5 is usual")
        if self.method not in ("spectral", "direct"):
            raise ValueError(f'Emission.method must be "spectral" or "direct", got {self.method!r}')
        if self.memory is not None and not (isinstance(self.memory, int | float) and 0 < self.memory < math.inf):
            raise ValueError(f"Emission.memory must be a positive number of GiB, got {self.memory!r}; or leave it out")

    def require(self, illumination: object, optics: object, sensor: object) -> None:
        """Raise a one-line error where the other stages are not those of a fluorescence microscope."""
        require(illumination, Excitation, "illumination", "use Uniform(), LightSheet() or ScannedSpot()")
        require(optics, Collector, "optics", "use Detection(psf)")
        require(sensor, Sensor, "sensor", "use a Camera() or Ideal()")
        if isinstance(sensor, Sensor) and sensor.coherent:
            raise TypeError(f"fluorescence has no phase to read, got {type(sensor).__name__}; use a Camera()")

    def light(self, specimen: Specimen, illumination: Any, optics: Any, sensor: Sensor, grid: Grid) -> Light:
        """Return the light on the sensor, (1, H, W) or (1, Z, H, W), in the unit of the emission."""
        like = torch.zeros((), dtype=specimen.dtype, device=specimen.device)
        one = torch.ones(1, dtype=like.dtype, device=like.device)
        seen: Tensor = like.new_zeros(grid.shape)
        for spread in optics.spreads() if specimen.parts else ():
            seen = seen + self._image(specimen, illumination, spread, sensor, grid, like)
        if len(grid.shape) == 3:
            planes = torch.arange(grid.shape[0], dtype=like.dtype, device=like.device)
            seen = seen * (1 - self.bleaching.to(like)) ** planes[:, None, None]
        return Light((seen + self.background.to(like))[None], one, grid)

    def _image(
        self, specimen: Specimen, illumination: Excitation, spread: Spread, sensor: Sensor, grid: Grid, like: Tensor
    ) -> Tensor:
        """Return the image of what shows one spread."""
        lattice = self.lattice(specimen, illumination, spread, grid)
        require_memory(lattice, like.element_size(), self.memory)
        transfer = spread.transfer(lattice, like, illumination)
        found = self._spectrum(specimen, spread, lattice, grid, like) * transfer
        _, fy, fx = lattice.frequencies(like)
        pixels = sensor.transfer(fy, fx, (lattice.spacing[1], lattice.spacing[2]))
        density = volume(found if pixels is None else found * pixels, lattice)
        if len(grid.shape) == 3:
            return density * math.prod(grid.spacing)
        # The light of an emitter in the plane of focus, over that plane.
        focus = transfer[:, 0, 0].real.sum() / lattice.period[0]
        return density[0] * (math.prod(grid.spacing) / focus)

    def lattice(self, specimen: Specimen, illumination: Excitation, spread: Spread, grid: Grid) -> Lattice:
        """Return the frequencies that the image of a specimen on a grid is made of."""
        low, high = specimen.extent()
        ends = [((n - 1 - n // 2) * step, -(n // 2) * step) for n, step in zip(grid.shape, grid.spacing, strict=True)]
        top, bottom = ends[0] if len(grid.shape) == 3 else (0.0, 0.0)
        depth = max(top - low[0], high[0] - bottom, 0.0)
        band = spread.band(self.rtol, illumination)
        return lattice_of(grid, low, high, band, spread.reach(self.rtol, depth, illumination))

    def _spectrum(self, specimen: Specimen, spread: Spread, lattice: Lattice, grid: Grid, like: Tensor) -> Tensor:
        """Return the spectrum of the light that leaves the specimen towards the objective, on a lattice."""
        if self.method == "direct":
            if float(self.attenuation.detach()) or spread.share(like.new_zeros(1, 3)) is not None:
                raise ValueError('method "direct" needs one spread for all places and no attenuation; use "spectral"')
            return direct(specimen.parts, lattice, like)
        given = [emitters(part, lattice, self.rtol) for part in specimen.parts]
        total = like.new_zeros(lattice.bands, dtype=torch.complex64 if like.dtype == torch.float32 else torch.complex128)
        for sources in given:
            if sources.weight is not None:
                kept = self._kept(sources.position, spread, grid)
                weight = sources.weight if kept is None else sources.weight * kept
                total = total + spectrum(Emitters(sources.position, weight, None), lattice, self.rtol)
            if sources.flux is not None:
                total = total + self._solid(sources, spread, lattice, grid, like)
        return total

    def _kept(self, position: Tensor, spread: Spread, grid: Grid) -> Tensor | None:
        """Return the share (Q,) of light from places (Q, 3) that reaches the objective and shows a spread."""
        share = spread.share(position)
        if not self.attenuation.requires_grad and float(self.attenuation) == 0:
            return share
        given: Any = self.surface
        top = (grid.shape[0] - 1 - grid.shape[0] // 2) * grid.spacing[0] if len(grid.shape) == 3 else 0.0
        surface = position.new_tensor(top) if given is None else given.to(position)
        left = torch.exp(-self.attenuation.to(position) * (surface - position[:, 0]).clamp(min=0.0))
        return left if share is None else left * share

    def _solid(self, sources: Emitters, spread: Spread, lattice: Lattice, grid: Grid, like: Tensor) -> Tensor:
        """Return the spectrum of filled bodies; where light is lost on its way, that of samples of their density."""
        whole = solid_spectrum(sources, lattice, self.rtol)
        fine = lattice.resolved()
        z, y, x = fine.places(like)
        position = torch.stack(torch.meshgrid(z, y, x, indexing="ij"), -1).reshape(-1, 3)
        kept = self._kept(position, spread, grid)
        if kept is None:
            return whole
        return spectrum_of_samples(volume(whole, fine) * kept.reshape(fine.shape), lattice)
