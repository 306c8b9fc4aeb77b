"""Coordinates: the unknowns of one scene or several as one unbounded vector."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from exitwave.fit.unknown import Unknown
from exitwave.model import get, paths, substitute
from exitwave.quantity import Prior
from exitwave.scene import Scene


@dataclass(frozen=True)
class Block:
    """One unknown: where its numbers stand in the vector, the range they live in, and where they go.

    `targets` are (scene, path, what that scene's numbers have more than the first scene's).
    """

    unknown: Unknown
    shape: tuple[int, ...]
    start: int
    low: float
    high: float
    targets: tuple[tuple[int, str, Tensor], ...]

    @property
    def name(self) -> str:
        """What results call it."""
        return self.unknown.name

    @property
    def count(self) -> int:
        """How many numbers it has."""
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
        """Return the unbounded numbers for physical ones; what has run to a bound stays a rounding error away."""
        low, high = (math.nextafter(bound, other) for bound, other in ((self.low, math.inf), (self.high, -math.inf)))
        outer = outer.clamp(low, high)
        if math.isfinite(self.low) and math.isfinite(self.high):
            return torch.logit((outer - self.low) / (self.high - self.low), eps=1e-15)
        if math.isfinite(self.low):
            return torch.log(outer - self.low)
        if math.isfinite(self.high):
            return torch.log(self.high - outer)
        return outer

    def check_inside(self, outer: Tensor) -> None:
        """Raise an error where a fit would start at a bound, where no derivative leads away from it."""
        if not bool(((outer > self.low) & (outer < self.high)).all()):
            raise ValueError(
                f"a fit must start inside ({self.low:g}, {self.high:g}) of {self.name}, got "
                f"{outer.flatten().tolist()[:4]}; move the start off the bound or widen the range"
            )

    def taken(self, held: Tensor) -> Tensor:
        """Return the numbers of the unknown out of those that a parameter holds."""
        return columns_of(self.unknown, held.detach().double(), self.name)

    def placed(self, value: Tensor, held: Tensor, more: Tensor) -> Tensor:
        """Return what a parameter holds with the unknown's numbers, and what a scene has more, in their places."""
        if self.unknown.tied:
            return value.expand(more.shape) + more
        if self.unknown.columns is None:
            return value + more
        kept = held.detach().double()
        return kept.index_copy(-1, torch.tensor(self.unknown.columns), value + more)

    def at_bound(self, outer: Tensor, start: Tensor) -> bool:
        """Return whether any number has run to an end of its range: a thousand times nearer than where it started."""
        low, high = (outer - self.low) < 1e-3 * (start - self.low), (self.high - outer) < 1e-3 * (self.high - start)
        return bool((low | high).any())


