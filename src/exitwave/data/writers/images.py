"""Images: what every label is about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

from exitwave.data.frame import Frame
from exitwave.data.images import encode
from exitwave.data.writers import Entry


class Writer:
    """images/{train,val}/000000.png, or .tif where PNG would lose something."""

    owns: ClassVar[tuple[str, ...]] = ("images",)

    def frame(self, frame: Frame) -> tuple[Mapping[str, bytes], Any]:
        return {frame.path: encode(frame.image, frame.truth.pixel)}, None

    def finish(self, classes: tuple[str, ...], entries: Callable[[], Iterator[Entry]]) -> Mapping[str, Iterable[bytes]]:
        return {}
