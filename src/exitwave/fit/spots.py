"""Spots: compact particles in any contrast, by matched filters that are renderings of the template in several sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import scipy.fft
import scipy.ndimage

from exitwave.fit.template import FACTOR, Template, background, noise_of, vertex

# Sizes tried: that many, evenly on a logarithmic scale.
_SIZES = 13
# What the model may miss of a particle's image, as a share of it: what is found beside or below one must exceed it.
_MISFIT = 0.15
# Least correlation of a find with its model; and the share of a filter's norm that must lie within the image.
_LIKENESS, _VISIBLE = 0.6, 0.6
# Rounds of finding, and how far down each goes beside the strongest of it.
_ROUNDS, _LEVEL = 50, 0.3


@dataclass(frozen=True)
class Filters:
    """Images (S, 2 half + 1, 2 half + 1) that the model gives of one particle in S sizes, each of norm 1.

    `reach` is the distance from the middle in pixels within which each has 98 % of its energy.
    """

    factor: np.ndarray
    image: np.ndarray
    reach: np.ndarray

    @property
    def half(self) -> int:
        """The pixels from the middle to the edge."""
        return self.image.shape[1] // 2


@dataclass(frozen=True)
class Spot:
    """A find: its place in pixels, its size as a number among the filters', the norm and score of its image."""

    row: float
    column: float
    size: float
    amplitude: float
    score: float


@dataclass(frozen=True)
class Canvas:
    """Arrays about the image with a margin of the filters' half width: what is left in it, and what is known of it.

    `doubt` is what the models of the finds so far may have missed, as an absolute value.
    """

    rest: np.ndarray
    known: np.ndarray
    doubt: np.ndarray
    taken: np.ndarray
    noise: float


