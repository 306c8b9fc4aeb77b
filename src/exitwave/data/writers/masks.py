"""Masks: one label image per image, or a label volume per class and volume."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from exitwave.data.frame import Frame
from exitwave.data.images import tiff
from exitwave.data.stacks import OME, folder_of, ome
from exitwave.data.writers import Entry


class Writer:
    """masks/{train,val}/000000.tif: 0 is background, other values are the `id` of the object in the truth table.

    16 bits, 32 where there are more objects than that. Each pixel belongs to the object nearest to the objective.
    Volumes, whose objects lie inside others of another class, have masks/CLASS/{train,val}/000000.ome.tif.
    """

    dimensions: ClassVar[tuple[int, ...]] = (2, 3)
    owns: ClassVar[tuple[str, ...]] = ("masks",)

    def frame(self, frame: Frame[Any]) -> tuple[Mapping[str, bytes], Any]:
        truth = frame.truth
        dtype = np.uint16 if len(truth.class_id) < 2**16 else np.uint32
        if frame.dimensions == 3:
            empty = np.zeros(truth.shape, dtype)
            return {
                f"masks/{folder_of(name)}/{frame.split}/{frame.name}{OME}": ome(
                    truth.labels.get(name, empty).astype(dtype), truth.voxel
                )
                for name in frame.classes
            }, None
        ids = truth.ids
        return {f"masks/{frame.split}/{frame.name}.tif": tiff(ids.astype(dtype), truth.pixel)}, None

    def finish(self, classes: tuple[str, ...], entries: Callable[[], Iterator[Entry]]) -> Mapping[str, Iterable[bytes]]:
        return {}
