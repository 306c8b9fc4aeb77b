"""Size tables: what every silhouette measures, and how the sizes of each class are distributed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from exitwave.annotate import Truth
from exitwave.annotate.sizes import sizes
from exitwave.data.frame import Frame
from exitwave.data.table import csv_of
from exitwave.data.writers import Entry

_RULE = (
    "equivalent circular diameters in micrometres, every object with the same weight; left out are objects without a "
    "visible pixel and those whose silhouette crosses the border of the image, which large ones do more often than "
    "small ones; D10, D50 and D90: the diameters below which a tenth, half and nine tenths of the objects lie"
)


class Writer:
    """sizes.csv: one row per object with what its whole silhouette measures; sizes.json: the distribution by class.

    Sizes are in micrometres, centres in pixels with integers at the centres of pixels; see
    `exitwave.annotate.sizes.sizes`. Objects without a visible pixel have a row too, with a visible fraction of 0.
    """

    dimensions: ClassVar[tuple[int, ...]] = (2,)
    owns: ClassVar[tuple[str, ...]] = ("sizes.csv", "sizes.json")

    def frame(self, frame: Frame[Truth]) -> tuple[Mapping[str, bytes], Any]:
        truth, count = frame.truth, len(frame.truth)
        columns: dict[str, list[Any]] = {
            "image": [frame.path] * count,
            "split": [frame.split] * count,
            "id": list(range(1, count + 1)),
            "class": [frame.classes[number] for number in frame.class_id],
            "visible_fraction": np.round(truth.visible_fraction, 6).tolist(),
            "truncated": truth.truncated.tolist(),
        }
        return {}, columns | {name: [_short(value) for value in size] for name, size in sizes(truth).items()}

    def finish(self, classes: tuple[str, ...], entries: Callable[[], Iterator[Entry]]) -> Mapping[str, Iterable[bytes]]:
        whole: dict[str, list[float]] = {name: [] for name in classes}
        cut, unseen = dict.fromkeys(classes, 0), dict.fromkeys(classes, 0)
        for entry in entries():
            names = ("class", "visible_fraction", "truncated", "diameter")
            for kind, fraction, truncated, diameter in zip(*(entry.note[name] for name in names), strict=True):
                if fraction == 0:
                    unseen[kind] += 1
                elif truncated:
                    cut[kind] += 1
                else:
                    whole[kind].append(diameter)
        data = {
            "rule": _RULE,
            "classes": {
                name: {**_distribution(whole[name]), "truncated": cut[name], "unseen": unseen[name]} for name in classes
            },
        }
        return {
            "sizes.csv": csv_of(lambda: (entry.note for entry in entries())),
            "sizes.json": [(json.dumps(data, indent=2) + "\n").encode()],
        }


def _distribution(diameters: list[float]) -> dict[str, float | int | None]:
    """Return count, mean, standard deviation and percentiles of diameters; None where there are too few."""
    count = len(diameters)
    found: dict[str, float | int | None] = {
        "count": count,
        "mean": _short(np.mean(diameters)) if count else None,
        "standard_deviation": _short(np.std(diameters, ddof=1)) if count > 1 else None,
    }
    return found | {f"D{rank}": _short(np.percentile(diameters, rank)) if count else None for rank in (10, 50, 90)}


def _short(value: Any) -> float | None:
    """Return a number with seven digits, more than contours are good for; None where there is none."""
    return float(f"{value:.7g}") if np.isfinite(value) else None
