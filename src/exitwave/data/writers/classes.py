"""Three-class masks: background, particle and contour as PNG."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from exitwave.annotate import Truth
from exitwave.annotate.classes import CONTOUR, three_classes
from exitwave.data.frame import Frame
from exitwave.data.images import png
from exitwave.data.writers import Entry


@dataclass(frozen=True)
class Writer:
    """classes/{train,val}/000000.png: 0 is background, 1 the inside of a particle, 2 its contour.

    Contours are `width` pixels wide and part particles that touch; see `exitwave.annotate.classes.three_classes`. The
    format has the usual width; another is a format of one's own that makes a Writer(width).
    """

    width: float = CONTOUR
    """Width of the contours in pixels."""

    dimensions: ClassVar[tuple[int, ...]] = (2,)
    owns: ClassVar[tuple[str, ...]] = ("classes",)

    def frame(self, frame: Frame[Truth]) -> tuple[Mapping[str, bytes], Any]:
        file = png(three_classes(frame.truth.ids, self.width), frame.truth.pixel)
        return {f"classes/{frame.split}/{frame.name}.png": file}, None

    def finish(self, classes: tuple[str, ...], entries: Callable[[], Iterator[Entry]]) -> Mapping[str, Iterable[bytes]]:
        return {}
