"""Rings: particles in holograms, far out of focus in coherent light.

Centres come from a transform in which every pixel votes along its gradient (Cheong, Krishnatreya and Grier, Opt.
Express 17, 13071, 2009; Krishnatreya and Grier, Opt. Express 22, 12773, 2014), heights and radii from comparing the
profile around a centre with the model's over all heights at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.ndimage
import scipy.signal
import scipy.special
import torch

from exitwave.fit.template import FACTOR, Template, noise_of, vertex
from exitwave.grid import Grid
from exitwave.render import optical_field

# Radii tried: that many, evenly on a logarithmic scale.
_RADII = 9
# Pixels that a profile reaches at most.
_REACH = 128
# A found pattern resembles the model at least that well, and stands out at least that much beside the strongest one:
# what the model misses of a strong pattern must not be taken for a weak one.
_LIKENESS, _FAINTEST = 0.6, 0.25


@dataclass(frozen=True)
class Profiles:
    """The model's irradiance around a particle: (R radii, P distances, Z heights), relative to the empty field.

    `height` is that of the particle above the plane in focus, in micrometres; `distance` in micrometres, too.
    """

    factor: np.ndarray
    height: np.ndarray
    distance: np.ndarray
    value: np.ndarray


@dataclass(frozen=True)
class Ring:
    """A found pattern: its centre in pixels, the particle's height above focus and its size beside the template's."""

    row: float
    column: float
    height: float
    factor: float
    likeness: float
    strength: float


def rings(template: Template, image: np.ndarray, count: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return centres (N, 3) in micrometres, sizes (N, k) and rotations (N, 4) of particles by the rings around them."""
    level = np.nanmedian(image)
    found = _search(template, np.where(np.isfinite(image), image / level, 1.0), count)
    dy, dx = template.pixel
    height, width = image.shape
    focus = float(template.scene.microscope.optics.defocus)
    center = [[focus + ring.height, (ring.row - height // 2) * dy, (ring.column - width // 2) * dx] for ring in found]
    size = [template.part.size[0].numpy() * ring.factor for ring in found]
    return (
        np.array(center).reshape(-1, 3),
        np.array(size).reshape(len(found), template.part.size.shape[1]),
        template.rotations(len(found)),
    )


def _search(template: Template, image: np.ndarray, count: int | None) -> list[Ring]:
    """Find the strongest centre, take its pattern off, and so on until only noise votes."""
    spectra = [_spectrum(template, factor) for factor in np.geomspace(1 / FACTOR, FACTOR, _RADII)]
    profiles = _profiles(template, spectra, image.shape)
    rest, open_ = image.copy(), np.ones(image.shape, dtype=bool)
    least = 2.0 * float(_votes(np.random.default_rng(0).normal(0.0, noise_of(image), image.shape)).max())
    apart = max(template.radius, template.wavelength / template.na) / min(template.pixel)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    found: list[Ring] = []
    failures = 0
    while failures < 3 and (count is None or len(found) < count):
        votes = np.where(open_, _votes(rest), 0.0)
        row, column = np.unravel_index(votes.argmax(), votes.shape)
        if votes[row, column] < least:
            break
        ring = _matched(profiles, rest, template.pixel, *_refined(votes, int(row), int(column)))
        # Centres within the first Fresnel zone of one another have one pattern between them.
        zone = math.sqrt(template.wavelength / template.medium * abs(ring.height)) / min(template.pixel)
        open_ &= np.hypot(y - row, x - column) > max(apart, zone)
        strongest = max([ring.strength, *(other.strength for other in found)])
        if ring.likeness < _LIKENESS or ring.strength < _FAINTEST * strongest:
            failures += 1
            continue
        failures = 0
        found.append(ring)
        rest = rest - _pattern(template, spectra, profiles, rest, ring)
    return sorted(found, key=lambda ring: -ring.strength)


def _votes(image: np.ndarray) -> np.ndarray:
    """Return how much the gradients of an image point to or from every pixel: (H, W).

    |psi * K|^2 with psi = |grad I|^2 exp(2 i phi) for gradients along phi, which counts both ways alike, and
    K = exp(-2 i theta) / r; the squares make strong gradients count for more than many weak ones.
    """
    smooth = scipy.ndimage.gaussian_filter(image, 1.0, mode="nearest")
    down, across = np.gradient(smooth)[:2]
    field = (across + 1j * down) ** 2
    reach = max(image.shape) - 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    radius = np.hypot(y, x)
    radius[reach, reach] = np.inf
    kernel = (x - 1j * y) ** 2 / radius**3
    return np.abs(scipy.signal.fftconvolve(field, kernel, mode="same")) ** 2


def _refined(votes: np.ndarray, row: int, column: int) -> tuple[float, float]:
    """Return the centre of the parabola through a peak and its neighbours."""
    height, width = votes.shape
    if not (0 < row < height - 1 and 0 < column < width - 1):
        return float(row), float(column)
    return (
        row + vertex(votes[row - 1, column], votes[row, column], votes[row + 1, column]),
        column + vertex(votes[row, column - 1], votes[row, column], votes[row, column + 1]),
    )


def _spectrum(template: Template, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """Return frequencies (F,) in 1/um and the spectrum (L, F) in um^2 of what a particle in focus diffracts.

    Averaged over azimuths: patterns are compared by their profiles.
    """
    part = template.scaled(factor)
    focus = {"microscope.optics.defocus": torch.tensor(template.height, dtype=torch.float64)}
    source = template.scene.microscope.illumination.source()
    half = template.radius * factor + 12 * template.wavelength / template.na
    shape = tuple(2 * math.ceil(half / step) for step in template.pixel)
    with torch.no_grad():
        scenes = [template.alone(item, Grid(shape, template.pixel), focus) for item in (part, None)]
        field, empty = (optical_field(scene).numpy().reshape(-1, *shape) for scene in scenes)
    area = math.prod(template.pixel)
    planes = area * np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(field / empty - 1.0, axes=(1, 2))), axes=(1, 2))
    # At grazing angles, a step of frequency is any step of angle.
    limit = min(template.na, 0.98 * template.medium) / float(source.wavelength.min())
    frequency = np.linspace(0.0, limit, 1000)
    angle = np.arange(16) * (math.pi / 8)
    rows = frequency[:, None] * np.sin(angle) * shape[0] * template.pixel[0] + shape[0] // 2
    columns = frequency[:, None] * np.cos(angle) * shape[1] * template.pixel[1] + shape[1] // 2
    parts = [
        [scipy.ndimage.map_coordinates(component, [rows, columns], order=3).mean(1) for component in (p.real, p.imag)]
        for p in planes
    ]
    return frequency, np.array([real + 1j * imaginary for real, imaginary in parts])


def _profiles(template: Template, spectra: list[tuple[np.ndarray, np.ndarray]], shape: tuple[int, ...]) -> Profiles:
    """Return the model's profiles for all radii and heights.

    Heights reach as far as the first ring lies within the profile, rho = sqrt(2 lambda z / n), both ways from focus.
    Their steps are an eighth of the depth of field of the light that a profile catches.
    """
    step = min(template.pixel)
    distance = np.arange(min(min(shape) // 2, _REACH)) * step
    widest, waves = distance[-1], template.wavelength / template.medium
    sine = min(template.na / template.medium, 0.98)
    heights = [0.0]
    while heights[-1] < widest**2 / (2 * waves):
        caught = min(sine, math.sin(math.atan2(widest, heights[-1])))
        heights.append(heights[-1] + waves / caught**2 / 8)
    height = np.array([*(-np.array(heights[:0:-1])), *heights])
    value = np.stack([_irradiance(template, *spectrum, distance, height) for spectrum in spectra])
    return Profiles(np.geomspace(1 / FACTOR, FACTOR, _RADII), height, distance, value)


def _irradiance(
    template: Template, frequency: np.ndarray, spectrum: np.ndarray, distance: np.ndarray, height: np.ndarray
) -> np.ndarray:
    """Return the irradiance (P, Z) at distances (P,) from particles at heights (Z,) above focus.

    |1 + H{S(f) exp(-i (k_z(f) - k_z(0)) z)}|^2 with the Hankel transform H of order zero.
    """
    source = template.scene.microscope.illumination.source()
    # Enough frequencies that the last ones do not land within the profile by aliasing.
    sine = min(template.na / template.medium, 0.98)
    farthest = np.abs(height).max() * sine / math.sqrt(1 - sine**2) + distance[-1]
    fine = np.linspace(0.0, frequency[-1], max(256, math.ceil(2.0 * farthest * frequency[-1])))
    weight = 2 * math.pi * fine * (fine[1] - fine[0])
    bessel = (scipy.special.j0(2 * math.pi * fine * distance[:, None]) * weight).astype(np.complex64)
    total = np.zeros((len(distance), len(height)))
    for share, wavelength, values in zip(source.spectrum.tolist(), source.wavelength.tolist(), spectrum, strict=True):
        limit = template.medium / wavelength
        axial = 2 * math.pi * (np.sqrt(np.clip(limit**2 - fine**2, 0.0, None)) - limit)
        travelled = np.exp(-1j * axial[:, None] * height).astype(np.complex64)
        own = np.interp(fine, frequency, values.real) + 1j * np.interp(fine, frequency, values.imag)
        total += share * np.abs(1.0 + bessel @ (own[:, None].astype(np.complex64) * travelled)) ** 2
    return total


def _matched(profiles: Profiles, image: np.ndarray, pixel: tuple[float, float], row: float, column: float) -> Ring:
    """Return the pattern about a centre that is most like the image, its centre moved until both fit best."""
    for _ in range(3):
        values, weights = _profile(profiles, image, pixel, row, column)
        likeness, strength = _likeness(profiles, values, weights)
        size, place = np.unravel_index(likeness.argmax(), likeness.shape)
        row, column = _centred(profiles, image, pixel, (row, column), profiles.value[size, :, place])
    values, weights = _profile(profiles, image, pixel, row, column)
    likeness, strength = _likeness(profiles, values, weights)
    size, place = divmod(int(likeness.argmax()), likeness.shape[1])
    # Height and radius trade against one another: the summit along heights is taken for every radius.
    best = np.asarray(likeness.max(1))
    moved = vertex(*best[size - 1 : size + 2]) if 0 < size < len(best) - 1 else 0.0
    ridge = profiles.height[np.asarray(likeness.argmax(1))]
    neighbour = size + (moved > 0) - (moved < 0)
    near = abs(ridge[neighbour] - ridge[size]) < 0.25 * abs(ridge[size])
    height = ridge[size] + (abs(moved) * (ridge[neighbour] - ridge[size]) if near else 0.0)
    factor = profiles.factor[size] * (profiles.factor[1] / profiles.factor[0]) ** moved
    return Ring(row, column, float(height), float(factor), float(best[size]), float(strength[size, place]))


def _profile(
    profiles: Profiles, image: np.ndarray, pixel: tuple[float, float], row: float, column: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of the image at every distance (P,) from a centre, and the pixels that it stands for.

    Every pixel is shared by the two distances about its own.
    """
    radius = _radius(image.shape, pixel, row, column) / profiles.distance[1]
    inside = radius < len(profiles.distance) - 1
    lower, part = np.floor(radius[inside]).astype(int), radius[inside] % 1.0
    places = np.concatenate([lower, lower + 1])
    shares = np.concatenate([1.0 - part, part])
    weights = np.bincount(places, shares, len(profiles.distance))
    total = np.bincount(places, shares * np.tile(image[inside], 2), len(profiles.distance))
    return total / np.maximum(weights, 1e-9), weights


def _radius(shape: tuple[int, ...], pixel: tuple[float, float], row: float, column: float) -> np.ndarray:
    y, x = (np.arange(shape[0]) - row) * pixel[0], (np.arange(shape[1]) - column) * pixel[1]
    return np.hypot(y[:, None], x[None])


def _likeness(profiles: Profiles, values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the correlation (R, Z) of a profile with the model's, and the norm of its part like the model.

    Brightness and contrast of the image are free: reflections, incoherent light and polarisation take away from the
    contrast of real holograms, and a radius that had to make up for it would be wrong.
    """
    share = weights / weights.sum()
    model = profiles.value - np.einsum("p,rpz->rz", share, profiles.value)[:, None]
    data = share * (values - share @ values)
    product = np.einsum("p,rpz->rz", data, model)
    norm = np.sqrt(np.einsum("p,rpz->rz", share, model**2))
    own = math.sqrt(float(data @ (values - share @ values)))
    strength = product / np.maximum(norm, 1e-12) * math.sqrt(weights.sum())
    return product / np.maximum(norm * own, 1e-12), strength


def _centred(
    profiles: Profiles, image: np.ndarray, pixel: tuple[float, float], center: tuple[float, float], model: np.ndarray
) -> tuple[float, float]:
    """Return the centre about which a profile fits the image best: Gauss-Newton steps from a near one, in pixels."""
    row, column = center
    slope = np.asarray(np.gradient(model, profiles.distance))
    for _ in range(3):
        radius = _radius(image.shape, pixel, row, column)
        inside = (radius < profiles.distance[-1]) & (radius > 0)
        away = radius[inside]
        steep = np.interp(away, profiles.distance, slope)
        rows, columns = np.nonzero(inside)
        terms = [np.ones_like(away), np.interp(away, profiles.distance, model)]
        terms += [steep * (row - rows) * pixel[0] ** 2 / away, steep * (column - columns) * pixel[1] ** 2 / away]
        solution = np.linalg.lstsq(np.stack(terms, -1), image[inside], rcond=None)[0]
        if solution[1] <= 0:
            break
        step = np.clip(solution[2:] / solution[1], -1.0, 1.0)
        row, column = row + step[0], column + step[1]
    # A pattern is not found farther from its votes than they are blurred.
    moved = math.hypot(row - center[0], column - center[1])
    return (float(row), float(column)) if moved < 3.0 else center


def _pattern(
    template: Template,
    spectra: list[tuple[np.ndarray, np.ndarray]],
    profiles: Profiles,
    image: np.ndarray,
    ring: Ring,
) -> np.ndarray:
    """Return what a found particle adds to the image (H, W), out to the corners."""
    spectrum = spectra[int(np.abs(profiles.factor - ring.factor).argmin())]
    radius = _radius(image.shape, template.pixel, ring.row, ring.column)
    distance = np.arange(math.ceil(radius.max() / profiles.distance[1]) + 2) * profiles.distance[1]
    model = _irradiance(template, *spectrum, distance, np.array([ring.height]))[:, 0] - 1.0
    pattern = np.interp(radius, distance, model)
    solution = np.linalg.lstsq(np.stack([np.ones(image.size), pattern.ravel()], -1), image.ravel(), rcond=None)[0]
    return max(float(solution[1]), 0.0) * pattern
