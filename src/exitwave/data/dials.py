"""Dials: the coordinates by which calibration moves numbers of a recipe's priors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from exitwave.model import Value, draws, fields, get, params, substitute
from exitwave.priors import LogUniform, TruncatedNormal
from exitwave.quantity import Param, is_prior
from exitwave.scene import Scene

# Coordinates are logarithms of factors: none beyond fivefold.
_FAR = math.log(5)
# Differences for slopes: where images change smoothly, and of numbers of particles, with which all is drawn anew.
_STEP, _COARSE = 0.12, 0.4


@dataclass(frozen=True)
class Dial:
    """Numbers of a recipe that move together: a plain one (one coordinate), or the two ends of a uniform prior (two).

    `paths` are those of the numbers, low before high of each pair; with `kind` "number" they move by their coordinate,
    with "uniform" and "logarithmic" the middle moves by the first and the width by the second. `scale` is what a
    coordinate of 1 adds; without it, it is a factor e. The numbers stay in `range`. `steps` are the differences for
    slopes, `ends` the ranges of the coordinates.
    """

    paths: tuple[str, ...]
    kind: str
    scale: float | None
    range: tuple[float, float]
    steps: tuple[float, ...]
    ends: tuple[tuple[float, float], ...]
    unit: str

    def numbers(self, starts: Sequence[float], turns: Sequence[float]) -> list[float]:
        """Return the numbers at some turns of the dial, for those at none."""
        if self.kind == "number":
            found = [self._moved(start, turns[0]) for start in starts]
        else:
            pairs = zip(starts[::2], starts[1::2], strict=True)
            found = [end for low, high in pairs for end in self._ends(low, high, turns[0], turns[1])]
        return [min(max(number, self.range[0]), self.range[1]) for number in found]

    def _moved(self, start: float, turn: float) -> float:
        return start * math.exp(turn) if self.scale is None else start + self.scale * turn

    def _ends(self, low: float, high: float, turn: float, wider: float) -> tuple[float, float]:
        if self.kind == "logarithmic":
            middle, ratio = math.sqrt(low * high) * math.exp(turn), math.exp(math.log(high / low) / 2 * math.exp(wider))
            return middle / ratio, middle * ratio
        middle, half = (low + high) / 2, (high - low) / 2 * math.exp(wider)
        moved = self._moved(middle, turn)
        if self.scale is None:  # the width grows with the middle
            half *= moved / middle
        return moved - half, moved + half


def dials(recipe: Scene, free: Sequence[str]) -> tuple[Dial, ...]:
    """Return the dials for dotted paths of a recipe, "PATH+PATH" for numbers that move together.

    >>> import exitwave as ew
    >>> scene = ew.Scene(ew.Specimen(()), ew.sem(), ew.Grid((64, 64), 0.01))
    >>> scene = ew.substitute(scene, {"microscope.sensor.gain": ew.Uniform(20.0, 30.0)})
    >>> dials(scene, ["microscope.sensor.gain"])[0].paths
    ('microscope.sensor.gain.low', 'microscope.sensor.gain.high')
    """
    found = tuple(_dial(recipe, tuple(part.strip() for part in text.split("+"))) for text in free)
    paths = [path for dial in found for path in dial.paths]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise ValueError(f"expected every number once, got '{twice}' twice; leave one out")
    return found


def turned(recipe: Scene, found: Sequence[Dial], turns: np.ndarray, digits: int = 17) -> Scene:
    """Return a recipe with its dials turned by coordinates (P,), the numbers rounded to so many digits."""
    values: dict[str, Tensor] = {}
    first = 0
    for dial in found:
        own = [float(turn) for turn in turns[first : first + len(dial.ends)]]
        first += len(dial.ends)
        numbers = dial.numbers([float(get(recipe, path)) for path in dial.paths], own)
        for path, number in zip(dial.paths, numbers, strict=True):
            held = torch.as_tensor(get(recipe, path), dtype=torch.float64)
            values[path] = torch.full_like(held, float(f"{number:.{digits}g}"))
    return substitute(recipe, values)


def _dial(recipe: Scene, named: tuple[str, ...]) -> Dial:
    held = [_innermost(recipe, path) for path in named]
    kinds = {kind for _, kind in held}
    if len(kinds) > 1:
        raise ValueError(f"expected priors of one kind to move together, got {' and '.join(sorted(kinds))}; part them")
    kind = kinds.pop()
    ranges = [_range(recipe, path) for path, _ in held]
    low, high = max(spec.low for spec in ranges), min(spec.high for spec in ranges)
    ends = ("",) if kind == "number" else (".low", ".high")
    paths = tuple(f"{path}{end}" for path, _ in held for end in ends)
    starts = [float(get(recipe, path)) for path in paths]
    scale = None
    if kind != "logarithmic" and (low < 0 or max(starts) <= 0):
        middle, half = (starts[0] + starts[-1]) / 2, (starts[-1] - starts[0]) / 2
        scale = max(half, 0.1 * abs(middle))
    if scale == 0 or (scale is None and max(starts) <= 0):
        raise ValueError(f"expected a number other than 0 to start from at '{named[0]}', got 0; write a guess")
    step = _COARSE if any(path.endswith(".count") for path in named) else _STEP
    sides = (_side(starts, (low, high), scale, kind),)
    if kind != "number":
        if starts[1::2] == starts[::2]:
            raise ValueError(f"expected a range with a width at '{named[0]}', got none; write a number instead")
        # What cannot be negative begins at 0 at the widest.
        room = [-math.log((b - a) / (a + b)) for a, b in zip(starts[::2], starts[1::2], strict=True) if b + a > 0]
        wide = min([_FAR, *room]) if kind == "uniform" and low >= 0 else _FAR
        sides += ((-_FAR, max(wide, 0.0)),)
    return Dial(paths, kind, scale, (low, high), (step,) * len(sides), sides, ranges[0].unit)


def _side(starts: Sequence[float], allowed: tuple[float, float], scale: float | None, kind: str) -> tuple[float, float]:
    """Return how far numbers, or the middles of ranges, may be turned until one reaches the end of what is allowed."""
    step = 1 if kind == "number" else 2
    middles = [
        math.sqrt(a * b) if kind == "logarithmic" else (a + b) / 2
        for a, b in zip(starts[::step], starts[step - 1 :: step], strict=True)
    ]
    found = (-_FAR, _FAR)
    for middle in middles:
        # Nothing but a factor of any size leads to 0, or to where there is no end.
        low, high = (
            math.copysign(math.inf, sign) if math.isinf(end) or (scale is None and end <= 0)
            else math.log(end / middle) if scale is None
            else (end - middle) / scale
            for sign, end in zip((-1, 1), allowed, strict=True)
        )  # fmt: skip
        found = (min(max(found[0], low), 0.0), max(min(found[1], high), 0.0))
    return found


def _innermost(recipe: Scene, path: str) -> tuple[str, str]:
    """Return the path of what moves for a free `path`, a number or a uniform prior, and which kind it is."""
    held: Any = get(recipe, path)
    if not is_prior(held):
        if isinstance(held, Tensor | float | int) and torch.as_tensor(held).numel() == 1:
            return path, "number"
        raise ValueError(f"expected a number or a prior at '{path}', got {held!r:.40}; name one of its numbers")
    assert isinstance(held, Value)
    names = fields(type(held))
    for middle in ("mean", "median"):
        if middle in names:
            return _innermost(recipe, f"{path}.{middle}")
    if names != ("low", "high"):
        example = {"parts": "parts.0.mean", "values": "values.0"}.get(names[0], names[0])
        raise ValueError(f"a {type(held).__name__} at '{path}' has no one middle; name a number such as {example}")
    if any(is_prior(getattr(held, end)) for end in names):
        raise ValueError(f"expected numbers as the ends of '{path}', got priors; name '{path}.low'")
    return path, "logarithmic" if isinstance(held, LogUniform) else "uniform"


def _range(recipe: Scene, path: str) -> Param:
    """Return the declaration of the parameter that a number at `path` stands for, as narrow as the priors about it."""
    value: Any = recipe
    spec = Param("1")
    for step in path.split("."):
        if isinstance(value, Value):
            own = {**params(type(value)), **draws(type(value))}.get(step)
            if own is not None:
                inside = own.unit == "any" and step != "sigma"  # a number of a prior is one of the parameter
                low, high = (max(spec.low, own.low), min(spec.high, own.high)) if inside else (own.low, own.high)
                spec = Param(spec.unit if own.unit == "any" else own.unit, low, high)
            if isinstance(value, TruncatedNormal) and step == "mean":
                lowest, highest = value.support()
                spec = Param(spec.unit, max(spec.low, lowest), min(spec.high, highest))
        value = get(value, step)
    return spec
