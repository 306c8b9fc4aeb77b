"""The contact sheet: the first images of a dataset with their labels drawn on them."""

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
from exitwave.data.sheet import TILES, composed
from exitwave.data.writers import Entry


class Writer:
    """sheet.png: up to twelve images with oriented boxes, silhouettes and scale bars, coloured by class."""

    owns: ClassVar[tuple[str, ...]] = ("sheet.png",)

    def frame(self, frame: Frame) -> tuple[Mapping[str, bytes], Any]:
        if frame.index >= TILES:
            return {}, None
        caption = f"{frame.name}   {frame.split}   {_counted(len(frame.visible))}"
        # The note keeps the tile, so that the sheet is made without drawing anything twice; as JPEG, which is read and
        # written several times faster than PNG and is told from it by no eye.
        file = io.BytesIO()
        drawn(frame).save(file, "JPEG", quality=95, subsampling="4:4:4")
        return {}, {"tile": base64.b64encode(file.getvalue()).decode("ascii"), "caption": caption}

    def finish(self, classes: tuple[str, ...], entries: Callable[[], Iterator[Entry]]) -> Mapping[str, Iterable[bytes]]:
        notes = [entry.note for entry in islice(entries(), TILES)]
        tiles = [Image.open(io.BytesIO(base64.b64decode(note["tile"]))) for note in notes]
        return {"sheet.png": [png(np.asarray(composed(tiles, [note["caption"] for note in notes], classes)))]}


def _counted(count: int) -> str:
    return "1 object" if count == 1 else f"{count:,} objects"