def spots(template: Template, image: np.ndarray, count: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return centres (N, 3) in micrometres, sizes (N, k) and rotations (N, 4) of compact particles."""
    known = np.isfinite(image)
    flat = np.where(known, image, np.median(image[known]))
    flat = np.where(known, flat - background(flat, known), 0.0)
    filters = _filters(template)
    rest, seen = (np.pad(array, filters.half) for array in (flat, known.astype(float)))
    canvas = Canvas(rest, seen, np.zeros_like(rest), np.zeros(rest.shape, dtype=bool), noise_of(flat))
    found = _polished(filters, canvas, _search(template, filters, canvas, count))
    (dy, dx), (height, width) = template.pixel, image.shape
    origin = filters.half + height // 2, filters.half + width // 2
    center = [[template.height, (s.row - origin[0]) * dy, (s.column - origin[1]) * dx] for s in found]
    factor = FACTOR ** (2 * np.array([spot.size for spot in found]) / (_SIZES - 1) - 1)
    return np.array(center).reshape(-1, 3), factor[:, None] * template.part.size.numpy(), template.rotations(len(found))


def _filters(template: Template) -> Filters:
    """Return the model's images of the template in all sizes, cut where the widest one has 98 % of its energy."""
    factor = np.geomspace(1 / FACTOR, FACTOR, _SIZES)
    grid = template.patch(FACTOR * template.radius)
    empty = template.image(None, grid)
    models = np.stack([template.contrast(float(scale), grid, empty) for scale in factor])
    middle = np.array(models.shape[1:]) // 2
    away = np.maximum(*(np.abs(place - m) for place, m in zip(np.indices(models.shape[1:]), middle, strict=True)))
    energy = np.stack([np.bincount(away.ravel(), (model**2).ravel()).cumsum() for model in models])
    reach = np.maximum((energy < 0.98 * energy[:, -1:]).sum(1), 2)
    half = int(reach.max())
    margin = [(max(0, half - m),) * 2 for m in middle]
    models = np.pad(models, [(0, 0), *margin])
    middle = np.array(models.shape[1:]) // 2
    cut = models[:, middle[0] - half : middle[0] + half + 1, middle[1] - half : middle[1] + half + 1]
    return Filters(factor, cut / np.linalg.norm(cut, axis=(1, 2), keepdims=True), reach)


def _search(template: Template, filters: Filters, canvas: Canvas, count: int | None) -> list[Spot]:
    """Return what stands out, in rounds: the images of each round's finds are taken off before the next."""
    shape = tuple(scipy.fft.next_fast_len(n + 2 * filters.half, real=True) for n in canvas.rest.shape)
    flipped = filters.image[:, ::-1, ::-1]
    transforms, squares, absolute = (
        [np.asarray(scipy.fft.rfft2(image, shape)) for image in images]
        for images in (flipped, flipped**2, np.abs(flipped))
    )
    norms = [np.sqrt(np.maximum(found, 0.0)) for found in _correlated(canvas.known, squares, filters.half)]
    # The largest of that many normal numbers, and a good deal more.
    least = math.sqrt(2 * math.log(canvas.rest.size * _SIZES)) + 1.5
    found: list[Spot] = []
    floor = np.full(_SIZES, canvas.noise)
    for _ in range(_ROUNDS):
        score, strength, size, floor = _scores(canvas, norms, transforms, absolute, filters.half)
        score[canvas.taken] = 0.0
        # In the end what else is in the image counts as noise; at first much of it is particles yet to be found.
        promising = bool(((score > least) & (strength / floor[size] > least / 2)).any())
        finds = _accepted(filters, canvas, score, size, max(least, _LEVEL * float(score.max()))) if promising else []
        for spot in finds:
            _take_off(filters, canvas, spot)
            _close(canvas.taken, spot, template.radius * float(filters.factor[round(spot.size)]), template.pixel)
        found += finds
        if not finds:
            break
        _level(filters, canvas)
    found = [replace(spot, score=spot.amplitude / floor[round(spot.size)]) for spot in found]
    found.sort(key=lambda spot: -spot.score)
    significant = sum(spot.score > least for spot in found)
    kept = significant if count is None else min(count, significant)
    for spot in found[kept:]:
        _take_off(filters, canvas, spot, -1.0)
    return found[:kept]


def _level(filters: Filters, canvas: Canvas) -> None:
    """Take the background off again: without the particles found it shows better."""
    inner = slice(filters.half, -filters.half), slice(filters.half, -filters.half)
    seen = canvas.known[inner] > 0
    canvas.rest[inner] -= np.where(seen, background(canvas.rest[inner], seen), 0.0)


def _correlated(image: np.ndarray, transforms: list[np.ndarray], half: int) -> list[np.ndarray]:
    """Return the correlations of an image with filters, (H, W) each, from the filters' transforms."""
    shape = tuple(scipy.fft.next_fast_len(n + 2 * half, real=True) for n in image.shape)
    own = np.asarray(scipy.fft.rfft2(image, shape))
    window = slice(half, half + image.shape[0]), slice(half, half + image.shape[1])
    return [np.asarray(scipy.fft.irfft2(own * transform, shape))[window] for transform in transforms]


def _scores(
    canvas: Canvas, norms: list[np.ndarray], transforms: list[np.ndarray], absolute: list[np.ndarray], half: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the best score (H, W) of a particle at every pixel, the norm of its image, and the number of its size.

    The score is the norm in standard deviations of noise and of what the models of the particles found so far may have
    missed. The fourth are the filters' floors (S,), the standard deviations of what they see in the image.
    """
    best, strength, size = (np.zeros(canvas.rest.shape, kind) for kind in (float, float, int))
    products = _correlated(canvas.rest, transforms, half)
    doubts = _correlated(canvas.doubt, absolute, half) if canvas.doubt.any() else [0.0] * len(products)
    floor = np.full(len(products), canvas.noise)
    for number, (product, norm, doubt) in enumerate(zip(products, norms, doubts, strict=True)):
        seen = (norm > _VISIBLE) & (canvas.known > 0)
        amplitude = np.where(seen, product / np.maximum(norm, _VISIBLE), 0.0)
        if seen.any():
            floor[number] = max(canvas.noise, _floor(amplitude[seen]))
        score = amplitude / (canvas.noise + doubt)
        better = score > best
        best[better], strength[better], size[better] = score[better], amplitude[better], number
    return best, strength, size, floor


def _floor(responses: np.ndarray) -> float:
    """Return the standard deviation of a filter's responses where there is nothing, judged by the lowest fifth."""
    return float(np.quantile(np.abs(responses - np.median(responses)), 0.2)) / 0.2533


def _accepted(filters: Filters, canvas: Canvas, score: np.ndarray, size: np.ndarray, least: float) -> list[Spot]:
    """Return the peaks that look like the model, none within the image of a stronger one: that may be part of it."""
    peaks = np.argwhere((score >= least) & (score == scipy.ndimage.maximum_filter(score, 3)))
    peaks = peaks[np.argsort(-score[tuple(peaks.T)], kind="stable")]
    seen: list[tuple[int, int, int]] = []
    kept = []
    for row, column in peaks.tolist():
        reach = int(filters.reach[size[row, column]])
        free = all(max(abs(row - y), abs(column - x)) > max(reach, other) for y, x, other in seen)
        spot, likeness = _fitted(filters, canvas, row, column, float(score[row, column]))
        if likeness < _LIKENESS:
            continue
        seen.append((row, column, reach))
        if free:
            kept.append(spot)
    return kept


def _fitted(filters: Filters, canvas: Canvas, row: int, column: int, score: float) -> tuple[Spot, float]:
    """Return the find near a pixel with its size and place between the grids', and its likeness to the model."""
    steps, i, j = 0, 0, 0
    while True:
        row = min(max(row + i, filters.half + 1), canvas.rest.shape[0] - filters.half - 2)
        column = min(max(column + j, filters.half + 1), canvas.rest.shape[1] - filters.half - 2)
        amplitude, energy = _around(filters, canvas, row, column)
        number, i, j = (int(n) for n in np.unravel_index(amplitude.argmax(), amplitude.shape))
        i, j, steps = i - 1, j - 1, steps + 1
        if i == j == 0 or steps == 5:
            break
    moved = vertex(*amplitude[number - 1 : number + 2, i + 1, j + 1]) if 0 < number < len(amplitude) - 1 else 0.0
    down = vertex(*amplitude[number, :, 1]) if i == j == 0 else 0.0
    across = vertex(*amplitude[number, 1, :]) if i == j == 0 else 0.0
    best = float(amplitude[number, i + 1, j + 1])
    scale = best / max(math.sqrt(float(energy[number, i + 1, j + 1])), _VISIBLE)
    spot = Spot(row + i + down, column + j + across, number + moved, scale, score)
    return spot, _likeness(filters, canvas, row, column, number)


def _around(filters: Filters, canvas: Canvas, row: int, column: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the norms (S, 3, 3) of particles at a pixel and its neighbours, and the visible shares of their energy."""
    half = filters.half
    window = slice(row - half - 1, row + half + 2), slice(column - half - 1, column + half + 2)
    sizes = filters.image.shape[1:]
    views, masks = (np.lib.stride_tricks.sliding_window_view(a[window], sizes) for a in (canvas.rest, canvas.known))
    product = np.einsum("ijyx,syx->sij", views, filters.image, optimize=True)
    energy = np.einsum("ijyx,syx->sij", masks, filters.image**2, optimize=True)
    return product / np.sqrt(np.maximum(energy, _VISIBLE**2)), energy


def _likeness(filters: Filters, canvas: Canvas, row: int, column: int, size: int) -> float:
    """Return the correlation of a particle's image with the model's, corrected for noise."""
    reach, half = int(filters.reach[size]), filters.half
    window = slice(row - reach, row + reach + 1), slice(column - reach, column + reach + 1)
    inner = slice(half - reach, half + reach + 1)
    image, known = canvas.rest[window], canvas.known[window]
    model = filters.image[size, inner, inner] * known
    product = float((image * model).sum()) / max(float(np.linalg.norm(model)), 1e-12)
    # Noise alone has that much energy in these pixels.
    energy = float((image**2).sum()) - canvas.noise**2 * float(known.sum())
    return product / math.sqrt(max(energy, product**2, 1e-300))


def _model(filters: Filters, spot: Spot) -> tuple[tuple[slice, slice], np.ndarray]:
    """Return where the image of a find lies on the canvas, and that image of norm 1."""
    lower = min(int(spot.size), len(filters.factor) - 2)
    part = spot.size - lower
    blend = (1 - part) * filters.image[lower] + part * filters.image[lower + 1]
    row, column = round(spot.row), round(spot.column)
    moved = scipy.ndimage.shift(blend, (spot.row - row, spot.column - column), order=3, mode="nearest")
    half = filters.half
    window = slice(row - half, row + half + 1), slice(column - half, column + half + 1)
    return window, moved / np.linalg.norm(moved)


def _take_off(filters: Filters, canvas: Canvas, spot: Spot, sign: float = 1.0) -> None:
    """Take the image of a find off the rest of the canvas; a `sign` of -1 puts it back."""
    window, model = _model(filters, spot)
    canvas.rest[window] -= sign * spot.amplitude * model * canvas.known[window]
    canvas.doubt[window] += sign * _MISFIT * spot.amplitude * np.abs(model)


def _close(taken: np.ndarray, spot: Spot, radius: float, pixel: tuple[float, float]) -> None:
    """Mark the silhouette of a find: no other centre is sought there."""
    y, x = (np.arange(n) - place for n, place in zip(taken.shape, (spot.row, spot.column), strict=True))
    taken |= np.hypot(y[:, None] * pixel[0], x[None] * pixel[1]) < radius


def _polished(filters: Filters, canvas: Canvas, found: list[Spot]) -> list[Spot]:
    """Return the finds, each fitted twice more with the images of all others taken off.

    A find that no longer looks like the model was made up by its neighbours, which were only roughly known.
    """
    for _ in range(2):
        kept = []
        for spot in found:
            _take_off(filters, canvas, spot, -1.0)
            better, likeness = _fitted(filters, canvas, round(spot.row), round(spot.column), spot.score)
            if likeness > _LIKENESS and better.amplitude > 0.5 * spot.amplitude:
                kept.append(better)
                _take_off(filters, canvas, better)
        found = kept
    return found
