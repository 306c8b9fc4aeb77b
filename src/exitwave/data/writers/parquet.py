"""Parquet: the truth table with types, for data frames."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

from exitwave.data.frame import Frame
from exitwave.data.table import columns_of, names_of
from exitwave.data.writers import Entry

_ROWS = 100_000  # of a row group, the part of a file that is in memory at a time


class Writer:
    """truth.parquet: the columns of truth.csv, compressed and with their types."""

    dimensions: ClassVar[tuple[int, ...]] = (2, 3)
    owns: ClassVar[tuple[str, ...]] = ("truth.parquet",)

    def __init__(self) -> None:
        try:
            importlib.import_module("pyarrow.parquet")
        except ImportError:
            raise ModuleNotFoundError(
                "the format 'parquet' needs pyarrow, which is not installed; pip install 'exitwave[parquet]', or use "
                "the truth.csv that every dataset has"
            ) from None

    def frame(self, frame: Frame[Any]) -> tuple[Mapping[str, bytes], Any]:
        return {}, columns_of(frame)

    def finish(self, classes: tuple[str, ...], entries: Callable[[], Iterator[Entry]]) -> Mapping[str, Iterable[bytes]]:
        return {"truth.parquet": _groups(entries)}


def _groups(entries: Callable[[], Iterator[Entry]]) -> Iterator[bytes]:
    import pyarrow
    import pyarrow.parquet

    kinds = {int: pyarrow.int64(), float: pyarrow.float64(), bool: pyarrow.bool_(), str: pyarrow.string()}
    names = names_of(lambda: (entry.note for entry in entries()))
    schema = pyarrow.schema([(name, kinds[kind]) for name, kind in names.items()])
    pipe = _Pipe()
    with pyarrow.parquet.ParquetWriter(pyarrow.PythonFile(pipe, mode="w"), schema, compression="zstd") as writer:
        group: dict[str, list[Any]] = {name: [] for name in names}
        for entry in entries():
            count = len(entry.note["id"])
            for name, values in group.items():
                values.extend(entry.note.get(name) or [None] * count)
            if len(group["id"]) >= _ROWS:
                writer.write_table(pyarrow.table(group, schema=schema))
                group = {name: [] for name in names}
                yield pipe.take()
        if names:
            writer.write_table(pyarrow.table(group, schema=schema))
    yield pipe.take()


class _Pipe:
    """A file that hands on what is written to it."""

    closed = False

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._place = 0

    def write(self, data: Any) -> int:
        chunk = bytes(data)
        self._chunks.append(chunk)
        self._place += len(chunk)
        return len(chunk)

    def tell(self) -> int:
        return self._place

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def take(self) -> bytes:
        data = b"".join(self._chunks)
        self._chunks.clear()
        return data
