"""Coordinates: the free parameters of a scene as one unbounded vector."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from exitwave.model import Value, get, paths, substitute
from exitwave.quantity import Prior


@dataclass(frozen=True)
class Block:
    """One free path: where its numbers stand in the vector, and the range they live in."""

    path: str
    shape: tuple[int, ...]
    start: int
    low: float
    high: float

    @property
    def count(self) -> int:
        """How many numbers the path holds."""
        return math.prod(self.shape)

    def outward(self, inner: Tensor) -> Tensor:
        """Return the physical numbers for unbounded ones: logistic between two bounds, exponential above one."""
        if math.isfinite(self.low) and math.isfinite(self.high):
            return self.low + (self.high - self.low) * torch.sigmoid(inner)
        if math.isfinite(self.low):
            return self.low + torch.exp(inner)
        if math.isfinite(self.high):
            return self.high - torch.exp(inner)
        return inner

    def inward(self, outer: Tensor) -> Tensor:
        """Return the unbounded numbers for physical ones, which must lie inside the range."""
        if not bool(((outer > self.low) & (outer < self.high)).all()):
            raise ValueError(
                f"a fit must start inside ({self.low:g}, {self.high:g}) of {self.path}, got "
                f"{outer.flatten().tolist()[:4]}; move the start off the bound or widen the range"
            )
        if math.isfinite(self.low) and math.isfinite(self.high):
            return torch.logit((outer - self.low) / (self.high - self.low))
        if math.isfinite(self.low):
            return torch.log(outer - self.low)
        if math.isfinite(self.high):
            return torch.log(self.high - outer)
        return outer


@dataclass(frozen=True)
class Coordinates:
    """The free parameters of a scene, and the way between them and an unbounded vector."""

    scene: Value
    blocks: tuple[Block, ...]

    @property
    def count(self) -> int:
        """The length of the vector."""
        return sum(block.count for block in self.blocks)

    def split(self, vector: Tensor) -> list[Tensor]:
        """Return the piece of a vector (P,) that belongs to each free path."""
        return [vector[block.start : block.start + block.count] for block in self.blocks]

    def values(self, pieces: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return the numbers at every free path."""
        return {
            block.path: block.outward(piece).reshape(block.shape)
            for block, piece in zip(self.blocks, pieces, strict=True)
        }

    def place(self, pieces: Sequence[Tensor]) -> Value:
        """Return the scene with the numbers of the pieces in it."""
        return substitute(self.scene, self.values(pieces))

    def vector(self) -> Tensor:
        """Return the vector that stands for the scene as it is."""
        pieces = [block.inward(get(self.scene, block.path).detach().double().flatten()) for block in self.blocks]
        return torch.cat(pieces)

    def slopes(self, vector: Tensor) -> Tensor:
        """Return the derivative of every physical number by its own coordinate, (P,)."""
        with torch.enable_grad():
            inner = vector.detach().clone().requires_grad_()
            total = torch.stack([value.sum() for value in self.values(self.split(inner)).values()]).sum()
            return torch.autograd.grad(total, inner)[0]

    def names(self) -> list[str]:
        """Return a name for every number, such as "specimen.parts.0.center[0, 2]"."""
        found = []
        for block in self.blocks:
            for flat in range(block.count):
                index = [int(i) for i in torch.unravel_index(torch.tensor(flat), block.shape)] if block.shape else []
                found.append(block.path + (f"{index}" if index else ""))
        return found


def coordinates(scene: Value, free: Sequence[str] | Mapping[str, tuple[float, float]]) -> Coordinates:
    """Return the coordinates of the free paths of `scene`; a mapping narrows their declared ranges."""
    known = paths(scene)
    if isinstance(free, str) or not free:
        raise ValueError(f"free must list at least one dotted path, got {free!r}; see exitwave info for the paths")
    blocks, start = [], 0
    for path in free:
        value = get(scene, path)  # a misspelt path is an error with a suggestion
        # "specimen.parts.0.center.0.1" is one number of the parameter "specimen.parts.0.center".
        owner = next((name for name in known if f"{path}.".startswith(f"{name}.")), None)
        if owner is None:
            raise KeyError(f"expected a parameter at '{path}', got {type(value).__name__}; name one below it")
        if isinstance(value, Prior):
            raise TypeError(f"expected a number at '{path}' to start from, got a prior; draw it with sample first")
        if value.numel() == 0:
            raise ValueError(f"'{path}' holds no numbers to fit, got shape {tuple(value.shape)}; give it a start")
        spec = known[owner]
        low, high = free[path] if isinstance(free, Mapping) else (spec.low, spec.high)
        low, high = max(float(low), spec.low), min(float(high), spec.high)
        if not low < high:
            raise ValueError(f"the range of '{path}' must have low < high inside {spec.interval()}, got {low}, {high}")
        blocks.append(Block(path, tuple(value.shape), start, low, high))
        start += blocks[-1].count
    return Coordinates(scene, tuple(blocks))
