"""Silhouettes: bodies that are not round, by the outlines of what differs from the background."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.ndimage
import torch
from torch import Tensor

from exitwave.fit.template import FACTOR, Template, background, noise_of, spread_of

# Standard deviations of the background's local contrast that a body must exceed, and the share of its own contrast at
# which a body ends.
_LEAST, _EDGE = 8.0, 0.35
# Bodies that much longer than wide have the direction of their second moments.
_LONG = 1.15
# Least contrast beside that of others.
_FAINTEST = 0.2
# The gap in an outline that is closed, beside half the width of the body: facets that are clear leave gaps.
_GAP = 0.3
# Pixels that a body has at least.
_FEWEST = 9
# Angles at which the outlines of others are compared.
_ANGLES = 72


@dataclass(frozen=True)
class Moments:
    """Centre (y, x) of an area, the half axes of the ellipse with its second moments, longer one first, and its angle.

    In micrometres; the angle of the longer axis in radians from x towards y.
    """

    center: np.ndarray
    half: np.ndarray
    angle: float


@dataclass(frozen=True)
class Body:
    """What differs from the background in one place: the coordinates (K, 2) of its pixels, and how strongly.

    `peak` is the contrast that a tenth of it exceeds, `strength` the norm of all of it.
    """

    points: np.ndarray
    peak: float
    strength: float


def silhouettes(template: Template, image: np.ndarray, count: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return centres (N, 3) in micrometres, sizes (N, k) and rotations (N, 4), the strongest contrast first.

    What the optics add to an outline is measured on the rendered template and taken off. Of tilts nothing is known:
    bodies lie as the template does, turned about z. Touching bodies are not told apart, and what differs from the
    template by more than the factor 2 in either extent is not one of its kind.
    """
    known = np.isfinite(image)
    level = background(np.where(known, image, np.median(image[known])), known)
    flat = np.where(known, image - level, 0.0)
    flat = flat - _shade(template, flat)
    outline = _outline(template, template.part.size)
    own = _polygon_moments(outline)
    contrast, least = _contrast(template, flat)
    bodies = _alike(sorted(_bodies(template, contrast, least), key=lambda body: -body.strength), own)
    halo = _halo(template, own, [least / body.peak for body in bodies])
    found = []
    for body in bodies:
        moments = _point_moments(body.points)
        change = np.log(np.maximum(moments.half - halo, 0.1 * own.half) / own.half)
        # A little more than the factor: extents are not that exact.
        if np.abs(change).max() > math.log(1.1 * FACTOR):
            continue
        long = own.half[0] > _LONG * own.half[1]
        turn = moments.angle - own.angle if long else _turn(outline, body.points - moments.center)
        found.append((moments.center, _size(template, change), _turned(template, turn)))
    found = found[:count]
    center = np.array([[template.height, *body[0]] for body in found]).reshape(-1, 3)
    size = np.array([body[1] for body in found]).reshape(len(found), template.part.size.shape[1])
    return center, size, np.array([body[2] for body in found]).reshape(-1, 4)


def roundness(template: Template) -> float:
    """Return the template's inner radius over its outer one, seen along z: 1 for a circle, 0.71 for a square."""
    angle = torch.arange(180, dtype=torch.float64) * (math.pi / 90)
    direction = torch.stack([torch.sin(angle), torch.cos(angle)], -1)[None]
    support = template.part.shape.support(template.part.size, template.part.axes, direction)[0]
    return float(support.min() / support.max())


def _outline(template: Template, size: Tensor) -> np.ndarray:
    """Return the corners (V, 2) of the template's silhouette in micrometres for a size (1, k)."""
    return template.part.shape.outline(size, template.part.axes)[0].numpy()


def _halo(template: Template, own: Moments, least: list[float]) -> np.ndarray:
    """Return by how much the rendered template looks larger than it is: half extents (2,) in micrometres.

    `least` are the contrasts at which the bodies in the image sank into the noise, beside their own.
    """
    model = template.contrast(1.0, template.patch(template.radius))
    contrast = np.sqrt(scipy.ndimage.gaussian_filter(model**2, _blur(template)))
    peak = _strongest(template, contrast, 0.1 * float(contrast.max())).peak
    share = float(np.median(least)) if least else 0.1
    return _point_moments(_strongest(template, contrast, min(share, 0.9) * peak).points).half - own.half


def _strongest(template: Template, contrast: np.ndarray, least: float) -> Body:
    return max(_bodies(template, contrast, least), key=lambda body: body.strength)


