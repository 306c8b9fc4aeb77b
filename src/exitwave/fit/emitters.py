"""Emitters: points of light in volumes, by the point spread function as a matched filter."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import scipy.fft
import scipy.ndimage
import torch
from torch import Tensor

from exitwave.fit.template import vertex
from exitwave.model import substitute
from exitwave.render import render
from exitwave.scene import Scene
from exitwave.specimen import Points

_BACKGROUND = "microscope.interaction.background"
# Of the light of a point that was found, what the model may miss of it beside it.
_MISFIT = 0.15
# Standard deviation of a normal distribution over its median absolute deviation.
_MAD = 1.4826


def emitters_in(scene: Scene, image: Tensor | np.ndarray, count: int | None = None) -> Scene:
    """Return a scene with its first `Points` replaced by those found in a volume (Z, H, W), the brightest first.

    Points are local maxima of the volume smoothed by the scene's own point spread function that stand out of the noise
    and of what the model may miss of brighter ones; `count` keeps the brightest. Places are finer than voxels. Their
    emission and the microscope's background are those of linear least squares. NaN voxels are background.

    >>> import exitwave as ew
    >>> dots = ew.Points([[0.1, -0.4, 0.5], [0.3, 0.9, -0.8]], emission=[900.0, 500.0])
    >>> microscope = ew.widefield(ew.GaussianPSF(sigma=(0.4, 0.2, 0.2)))
    >>> scene = ew.Scene(ew.Specimen((dots,)), microscope, ew.Grid((16, 32, 32), (0.2, 0.1, 0.1)))
    >>> found = emitters_in(scene, ew.render(scene)).specimen.parts[0]
    >>> found.center.round(decimals=2).tolist(), found.emission.round().tolist()
    ([[0.1, -0.4, 0.5], [0.3, 0.9, -0.8]], [900.0, 500.0])
    """
    place = next((number for number, part in enumerate(scene.specimen.parts) if type(part) is Points), None)
    if place is None:
        raise ValueError("detect finds Points in volumes, got a scene without them; add Points or give starts yourself")
    scene = scene.to(torch.float64)
    data = _checked(scene, image, count)
    dark, unit = _affine(scene)
    known = np.isfinite(data)
    light = np.where(known, (data - dark) / unit, 0.0)
    level = float(np.median(light[known]))
    light = np.where(known, light - level, 0.0)
    point = Points(torch.zeros(1, 3, dtype=torch.float64), label=scene.specimen.parts[place].label)
    pattern = (_image(_with(scene, place, point, 0.0)) - dark) / unit
    norm = float(np.linalg.norm(pattern))
    if norm == 0:
        raise ValueError("a point must show in its image, got none in the middle of the volume; check psf and grid")
    score = _correlated(light, pattern) / norm
    peaks = _peaks(score, _correlated(pattern, np.abs(pattern)) / norm**2, count)
    if not len(peaks):
        raise ValueError("nothing stands out of the noise: expected points of light, got none; check crop and channel")
    steps = np.array(scene.grid.spacing)
    middle = np.array(scene.grid.shape) // 2
    centers = np.stack([(peak + _beside(score, peak) - middle) * steps for peak in peaks])
    bright = np.array([score[tuple(peak)] / norm for peak in peaks])
    found = Points(torch.from_numpy(centers), torch.from_numpy(bright), point.label)
    shown = ((_image(_with(scene, place, found, 0.0)) - dark) / unit)[known]
    # What all points together show tells how bright they are, and what is left how bright the background is.
    gain, more = np.polyfit(shown, light[known], 1)
    gain = gain if gain > 0 else 1.0
    found = replace(found, emission=found.emission * gain)
    return _with(scene, place, found, max(level + float(more), 0.0))


def _checked(scene: Scene, image: Tensor | np.ndarray, count: int | None) -> np.ndarray:
    data = torch.as_tensor(image).detach().cpu().double().numpy()
    if data.shape != scene.grid.shape:
        raise ValueError(f"the volume must be of the scene's shape {scene.grid.shape}, got {data.shape}; crop it")
    if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 1):
        raise ValueError(f"count must be a positive integer, or None for all, got {count!r}")
    data = np.where(np.isfinite(data), data, np.nan)
    if not np.isfinite(data).any() or np.nanmin(data) == np.nanmax(data):
        raise ValueError("nothing stands out of the noise: the volume holds one value or none; check it")
    return data


def _with(scene: Scene, place: int, points: Points, background: float) -> Scene:
    parts = tuple(points if number == place else part for number, part in enumerate(scene.specimen.parts))
    changed = replace(scene, specimen=replace(scene.specimen, parts=parts))
    return substitute(changed, {_BACKGROUND: background})


def _affine(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Return what the sensor reads without light, and how much more for one photon in every voxel."""
    empty = replace(scene, specimen=replace(scene.specimen, parts=()))
    dark, bright = (_image(substitute(empty, {_BACKGROUND: level})) for level in (0.0, 1.0))
    if not (bright > dark).all():
        raise ValueError("the sensor must read more where there is light, got as much in the dark; check its gain")
    return dark, bright - dark


