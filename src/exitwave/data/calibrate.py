"""Calibration: the numbers of a recipe's priors from images without labels.

Statistics of images drawn from the recipe are brought to those of real ones by Gauss-Newton steps with differences
for slopes. Every draw uses the same keys, so that statistics are nearly smooth in the numbers, and there are many more
of them than numbers: a step then costs one set of images per number, where searches without slopes need hundreds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import lsq_linear

from exitwave import toml
from exitwave.data.dials import Dial, dials, turned
from exitwave.data.statistics import SMALLEST, Floats, Reference, reference, statistics
from exitwave.model import get
from exitwave.random import Key
from exitwave.render import render
from exitwave.sample import sample
from exitwave.scene import Scene

Watcher = Callable[[int, float], None]

# The most pieces of real images that are looked at: more tell nothing new, and take longer than the draws.
_PIECES = 320
# How far a step may go, and the improvement below which there is no more to be had.
_STRIDE, _ENOUGH = 0.7, 0.05


class Number(NamedTuple):
    """A number of the recipe that was free: its path and unit, what it was and is, and whether its range ended."""

    path: str
    unit: str
    before: float
    after: float
    ended: bool


@dataclass(frozen=True)
class Calibration:
    """A calibrated `recipe` and how it came about.

    `before` and `after` tell by block how many spreads (from one real image to another) the mean statistics are off,
    on images that were not used for calibrating; `history` is the sum of squares round by round. `real`, `first` and
    `last` are pieces of images (H, W): real ones, and draws from the recipe before and after.
    """

    recipe: Scene
    numbers: tuple[Number, ...]
    before: dict[str, float]
    after: dict[str, float]
    history: tuple[float, ...]
    real: tuple[np.ndarray, ...]
    first: tuple[np.ndarray, ...]
    last: tuple[np.ndarray, ...]


def calibrate(
    recipe: Scene,
    images: Sequence[np.ndarray],
    free: Sequence[str] = (),
    *,
    rounds: int = 4,
    n: int = 24,
    tile: int = 256,
    seed: int = 0,
    watch: Watcher | None = None,
) -> Calibration:
    """Return `recipe` with the numbers in `free` moved until its images have the statistics of `images`.

    `images` are grey (H, W), in counts of the recipe's sensor and at its pixel, two pieces of `tile` pixels or more.
    `free` are dotted paths: a uniform prior there moves and widens, of another the mean or median moves; a plain number
    is one. Paths with "+" between them move by one factor. Without any, what differs from one session at a microscope
    to the next is free; see `usual`. Every one of the `rounds` draws `n` pieces of images for each free coordinate.

    What is minimised is the sum of squares of `Reference.residual`: means and spreads of `statistics` in units of the
    spread from one real piece to another; and of the coordinates, lightly, so that what the images do not show stays.

    >>> import exitwave as ew
    >>> scene = ew.Scene(ew.Specimen(()), ew.sem(), ew.Grid((32, 32), 0.01))
    >>> first = ew.substitute(scene, {"microscope.sensor.gain": 50.0})
    >>> images = [ew.render(scene, ew.Key(1, k).generator("noise")).numpy() for k in range(4)]
    >>> found = calibrate(first, images, ["microscope.sensor.gain"], n=2)
    >>> [round(number.after / 10) for number in found.numbers]
    [10]
    """
    if len(recipe.grid.shape) != 2:
        raise ValueError(f"calibration takes recipes of images, got a grid of {recipe.grid.shape}; use a plane")
    if rounds < 1 or n < 2:
        raise ValueError(f"expected one round or more of two images or more, got {rounds} and {n}; raise them")
    found = dials(recipe, free or usual(recipe))
    pieces = tiles(images, (tile, tile), (recipe.grid.shape[0], recipe.grid.shape[1]))
    target = reference(np.stack([statistics(piece) for piece in pieces]))
    search = _Search(recipe, found, target, Draws(n, seed, pieces[0].shape))
    turns, history = search.run(rounds, watch)
    done = _checked(turned(recipe, found, turns, digits=4))
    # Keys of their own: statistics match best on the images that were looked at. More, as small differences count.
    fresh = Draws(3 * n, seed + 1, pieces[0].shape)
    first, last = (fresh.images(one) for one in (recipe, done))
    before, after = (target.distance(np.stack([statistics(image) for image in some])) for some in (first, last))
    return Calibration(done, _numbers(recipe, done, found, turns), before, after, history, pieces, first, last)


def usual(recipe: Scene) -> tuple[str, ...]:
    """Return what is free where nothing is named: what a scanned image's look hangs on and no label tells.

    These are gain, offset and dose, the probe, the shadowing, the texture of films, and of populations the yield and
    the number of particles; yields and numbers of all populations move together.
    """
    if not _stands(recipe, "microscope.interaction.escape_depth"):
        raise ValueError("expected a recipe of scanned electrons, got another; name what is free by its path")
    one = ("sensor.gain", "sensor.offset", "sensor.dose", "illumination.probe", "interaction.shadowing")
    names = [f"microscope.{name}" for name in one if _stands(recipe, f"microscope.{name}")]
    films, populations = [], []
    for number in range(len(recipe.specimen.parts)):
        part = f"specimen.parts.{number}"
        (populations if _stands(recipe, f"{part}.count") else films).append(part)
    names += [f"{part}.secondary" for part in films if _stands(recipe, f"{part}.secondary")]
    for name in ("secondary", "count"):
        held = [f"{part}.{name}" for part in populations if _stands(recipe, f"{part}.{name}")]
        names += ["+".join(held)] if held else []
    return tuple(names)


def tiles(images: Sequence[np.ndarray], size: tuple[int, int], most: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Return pieces (h, w) of images side by side, of `size` where neither the images nor `most` is smaller.

    >>> [piece.shape for piece in tiles([np.zeros((100, 70)), np.zeros((90, 80))], (40, 64), (64, 64))]
    [(40, 64), (40, 64), (40, 64), (40, 64)]
    """
    if not images:
        raise ValueError("expected images to calibrate by, got none; name a folder with some")
    height, width = (min(size[axis], most[axis], *(image.shape[axis] for image in images)) for axis in (0, 1))
    if min(height, width) < SMALLEST:
        raise ValueError(f"expected images of {SMALLEST} x {SMALLEST} pixels or more, got {height} x {width}; enlarge")
    found = [
        image[row : row + height, column : column + width]
        for image in images
        for row in range(0, image.shape[0] - height + 1, height)
        for column in range(0, image.shape[1] - width + 1, width)
    ]
    if len(found) < 2:
        raise ValueError("expected two pieces of images or more, got 1; add an image, or take smaller pieces")
    chosen = np.linspace(0, len(found) - 1, min(len(found), _PIECES)).round().astype(int)
    return tuple(found[number] for number in chosen.tolist())


