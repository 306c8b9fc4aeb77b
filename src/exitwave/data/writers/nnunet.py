"""nnU-Net: the raw dataset of its second version, with three-class masks.

Layout and keys follow https://github.com/MIC-DKFZ/nnUNet/blob/master/documentation/dataset_format.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from exitwave.annotate import Truth
from exitwave.annotate.classes import CLASSES, CONTOUR, three_classes
from exitwave.data.frame import Frame
from exitwave.data.images import png, tiff
from exitwave.data.writers import Entry

FOLDER = "Dataset001_exitwave"
"""The folder's name, of which nnU-Net wants "Dataset", three digits and a name; it may be renamed to such another."""

# Where images and masks of a split go. Of the training cases nnU-Net holds some back by itself, for cross-validation,
# so that ours for validation are test cases to it.
_PLACES = {"train": ("imagesTr", "labelsTr"), "val": ("imagesTs", "labelsTs")}


@dataclass(frozen=True)
class Writer:
    """Dataset001_exitwave/: imagesTr/000000_0000.png and labelsTr/000000.png, imagesTs and labelsTs, dataset.json.

    The dataset's folder is what nnU-Net calls nnUNet_raw. Masks are those of the format "classes": 0 background,
    1 particle, 2 contour of `width` pixels. Every colour of an image is a file, _0000, _0001, ...; files are PNG for
    8-bit images and TIFF for all others, the masks too, as nnU-Net reads one kind of file only.
    """

    width: float = CONTOUR
    """Width of the contours in pixels."""

    dimensions: ClassVar[tuple[int, ...]] = (2,)
    owns: ClassVar[tuple[str, ...]] = (FOLDER,)

    def frame(self, frame: Frame[Truth]) -> tuple[Mapping[str, bytes], Any]:
        truth, image = frame.truth, frame.image
        images, labels = _PLACES[frame.split]
        ending, encode = (".png", png) if image.dtype == np.uint8 else (".tif", tiff)
        channels = np.moveaxis(image, -1, 0) if image.ndim == 3 else image[None]
        files = {
            f"{FOLDER}/{images}/{frame.name}_{number:04d}{ending}": encode(channel, truth.pixel)
            for number, channel in enumerate(channels)
        }
        mask = encode(three_classes(truth.ids, self.width), truth.pixel)
        note = {"channels": len(channels), "ending": ending}
        return {**files, f"{FOLDER}/{labels}/{frame.name}{ending}": mask}, note

    def finish(self, classes: tuple[str, ...], entries: Callable[[], Iterator[Entry]]) -> Mapping[str, Iterable[bytes]]:
        note = next(entries()).note
        count = 0
        for entry in entries():
            if entry.note != note:
                raise ValueError(
                    f"expected images of one kind for nnU-Net, {_kind(note)} as the first, got frame {entry.index} "
                    f"with {_kind(entry.note)}; give all the same sensor"
                )
            count += entry.split == "train"
        data = {
            "channel_names": {str(number): name for number, name in enumerate(_names(note["channels"]))},
            "labels": {name: number for number, name in enumerate(CLASSES)},
            "numTraining": count,
            "file_ending": note["ending"],
            # nnU-Net would otherwise try its readers in turn, of which several take TIFF, one for volumes.
            "overwrite_image_reader_writer": "NaturalImage2DIO",
            "description": "rendered by exitwave",
        }
        return {f"{FOLDER}/dataset.json": [(json.dumps(data, indent=2) + "\n").encode()]}


def _names(channels: int) -> tuple[str, ...]:
    """Return the names of the channels: none of those by which nnU-Net chooses another normalisation than the usual."""
    known = {1: ("intensity",), 3: ("red", "green", "blue")}
    return known.get(channels, tuple(f"channel {number}" for number in range(channels)))


def _kind(note: dict[str, Any]) -> str:
    return f"{note['channels']} channel{'s' * (note['channels'] > 1)} in {note['ending']}"
