"""Three-class masks: background, particle and contour, which a network learns to take touching particles apart by."""

from __future__ import annotations

import math

import numpy as np

CLASSES = ("background", "particle", "contour")
"""Names of the values in a three-class mask, 0, 1 and 2."""

CONTOUR = 2.0
"""The usual width of contours in pixels."""


def three_classes(ids: np.ndarray, width: float = CONTOUR) -> np.ndarray:
    """Return the classes (H, W), uint8, of a map of visible instances: 0 background, 1 particle, 2 contour.

    `ids` (H, W) holds integers, 0 in the background, as `Truth.ids`. The contour is inside the instances: its pixels
    are those whose distance, from centre to centre, to the nearest pixel of another id is at most `width` pixels.
    Background and other instances count alike, so that two contours lie between particles that touch. The border of the
    image is no boundary. A particle too thin for more is all contour.

    >>> three_classes(np.array([[0, 1, 1, 1, 2, 2]]), width=1)
    array([[0, 2, 1, 2, 2, 1]], dtype=uint8)
    """
    ids = np.asarray(ids)
    if ids.ndim != 2 or ids.dtype.kind not in "iu":
        raise ValueError(
            f"expected ids (H, W) of integers, got {ids.dtype} of shape {ids.shape}; pass the ids of an image's truth"
        )
    if (ids < 0).any():
        raise ValueError(f"expected ids of at least 0, got {ids.min()}; number the instances from 1")
    if not 1 <= width < math.inf:
        raise ValueError(
            f"expected a width of at least 1 pixel, got {width}; thinner contours do not part particles that touch"
        )
    return np.where(_near_another(ids, width), 2, 1).astype(np.uint8) * (ids != 0)


def _near_another(ids: np.ndarray, width: float) -> np.ndarray:
    """Return where a disk of radius `width` around a pixel holds more than one id, (H, W) booleans.

    The disk is a stack of rows. It holds one id alone if each of its rows does, and these ids are that of its middle;
    the work per pixel grows with the radius, not with the area.
    """
    found = np.zeros(ids.shape, dtype=bool)
    if not ids.size:
        return found
    rows, columns = ids.shape
    reach = min(int(width), max(rows, columns))
    # Runs of one id are numbered along each row: two pixels of a row have the same number if nothing changes between.
    run = np.zeros((rows, columns + 2 * reach), dtype=np.int32)
    run[:, reach + 1 : reach + columns] = np.cumsum(ids[:, 1:] != ids[:, :-1], axis=1)
    run[:, reach + columns :] = run[:, reach + columns - 1, None]
    for apart in range(min(reach, rows - 1) + 1):
        half = sum(math.hypot(apart, across) <= width for across in range(1, reach + 1))
        mixed = run[:, reach + half : reach + half + columns] != run[:, reach - half : reach - half + columns]
        upper, lower = found[: rows - apart], found[apart:]
        other = ids[: rows - apart] != ids[apart:]
        upper |= other | mixed[apart:]
        lower |= other | mixed[: rows - apart]
    return found
