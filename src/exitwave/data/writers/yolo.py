"""YOLO: axis-aligned boxes, one text file per image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from exitwave.annotate import Truth
from exitwave.data.frame import Frame
from exitwave.data.polygon import seen
from exitwave.data.writers import Entry
from exitwave.data.writers.yolo_obb import data_yaml, label_line


class Writer:
    """labels/{train,val}/000000.txt with `class x y width height` per object, and data.yaml.

    Coordinates are those of the box's middle and size, divided by the width and height of the image. Boxes are amodal;
    of an object that the image's border cuts, the box holds the part of its silhouette inside. Objects without a
    visible pixel are left out.
    """

    dimensions: ClassVar[tuple[int, ...]] = (2,)
    owns: ClassVar[tuple[str, ...]] = ("labels", "data.yaml")

    def frame(self, frame: Frame[Truth]) -> tuple[Mapping[str, bytes], Any]:
        truth = frame.truth
        size = np.array(truth.shape, dtype=np.float64)
        lines = []
        for number in frame.visible:
            low, high = truth.boxes[number].reshape(2, 2)
            if truth.truncated[number]:
                inside = seen(truth.contours[number], truth.shape)
                if len(inside) >= 3:
                    low, high = inside.min(0), inside.max(0)
            low, high = np.clip((low + 0.5) / size, 0.0, 1.0), np.clip((high + 0.5) / size, 0.0, 1.0)
            middle, extent = (low + high) / 2, high - low
            box = np.array([middle[1], middle[0], extent[1], extent[0]])
            lines.append(label_line(int(frame.class_id[number]), box))
        return {f"labels/{frame.split}/{frame.name}.txt": "".join(lines).encode()}, None

    def finish(self, classes: tuple[str, ...], entries: Callable[[], Iterator[Entry]]) -> Mapping[str, Iterable[bytes]]:
        return {"data.yaml": [data_yaml(classes, {entry.split for entry in entries()})]}
