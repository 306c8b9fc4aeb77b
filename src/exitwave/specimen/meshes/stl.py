"""STL: loose triangles, as text or as bytes; corners at one place are one vertex."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from exitwave.specimen.meshes.triangles import Triangles

_RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def read(path: Path) -> Triangles:
    """Return the triangles of an STL file, with equal corners merged."""
    data = path.read_bytes()
    count = int.from_bytes(data[80:84], "little") if len(data) >= 84 else -1
    if len(data) == 84 + 50 * count:
        corners = np.frombuffer(data, _RECORD, offset=84)["corners"].reshape(-1, 3).astype(np.float64)
    elif data.lstrip()[:5].lower() == b"solid":
        corners = _text(path.name, data)
    else:
        raise ValueError(
            f"{path.name} must be 84 bytes and 50 for each of its {max(count, 0)} triangles, got {len(data)}; the file "
            "is damaged or of another format"
        )
    points, place = np.unique(corners, axis=0, return_inverse=True)
    return Triangles(points, place.reshape(-1, 3).astype(np.int64))


def _text(name: str, data: bytes) -> np.ndarray:
    words = data.decode("utf-8").split()
    at = np.flatnonzero(np.asarray([word.lower() == "vertex" for word in words]))
    try:
        corners = np.asarray([words[start + axis] for start in at + 1 for axis in range(3)], dtype=np.float64)
    except (ValueError, IndexError):
        raise ValueError(f"{name} must give three numbers to every vertex, got other text; it is damaged") from None
    if len(at) % 3:
        raise ValueError(f"{name} must hold triangles, got {len(at)} corners; the file is damaged")
    return corners.reshape(-1, 3)


def write(path: Path, mesh: Triangles) -> None:
    """Write triangles as bytes, in single precision."""
    if mesh.regions is not None:
        raise ValueError(
            f"STL holds one surface around one region, got {int(mesh.regions.max())} regions; save .ply, .vtk, .obj or "
            ".rec instead"
        )
    corners = mesh.points[mesh.faces].astype(np.float64)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    rows = np.zeros(len(corners), _RECORD)
    rows["normal"] = normal / np.where(length > 0, length, 1.0)
    rows["corners"] = corners
    path.write_bytes(b"exitwave mesh".ljust(80) + len(rows).to_bytes(4, "little") + rows.tobytes())
