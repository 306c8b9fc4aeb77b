"""Membranes: the walls between cells as masks of volumes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from exitwave.annotate import VolumeTruth
from exitwave.data.frame import Frame
from exitwave.data.stacks import OME, ome
from exitwave.data.writers import Entry


class Writer:
    """membranes/{train,val}/000000.ome.tif: 255 where a fluorescent wall passes through a voxel, 0 elsewhere.

    Walls are as thin as they can be without a gap; see `exitwave.annotate.VolumeTruth.membranes`.
    """

    dimensions: ClassVar[tuple[int, ...]] = (3,)
    owns: ClassVar[tuple[str, ...]] = ("membranes",)

    def frame(self, frame: Frame[VolumeTruth]) -> tuple[Mapping[str, bytes], Any]:
        walls = np.where(frame.truth.membranes, 255, 0).astype(np.uint8)
        return {f"membranes/{frame.split}/{frame.name}{OME}": ome(walls, frame.truth.voxel)}, None

    def finish(self, classes: tuple[str, ...], entries: Callable[[], Iterator[Entry]]) -> Mapping[str, Iterable[bytes]]:
        return {}
