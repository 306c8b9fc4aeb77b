"""Wavefront OBJ: lines of text; regions travel as the names of groups, such as `g regions_1_0`."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

import numpy as np

from exitwave.specimen.meshes.triangles import Triangles, fan

_GROUP = re.compile(r"regions_(\d+)_(\d+)")


def read(path: Path) -> Triangles:
    """Return the triangles of an OBJ file; texture, normals and materials are passed over."""
    points: list[list[float]] = []
    polygons: list[list[int]] = []
    pairs: list[tuple[int, int]] = []
    pair = (1, 0)
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.split("#")[0].split()
        if not words or words[0] not in ("v", "f", "g"):
            continue
        try:
            if words[0] == "v":
                points.append([float(word) for word in words[1:4]])
            elif words[0] == "f":
                corners = [int(word.split("/")[0]) for word in words[1:]]
                # Numbers count from 1; negative ones count back from the last vertex so far.
                polygons.append([one - 1 if one > 0 else len(points) + one for one in corners])
                pairs.append(pair)
            else:
                named = _GROUP.fullmatch("_".join(words[1:]))
                pair = (int(named[1]), int(named[2])) if named else (1, 0)
        except ValueError:
            raise ValueError(
                f"{path.name} must hold numbers, got '{line.strip():.40}' in line {number}; export the mesh again"
            ) from None
        if len((points if words[0] == "v" else polygons or [[0, 0, 0]])[-1]) < 3:
            raise ValueError(
                f"{path.name} must give three numbers or more, got '{line.strip():.40}' in line {number}; export the "
                "mesh again"
            )
    faces, owner = fan(polygons)
    regions = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)[owner]
    plain = bool((regions == [1, 0]).all())
    return Triangles(np.asarray(points).reshape(-1, 3), faces, None if plain else regions)


def write(path: Path, mesh: Triangles) -> None:
    """Write triangles as text, with a group wherever the regions change."""
    lines = ["# exitwave mesh"]
    lines += [f"v {x!s} {y!s} {z!s}" for x, y, z in mesh.points]
    rows = [f"f {a} {b} {c}" for a, b, c in (mesh.faces + 1).tolist()]
    if mesh.regions is None:
        lines += rows
    else:
        for pair, part in groupby(zip(mesh.regions.tolist(), rows, strict=True), key=lambda item: item[0]):
            lines.append(f"g regions_{pair[0]}_{pair[1]}")
            lines += [row for _, row in part]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