def _blur(template: Template) -> float:
    """Return over how many pixels contrast is averaged, a standard deviation: half a resolved distance."""
    return max(1.0, 0.25 * template.wavelength / template.na / min(template.pixel))


def _shade(template: Template, flat: np.ndarray) -> np.ndarray:
    """Return the shading (H, W) wider than bodies: medians over windows twice as wide as the largest of them."""
    window = [max(5, math.ceil(4 * FACTOR * template.radius / step)) for step in template.pixel]
    if any(wide > n // 2 for wide, n in zip(window, flat.shape, strict=True)):
        return np.zeros_like(flat)
    # Windows of some twenty samples tell as much as all pixels do.
    steps = [max(1, wide // 20) for wide in window]
    coarse = scipy.ndimage.uniform_filter1d(scipy.ndimage.uniform_filter1d(flat, steps[0], 0), steps[1], 1)
    coarse = coarse[:: steps[0], :: steps[1]]
    size = [wide // step for wide, step in zip(window, steps, strict=True)]
    medians = scipy.ndimage.gaussian_filter(scipy.ndimage.median_filter(coarse, size), 0.1 * max(size))
    places = [np.arange(n) / step for n, step in zip(flat.shape, steps, strict=True)]
    grid = np.meshgrid(*places, indexing="ij")
    return scipy.ndimage.map_coordinates(medians, grid, order=1, mode="nearest")


def _contrast(template: Template, flat: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the local RMS (H, W) of an image without its background, noise taken off, and what it must exceed.

    The local RMS counts either sign alike: bodies that only delay light are seen by what they do to it at their edges.
    """
    blur, noise = _blur(template), noise_of(flat)
    energy = scipy.ndimage.gaussian_filter(flat**2, blur)
    # That many independent pixels are averaged.
    spread = max(noise**2 * math.sqrt(2 / (4 * math.pi * blur**2)), spread_of(energy))
    floor = float(np.median(energy))
    contrast = np.sqrt(np.maximum(energy - floor, 0.0))
    # Where darkness has no noise, the tails of the optics' spread are no part of a body either.
    return contrast, max(math.sqrt(_LEAST * spread), 0.02 * float(contrast.max()))


def _bodies(template: Template, contrast: np.ndarray, least: float) -> list[Body]:
    """Return the connected areas of contrast above `least`, each cut off where its own contrast falls off."""
    labels, _ = _labelled(_filled(template, contrast > least))
    bodies = []
    for number, place in enumerate(scipy.ndimage.find_objects(labels), start=1):
        mask = labels[place] == number
        inside = contrast[place]
        above = inside[mask & (inside > least)]
        if above.size < _FEWEST:
            continue
        peak = float(np.quantile(above[above > 0.1 * above.max()], 0.9))
        edge = max(least, _EDGE * peak)
        cores, parts = _labelled(_filled(template, mask & (inside > edge)))
        for part in range(1, parts + 1):
            row, column = np.nonzero(cores == part)
            if len(row) >= _FEWEST:
                origin = [p.start - n // 2 for p, n in zip(place, contrast.shape, strict=True)]
                points = (np.stack([row, column], -1) + origin) * np.array(template.pixel)
                bodies.append(Body(points, peak, float(np.linalg.norm(inside[row, column]))))
    return bodies


def _alike(bodies: list[Body], own: Moments) -> list[Body]:
    """Return the bodies of the template's extents, within a wide range, that can be of one material.

    Their contrast is at least a fifth of that in which half of all contrast lies; fainter ones are something else.
    """
    near = []
    for body in bodies:
        half = _point_moments(body.points).half
        if np.all(half > own.half / (2 * FACTOR)) and half[0] < 3 * FACTOR * own.half[0]:
            near.append(body)
    if not near:
        return []
    peaks = np.array([body.peak for body in near])
    order = peaks.argsort()
    share = np.cumsum(np.array([body.strength for body in near])[order] ** 2)
    usual = peaks[order][int(np.searchsorted(share, 0.5 * share[-1]))]
    return [body for body in near if body.peak > _FAINTEST * usual]


def _labelled(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the numbers of the connected areas of a mask, from 1 on, and how many there are."""
    labels = np.zeros(mask.shape, dtype=np.int32)
    return labels, int(scipy.ndimage.label(mask, output=labels))  # pyright: ignore[reportArgumentType]


def _filled(template: Template, mask: np.ndarray) -> np.ndarray:
    """Return a mask with narrow gaps closed and holes filled."""
    inner = roundness(template) * template.radius / max(template.pixel)
    steps = max(math.ceil(_blur(template)), round(_GAP * inner))
    closed = scipy.ndimage.binary_closing(np.pad(mask, steps + 1), iterations=steps)
    return np.asarray(scipy.ndimage.binary_fill_holes(closed))[steps + 1 : -steps - 1, steps + 1 : -steps - 1]


def _point_moments(points: np.ndarray) -> Moments:
    """Return the moments of pixels (K, 2)."""
    return _moments(points.mean(0), np.cov(points.T, bias=True))


def _polygon_moments(corners: np.ndarray) -> Moments:
    """Return the moments of the area in a polygon (V, 2), by Green's theorem."""
    after = np.roll(corners, -1, 0)
    cross = corners[:, 0] * after[:, 1] - after[:, 0] * corners[:, 1]
    area = cross.sum() / 2
    center = ((corners + after) * cross[:, None]).sum(0) / (6 * area)
    product = np.einsum("vi,vj->vij", corners, corners) + np.einsum("vi,vj->vij", after, after)
    mixed = np.einsum("vi,vj->vij", corners, after)
    second = ((2 * product + mixed + mixed.swapaxes(1, 2)) * cross[:, None, None]).sum(0) / (24 * area)
    return _moments(center, second - np.outer(center, center))


def _moments(center: np.ndarray, covariance: np.ndarray) -> Moments:
    values, vectors = np.linalg.eigh(covariance)
    y, x = vectors[:, 1]
    return Moments(center, 2 * np.sqrt(np.maximum(values[::-1], 1e-18)), math.atan2(y, x))


def _turn(outline: np.ndarray, points: np.ndarray) -> float:
    """Return the angle by which an outline is turned against an area of points (K, 2) about its centre.

    By the correlation over all angles of how far both reach: areas without a long axis have corners.
    """
    step = 2 * math.pi / _ANGLES
    sector = np.round(np.arctan2(points[:, 0], points[:, 1]) / step).astype(int) % _ANGLES
    seen = np.sqrt(np.bincount(sector, minlength=_ANGLES).astype(float))
    angle = np.arange(_ANGLES) * step
    edge = np.roll(outline, -1, 0) - outline
    normal = np.stack([edge[:, 1], -edge[:, 0]], -1)
    distance = (normal * outline).sum(-1)
    normal, distance = normal * np.sign(distance)[:, None], np.abs(distance)
    toward = normal @ np.stack([np.sin(angle), np.cos(angle)])
    reach = (distance[:, None] / np.maximum(toward, 1e-12)).min(0)
    spectrum = np.fft.rfft(seen - seen.mean()) * np.fft.rfft(reach - reach.mean()).conj()
    # Interpolated to a hundredth of a sector.
    fine = np.fft.irfft(spectrum, 100 * _ANGLES)
    return 2 * math.pi * int(fine.argmax()) / len(fine)


def _turned(template: Template, angle: float) -> np.ndarray:
    """Return the quaternion (4,) of the template turned about z by an angle from x towards y."""
    w, x, y, z = template.part.rotation[0].numpy()
    c, s = math.cos(angle / 2), math.sin(angle / 2)
    turned = np.array([c * w - s * z, c * x - s * y, c * y + s * x, c * z + s * w])
    return turned / np.linalg.norm(turned)


def _size(template: Template, change: np.ndarray) -> np.ndarray:
    """Return the size (k,) of a body whose half extents are exp(`change`) (2,) times those of the template.

    Lengths follow the extents that depend on them, by Gauss-Newton steps in logarithms; what the two extents leave
    open, such as a thickness, goes with the others. Where no body of the shape has these extents, all lengths are
    scaled alike.
    """
    start = template.part.size.numpy()[0]
    target = np.log(_polygon_moments(_outline(template, template.part.size)).half) + change
    alike = np.full(len(start), float(change.mean()))
    scale, even = alike.copy(), 0.03 * (np.eye(len(start)) - 1 / len(start))

    def extents(scale: np.ndarray) -> np.ndarray:
        size = torch.from_numpy(start * np.exp(scale))[None]
        return np.log(_polygon_moments(_outline(template, size)).half)

    for _ in range(4):
        slope = np.stack([(extents(scale + h) - extents(scale - h)) / 0.02 for h in 0.01 * np.eye(len(start))], -1)
        rows, values = np.concatenate([slope, even]), np.concatenate([target - extents(scale), -even @ scale])
        scale = np.clip(scale + np.linalg.lstsq(rows, values, rcond=None)[0], -1.0, 1.0)
    try:
        template.part.shape.check_size(torch.from_numpy(start * np.exp(scale))[None])
    except ValueError:
        scale = alike
    return start * np.exp(scale)
