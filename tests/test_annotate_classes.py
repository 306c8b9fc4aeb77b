"""Three-class masks against distances measured one pixel pair at a time, and against straight edges counted by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.ndimage

from exitwave.annotate.classes import CLASSES, three_classes


def one_by_one(ids: np.ndarray, width: float) -> np.ndarray:
    """Return the classes from the distance of every pixel to every other."""
    places = np.argwhere(np.ones_like(ids, dtype=bool))
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
    numbers = ids.ravel()
    nearest = np.where(numbers[:, None] != numbers[None], apart, np.inf).min(1)
    return np.where(numbers == 0, 0, np.where(nearest <= width, 2, 1)).reshape(ids.shape)


@pytest.mark.parametrize("width", [1.0, math.sqrt(2), 2, 2.5, 3.7, math.sqrt(13), 5.0, 40.0])
@pytest.mark.parametrize("kind", ["noise", "blobs", "disks"])
def test_every_distance_to_another_id(kind: str, width: float) -> None:
    random = np.random.default_rng(7)
    for shape in ((17, 23), (24, 9), (1, 12), (12, 1), (1, 1)):
        if kind == "noise":
            ids = random.integers(0, 3, shape) * random.integers(0, 2, shape)
        elif kind == "blobs":
            seeds = np.arange(1, 9)
            smooth = [scipy.ndimage.gaussian_filter(random.normal(size=shape), 2.0) for _ in seeds]
            ids = np.argmax([np.zeros(shape), *smooth], axis=0)
        else:
            rows, columns = np.indices(shape)
            ids = np.zeros(shape, dtype=np.int64)
            for number in range(1, 5):
                row, column = random.uniform(0, 1, 2) * shape
                ids[(rows - row) ** 2 + (columns - column) ** 2 < random.uniform(2, 7) ** 2] = number
        found = three_classes(ids.astype(np.int32), width)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, one_by_one(ids, width))


def test_a_contour_is_as_wide_as_asked() -> None:
    ids = np.zeros((20, 30), dtype=np.int32)
    ids[4:16, 6:24] = 7
    for width in (1, 2, 3):
        inside = np.zeros_like(ids)
        inside[4 + width : 16 - width, 6 + width : 24 - width] = 1
        np.testing.assert_array_equal(three_classes(ids, width), np.where(ids == 0, 0, 2 - inside))


def test_particles_that_touch_are_parted_by_their_contours() -> None:
    ids = np.repeat(np.arange(1, 5), 8)[None].repeat(12, axis=0)
    classes = three_classes(ids)
    parts = np.empty(ids.shape, dtype=np.int32)
    scipy.ndimage.label(classes == 1, output=parts)
    assert parts.max() == 4
    # The two on the left and on the right go on beyond the image, where nothing is known of another.
    assert [int((parts[0] == number + 1).sum()) for number in range(4)] == [6, 4, 4, 6]


def test_thin_particles_are_all_contour() -> None:
    ids = np.zeros((15, 15), dtype=np.int32)
    ids[2, 1:14] = 1
    ids[6:10, 1:14] = 2
    ids[12, 12] = 3
    np.testing.assert_array_equal(three_classes(ids), np.where(ids > 0, 2, 0))


def test_maps_of_one_id() -> None:
    assert not three_classes(np.zeros((5, 4), dtype=np.uint16)).any()
    assert (three_classes(np.full((5, 4), 9, dtype=np.uint16), 100.0) == 1).all()
    assert three_classes(np.zeros((0, 4), dtype=np.int32)).shape == (0, 4)


def test_names_of_the_classes() -> None:
    assert CLASSES == ("background", "particle", "contour")


@pytest.mark.parametrize(
    ("ids", "width", "message"),
    [
        (np.zeros((3, 3)), 2.0, r"expected ids \(H, W\) of integers, got float64 of shape \(3, 3\); pass the ids of"),
        (np.zeros((3, 3, 3), dtype=int), 2.0, r"expected ids \(H, W\) of integers, got int64 of shape \(3, 3, 3\)"),
        (np.array([[-1, 0]]), 2.0, r"expected ids of at least 0, got -1; number the instances from 1"),
        (np.array([[1, 0]]), 0.5, r"expected a width of at least 1 pixel, got 0\.5; thinner contours do not part"),
        (np.array([[1, 0]]), math.nan, r"expected a width of at least 1 pixel, got nan"),
        (np.array([[1, 0]]), math.inf, r"expected a width of at least 1 pixel, got inf"),
    ],
)
def test_bad_input(ids: Any, width: float, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        three_classes(ids, width)
    assert "\n" not in str(caught.value)
