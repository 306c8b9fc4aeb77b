"""PLY: elements with named properties, as text or as bytes; regions are the face properties `behind` and `front`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.specimen.meshes.triangles import Triangles, grouped

_CODES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip


@dataclass(frozen=True)
class _Property:
    name: str
    code: str
    length: str = ""  # the code of a list's length; empty for a single number


@dataclass(frozen=True)
class _Element:
    name: str
    count: int
    properties: tuple[_Property, ...]


Columns = dict[str, NDArray[Any]]


def read(path: Path) -> Triangles:
    """Return the triangles of a PLY file."""
    data = path.read_bytes()
    end = data.find(b"end_header")
    if not data.startswith(b"ply") or end < 0:
        raise ValueError(f"{path.name} must start with 'ply' and a header, got other bytes; it is of another format")
    body = data.index(b"\n", end) + 1 if b"\n" in data[end:] else len(data)
    kind, elements = _header(path.name, data[:end].decode("ascii", "replace"))
    found: dict[str, Columns] = {}
    words = data[body:].split() if kind == "ascii" else []
    place = 0 if kind == "ascii" else body
    for element in elements:
        try:
            if kind == "ascii":
                found[element.name], place = _from_words(element, words, place)
            else:
                order = "<" if kind == "binary_little_endian" else ">"
                found[element.name], place = _from_bytes(element, data, place, order)
        except (ValueError, IndexError):
            raise ValueError(
                f"{path.name} must hold {element.count} rows of '{element.name}' as its header says, got other data; "
                "the file is damaged"
            ) from None
    vertex, face = found.get("vertex", {}), found.get("face", {})
    listed = "vertex_indices" if "vertex_indices" in face else "vertex_index"
    if not {"x", "y", "z"} <= vertex.keys() or listed not in face:
        names = "; ".join(f"{name} with {', '.join(columns)}" for name, columns in found.items()) or "nothing"
        raise ValueError(
            f"{path.name} must have vertices with x, y, z and faces with vertex_indices, got {names}; export a "
            "surface, not a cloud of points"
        )
    points = np.stack([vertex[axis].astype(np.float64) for axis in "xyz"], -1)
    faces, owner = grouped(face[f"{listed} length"].astype(np.int64), face[listed].astype(np.int64))
    regions = None
    if {"behind", "front"} <= face.keys():
        regions = np.stack([face["behind"], face["front"]], -1).astype(np.int64)[owner]
    return Triangles(points, faces, regions)


def _header(name: str, text: str) -> tuple[str, list[_Element]]:
    kind = ""
    elements: list[_Element] = []
    for line in text.splitlines()[1:]:
        words = line.split()
        try:
            match words:
                case ["format", kind, _]:
                    pass
                case ["element", title, count]:
                    elements.append(_Element(title, int(count), ()))
                case ["property", "list", length, code, title]:
                    new = _Property(title, _CODES[code], _CODES[length])
                    elements[-1] = _Element(elements[-1].name, elements[-1].count, (*elements[-1].properties, new))
                case ["property", code, title]:
                    new = _Property(title, _CODES[code])
                    elements[-1] = _Element(elements[-1].name, elements[-1].count, (*elements[-1].properties, new))
                case [] | ["comment", *_] | ["obj_info", *_]:
                    pass
                case _:
                    raise ValueError(line)
        except (KeyError, ValueError, IndexError):
            raise ValueError(f"{name} must have a PLY header, got the line '{line:.40}'; export it again") from None
    if kind not in ("ascii", "binary_little_endian", "binary_big_endian"):
        raise ValueError(f"{name} must be of format ascii or binary, got '{kind}'; export it again")
    return kind, elements


def _from_words(element: _Element, words: list[bytes], place: int) -> tuple[Columns, int]:
    """Return the columns of an element read from words, and where the next one begins."""
    lengths: list[list[int]] = [[] for _ in element.properties]
    parts: list[list[bytes]] = [[] for _ in element.properties]
    for _ in range(element.count):
        for column, item in enumerate(element.properties):
            number = 1
            if item.length:
                number = int(words[place])
                lengths[column].append(number)
                place += 1
            parts[column] += words[place : place + number]
            place += number
    if place > len(words):
        raise IndexError
    columns: Columns = {}
    for item, part, length in zip(element.properties, parts, lengths, strict=True):
        columns[item.name] = np.asarray(part, dtype=np.float64).astype(item.code)
        if item.length:
            columns[f"{item.name} length"] = np.asarray(length, dtype=np.int64)
    return columns, place


def _from_bytes(element: _Element, data: bytes, place: int, order: str) -> tuple[Columns, int]:
    """Return the columns of an element read from bytes, and where the next one begins.

    Rows mostly have lists of one length, those of the first row: then all of them are one table.
    """
    if not element.count:
        return {item.name: np.zeros(0, item.code) for item in element.properties} | {
            f"{item.name} length": np.zeros(0, np.int64) for item in element.properties if item.length
        }, place
    first = _row(element, data, place, order)
    kinds: list[Any] = []
    for column, item in enumerate(element.properties):
        if item.length:
            kinds.append((f"length {column}", order + item.length))
        kinds.append((f"item {column}", order + item.code, (len(first[column]),)))
    table = np.frombuffer(data, np.dtype(kinds), element.count, place) if _fits(kinds, element, data, place) else None
    if table is not None and all(
        (table[f"length {column}"] == len(first[column])).all()
        for column, item in enumerate(element.properties)
        if item.length
    ):
        parts = [[table[f"item {column}"].ravel()] for column in range(len(element.properties))]
        lengths = [[len(one)] * element.count for one in first]
        place += table.nbytes
    else:
        parts, lengths = [[] for _ in first], [[] for _ in first]
        for _ in range(element.count):
            for column, values in enumerate(_row(element, data, place, order)):
                size = np.dtype(element.properties[column].length).itemsize if element.properties[column].length else 0
                place += size + values.nbytes
                parts[column].append(values)
                lengths[column].append(len(values))
    columns: Columns = {}
    for item, part, length in zip(element.properties, parts, lengths, strict=True):
        columns[item.name] = np.concatenate(part).astype(item.code)
        if item.length:
            columns[f"{item.name} length"] = np.asarray(length, dtype=np.int64)
    return columns, place


def _fits(kinds: list[Any], element: _Element, data: bytes, place: int) -> bool:
    return place + np.dtype(kinds).itemsize * element.count <= len(data)


def _row(element: _Element, data: bytes, place: int, order: str) -> list[NDArray[Any]]:
    """Return the numbers of every property of the row that begins at a place."""
    values = []
    for item in element.properties:
        number = 1
        if item.length:
            number = int(np.frombuffer(data, order + item.length, 1, place)[0])
            place += np.dtype(item.length).itemsize
        values.append(np.frombuffer(data, order + item.code, number, place))
        place += values[-1].nbytes
    return values


def write(path: Path, mesh: Triangles) -> None:
    """Write triangles as bytes, in the precision of the points."""
    wide = mesh.points.dtype == np.float64
    lines = ["ply", "format binary_little_endian 1.0", "comment exitwave mesh", f"element vertex {len(mesh.points)}"]
    lines += [f"property {'double' if wide else 'float'} {axis}" for axis in "xyz"]
    lines += [f"element face {len(mesh.faces)}", "property list uchar int vertex_indices"]
    kinds: list[Any] = [("length", "u1"), ("corners", "<i4", (3,))]
    if mesh.regions is not None:
        lines += ["property int behind", "property int front"]
        kinds.append(("regions", "<i4", (2,)))
    rows = np.zeros(len(mesh.faces), np.dtype(kinds))
    rows["length"], rows["corners"] = 3, mesh.faces
    if mesh.regions is not None:
        rows["regions"] = mesh.regions
    header = "\n".join([*lines, "end_header"]) + "\n"
    points = mesh.points.astype("<f8" if wide else "<f4")
    path.write_bytes(header.encode("ascii") + points.tobytes() + rows.tobytes())
