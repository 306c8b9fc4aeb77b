"""Images and volumes: what every label is about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

from exitwave.data.frame import Frame
from exitwave.data.images import encode
from exitwave.data.stacks import ome
from exitwave.data.writers import Entry


class Writer:
    """images/{train,val}/000000.png, .tif where PNG would lose something, or .ome.tif for a volume."""

    dimensions: ClassVar[tuple[int, ...]] = (2, 3)
    owns: ClassVar[tuple[str, ...]] = ("images",)

    def frame(self, frame: Frame[Any]) -> tuple[Mapping[str, bytes], Any]:
        truth = frame.truth
        volume = frame.dimensions == 3
        return {frame.path: ome(frame.image, truth.voxel) if volume else encode(frame.image, truth.pixel)}, None

    def finish(self, classes: tuple[str, ...], entries: Callable[[], Iterator[Entry]]) -> Mapping[str, Iterable[bytes]]:
        return {}
