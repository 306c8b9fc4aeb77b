"""Masks as PNG: one 16-bit label image per image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from exitwave.annotate import Truth
from exitwave.data.frame import Frame
from exitwave.data.images import png
from exitwave.data.writers import Entry


class Writer:
    """masks-png/{train,val}/000000.png: 0 is background, other values are the `id` of the object in the truth table."""

    dimensions: ClassVar[tuple[int, ...]] = (2,)
    owns: ClassVar[tuple[str, ...]] = ("masks-png",)

    def frame(self, frame: Frame[Truth]) -> tuple[Mapping[str, bytes], Any]:
        count = len(frame.truth.class_id)
        if count >= 2**16:
            raise ValueError(
                f"expected at most 65,535 objects in a PNG of masks, got {count:,}; use the format 'masks'"
            )
        file = png(frame.truth.ids.astype(np.uint16), frame.truth.pixel)
        return {f"masks-png/{frame.split}/{frame.name}.png": file}, None

    def finish(self, classes: tuple[str, ...], entries: Callable[[], Iterator[Entry]]) -> Mapping[str, Iterable[bytes]]:
        return {}
