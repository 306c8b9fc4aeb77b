"""COCO: one JSON file per split with boxes and masks of what is visible."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from exitwave.annotate import Truth
from exitwave.data.frame import Frame
from exitwave.data.rle import regions
from exitwave.data.writers import Entry


class Writer:
    """annotations/instances_{train,val}.json.

    `segmentation`, `area` and `bbox` are those of the visible pixels, as COCO defines them; masks are run lengths. More
    keys than COCO's tell of the whole object: `amodal_bbox` and `oriented_box` (corners x, y) reach beyond the image,
    `visible_fraction` is the visible part of the silhouette, `truncated` says that the image's border cuts it, and `id`
    of its mask in the format "masks" is `instance`. Image ids are the numbers of the frames.
    """

    dimensions: ClassVar[tuple[int, ...]] = (2,)
    owns: ClassVar[tuple[str, ...]] = ("annotations",)

    def frame(self, frame: Frame[Truth]) -> tuple[Mapping[str, bytes], Any]:
        truth = frame.truth
        found = regions(truth.ids)
        notes = []
        for number in frame.visible:
            counts, box, area = found[int(number) + 1]
            row0, col0, row1, col1 = truth.boxes[number].tolist()
            corners = truth.oriented_boxes[number][:, ::-1] + 0.5
            note = {
                "category_id": int(frame.class_id[number]) + 1,
                "bbox": list(box),
                "area": area,
                "iscrowd": 0,
                "segmentation": {"size": list(truth.shape), "counts": counts},
                "instance": int(number) + 1,
                "amodal_bbox": _rounded([col0 + 0.5, row0 + 0.5, col1 - col0, row1 - row0]),
                "oriented_box": _rounded(corners.ravel()),
                "visible_fraction": round(float(truth.visible_fraction[number]), 6),
                "truncated": bool(truth.truncated[number]),
            }
            notes.append(note)
        return {}, notes

    def finish(self, classes: tuple[str, ...], entries: Callable[[], Iterator[Entry]]) -> Mapping[str, Iterable[bytes]]:
        return {f"annotations/instances_{split}.json": _split(split, classes, entries) for split in ("train", "val")}


def _split(split: str, classes: tuple[str, ...], entries: Callable[[], Iterator[Entry]]) -> Iterator[bytes]:
    categories = [{"id": number + 1, "name": name, "supercategory": "object"} for number, name in enumerate(classes)]
    info = {"description": "rendered by exitwave", "version": "1.0"}
    yield f'{{"info": {json.dumps(info)},\n"categories": {json.dumps(categories)},\n"annotations": ['.encode()
    images = []
    # Evaluators take annotation 0 for no annotation.
    count = 0
    for entry in entries():
        if entry.split != split:
            continue
        height, width = entry.shape
        images.append({"id": entry.index, "file_name": entry.image, "height": height, "width": width})
        for note in entry.note:
            count += 1
            text = json.dumps({"id": count, "image_id": entry.index, **note})
            yield f"{',' if count > 1 else ''}\n{text}".encode()
    # Images come last because they are few: the annotations need never be in memory together.
    yield f'\n],\n"images": {json.dumps(images)}}}\n'.encode()


def _rounded(numbers: Iterable[float]) -> list[float]:
    return np.round(np.asarray(numbers, dtype=np.float64), 3).tolist()
