"""CSV: the truth table that every dataset has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

from exitwave.data.frame import Frame
from exitwave.data.table import columns_of, csv_of
from exitwave.data.writers import Entry


class Writer:
    """truth.csv: one row per object with its boxes in pixels and its physical parameters; see `exitwave.data.table`."""

    dimensions: ClassVar[tuple[int, ...]] = (2, 3)
    owns: ClassVar[tuple[str, ...]] = ("truth.csv",)

    def frame(self, frame: Frame[Any]) -> tuple[Mapping[str, bytes], Any]:
        return {}, columns_of(frame)

    def finish(self, classes: tuple[str, ...], entries: Callable[[], Iterator[Entry]]) -> Mapping[str, Iterable[bytes]]:
        return {"truth.csv": csv_of(lambda: (entry.note for entry in entries()))}
