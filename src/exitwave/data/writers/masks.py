"""Masks: one label image per image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from exitwave.data.frame import Frame
from exitwave.data.images import tiff
from exitwave.data.writers import Entry


class Writer:
    """masks/{train,val}/000000.tif: 0 is background, other values are the `id` of the object in the truth table.

    16 bits, 32 where there are more objects than that. Each pixel belongs to the object nearest to the objective.
    """

    owns: ClassVar[tuple[str, ...]] = ("masks",)

    def frame(self, frame: Frame) -> tuple[Mapping[str, bytes], Any]:
        ids = frame.truth.ids
        dtype = np.uint16 if len(frame.truth.class_id) < 2**16 else np.uint32
        return {f"masks/{frame.split}/{frame.name}.tif": tiff(ids.astype(dtype), frame.truth.pixel)}, None

    def finish(self, classes: tuple[str, ...], entries: Callable[[], Iterator[Entry]]) -> Mapping[str, Iterable[bytes]]:
        return {}