def _image(scene: Scene) -> np.ndarray:
    with torch.no_grad():
        return render(scene).cpu().double().numpy()


def _correlated(volume: np.ndarray, pattern: np.ndarray) -> np.ndarray:
    """Return the correlation of a volume with a pattern of its shape, whose middle sample is n // 2."""
    shape = [scipy.fft.next_fast_len(2 * n, real=True) for n in volume.shape]
    spectrum = np.asarray(scipy.fft.rfftn(volume, shape)) * np.conj(np.asarray(scipy.fft.rfftn(pattern, shape)))
    whole = np.asarray(scipy.fft.irfftn(spectrum, shape))
    # Lag 0 puts first samples on each other; the middle of the pattern is to lie on every voxel.
    for axis, n in enumerate(volume.shape):
        whole = np.take(whole, np.arange(n) - n // 2, axis=axis)
    return whole


def _peaks(score: np.ndarray, beside: np.ndarray, count: int | None) -> list[np.ndarray]:
    """Return the voxels of points by falling score; `beside` is that of one point around it, 1 in the middle."""
    noise = _MAD * float(np.median(np.abs(score - np.median(score))))
    least = noise * (math.sqrt(2 * math.log(score.size)) + 1.5)
    top = np.argwhere((score == scipy.ndimage.maximum_filter(score, size=3)) & (score > least))
    top = top[np.argsort(-score[tuple(top.T)], kind="stable")]
    # A bound on the work: what is dimmer by far than the brightest is the model's doing.
    top = top[score[tuple(top.T)] > 0.02 * score.max()][:4000]
    middle = np.array(score.shape) // 2
    explained = np.zeros(len(top))
    found: list[np.ndarray] = []
    for number, peak in enumerate(top):
        if score[tuple(peak)] <= explained[number]:
            continue
        found.append(peak)
        if count is not None and len(found) == count:
            break
        lags = np.clip(top - peak + middle, 0, np.array(score.shape) - 1)
        near = (np.abs(top - peak) <= middle).all(1)
        share = np.where(near, beside[tuple(lags.T)] * (1 + _MISFIT) + _MISFIT * (beside[tuple(lags.T)] > 1e-3), 0.0)
        explained += score[tuple(peak)] * share
    return found


def _beside(score: np.ndarray, peak: np.ndarray) -> np.ndarray:
    """Return how far (3,) the maximum lies from a voxel, by a parabola along every axis."""
    shifts = []
    for axis, place in enumerate(peak):
        line = np.moveaxis(score, axis, 0)[(slice(None), *np.delete(peak, axis))]
        inside = 0 < place < len(line) - 1
        shifts.append(vertex(*line[place - 1 : place + 2]) if inside else 0.0)
    return np.array(shifts)
