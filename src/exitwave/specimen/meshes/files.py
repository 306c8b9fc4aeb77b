"""Files of meshes: OBJ, PLY, STL, VTK polydata, and the text format with two regions at every face."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from exitwave.specimen.mesh import Mesh
from exitwave.specimen.meshes import obj, ply, rec, stl, vtk
from exitwave.specimen.meshes.topology import canonical, oriented
from exitwave.specimen.meshes.triangles import Triangles

_READERS: dict[str, Callable[[Path], Triangles]] = {
    ".obj": obj.read,
    ".ply": ply.read,
    ".stl": stl.read,
    ".vtk": vtk.read,
    ".rec": rec.read,
}
_WRITERS: dict[str, Callable[[Path, Triangles], None]] = {
    ".obj": obj.write,
    ".ply": ply.write,
    ".stl": stl.write,
    ".vtk": vtk.write,
    ".rec": rec.write,
}


def load_mesh(path: str | os.PathLike[str], scale: float = 1.0) -> Mesh:
    """Return the mesh of a .obj, .ply, .stl, .vtk or .rec file, in single precision.

    Files have no unit: `scale` is the number of micrometres of one of theirs. Their x, y, z become z, y, x here, and
    polygons become triangles. The regions at the faces are read where a file has them; in .rec files, where they come
    in any order, they are put in the one that gives all volumes the same sign. Otherwise faces stay as they turn in the
    file: `report` tells whether that will do, and `repair` mends it. Densities are not kept in files.
    """
    file = Path(path)
    read = _READERS[_suffix(file)]
    if not scale > 0:
        raise ValueError(f"scale must be positive, the micrometres of one unit of the file, got {scale:g}; pass 1.0")
    try:
        found = read(file)
    except UnicodeDecodeError:
        raise ValueError(f"{file.name} must be a text file, got other bytes; export the mesh again") from None
    _check(file.name, found)
    points = found.points[:, ::-1].astype(np.float64) * scale
    faces, regions = found.faces, found.regions
    if found.unordered and regions is not None:
        faces, regions = canonical(faces, oriented(points, faces, regions)[0])
    return Mesh(
        torch.from_numpy(np.ascontiguousarray(points, dtype=np.float32)),
        torch.from_numpy(np.ascontiguousarray(faces)),
        regions=None if regions is None else torch.from_numpy(np.ascontiguousarray(regions)),
    )


def save_mesh(path: str | os.PathLike[str], mesh: Mesh, scale: float = 1.0) -> None:
    """Write a mesh as .obj, .ply, .stl, .vtk or .rec, by the ending of `path`: vertices, faces and their regions.

    A unit of the file is `scale` micrometres. STL knows of one surface only.
    """
    file = Path(path)
    write = _WRITERS[_suffix(file)]
    points = (mesh.vertices.detach() / scale).cpu().numpy()[:, ::-1]
    regions = mesh.regions.cpu().numpy()
    plain = bool((regions == [1, 0]).all())
    write(file, Triangles(np.ascontiguousarray(points), mesh.faces.cpu().numpy(), None if plain else regions))


def _suffix(file: Path) -> str:
    suffix = file.suffix.lower()
    if suffix not in _READERS:
        raise ValueError(f"a mesh must be a {', '.join(_READERS)} file, got '{file.name}'; convert it to one of them")
    return suffix


def _check(name: str, found: Triangles) -> None:
    """Raise a one-line error where a file names vertices that it has not, or numbers that are none."""
    points, faces, regions = found.points, found.faces, found.regions
    if not len(points) or not len(faces):
        raise ValueError(f"{name} must hold vertices and faces, got {len(points)} and {len(faces)}; export them")
    if not np.isfinite(points).all():
        bad = int(np.flatnonzero(~np.isfinite(points).all(1))[0])
        raise ValueError(f"{name} must hold finite vertices, got {points[bad].tolist()} for vertex {bad}; remove it")
    if faces.min() < 0 or faces.max() >= len(points):
        bad = int(faces.min() if faces.min() < 0 else faces.max())
        raise ValueError(f"{name} must name vertices from 0 to {len(points) - 1}, got {bad}; the file is damaged")
    if regions is not None and regions.min() < 0:
        raise ValueError(f"{name} must number regions from 0, the outside, got {int(regions.min())}; renumber them")
    if regions is not None and (regions[:, 0] == regions[:, 1]).all():
        raise ValueError(f"{name} must have different regions on both sides of a face, got equal ones; relabel them")
