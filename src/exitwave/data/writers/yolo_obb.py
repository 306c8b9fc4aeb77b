"""YOLO-OBB: oriented boxes, one text file per image."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from exitwave.annotate import Truth
from exitwave.data.frame import Frame
from exitwave.data.polygon import clip, quadrilateral, seen, tight_rectangle
from exitwave.data.writers import Entry


class Writer:
    """labels/{train,val}/000000.txt with `class x1 y1 x2 y2 x3 y3 x4 y4` per object, and data.yaml.

    Coordinates are divided by the width and height of the image. Boxes are amodal: an object that lies behind another
    keeps its whole box. Objects without a visible pixel are left out, and an image without objects has an empty file.

    Of an object that the image's border cuts, the box is the smallest rectangle around the part of its silhouette
    inside. Where that rectangle still sticks out of the image, the four corners are those of the largest quadrilateral
    in what lies inside, as coordinates beyond 0 and 1 are refused: the smallest rectangle around them, which is what
    trainers make of four corners, keeps direction and width.
    """

    dimensions: ClassVar[tuple[int, ...]] = (2,)
    owns: ClassVar[tuple[str, ...]] = ("labels", "data.yaml")

    def frame(self, frame: Frame[Truth]) -> tuple[Mapping[str, bytes], Any]:
        truth = frame.truth
        height, width = truth.shape
        lines = []
        for number in frame.visible:
            corners = truth.oriented_boxes[number]
            if truth.truncated[number]:
                corners = cut_box(truth.contours[number], truth.visible_boxes[number], truth.shape)
            x = np.clip((corners[:, 1] + 0.5) / width, 0.0, 1.0)
            y = np.clip((corners[:, 0] + 0.5) / height, 0.0, 1.0)
            lines.append(label_line(int(frame.class_id[number]), np.stack([x, y], -1).ravel()))
        return {f"labels/{frame.split}/{frame.name}.txt": "".join(lines).encode()}, None

    def finish(self, classes: tuple[str, ...], entries: Callable[[], Iterator[Entry]]) -> Mapping[str, Iterable[bytes]]:
        return {"data.yaml": [data_yaml(classes, {entry.split for entry in entries()})]}


def cut_box(contour: np.ndarray, visible: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return four corners (4, 2) in the image for the part of a silhouette inside it, in pixels; see `Writer`.

    Where less than a triangle is left of a silhouette, the box (row0, col0, row1, col1) of its `visible` pixels stands
    in.
    """
    inside = seen(contour, shape)
    if len(inside) < 3 or min(np.ptp(inside, axis=0)) < 1e-6:
        row0, col0, row1, col1 = visible
        inside = np.array([[row0, col0], [row0, col1], [row1, col1], [row1, col0]])
    return quadrilateral(clip(tight_rectangle(inside), shape))


def label_line(number: int, coordinates: np.ndarray) -> str:
    """Return a line of a label file: the class and its coordinates, to a thousandth of a pixel of any image."""
    return f"{number} " + " ".join(f"{value:.7f}" for value in coordinates) + "\n"


def data_yaml(classes: tuple[str, ...], splits: set[str]) -> bytes:
    """Return data.yaml: where the images lie, relative to the file itself, and the names of the classes."""
    # A dataset of one image validates on it: trainers insist on a validation set.
    validation = "val" if "val" in splits else "train"
    names = "".join(f"  {number}: {json.dumps(name)}\n" for number, name in enumerate(classes))
    return f"train: images/train\nval: images/{validation}\nnames:\n{names}".encode()
