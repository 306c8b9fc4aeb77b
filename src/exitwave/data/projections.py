"""Projections: a volume on a sheet, by its greatest values and by its middle slices with their labels."""

from __future__ import annotations

import numpy as np
from PIL import Image

from exitwave.annotate import VolumeTruth
from exitwave.data.frame import Frame
from exitwave.data.overlay import SIDE, colour_of, scale_bar

_GAP = 6
# Between the projections and the slices.
_APART = 14
_PAPER = (22, 24, 28)
# The label between the slices.
_NOWHERE = -1


def drawn_volume(frame: Frame[VolumeTruth]) -> Image.Image:
    """Return a volume as a picture: its greatest values along z, y and x, and the slices through its middle.

    Outlines on the slices are those of the labels, in the colours of the classes. Voxels have their true proportions.
    """
    truth, volume = frame.truth, frame.image
    middle = [n // 2 for n in volume.shape]
    most = _stretched([volume.max(axis) for axis in range(3)])
    cuts = _stretched([volume.take(middle[axis], axis) for axis in range(3)])
    left = _composed(most, truth, Image.Resampling.BICUBIC)
    right = _composed(cuts, truth, Image.Resampling.BICUBIC)
    for number, name in enumerate(frame.classes):
        if name in truth.labels:
            slices = [truth.labels[name].take(middle[axis], axis) for axis in range(3)]
            right[_rims(_composed(slices, truth, Image.Resampling.NEAREST))] = colour_of(number)
    picture = Image.new("RGB", (2 * left.shape[1] + _APART, left.shape[0]), _PAPER)
    first, second = Image.fromarray(left), Image.fromarray(right)
    scale_bar(first, 1 / _scale_of(truth))
    picture.paste(first, (0, 0))
    picture.paste(second, (left.shape[1] + _APART, 0))
    return picture


def _scale_of(truth: VolumeTruth) -> float:
    """Return the pixels of a micrometre at which the views of a volume fit into a tile."""
    deep, high, wide = (n * step for n, step in zip(truth.shape, truth.voxel, strict=True))
    return SIDE / (max(high, wide) + deep)


def _composed(panels: list[np.ndarray], truth: VolumeTruth, kind: Image.Resampling) -> np.ndarray:
    """Return three views as one picture: along z at the top left, along y below it, along x on its right.

    Panels are what is seen along axes 0, 1 and 2: (Y, X), (Z, X) and (Z, Y), labels if `kind` is `NEAREST`.
    """
    scale = _scale_of(truth)
    deep, high, wide = (max(1, round(n * step * scale)) for n, step in zip(truth.shape, truth.voxel, strict=True))
    across = _resized(panels[0], (high, wide), kind)
    below = _resized(panels[1], (deep, wide), kind)
    beside = _resized(np.swapaxes(panels[2], 0, 1), (high, deep), kind)
    size = (high + _GAP + deep, wide + _GAP + deep, *across.shape[2:])
    whole = np.full(size, _NOWHERE if kind == Image.Resampling.NEAREST else 0, dtype=across.dtype)
    whole[:high, :wide], whole[high + _GAP :, :wide], whole[:high, wide + _GAP :] = across, below, beside
    return whole


def _resized(panel: np.ndarray, size: tuple[int, int], kind: Image.Resampling) -> np.ndarray:
    if kind == Image.Resampling.NEAREST:
        rows, columns = (np.arange(n) * m // n for n, m in zip(size, panel.shape, strict=True))
        return panel[rows[:, None], columns]
    return np.asarray(Image.fromarray(np.ascontiguousarray(panel)).resize((size[1], size[0]), kind))


def _stretched(panels: list[np.ndarray]) -> list[np.ndarray]:
    """Return panels (h, w) as grey pictures (h, w, 3) that share the range from black to white."""
    low, high = np.percentile(np.concatenate([panel.ravel() for panel in panels]), (2.0, 99.8))
    grey = [np.clip((panel.astype(np.float32) - low) / max(high - low, 1e-12), 0.0, 1.0) for panel in panels]
    return [np.repeat(np.rint(255 * panel).astype(np.uint8)[:, :, None], 3, 2) for panel in grey]


def _rims(labels: np.ndarray) -> np.ndarray:
    """Return the pixels after which, to the right or below, another object or none begins: (h, w) booleans."""
    rim = np.zeros(labels.shape, dtype=bool)
    for before, after, found in ((labels[:-1], labels[1:], rim[:-1]), (labels[:, :-1], labels[:, 1:], rim[:, :-1])):
        found |= (before != after) & (np.minimum(before, after) != _NOWHERE)
    return rim
