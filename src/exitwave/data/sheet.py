"""Sheets: drawn images side by side, with captions and a legend."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from exitwave.data.overlay import SIDE, colour_of

TILES = 12
"""The most images on a contact sheet."""

_GAP, _CAPTION, _HEAD = 14, 26, 46
_PAPER, _INK, _FAINT = (22, 24, 28), (235, 238, 242), (150, 156, 166)


def composed(
    tiles: Sequence[Image.Image],
    captions: Sequence[str],
    classes: Sequence[str],
    note: str = "",
) -> Image.Image:
    """Return the contact sheet of equally large tiles, up to four in a row, with the colours of the classes on top.

    The `note` beside them tells what is drawn.
    """
    columns = min(len(tiles), 4 if len(tiles) > 9 or len(tiles) in (4, 7, 8) else 3)
    rows = -(-len(tiles) // columns)
    width, height = (max(tile.size[axis] for tile in tiles) for axis in (0, 1))
    across = max(columns * (width + _GAP) + _GAP, SIDE + 2 * _GAP)
    sheet = Image.new("RGB", (across, _HEAD + rows * (height + _CAPTION + _GAP)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    _legend(draw, classes, across, note)
    small = ImageFont.load_default(15)
    for number, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        row, column = divmod(number, columns)
        left, top = _GAP + column * (width + _GAP), _HEAD + row * (height + _CAPTION + _GAP)
        sheet.paste(tile, (left, top))
        draw.text((left + 2, top + height + _CAPTION / 2), caption, fill=_FAINT, font=small, anchor="lm")
    return sheet


def _legend(draw: ImageDraw.ImageDraw, classes: Sequence[str], across: int, note: str) -> None:
    font, place = ImageFont.load_default(18), float(_GAP)
    faint = ImageFont.load_default(15)
    room = across - _GAP - faint.getlength(note)
    for number, name in enumerate(classes):
        end = place + 24 + font.getlength(name)
        if end > across - _GAP:
            draw.text((place, _HEAD / 2), "…", fill=_INK, font=font, anchor="lm")
            return
        draw.rectangle((place, _HEAD / 2 - 7, place + 14, _HEAD / 2 + 7), fill=colour_of(number))
        draw.text((place + 22, _HEAD / 2), name, fill=_INK, font=font, anchor="lm")
        place = end + 22
    if place < room:
        draw.text((across - _GAP, _HEAD / 2), note, fill=_FAINT, font=faint, anchor="rm")
