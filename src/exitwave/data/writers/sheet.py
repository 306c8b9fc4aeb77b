"""The contact sheet: the first images or volumes of a dataset with their labels drawn on them."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from exitwave.data.frame import Frame
from exitwave.data.images import png
from exitwave.data.overlay import drawn
from exitwave.data.projections import drawn_volume
from exitwave.data.sheet import TILES, composed
from exitwave.data.writers import Entry

_NOTES = {
    2: "box: smallest rectangle · line: silhouette",
    3: "left: greatest values · right: middle slices, line: labels",
}


class Writer:
    """sheet.png: up to twelve images with oriented boxes, silhouettes and scale bars, coloured by class.

    Volumes are shown by their greatest values along every axis, and by their middle slices with outlines.
    """

    dimensions: ClassVar[tuple[int, ...]] = (2, 3)
    owns: ClassVar[tuple[str, ...]] = ("sheet.png",)

    def frame(self, frame: Frame[Any]) -> tuple[Mapping[str, bytes], Any]:
        if frame.index >= TILES:
            return {}, None
        caption = f"{frame.name}   {frame.split}   {_counted(len(frame.visible))}"
        # The note keeps the tile, so that the sheet is made without drawing anything twice; as JPEG, which is read and
        # written several times faster than PNG and is told from it by no eye.
        file = io.BytesIO()
        picture = drawn_volume(frame) if frame.dimensions == 3 else drawn(frame)
        picture.save(file, "JPEG", quality=95, subsampling="4:4:4")
        tile = base64.b64encode(file.getvalue()).decode("ascii")
        return {}, {"tile": tile, "caption": caption, "note": _NOTES[frame.dimensions]}

    def finish(self, classes: tuple[str, ...], entries: Callable[[], Iterator[Entry]]) -> Mapping[str, Iterable[bytes]]:
        notes = [entry.note for entry in islice(entries(), TILES)]
        tiles = [Image.open(io.BytesIO(base64.b64decode(note["tile"]))) for note in notes]
        sheet = composed(tiles, [note["caption"] for note in notes], classes, notes[0]["note"])
        return {"sheet.png": [png(np.asarray(sheet))]}


def _counted(count: int) -> str:
    return "1 object" if count == 1 else f"{count:,} objects"
