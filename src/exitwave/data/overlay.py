"""Overlays: an image with its labels drawn on it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from exitwave.annotate import Truth
from exitwave.data.frame import Frame

SIDE = 512
"""Length of the longer side of an image on the contact sheet, in pixels."""

# Told apart by the colour-blind too, and on grey, brown and black: after M. Okabe and K. Ito, Color Universal Design.
COLOURS = (
    (0, 200, 255),
    (255, 176, 0),
    (86, 255, 120),
    (255, 96, 180),
    (255, 240, 66),
    (180, 140, 255),
    (255, 110, 64),
)
_FINE = 3  # lines are drawn this much larger and averaged, which smooths them


def colour_of(number: int) -> tuple[int, int, int]:
    """Return the colour (red, green, blue) of a class; they come round again after seven."""
    return COLOURS[number % len(COLOURS)]


def drawn(frame: Frame[Truth]) -> Image.Image:
    """Return the image of a frame, its longer side `SIDE` pixels, with boxes, silhouettes and a scale bar.

    Oriented boxes are strong, silhouettes thin, both of the whole object. Objects without a visible pixel are left out.
    """
    truth = frame.truth
    boxes: dict[int, list[np.ndarray]] = {}
    outlines: dict[int, list[np.ndarray]] = {}
    for k in frame.visible:
        boxes.setdefault(int(frame.class_id[k]), []).append(truth.oriented_boxes[k])
        outlines.setdefault(int(frame.class_id[k]), []).append(truth.contours[k])
    return overlaid(frame.image, boxes, outlines, truth.pixel, SIDE)


def overlaid(
    image: np.ndarray,
    boxes: Mapping[int, list[np.ndarray]],
    outlines: Mapping[int, list[np.ndarray]],
    pixel: tuple[float, float] | None,
    side: int,
) -> Image.Image:
    """Return an image (H, W) or (H, W, C), its longer side `side` pixels, with polygons drawn on it.

    `boxes` are drawn strong and `outlines` thin: class -> polygons (V, 2) of (row, col) with integers at the centres of
    pixels. With the size of a `pixel` (dy, dx) in micrometres there is a scale bar.
    """
    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    kind = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    # Averaged by whole numbers first, which is most of the way and takes a tenth of the time.
    picture = Image.fromarray(displayed(image)).convert("RGB").resize(size, kind, reducing_gap=1.0)
    # Fewer and larger objects can carry a stronger line.
    line = 1.3 if sum(map(len, boxes.values())) > 60 else 1.8
    for number in sorted({*boxes, *outlines}):
        colour, strong = colour_of(number), boxes.get(number, [])
        _stroke(picture, strong, scale, line + 1.4, (0, 0, 0), 0.35)
        _stroke(picture, outlines.get(number, []), scale, 1.0, _pale(colour), 0.9)
        _stroke(picture, strong, scale, line, colour, 1.0)
    if pixel is not None:
        scale_bar(picture, pixel[1] / scale)
    return picture


def displayed(image: np.ndarray) -> np.ndarray:
    """Return an image as 8-bit grey or RGB to be looked at; what is not 8-bit is stretched to its own range."""
    if image.ndim == 3 and image.shape[2] not in (1, 3):
        image = image.mean(2)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if image.dtype == np.uint8:
        return image
    low, high = np.percentile(image, (0.1, 99.9))
    stretched = (image.astype(np.float64) - low) / max(float(high - low), 1e-12)
    return np.rint(255 * np.clip(stretched, 0.0, 1.0)).astype(np.uint8)


def _pale(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    red, green, blue = ((part + 255) // 2 for part in colour)
    return red, green, blue


def _stroke(
    picture: Image.Image,
    polygons: list[np.ndarray],
    scale: float,
    width: float,
    colour: tuple[int, int, int],
    strength: float,
) -> None:
    """Draw closed polygons (V, 2), in pixels of the image, as smooth lines of `width` pixels of the picture."""
    mask = Image.new("L", (picture.width * _FINE, picture.height * _FINE))
    draw = ImageDraw.Draw(mask)
    for polygon in polygons:
        # The corner of the first pixel is half a pixel before its centre.
        points = ((polygon[:, ::-1] + 0.5) * (scale * _FINE)).round(1)
        ring = [tuple(point) for point in np.concatenate([points, points[:1]]).tolist()]
        draw.line(ring, fill=round(255 * strength), width=max(1, round(width * _FINE)), joint="curve")
    picture.paste(colour, (0, 0), mask.reduce(_FINE))


def scale_bar(picture: Image.Image, step: float) -> None:
    """Draw a bar of a round number of micrometres, about a fifth of the picture, at the bottom left.

    A pixel of the picture is `step` micrometres.
    """
    length = round_length(0.25 * picture.width * step)
    pixels = round(length / step)
    # The font that Pillow brings has no Greek letters.
    text = f"{length:g} um" if length >= 1 else f"{1000 * length:g} nm"
    font = ImageFont.load_default(15)
    wide = max(pixels, math.ceil(font.getlength(text)))
    plate = Image.new("L", (wide + 20, 34), 150)
    left, top = 8, picture.height - 42
    picture.paste((0, 0, 0), (left, top), plate)
    draw = ImageDraw.Draw(picture)
    draw.text((left + 10 + wide / 2, top + 4), text, fill=(255, 255, 255), font=font, anchor="ma")
    start = left + 10 + (wide - pixels) // 2
    draw.rectangle((start, top + 25, start + pixels - 1, top + 28), fill=(255, 255, 255))


def round_length(longest: float) -> float:
    """Return the largest of 1, 2, 5, 10, ... micrometres (and their decimal parts) that is not above `longest`.

    >>> round_length(37.0), round_length(0.3)
    (20.0, 0.2)
    """
    decade = math.floor(math.log10(longest))
    fitting = [digit for digit in (1.0, 2.0, 5.0) if digit * 10.0**decade <= longest * (1 + 1e-9)]
    return float(f"{fitting[-1] * 10.0**decade:.6g}")
