"""The contact sheet: the first images of a dataset with their labels drawn on them."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, ClassVar

from PIL import Image

from exitwave.data.frame import Frame
from exitwave.data.overlay import drawn
from exitwave.data.sheet import TILES, composed
from exitwave.data.writers import Entry


class Writer:
    """sheet.png: up to twelve images with oriented boxes, silhouettes and scale bars, coloured by class."""

    owns: ClassVar[tuple[str, ...]] = ("sheet.png",)

    def frame(self, frame: Frame) -> tuple[Mapping[str, bytes], Any]:
        if frame.index >= TILES:
            return {}, None
        caption = f"{frame.name}   {frame.split}   {_counted(len(frame.visible))}"
        # The note keeps the tile, so that the sheet is made without drawing anything twice.
        tile = base64.b64encode(_png(drawn(frame))).decode("ascii")
        return {}, {"tile": tile, "caption": caption}

    def finish(self, classes: tuple[str, ...], entries: Callable[[], Iterator[Entry]]) -> Mapping[str, Iterable[bytes]]:
        notes = [entry.note for entry in islice(entries(), TILES)]
        tiles = [Image.open(io.BytesIO(base64.b64decode(note["tile"]))) for note in notes]
        return {"sheet.png": [_png(composed(tiles, [note["caption"] for note in notes], classes))]}


def _counted(count: int) -> str:
    return "1 object" if count == 1 else f"{count:,} objects"


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=3)
    return file.getvalue()
