"""Truth tables: one row per object of a dataset, in columns of plain numbers and words."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from exitwave.annotate import Truth, VolumeTruth
from exitwave.data.frame import Frame


def columns_of(frame: Frame[Any]) -> dict[str, list[Any]]:
    """Return the truth of a frame as columns of JSON types with one entry per object; None stands for no value.

    All objects have a row, those without a visible pixel or voxel too (`area` or `voxels` is then 0). `id` is the value
    in the masks. Pixels: `row0` to `col1` is the amodal box and `corner0_row` to `corner3_col` the oriented one, with
    integers at the centres of pixels. Voxels: `z0` to `x1` is the box in the same manner; the middle, `volume`,
    `surface_area` and `length` are in micrometres. All further columns are the physical parameters, in micrometres.
    """
    truth = frame.truth
    count = len(truth.class_id)
    columns: dict[str, list[Any]] = {
        "frame": [frame.index] * count,
        "split": [frame.split] * count,
        "image": [frame.path] * count,
        "id": list(range(1, count + 1)),
        "class": [frame.classes[number] for number in frame.class_id],
    }
    columns |= _volume_columns(truth) if frame.dimensions == 3 else _image_columns(truth)
    for name, values in truth.physical.items():
        parts = {name: values} if values.ndim == 1 else {f"{name}_{k}": values[:, k] for k in range(values.shape[1])}
        for column, part in parts.items():
            if column in columns:
                raise ValueError(f"expected physical parameters with names of their own, got '{column}'; rename it")
            columns[column] = _plain(part)
    return columns


def _volume_columns(truth: VolumeTruth) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {}
    for place, name in enumerate(("z0", "y0", "x0", "z1", "y1", "x1")):
        columns[name] = np.round(truth.boxes[:, place], 4).tolist()
    for place, axis in enumerate("zyx"):
        columns[f"center_{axis}"] = np.round(truth.center[:, place], 6).tolist()
    for name in ("volume", "surface_area", "length"):
        columns[name] = _plain(np.round(getattr(truth, name), 6))
    columns["voxels"] = truth.voxels.tolist()
    columns["truncated"] = truth.truncated.tolist()
    return columns


def _image_columns(truth: Truth) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {}
    for place, name in enumerate(("row0", "col0", "row1", "col1")):
        columns[name] = np.round(truth.boxes[:, place], 4).tolist()
    for corner in range(4):
        for place, name in enumerate(("row", "col")):
            columns[f"corner{corner}_{name}"] = np.round(truth.oriented_boxes[:, corner, place], 4).tolist()
    columns["area"] = truth.area.tolist()
    columns["amodal_area"] = truth.amodal_area.tolist()
    columns["visible_fraction"] = np.round(truth.visible_fraction, 6).tolist()
    columns["truncated"] = truth.truncated.tolist()
    return columns


def _plain(values: np.ndarray) -> list[Any]:
    if values.dtype.kind != "f":
        return values.tolist()
    single = values.astype(np.float32)
    # The shortest decimals that read back as the same single-precision numbers: 0.1, not 0.10000000149011612.
    exact = np.array_equal(single, values, equal_nan=True)
    numbers = [float(text) for text in single.astype(str)] if exact else values.tolist()
    return [None if number != number else number for number in numbers]  # NaN alone differs from itself


def names_of(tables: Callable[[], Iterator[dict[str, list[Any]]]]) -> dict[str, type]:
    """Return the columns that occur in any of the tables, in order, with the type of their entries.

    A column without an entry in any table holds numbers: what a shape does not have is a length.
    """
    found: dict[str, type | None] = {}
    for table in tables():
        for name, values in table.items():
            if found.get(name) is None:
                found[name] = next((type(value) for value in values if value is not None), None)
    return {name: kind or float for name, kind in found.items()}


def csv_of(tables: Callable[[], Iterator[dict[str, list[Any]]]]) -> Iterator[bytes]:
    r"""Yield tables, one below the other, as the text of a CSV file; None is an empty cell.

    >>> b"".join(csv_of(lambda: iter([{"id": [1, 2]}, {"id": [1], "size": [0.5]}])))
    b'id,size\n1,\n2,\n1,0.5\n'
    """
    names = list(names_of(tables))
    yield _text([names])
    for table in tables():
        count = len(table["id"])
        yield _text(zip(*(table.get(name) or [None] * count for name in names), strict=True))


def _text(rows: Iterable[Iterable[Any]]) -> bytes:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue().encode()
