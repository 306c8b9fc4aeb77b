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
    low = np.flatnonzero(np.append(True, np.diff(run_owner) != 0))  # the first run of every instance
    high = np.append(low[1:], len(run_owner))
    texts = packed(*_counts(first, last, low, height * width))
    rows = places % height
    y0, y1 = np.minimum.reduceat(rows, starts[low]), np.maximum.reduceat(rows, starts[low]) + 1
    x0, x1 = first[low] // height, (last[high - 1] - 1) // height + 1
    boxes = np.stack([x0, y0, x1 - x0, y1 - y0], -1).tolist()
    areas = np.add.reduceat(last - first, low).tolist()
    return {
        number: (text, (box[0], box[1], box[2], box[3]), area)
        for number, text, box, area in zip(run_owner[low].tolist(), texts, boxes, areas, strict=True)
    }


def _counts(first: np.ndarray, last: np.ndarray, low: np.ndarray, total: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the run lengths of all instances one after another, and where those of each begin.

    Runs are [first, last) in an image of `total` pixels, and `low` is the first run of every instance.
    """
    follows = np.append(first[1:], total)
    follows[np.append(low[1:], len(first)) - 1] = total
    counts = np.stack([last - first, follows - last], -1)  # inside, and outside up to the next run or to the end
    lead = first[low]
    table = np.insert(counts.ravel(), 2 * low, lead)
    begin = 2 * low + np.arange(len(low))
    # Where the last run ends with the image, nothing follows.
    kept = np.ones(len(table), dtype=bool)
    end = np.append(begin[1:], len(table)) - 1
    kept[end] = table[end] > 0
    return table[kept], begin - np.append(0, np.cumsum(~kept[end])[:-1])


def packed(counts: np.ndarray, starts: np.ndarray) -> list[str]:
    """Return run lengths as text: from the fourth on the difference to the last but one, five bits per letter.

    `counts` holds the run lengths of several instances one after another, `starts` where those of each begin. The
    letters begin at "0"; bit 5 of a letter says that more follow, bit 4 of the last one is the sign (the format of
    pycocotools, common/maskApi.c).

    >>> packed(np.array([3, 40, 2, 41, 0, 5]), np.array([0, 4]))
    ['3X121', '05']
    """
    rank = np.arange(len(counts)) - np.repeat(starts, np.diff(np.append(starts, len(counts))))
    left = counts.astype(np.int64)
    left[rank >= 3] -= counts[np.flatnonzero(rank >= 3) - 2]
    letters = np.empty((len(left), 13), dtype=np.uint8)
    used = np.zeros((len(left), 13), dtype=bool)
    more = np.ones(len(left), dtype=bool)
    for place in range(13):  # 13 letters hold 64 bits
        five = left & 31
        left = left >> 5
        used[:, place] = more
        done = np.where(five & 16 != 0, left == -1, left == 0)
        more = more & ~done
        letters[:, place] = five + 32 * ~done + 48
        if not more.any():
            break
    text = letters[used].tobytes().decode("ascii")
    ends = np.add.reduceat(used.sum(1), starts).cumsum().tolist()
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]
