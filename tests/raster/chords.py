"""Particles, maps and gradients for the tests of splatting; a module of their own, so that processes can make them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

import exitwave as ew
from exitwave.field import Canvas, Slabs
from exitwave.raster import splat
from exitwave.specimen import Shape

SHAPES: dict[str, Shape] = {
    "sphere": ew.Sphere(),
    "ellipsoid": ew.Ellipsoid(),
    "rod": ew.Rod(),
    "box": ew.Box(),
    "disk": ew.Disk(),
    "crystal": ew.Crystal(),
    "crystal of unequal faces": ew.Crystal(per_face=True),
}
SLABS = Slabs(first=-1.0, step=0.4, count=6)
CANVAS = Canvas(ew.Grid((80, 110), (0.1, 0.12)), (0, 0), (80, 110))
# Unturned, standing on end, lying along both axes of the image, and nearly so.
POSES = ([1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1], [1, 0.01, 0, 0], [1, 0, 0.003, 0])


@dataclass(frozen=True)
class Crowd:
    """Particles of one shape, their weights, and what their maps are multiplied with before they are summed."""

    shape: Shape
    center: Tensor
    size: Tensor
    rotation: Tensor
    weights: Tensor
    slabs: Slabs | None
    canvas: Canvas = CANVAS

    @property
    def free(self) -> tuple[Tensor, ...]:
        return self.center, self.size, self.rotation, self.weights

    def to(self, dtype: torch.dtype) -> Crowd:
        center, size, rotation, weights = (tensor.to(dtype) for tensor in self.free)
        return replace(self, center=center, size=size, rotation=rotation, weights=weights)

    def particles(self) -> ew.Particles:
        index = torch.full_like(self.center[:, 0], 1.5)
        return ew.Particles(self.shape, self.center, self.size, index, self.rotation)

    def maps(self) -> Tensor:
        return splat(self.particles(), self.weights, self.canvas, self.slabs)

    def gradients(self) -> tuple[Tensor, ...]:
        """Return the gradients of a random sum over the maps by centres, sizes, rotations and weights."""
        fresh = [tensor.clone().requires_grad_() for tensor in self.free]
        maps = replace(self, center=fresh[0], size=fresh[1], rotation=fresh[2], weights=fresh[3]).maps()
        pull = torch.randn(maps.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64).to(maps)
        found = torch.autograd.grad((maps * pull).sum(), fresh, allow_unused=True)
        return tuple(torch.zeros_like(one) if part is None else part for one, part in zip(fresh, found, strict=True))


def crowd(shape: Shape, channels: int = 1, slabs: Slabs | None = None, count: int = 36, seed: int = 0) -> Crowd:
    """Return single-precision particles from a third of a pixel to 30 pixels, in, across and off the canvas."""
    generator = torch.Generator().manual_seed(seed)

    def draw(low: float, high: float, *size: int) -> Tensor:
        return low + (high - low) * torch.rand(*size, generator=generator)

    center = torch.cat([draw(-2, 2, count, 1), draw(-5, 5, count, 1), draw(-8, 8, count, 1)], 1)
    long = 10 ** draw(-1.5, 0.5, count, 1)
    size = (long * draw(0.4, 1, count, len(shape.lengths))).sort(1).values
    rotation = torch.randn(count, 4, generator=generator)
    rotation[: len(POSES)] = torch.tensor(POSES, dtype=torch.float32)
    return Crowd(shape, center, size, rotation, torch.randn(count, channels, generator=generator), slabs)


def everything() -> list[Tensor]:
    """Return maps and gradients of a crowd of every shape, thin and with slabs."""
    crowds = [crowd(shape, 2, slabs) for shape in SHAPES.values() for slabs in (None, SLABS)]
    return [tensor for one in crowds for tensor in (one.maps(), *one.gradients())]


def apart(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference, relative to the largest entry that is expected."""
    largest = float(expected.abs().max())
    difference = float((found.double() - expected.double()).abs().max())
    return difference / largest if largest else (0.0 if difference == 0.0 else math.inf)
