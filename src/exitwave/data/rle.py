"""Run lengths: the regions of a map of instances in the encoding of COCO."""

from __future__ import annotations

import numpy as np


def regions(ids: np.ndarray) -> dict[int, tuple[str, tuple[int, int, int, int], int]]:
    """Return for every instance in `ids` (H, W): its run lengths, box (x, y, width, height) and area, in pixels.

    The key is the value in `ids`; 0 is background. Run lengths alternate between outside and inside, column by
    column, and are packed into text as pycocotools does. All instances are found in one pass over the image.

    >>> regions(np.array([[0, 1], [0, 1]]))
    {1: ('22', (1, 0, 1, 2), 2)}
    """
    height, width = ids.shape
    column_major = ids.T.ravel()
    places = np.flatnonzero(column_major)
    if not len(places):
        return {}
    owner = column_major[places]
    order = np.argsort(owner, kind="stable")
    places, owner = places[order], owner[order]
    fresh = np.empty(len(places), dtype=bool)  # where a run begins
    fresh[0] = True
    fresh[1:] = (np.diff(places) != 1) | (np.diff(owner) != 0)
    starts = np.flatnonzero(fresh)
    ends = np.append(starts[1:], len(places))
    first, last, run_owner = places[starts], places[ends - 1] + 1, owner[starts]
    bounds = np.flatnonzero(np.append(True, np.diff(run_owner) != 0))
    found = {}
    for low, high in zip(bounds, np.append(bounds[1:], len(run_owner)), strict=True):
        begin, end = first[low:high], last[low:high]
        edges = np.empty(2 * len(begin) + 1, dtype=np.int64)
        edges[0], edges[1::2], edges[2::2] = 0, begin, end
        counts = np.diff(edges)
        if end[-1] < height * width:
            counts = np.append(counts, height * width - end[-1])
        rows = places[starts[low] : ends[high - 1]] % height
        x0, x1 = int(begin[0] // height), int((end[-1] - 1) // height) + 1
        y0, y1 = int(rows.min()), int(rows.max()) + 1
        found[int(run_owner[low])] = (packed(counts), (x0, y0, x1 - x0, y1 - y0), int((end - begin).sum()))
    return found


def packed(counts: np.ndarray) -> str:
    """Return run lengths as text: from the fourth on the difference to the last but one, five bits per letter.

    The letters begin at "0"; bit 5 of a letter says that more follow, bit 4 of the last one is the sign (the format of
    pycocotools, common/maskApi.c).

    >>> packed(np.array([3, 40, 2, 41]))
    '3X121'
    """
    numbers = counts.astype(np.int64)
    numbers[3:] -= counts[1:-2]
    letters = np.empty((len(numbers), 13), dtype=np.uint8)
    used = np.zeros((len(numbers), 13), dtype=bool)
    left, more = numbers, np.ones(len(numbers), dtype=bool)
    for place in range(13):  # 13 letters hold 64 bits
        five = left & 31
        left = left >> 5
        used[:, place] = more
        done = np.where(five & 16 != 0, left == -1, left == 0)
        more = more & ~done
        letters[:, place] = five + 32 * ~done + 48
        if not more.any():
            break
    return letters[used].tobytes().decode("ascii")
