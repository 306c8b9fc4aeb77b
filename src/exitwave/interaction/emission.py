"""Emission: the light that fluorophores give off."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from exitwave.field import Light
from exitwave.grid import Grid
from exitwave.interaction.box import lattice_of
from exitwave.interaction.memory import require_memory
from exitwave.lattice import Lattice
from exitwave.model import Value
from exitwave.quantity import Quantity, param
from exitwave.raster.quadrature import Emitters, emitters, envelope_of
from exitwave.raster.simplex import direct
from exitwave.raster.spectrum import spectrum, volume
from exitwave.raster.stencil import Envelope
from exitwave.specimen import Specimen, unpacked
from exitwave.stages import Collector, Excitation, Sensor, Spread, require

# An attenuation per micrometre that no specimen is thick enough to show.
_LEAST = 1e-7


class Emission(Value):
    """Fluorescence: what the specimen emits, and what the microscope makes of it, is computed in frequency space.

    The image is (density * h)(r) times the volume of a voxel: the density of emission convolved with the point spread
    function of the optics, sampled at the centres of voxels. Points, curves, surfaces and solids enter through their
    Fourier transform, at the frequencies that the optics pass. On a grid (height, width) the image is the plane z = 0,
    in which an emitter in focus sums to its emission.

    `attenuation` weakens light by exp(-attenuation * depth) on its way to the objective, the depth counted down from
    the height `surface` (the top of the grid, if it is not given): light from there is what emission is given for.
    `bleaching` is the share of the emission that is lost from one plane of a stack to the next, the lowest first.
    `background` is added to every voxel. `rtol` is the relative error (of the norm of the image) that numbers of
    quadrature points and of frequencies are chosen for. `method` "spectral" spreads quadrature points on a grid;
    "direct" sums the closed form of every element at every frequency, exactly, and is for tiny scenes. `memory` is
    the most in GiB that a rendering may take; what is free, if it is not given.
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
        require(illumination, Excitation, "illumination", "use Flood(), LightSheet() or ScannedSpot()")
        require(optics, Collector, "optics", "use Detection(psf)")
        require(sensor, Sensor, "sensor", "use a Camera() or Ideal()")
        if isinstance(sensor, Sensor) and sensor.coherent:
            raise TypeError(f"fluorescence has no phase to read, got {type(sensor).__name__}; use a Camera()")

    def light(self, specimen: Specimen, illumination: Any, optics: Any, sensor: Sensor, grid: Grid) -> Light:
        """Return the light on the sensor, (1, H, W) or (1, Z, H, W), in the unit of the emission."""
        like = torch.zeros((), dtype=specimen.dtype, device=specimen.device)
        one = torch.ones(1, dtype=like.dtype, device=like.device)
        seen = like
        for spread in optics.spreads() if specimen.parts else ():
            seen = seen + self._image(specimen, illumination, spread, sensor, grid, like)
        if len(grid.shape) == 3:
            planes = torch.arange(grid.shape[0], dtype=like.dtype, device=like.device)
            seen = seen * (1 - self.bleaching.to(like)) ** planes[:, None, None]
        return Light((seen + self.background.to(like)).expand(1, *grid.shape), one, grid)

    def _image(
        self, specimen: Specimen, illumination: Excitation, spread: Spread, sensor: Sensor, grid: Grid, like: Tensor
    ) -> Tensor:
        """Return the image of what shows one spread."""
        lattice = self.lattice(specimen, illumination, spread, grid)
        require_memory(lattice, like.element_size(), self.memory)
        transfer = spread.transfer(lattice, like, illumination)
        found = self._spectrum(specimen, spread, lattice, grid, transfer) * transfer
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
        bottom, top = _ends(grid)
        depth = max(top - low[0], high[0] - bottom, 0.0)
        band = spread.band(self.rtol, illumination)
        return lattice_of(grid, low, high, band, spread.reach(self.rtol, depth, illumination))

    def _spectrum(self, specimen: Specimen, spread: Spread, lattice: Lattice, grid: Grid, transfer: Tensor) -> Tensor:
        """Return the spectrum of the light that leaves the specimen towards the objective, on a lattice."""
        lossless, shared = not self._attenuates(), spread.share(transfer.real.new_zeros(1, 3)) is not None
        if self.method == "direct":
            if shared or not lossless:
                raise ValueError('method "direct" needs one spread for all places and no attenuation; use "spectral"')
            return torch.stack([direct(part, lattice) for part in unpacked(specimen.parts)]).sum(0)
        # Frequencies that hardly pass need not be right.
        envelope = envelope_of(transfer.detach(), lattice)
        found = []
        for part in unpacked(specimen.parts):
            sources = emitters(part, lattice, self.rtol, envelope)
            share = spread.share(sources.position) if shared else None
            bright = None if lossless else self._brightness(sources.position[:, 0], grid)
            weight = _times(_times(sources.weight, share), bright)
            if sources.flux is None or not (shared or not lossless):
                found.append(spectrum(Emitters(sources.position, weight, sources.flux), lattice, self.rtol, envelope))
                continue
            if weight is not None:
                found.append(spectrum(Emitters(sources.position, weight), lattice, self.rtol, envelope))
            solid = self._solid(sources, bright, lattice, envelope)
            found.append(_shown(solid, spread, lattice) if shared else solid)
        return torch.stack(found).sum(0)

    def _attenuates(self) -> bool:
        """Return whether light is lost on its way to the objective, or might come to be."""
        changing = self.attenuation.requires_grad or forward_ad.unpack_dual(self.attenuation).tangent is not None
        return changing or float(self.attenuation) > 0

    def _brightness(self, z: Tensor, grid: Grid) -> Tensor:
        """Return how much (Q,) of the light from heights z (Q,) in micrometres reaches the objective."""
        given: Any = self.surface
        surface = _ends(grid)[1] if given is None else given.to(z)
        return torch.exp(self.attenuation.to(z) * (z - surface))

    def _solid(self, sources: Emitters, bright: Tensor | None, lattice: Lattice, envelope: Envelope) -> Tensor:
        """Return the spectrum of filled bodies, the deeper the dimmer.

        exp(a z - 2 pi i f.x) is the divergence of itself along z over a - 2 pi i f_z, so that the surface tells all of
        it by its flux along z. For f_z = 0 a constant less changes nothing, for surfaces are closed, and loses nothing
        to cancellation where a is small.
        """
        if bright is None:
            return spectrum(Emitters(sources.position, None, sources.flux), lattice, self.rtol, envelope)
        assert sources.flux is not None
        position, through = sources.position, sources.flux[:, 0]
        loss = self.attenuation.to(bright).clamp(min=_LEAST)
        middle = position[:, 0].detach().mean()
        rise = torch.expm1(loss * (position[:, 0] - middle)) / loss * torch.exp(loss * (middle - position[:, 0]))
        waves, still = (
            spectrum(Emitters(position, through * bright * factor), lattice, self.rtol, envelope)
            for factor in (1.0, rise)
        )
        fz = lattice.frequencies(bright)[0]
        slope = torch.complex(loss.expand(fz.shape), -2 * math.pi * fz)
        return torch.where(fz == 0, still, waves / slope)


