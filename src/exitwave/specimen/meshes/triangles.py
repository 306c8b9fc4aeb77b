"""What a file of triangles holds, and what its readers share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.specimen.meshes.surface import Integers


@dataclass(frozen=True)
class Triangles:
    """Points (V, 3) in the order x, y, z and the unit of a file, faces (F, 3), and the regions at them (F, 2) if known.

    `unordered` tells that a format names the two regions of a face in no particular order.
    """

    points: NDArray[np.floating[Any]]
    faces: Integers
    regions: Integers | None = None
    unordered: bool = False


def fan(polygons: Sequence[Sequence[int]]) -> tuple[Integers, Integers]:
    """Return polygons cut into triangles (F, 3) around their first corner, and the polygon (F,) that each is part of.

    >>> [table.tolist() for table in fan([[0, 1, 2, 3], [4, 5, 6]])]
    [[[0, 1, 2], [0, 2, 3], [4, 5, 6]], [0, 0, 1]]
    """
    rows, owners = [], []
    for number, polygon in enumerate(polygons):
        for second, third in pairwise(polygon[1:]):
            rows.append((polygon[0], second, third))
            owners.append(number)
    return np.asarray(rows, dtype=np.int64).reshape(-1, 3), np.asarray(owners, dtype=np.int64)


def grouped(counts: Integers, flat: Integers) -> tuple[Integers, Integers]:
    """Return polygons of `counts` corners, listed one after another, as triangles and their polygons like `fan`."""
    if len(counts) and (counts == 3).all():
        return flat.reshape(-1, 3).astype(np.int64), np.arange(len(counts))
    return fan([part.tolist() for part in np.split(flat, np.cumsum(counts)[:-1])] if len(counts) else [])
