"""CSV: the truth table that every dataset has."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

from exitwave.data.frame import Frame
from exitwave.data.table import columns_of, names_of
from exitwave.data.writers import Entry


class Writer:
    """truth.csv: one row per object with its boxes in pixels and its physical parameters; see `exitwave.data.table`."""

    dimensions: ClassVar[tuple[int, ...]] = (2, 3)
    owns: ClassVar[tuple[str, ...]] = ("truth.csv",)

    def frame(self, frame: Frame[Any]) -> tuple[Mapping[str, bytes], Any]:
        return {}, columns_of(frame)

    def finish(self, classes: tuple[str, ...], entries: Callable[[], Iterator[Entry]]) -> Mapping[str, Iterable[bytes]]:
        return {"truth.csv": _rows(entries)}


def _rows(entries: Callable[[], Iterator[Entry]]) -> Iterator[bytes]:
    names = list(names_of(lambda: (entry.note for entry in entries())))
    yield _text([names])
    for entry in entries():
        count = len(entry.note["id"])
        columns = [entry.note.get(name) or [None] * count for name in names]
        yield _text(zip(*columns, strict=True))


def _text(rows: Iterable[Iterable[Any]]) -> bytes:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue().encode()