class Draws(NamedTuple):
    """Which images are drawn from recipes, always by the same keys: `n` of them, as large as a `tile`."""

    n: int
    seed: int
    tile: tuple[int, ...]

    def images(self, recipe: Scene) -> tuple[np.ndarray, ...]:
        """Return `n` images (h, w): the middle of the field, in which things lie as densely as in the whole."""
        found = []
        for index in range(self.n):
            key = Key(self.seed, index)
            with torch.no_grad():
                scene = sample(recipe, key)
                scene = replace(scene, grid=replace(scene.grid, shape=self.tile))
                found.append(render(scene, key.generator("noise")).double().numpy())
        return tuple(found)


class _Search:
    """Gauss-Newton over the turns of dials (P,), in units in which 1 is e-fold or the spread of a prior."""

    def __init__(self, recipe: Scene, found: tuple[Dial, ...], target: Reference, draws: Draws) -> None:
        self.recipe, self.dials, self.target, self.draws = recipe, found, target, draws
        self.step = np.array([step for dial in found for step in dial.steps])
        self.low, self.high = (np.array([end[k] for dial in found for end in dial.ends]) for k in (0, 1))
        # What the images do not show stays where it was: means of n images are known to 1 / sqrt(n) spreads, and
        # numbers may well be wrong by a factor of e, a turn of 1.
        self.ridge = 1 / math.sqrt(draws.n)

    def residual(self, turns: Floats) -> Floats:
        """Return what the sum of squares is of; an error where the recipe cannot be drawn with these numbers."""
        images = self.draws.images(turned(self.recipe, self.dials, turns))
        found = self.target.residual(np.stack([statistics(image) for image in images]))
        return np.concatenate([found, self.ridge * turns])

    def run(self, rounds: int, watch: Watcher | None) -> tuple[Floats, tuple[float, ...]]:
        """Return the best turns, and the sum of squares before the first round and after every one."""
        turns, damping = np.zeros(len(self.step)), 0.01
        now = self.residual(turns)
        history = [float(now @ now)]
        for number in range(rounds):
            if watch is not None:
                watch(number, history[-1])
            slopes = self.slopes(turns, now)
            for _ in range(4):
                moved = turns + self.stride(slopes, now, turns, damping)
                tried = self.attempt(moved)
                if tried is not None and tried @ tried < history[-1]:
                    turns, now, damping = moved, tried, damping / 4
                    break
                damping *= 8
            history.append(float(now @ now))
            if history[-1] > (1 - _ENOUGH) * history[-2]:
                break
        if watch is not None:
            watch(len(history) - 1, history[-1])
        return turns, tuple(history)

    def slopes(self, turns: Floats, now: Floats) -> Floats:
        """Return the derivatives (R, P) of the residual, by differences towards the farther end of the range."""
        columns = []
        for number, step in enumerate(self.step):
            room = self.high[number] - turns[number] > turns[number] - self.low[number]
            for signed in (step, -step) if room else (-step, step):
                moved = turns.copy()
                moved[number] = np.clip(moved[number] + signed, self.low[number], self.high[number])
                tried = self.attempt(moved)
                if tried is not None and moved[number] != turns[number]:
                    columns.append((tried - now) / (moved[number] - turns[number]))
                    break
            else:
                columns.append(np.zeros_like(now))
        return np.stack(columns, 1)

    def stride(self, slopes: Floats, now: Floats, turns: Floats, damping: float) -> Floats:
        """Return the damped step that the linear model asks for, within the ranges."""
        weight = np.sqrt(damping * (slopes**2).sum(0) + 1e-12)
        matrix = np.concatenate([slopes, np.diag(weight)])
        low, high = (np.clip(end - turns, -_STRIDE, _STRIDE) for end in (self.low, self.high))
        # Where an end is reached there is room on one side only.
        return lsq_linear(matrix, np.concatenate([-now, np.zeros(len(turns))]), (low - 1e-9, high + 1e-9)).x

    def attempt(self, turns: Floats) -> Floats | None:
        """Return the residual; nothing where, say, so many particles have no room."""
        try:
            return self.residual(turns)
        except ValueError:
            return None


def _numbers(recipe: Scene, done: Scene, found: tuple[Dial, ...], turns: Floats) -> tuple[Number, ...]:
    rows, first = [], 0
    for dial in found:
        own = turns[first : first + len(dial.ends)]
        pairs = zip(own.tolist(), dial.ends, strict=True)
        ended = any(math.isclose(turn, end, abs_tol=1e-6) for turn, ends in pairs for end in ends if end != 0)
        first += len(dial.ends)
        rows += [
            Number(path, dial.unit, float(get(recipe, path)), float(get(done, path)), ended) for path in dial.paths
        ]
    return tuple(rows)


def _checked(recipe: Scene) -> Scene:
    """Return a recipe as it will be read again, checked in every number."""
    return toml.load(toml.dump(recipe))


def _stands(recipe: Scene, path: str) -> bool:
    """Return whether there is a number other than a plain 0, or a prior, at `path`."""
    try:
        held = get(recipe, path)
    except KeyError:
        return False
    return not isinstance(held, torch.Tensor | float | int) or bool(torch.as_tensor(held).numel() == 1 and held != 0)
