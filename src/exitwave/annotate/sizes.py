"""Sizes: what silhouettes measure, as particle sizing by image analysis reports them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import shapely

from exitwave.annotate.image import Truth

# Directions whose widths are computed at once: a bound on memory.
_DIRECTIONS = 256
_POLYGON = 3  # how shapely numbers polygons among geometries


def sizes(truth: Truth) -> dict[str, np.ndarray]:
    """Return what the whole silhouettes of N instances measure: name -> (N,), float64.

    In micrometres, unless said otherwise:

    - `diameter`: of the circle of the same area, 2 sqrt(area / pi);
    - `min_feret`, `max_feret`: the smallest and the largest distance between parallel lines that hold the silhouette;
    - `area` in um^2 and `perimeter`: without holes, and with their rims;
    - `aspect_ratio`: min_feret / max_feret, 1 for a circle;
    - `circularity`: 4 pi area / perimeter^2, 1 for a circle and less for anything else;
    - `center_row`, `center_col`: the silhouette's centre of area in pixels, with integers at the centres of pixels.

    The terms are those of ISO 9276-6:2008 and ISO 13322-1:2014. All comes from `truth.contours`, not from pixels: exact
    where these have corners only, as of boxes, crystals and meshes. The contours of round bodies have 64 corners on the
    outline, so that areas are up to .17 % too small, minimum Feret diameters .13 %, equivalent diameters .09 % and
    perimeters .05 %. What hides an instance or cuts it off counts in full. Nothing at all has sizes 0, and NaN for
    ratios and centre.

    >>> import exitwave as ew
    >>> plate = ew.Particles(ew.Box(), center=[[0, 0, 0]], size=[[0.1, 1.5, 2.0]], index=[1.5])
    >>> scene = ew.Scene(ew.Specimen((plate,), medium=1.33), ew.brightfield(na=0.5), ew.Grid((64, 64), 0.1))
    >>> {name: round(float(size[0]), 4) for name, size in sizes(ew.annotate(scene)).items() if "feret" in name}
    {'min_feret': 3.0, 'max_feret': 5.0}
    """
    if not isinstance(truth, Truth):
        raise TypeError(f"expected the Truth of an image, got {type(truth).__name__}; pass annotate(scene)")
    found = [_measured(contour * truth.pixel) for contour in truth.contours]
    columns = np.array(found, dtype=np.float64).reshape(-1, len(_Measures._fields)).T
    area, perimeter, narrow, wide, row, column = columns
    return {
        "diameter": 2 * np.sqrt(area / np.pi),
        "min_feret": narrow,
        "max_feret": wide,
        "area": area,
        "perimeter": perimeter,
        "aspect_ratio": _ratio(narrow, wide),
        "circularity": _ratio(4 * np.pi * area, perimeter**2),
        "center_row": row / truth.pixel[0],
        "center_col": column / truth.pixel[1],
    }


class _Measures(NamedTuple):
    area: float
    perimeter: float
    min_feret: float
    max_feret: float
    row: float
    column: float


_NOTHING = _Measures(0.0, 0.0, 0.0, 0.0, np.nan, np.nan)


def _measured(contour: np.ndarray) -> _Measures:
    """Return what a polygon (V, 2) in micrometres measures."""
    if len(contour) < 3:
        return _NOTHING
    whole = shapely.polygons(contour)
    if not shapely.is_valid(whole):
        # The cuts that join parts and holes are no rims: this takes the polygon apart again.
        pieces = shapely.get_parts(shapely.make_valid(whole))
        whole = shapely.union_all(pieces[shapely.get_type_id(pieces) >= _POLYGON])
    area = float(shapely.area(whole))
    if area == 0:
        return _NOTHING
    hull = shapely.get_coordinates(shapely.convex_hull(whole))[:-1]
    middle = shapely.get_coordinates(shapely.centroid(whole))[0]
    return _Measures(area, float(shapely.length(whole)), *_feret(hull), float(middle[0]), float(middle[1]))


def _feret(hull: np.ndarray) -> tuple[float, float]:
    """Return the least and the greatest width of a convex polygon (V, 2).

    The least is across one of the edges (M. E. Houle and G. T. Toussaint, IEEE Trans. Pattern Anal. Mach. Intell. 10,
    761, 1988), the greatest from corner to corner.
    """
    edges = np.roll(hull, -1, 0) - hull
    across = np.stack([-edges[:, 1], edges[:, 0]], -1) / np.linalg.norm(edges, axis=1)[:, None]
    narrow, wide = np.inf, 0.0
    for first in range(0, len(hull), _DIRECTIONS):
        some = slice(first, first + _DIRECTIONS)
        narrow = min(narrow, float(np.ptp(across[some] @ hull.T, axis=1).min()))
        apart = hull[some, None] - hull
        wide = max(wide, float((apart**2).sum(-1).max()))
    return narrow, wide**0.5


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0)
