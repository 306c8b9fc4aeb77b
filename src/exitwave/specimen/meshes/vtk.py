"""VTK's legacy polydata, as text or as bytes; regions are a field of two integers at every cell."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.specimen.meshes.triangles import Triangles, grouped

_CODES = {
    "char": "i1", "unsigned_char": "u1", "short": "i2", "unsigned_short": "u2", "int": "i4", "unsigned_int": "u4",
    "long": "i8", "unsigned_long": "u8", "vtkidtype": "i4", "vtktypeint64": "i8", "float": "f4", "double": "f8",
}  # fmt: skip
_WORD = re.compile(rb"\S+")


class _Scanner:
    """A place in a file of lines, some of which are followed by numbers."""

    def __init__(self, data: bytes) -> None:
        head = data.split(b"\n", 3)
        self.data, self.binary = data, len(head) > 2 and head[2].strip().upper() == b"BINARY"
        self.place = sum(len(line) + 1 for line in head[:3])

    def line(self) -> list[str]:
        """Return the words of the next line that has any; none at the end."""
        while self.place < len(self.data):
            end = self.data.find(b"\n", self.place)
            end = len(self.data) if end < 0 else end
            words = self.data[self.place : end].decode("ascii", "replace").split()
            self.place = end + 1
            if words:
                return words
        return []

    def numbers(self, count: int, kind: str) -> NDArray[Any]:
        """Return the next `count` numbers."""
        code = _CODES[kind.lower()]
        if self.binary:
            found = np.frombuffer(self.data, ">" + code, count, self.place)
            self.place += found.nbytes
            return found.astype(code)
        words = list(islice(_WORD.finditer(self.data, self.place), count))
        if len(words) < count:
            raise ValueError(count)
        self.place = words[-1].end() if words else self.place
        return np.asarray([word[0] for word in words], dtype=np.float64).astype(code)


def read(path: Path) -> Triangles:
    """Return the triangles of a VTK file, whether its cells are listed in the way of version 4 or 5."""
    data = path.read_bytes()
    scan = _Scanner(data)
    kind = scan.line()
    if not data.startswith(b"# vtk") or [word.upper() for word in kind] != ["DATASET", "POLYDATA"]:
        raise ValueError(
            f"{path.name} must be a legacy VTK file of POLYDATA, got '{' '.join(kind)[:40]}'; extract its surface first"
        )
    points: NDArray[Any] = np.zeros((0, 3))
    faces, owner = grouped(np.zeros(0, np.int64), np.zeros(0, np.int64))
    regions, before, words = None, 0, scan.line()
    try:
        while words:
            match [words[0].upper(), *words[1:]]:
                case ["POINTS", count, code]:
                    points = scan.numbers(3 * int(count), code).reshape(-1, 3).astype(np.float64)
                case ["POLYGONS", rows, size]:
                    faces, owner = grouped(*_cells(scan, int(rows), int(size)))
                case ["VERTICES" | "LINES", rows, size]:
                    before += len(_cells(scan, int(rows), int(size))[0])
                case ["TRIANGLE_STRIPS", *_]:
                    raise ValueError(f"{path.name} must hold polygons, got triangle strips; triangulate it first")
                case ["CELL_DATA", *_]:
                    regions = _regions(scan)
                case ["FIELD", _, arrays]:
                    for _ in range(int(arrays)):
                        _, width, height, code = scan.line()
                        scan.numbers(int(width) * int(height), code)
                case ["METADATA"]:
                    scan.place = max(data.find(b"\n\n", scan.place), scan.place)
                case _:
                    break  # data at points, or something that came later to the format
            words = scan.line()
        if regions is not None:
            regions = regions[before:][owner]
    except (ValueError, KeyError, IndexError) as error:
        if str(error).startswith(path.name):
            raise
        raise ValueError(
            f"{path.name} must hold {' '.join(words[:3])} as it says, got other data; the file is damaged"
        ) from None
    return Triangles(points, faces, regions)


def _cells(scan: _Scanner, rows: int, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many corners every cell has, and the corners of one cell after another."""
    place = scan.place
    words = scan.line()
    if words[:1] == ["OFFSETS"]:
        ends = scan.numbers(rows, words[1]).astype(np.int64)
        words = scan.line()
        return np.diff(ends), scan.numbers(size, words[1]).astype(np.int64)
    scan.place = place
    flat = scan.numbers(size, "int").astype(np.int64)
    if size == 4 * rows and (flat[::4] == 3).all():
        return np.full(rows, 3), flat.reshape(-1, 4)[:, 1:].ravel()
    counts, at = np.zeros(rows, np.int64), 0
    keep = np.ones(size, dtype=bool)
    for row in range(rows):
        counts[row], keep[at] = flat[at], False
        at += 1 + int(flat[at])
    return counts, flat[keep]


def _regions(scan: _Scanner) -> NDArray[np.int64] | None:
    """Return the field `regions` (cells, 2) of the cells' data; None if there is none of that name."""
    while words := scan.line():
        match [words[0].upper(), *words[1:]]:
            case ["FIELD", _, arrays]:
                for _ in range(int(arrays)):
                    name, width, height, code = scan.line()
                    found = scan.numbers(int(width) * int(height), code)
                    if name.lower() == "regions" and int(width) == 2:
                        return found.reshape(-1, 2).astype(np.int64)
            case _:
                return None
    return None


def write(path: Path, mesh: Triangles) -> None:
    """Write triangles as bytes, in the precision of the points."""
    wide = mesh.points.dtype == np.float64
    cells = np.concatenate([np.full((len(mesh.faces), 1), 3), mesh.faces], 1)
    parts = [
        b"# vtk DataFile Version 3.0\nexitwave mesh\nBINARY\nDATASET POLYDATA\n",
        f"POINTS {len(mesh.points)} {'double' if wide else 'float'}\n".encode("ascii"),
        mesh.points.astype(">f8" if wide else ">f4").tobytes(),
        f"\nPOLYGONS {len(cells)} {cells.size}\n".encode("ascii"),
        cells.astype(">i4").tobytes(),
    ]
    if mesh.regions is not None:
        head = f"\nCELL_DATA {len(cells)}\nFIELD FieldData 1\nregions 2 {len(cells)} int\n"
        parts += [head.encode("ascii"), mesh.regions.astype(">i4").tobytes()]
    path.write_bytes(b"".join(parts) + b"\n")