def _times(weight: Tensor | None, factor: Tensor | None) -> Tensor | None:
    """Return the product of weights and a factor, either of which may not be there."""
    return weight if weight is None or factor is None else weight * factor


def _shown(solid: Tensor, spread: Spread, lattice: Lattice) -> Tensor:
    """Return the spectrum of the part of a density that shows a spread, from samples of it."""
    fine = lattice.resolved()
    density = volume(solid, fine)
    axes = zip(lattice.origin, fine.shape, fine.spacing, strict=True)
    places = [first + torch.arange(n).to(density) * step for first, n, step in axes]
    share = spread.share(torch.stack(torch.meshgrid(*places, indexing="ij"), -1).reshape(-1, 3))
    assert share is not None  # it is asked for where there are several spreads
    found = torch.fft.rfftn(density * share.reshape(fine.shape)) * math.prod(fine.spacing)
    for axis, order in enumerate(lattice.order[:2]):
        found = torch.cat([found.narrow(axis, 0, order + 1), found.narrow(axis, fine.shape[axis] - order, order)], axis)
    return found[..., : lattice.order[2] + 1]


def _ends(grid: Grid) -> tuple[float, float]:
    """Return the heights of the lowest and the highest plane of a grid in micrometres; an image is the plane z = 0."""
    if len(grid.shape) == 2:
        return 0.0, 0.0
    count, step = grid.shape[0], grid.spacing[0]
    return -(count // 2) * step, (count - 1 - count // 2) * step