@dataclass(frozen=True)
class Coordinates:
    """The unknowns of scenes, and the way between them and an unbounded vector."""

    scenes: tuple[Scene, ...]
    blocks: tuple[Block, ...]

    @property
    def count(self) -> int:
        """The length of the vector."""
        return sum(block.count for block in self.blocks)

    def split(self, vector: Tensor) -> list[Tensor]:
        """Return the piece of a vector (P,) that belongs to each unknown."""
        return [vector[block.start : block.start + block.count] for block in self.blocks]

    def values(self, pieces: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return the numbers of every unknown, by its name."""
        return {
            block.name: block.outward(piece).reshape(block.shape)
            for block, piece in zip(self.blocks, pieces, strict=True)
        }

    def place(self, pieces: Sequence[Tensor]) -> tuple[Scene, ...]:
        """Return the scenes with the numbers of the pieces in them."""
        changes: list[dict[str, Tensor]] = [{} for _ in self.scenes]
        for block, value in zip(self.blocks, self.values(pieces).values(), strict=True):
            for scene, path, more in block.targets:
                changes[scene][path] = block.placed(value, get(self.scenes[scene], path), more)
        return tuple(substitute(scene, change) for scene, change in zip(self.scenes, changes, strict=True))

    def with_values(self, values: Mapping[str, Tensor]) -> tuple[Scene, ...]:
        """Return the scenes with numbers of some unknowns, by their names."""
        held = {**self.values(self.split(self.vector())), **values}
        return self.place([block.inward(held[block.name].double()).flatten() for block in self.blocks])

    def starts(self) -> list[Tensor]:
        """Return the numbers of every unknown in the scenes as they are."""
        found = []
        for block in self.blocks:
            held = [block.taken(get(self.scenes[scene], path)) - more for scene, path, more in block.targets]
            start = torch.cat([value.flatten() for value in held]).mean() if block.unknown.tied else held[0]
            found.append(start.reshape(block.shape))
        return found

    def vector(self) -> Tensor:
        """Return the vector that stands for the scenes as they are."""
        pairs = zip(self.blocks, self.starts(), strict=True)
        return torch.cat([block.inward(start).flatten() for block, start in pairs])

    def check_starts(self) -> None:
        """Raise an error where a number lies outside its range, or at a bound."""
        for block, start in zip(self.blocks, self.starts(), strict=True):
            block.check_inside(start)

    def longest(self) -> np.ndarray:
        """Return the longest step (P,) that a number should take at once: one where it is bounded, else any."""
        bounded = [math.isfinite(block.low) or math.isfinite(block.high) for block in self.blocks]
        return np.concatenate(
            [np.full(b.count, 1.0 if known else np.inf) for b, known in zip(self.blocks, bounded, strict=True)]
        )

    def slopes(self, vector: Tensor) -> Tensor:
        """Return the derivative of every physical number by its own coordinate, (P,)."""
        with torch.enable_grad():
            inner = vector.detach().clone().requires_grad_()
            total = torch.stack([value.sum() for value in self.values(self.split(inner)).values()]).sum()
            return torch.autograd.grad(total, inner)[0]

    def deviations(self, pieces: Sequence[Tensor]) -> Tensor:
        """Return how far the numbers are from their priors, in standard deviations, (D,)."""
        found = [
            block.unknown.prior.deviation(block.outward(piece))
            for block, piece in zip(self.blocks, pieces, strict=True)
            if block.unknown.prior is not None
        ]
        return torch.cat(found) if found else pieces[0].new_zeros(0)

    def names(self) -> list[str]:
        """Return a name for every number, such as "specimen.parts.0.center[0, 2]"."""
        found = []
        for block in self.blocks:
            for flat in range(block.count):
                index = [int(i) for i in torch.unravel_index(torch.tensor(flat), block.shape)] if block.shape else []
                if block.unknown.columns is not None:
                    index[-1] = block.unknown.columns[index[-1]]
                found.append(block.name + (f"{index}" if index else ""))
        return found

    def only(self, names: Sequence[str]) -> Coordinates:
        """Return coordinates of some of the unknowns, by their names, in the order of these coordinates."""
        known = {block.name for block in self.blocks}
        for name in names:
            if name not in known:
                raise KeyError(f"a stage frees '{name}', which the fit does not; add it to free")
        return coordinates(self.scenes, [block.unknown for block in self.blocks if block.name in names])

    def moved(self, scenes: tuple[Scene, ...]) -> Coordinates:
        """Return coordinates of the same unknowns in other scenes."""
        return coordinates(scenes, [block.unknown for block in self.blocks])


def coordinates(scenes: tuple[Scene, ...], free: Sequence[Unknown]) -> Coordinates:
    """Return the coordinates of unknowns in scenes.

    A path leads to the same numbers in every scene; what one scene's have more than the first one's, it keeps. A path
    that begins with a number, such as "1.microscope.sensor.offset", leads into that scene alone.
    """
    blocks, start = [], 0
    for unknown in free:
        targets = tuple(target for path in unknown.paths for target in _targets(scenes, path, unknown))
        shape = () if unknown.tied else tuple(targets[0][2].shape)
        low, high = _range(scenes, unknown, targets)
        blocks.append(Block(unknown, shape, start, low, high, targets))
        start += blocks[-1].count
    return Coordinates(scenes, tuple(blocks))


def columns_of(unknown: Unknown, held: Tensor, path: str) -> Tensor:
    """Return the columns that an unknown frees of what a parameter holds."""
    if unknown.columns is None:
        return held
    if not held.ndim or not all(0 <= column < held.shape[-1] for column in unknown.columns):
        raise ValueError(
            f"expected columns of '{path}' from 0 to {held.shape[-1] - 1 if held.ndim else 'none'}, got "
            f"{unknown.columns}; count them from 0"
        )
    return held[..., list(unknown.columns)]


def _targets(scenes: tuple[Scene, ...], path: str, unknown: Unknown) -> list[tuple[int, str, Tensor]]:
    """Return where a path leads, and what each scene's numbers have more than the first one's there."""
    head, _, rest = path.partition(".")
    if head.isdigit():
        if int(head) >= len(scenes):
            raise KeyError(f"'{path}' asks for scene {head}, got {len(scenes)} scenes; count them from 0")
        places = [(int(head), rest)]
    else:
        places = [(number, path) for number in range(len(scenes))]
    values = []
    for number, inner in places:
        value = get(scenes[number], inner)  # a misspelt path is an error with a suggestion
        if isinstance(value, Prior) and not isinstance(value, Tensor):
            raise TypeError(f"expected a number at '{inner}' to start from, got a prior; draw it with sample first")
        if _owner(scenes[number], inner) is None or not isinstance(value, Tensor):
            raise KeyError(f"expected a parameter at '{inner}', got {type(value).__name__}; name one below it")
        if value.numel() == 0:
            raise ValueError(f"'{inner}' holds no numbers to fit, got shape {tuple(value.shape)}; give it a start")
        if values and value.shape != values[0].shape:
            raise ValueError(
                f"'{path}' must have one shape in all scenes, got {tuple(values[0].shape)} and {tuple(value.shape)}; "
                f"free it scene by scene as '0.{path}'"
            )
        values.append(columns_of(unknown, value.detach().double(), inner))
    return [(number, inner, value - values[0]) for (number, inner), value in zip(places, values, strict=True)]


def _owner(scene: Scene, path: str) -> str | None:
    """Return the parameter that a path leads to or into.

    "specimen.parts.0.center.0.1" is one number of the parameter "specimen.parts.0.center".
    """
    return next((name for name in paths(scene) if f"{path}.".startswith(f"{name}.")), None)


def _range(
    scenes: tuple[Scene, ...], unknown: Unknown, targets: tuple[tuple[int, str, Tensor], ...]
) -> tuple[float, float]:
    """Return the range of an unknown: the declared one of all its paths, the given one, and that of a bounded prior."""
    bounds = [(unknown.low, unknown.high)]
    for scene, path, _ in targets:
        owner = _owner(scenes[scene], path)
        assert owner is not None  # `_targets` has looked
        spec = paths(scenes[scene])[owner]
        bounds.append((spec.low, spec.high))
    if unknown.prior is not None and unknown.prior.bounded:
        bounds.append(unknown.prior.support())
    low, high = max(low for low, _ in bounds), min(high for _, high in bounds)
    if not low < high:
        raise ValueError(f"the range of '{unknown.name}' must have low < high, got {low:g} and {high:g}; widen it")
    return float(low), float(high)
