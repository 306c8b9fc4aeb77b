"""Overlays: labels drawn on their image at its own resolution."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from exitwave.cli.labels import Labels
from exitwave.data.overlay import colour_of, displayed

_SMALL = 512
"""Images with a longer side below this are drawn larger, by a whole factor."""


def overlay(pixels: np.ndarray, labels: Labels) -> Image.Image:
    """Return the image (H, W) or (H, W, C) with its labels: masks as tints with rims, outlines as lines.

    Outlines are coloured by class, masks by object, so that neighbours can be told apart.
    """
    factor = -(-_SMALL // max(pixels.shape[:2]))
    grey = displayed(pixels)
    colours = np.array(grey if grey.ndim == 3 else np.repeat(grey[:, :, None], 3, 2))
    colours = colours.repeat(factor, 0).repeat(factor, 1)
    if labels.ids is not None:
        _tint(colours, labels.ids.repeat(factor, 0).repeat(factor, 1))
    picture = Image.fromarray(colours)
    draw = ImageDraw.Draw(picture)
    width = max(2, round(max(picture.size) / 600))
    classes = sorted(set(labels.names))
    for number, outline in enumerate(labels.outlines):
        # Outlines without a class of their own, the several polygons of one object, share the first colour.
        known = len(labels.outlines) == len(labels.names)
        colour = colour_of(classes.index(labels.names[number]) if known else 0)
        points = [tuple(point) for point in ((outline[:, ::-1] + 0.5) * factor - 0.5).tolist()]
        draw.line([*points, points[0]], fill=colour, width=width, joint="curve")
    return picture


def _tint(colours: np.ndarray, ids: np.ndarray) -> None:
    """Tint the objects of a map (H, W) in an image (H, W, 3), with their rims in full colour."""
    palette = np.array([colour_of(number) for number in range(7)])
    inside = ids > 0
    rim = np.zeros_like(inside)
    for axis in (0, 1):
        differs = np.diff(ids, axis=axis) != 0
        first = [slice(None), slice(None)]
        second = [slice(None), slice(None)]
        first[axis], second[axis] = slice(None, -1), slice(1, None)
        rim[tuple(first)] |= differs
        rim[tuple(second)] |= differs
    paint = palette[(ids[inside].astype(np.int64) - 1) % len(palette)]
    strength = np.where(rim[inside], 1.0, 0.3)[:, None]
    colours[inside] = np.rint((1 - strength) * colours[inside] + strength * paint).astype(np.uint8)
