"""Text files of multimaterial surfaces (.rec): counts, vertices x y z, faces with the two regions at each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from exitwave.specimen.meshes.triangles import Triangles


def read(path: Path) -> Triangles:
    """Return the triangles of a file; which of a face's two regions is in front of it, the format leaves open."""
    words = path.read_text(encoding="utf-8").split()
    try:
        count = int(words[0])
        points = np.asarray(words[1 : 1 + 3 * count], dtype=np.float64)
        rest = 1 + 3 * count
        number = int(words[rest])
        rows = np.asarray(words[rest + 1 : rest + 1 + 5 * number], dtype=np.int64)
    except (ValueError, IndexError):
        raise ValueError(
            f"{path.name} must hold a count, vertices x y z, a count, and faces a b c with two regions, got other "
            "text; the file is damaged or of another format"
        ) from None
    if (
        count < 0
        or number < 0
        or len(points) != 3 * count
        or len(rows) != 5 * number
        or len(words) > rest + 1 + len(rows)
    ):
        raise ValueError(
            f"{path.name} must hold {count} vertices and {number} faces as it says, got {len(points) // 3} and "
            f"{len(rows) // 5}{'' if len(words) <= rest + 1 + len(rows) else ' and more after them'}; it is damaged"
        )
    table = rows.reshape(-1, 5)
    return Triangles(points.reshape(-1, 3), table[:, :3], table[:, 3:], unordered=True)


def write(path: Path, mesh: Triangles) -> None:
    """Write triangles as text; every face with the region behind it and the one in front."""
    regions = np.tile([1, 0], (len(mesh.faces), 1)) if mesh.regions is None else mesh.regions
    lines = [str(len(mesh.points)), *(f"{x!s} {y!s} {z!s}" for x, y, z in mesh.points), str(len(mesh.faces))]
    lines += [" ".join(map(str, row)) for row in np.concatenate([mesh.faces, regions], 1).tolist()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
