"""Cells: seeds and labels to start from, and what there is to say of every fitted cell."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from exitwave.data.volumes import read_volume
from exitwave.grid import Grid
from exitwave.specimen import Mesh
from exitwave.specimen.meshes import centroids, region_labels, surface_areas, volumes

_UNITS = {"um": "um", "micron": "um", "microns": "um", "\u00b5m": "um", "\u03bcm": "um"} | dict.fromkeys(
    ("voxel", "voxels", "vox", "px", "pixel", "pixels", "index"), "voxel"
)
_NAMES = ("cell", "id", "label")
COLUMNS = ("cell", "volume_um3", "area_um2", "z_um", "y_um", "x_um", "neighbours", "sphericity", "whole")
"""The columns of a table of cells; it may serve as the seeds of the next stack.

`whole` is 1 for cells in the stack, 0 for those that its end cuts: what they are beyond it is not known.
"""


@dataclass(frozen=True)
class Seeds:
    """Places (N, 3) of cells in micrometres from the middle voxel, and the number of every cell."""

    places: np.ndarray
    names: tuple[int, ...]


def seeds_of(path: Path, shape: tuple[int, ...], voxel: Sequence[float]) -> Seeds:
    """Return the seeds of a CSV file with a row for every cell.

    Its columns are z, y and x, whose header says the unit: z_um for micrometres from the middle voxel, z_voxel for
    voxels from the first. A column cell, id or label numbers the cells; without it they are 1, 2, ...
    """
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    except OSError as error:
        raise OSError(f"cannot read {path}: {error.strerror or error}; pass a table of seeds") from None
    except UnicodeDecodeError:
        raise ValueError(f"expected a table of text in {path}, got other bytes; save it as CSV") from None
    rows = [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)]
    if len(rows) < 2:
        raise ValueError(f"expected a header and a row for every cell in {path}, got {len(rows)} rows; add them")
    columns, unit = _columns(path, rows[0])
    found, names = [], []
    named = next((number for number, name in enumerate(rows[0]) if name.lower() in _NAMES), None)
    for number, row in enumerate(rows[1:], 1):
        try:
            found.append([float(row[column]) for column in columns])
            names.append(number if named is None else int(row[named]))
        except (ValueError, IndexError):
            raise ValueError(f"expected numbers in row {number} of {path}, got {','.join(row)}; correct it") from None
    places = np.array(found)
    if not np.isfinite(places).all():
        raise ValueError(f"expected finite numbers in {path}, got NaN or infinity; remove those rows")
    if len(set(names)) < len(names) or min(names) < 1:
        raise ValueError(
            f"every cell of {path} needs a number of its own from 1 on, got {_twice(names)}; renumber them"
        )
    sizes = np.array([float(size) for size in voxel])
    if unit == "voxel":
        places = (places - np.array(shape) // 2) * sizes
    return Seeds(places, tuple(names))


def _columns(path: Path, header: Sequence[str]) -> tuple[list[int], str]:
    """Return the columns of z, y and x, and their unit."""
    words = [re.split(r"[^a-z\u00b5\u03bc]+", name.lower()) for name in header]
    columns = [next((n for n, word in enumerate(words) if axis in word), None) for axis in "zyx"]
    kept = [column for column in columns if column is not None]
    if len(kept) < 3:
        raise ValueError(
            f"expected columns z, y and x with their unit in {path}, such as z_um or z_voxel, got "
            f"{','.join(header)}; rename them"
        )
    units = [next((_UNITS[word] for word in words[column] if word in _UNITS), "") for column in kept]
    if len(set(units)) > 1 or not units[0]:
        raise ValueError(
            f"the header of {path} must say the unit of z, y and x, one for all, got {','.join(header)}; write z_um "
            "for micrometres from the middle voxel, or z_voxel for voxels from the first"
        )
    return kept, units[0]


def _twice(names: Sequence[int]) -> str:
    return f"{min(names)}" if min(names) < 1 else f"{next(n for n in names if names.count(n) > 1)} twice"


def labels_of(path: Path, shape: tuple[int, ...]) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return labels (Z, H, W), which must be those of a stack of `shape`, and the numbers of the cells among them."""
    volume = read_volume(path, (1.0, 1.0, 1.0))
    if volume.data.shape != shape:
        raise ValueError(
            f"labels must have the stack's shape {shape}, got {volume.data.shape} in {path}; crop both alike"
        )
    labels = volume.data
    if labels.dtype.kind == "f":
        if not (np.isfinite(labels).all() and (labels == np.rint(labels)).all()):
            raise ValueError(f"labels must be whole numbers, got others in {path}; pass the labels, not the stack")
        labels = labels.astype(np.int64)
    if labels.min() < 0:
        raise ValueError(f"labels must not be negative, got {labels.min()} in {path}; 0 is what is no cell")
    return labels, tuple(region_labels(labels.astype(np.int64)).tolist())


def cell_rows(mesh: Mesh, names: Sequence[int], grid: Grid) -> list[tuple[object, ...]]:
    """Return a row of `COLUMNS` for every region of a mesh in a stack."""
    mesh = mesh.to(torch.float64)
    size, area, place = volumes(mesh).tolist(), surface_areas(mesh).tolist(), centroids(mesh).tolist()
    pairs = {tuple(sorted(pair)) for pair in mesh.regions.unique(dim=0).tolist() if min(pair) > 0}
    axes = [grid.axis(axis, mesh.vertices) for axis in range(3)]
    half = mesh.vertices.new_tensor(grid.spacing) / 2
    low, high = (torch.stack([axis[end] for axis in axes]) + way * half for end, way in ((0, -1), (-1, 1)))
    beyond = ((mesh.vertices < low) | (mesh.vertices > high)).any(-1)[mesh.faces].any(-1)
    cut = {region for pair in mesh.regions[beyond].tolist() for region in pair}
    rows = []
    for region, name in enumerate(names, 1):
        beside = sorted(names[sum(pair) - region - 1] for pair in pairs if region in pair)
        v, a = size[region - 1], area[region - 1]
        # Of a ball of the same volume, the area over the cell's: 1 for balls (Wadell, J. Geol. 43, 250, 1935).
        round_ = math.pi ** (1 / 3) * (6 * max(v, 0.0)) ** (2 / 3) / a if a > 0 else 0.0
        where = [f"{number:.4f}" for number in place[region - 1]]
        rows.append(
            (name, f"{v:.5g}", f"{a:.5g}", *where, " ".join(map(str, beside)), f"{round_:.4f}", int(region not in cut))
        )
    return rows


def table_of(rows: Sequence[Sequence[object]], columns: Sequence[str] = COLUMNS) -> bytes:
    """Return rows as a CSV file."""
    file = io.StringIO()
    lines = csv.writer(file, lineterminator="\n")
    lines.writerow(columns)
    lines.writerows(rows)
    return file.getvalue().encode()


def surface_of(mesh: Mesh, region: int) -> Mesh:
    """Return the surface around one region of a mesh, its faces turned outwards."""
    inside = (mesh.regions == region).nonzero()
    faces = mesh.faces[inside[:, 0]]
    faces = torch.where((inside[:, 1] == 1)[:, None], faces.flip(1), faces)
    used, place = faces.unique(return_inverse=True)
    return Mesh(mesh.vertices[used], place)
