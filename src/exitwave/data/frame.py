"""Frames: one image or volume of a dataset with its truth, drawn from a recipe by key."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from exitwave.annotate import Truth, VolumeTruth, annotate
from exitwave.model import fields
from exitwave.random import Key
from exitwave.render import render
from exitwave.sample import sample
from exitwave.scene import Scene

Kind = TypeVar("Kind", Truth, VolumeTruth)


@dataclass(frozen=True)
class Exposure:
    """What one key draws from a recipe: the image in the sensor's unit, its truth, and the seconds that went where.

    `image` is (H, W), (C, H, W) in colours, or (Z, H, W) on a grid with a depth; `bits` the depth of its counts, none
    where it is not counted. `truth` is what `annotate` gives.
    """

    image: Tensor
    truth: Any
    bits: int | None
    seconds: dict[str, float]


@dataclass(frozen=True)
class Frame(Generic[Kind]):
    """An image or a volume of a dataset as it will be stored, with its truth: all that a writer gets to see.

    `image` is uint8, uint16, uint32 or float32, (H, W) or (H, W, C), and `truth` a `Truth`; or (Z, H, W) with a
    `VolumeTruth`. `classes` are those of the dataset, which may be more than the image shows. `path` is the image's
    place in the dataset's folder.
    """

    index: int
    image: np.ndarray
    truth: Kind
    classes: tuple[str, ...]
    path: str

    @property
    def name(self) -> str:
        """The stem of the names of the frame's files."""
        return name_of(self.index)

    @property
    def split(self) -> str:
        """The part of the dataset that the frame belongs to, "train" or "val"."""
        return split_of(self.index)

    @cached_property
    def visible(self) -> np.ndarray:
        """The numbers of the instances that have a visible pixel or voxel, (M,); no other goes into a label file."""
        return self.truth.visible

    @property
    def dimensions(self) -> int:
        """2 for an image, 3 for a volume."""
        return len(self.truth.shape)

    @cached_property
    def class_id(self) -> np.ndarray:
        """The class of every instance as an index into `classes`, (N,)."""
        for name in self.truth.classes:
            if name not in self.classes:
                raise ValueError(
                    f"expected a class that the recipe names ({', '.join(self.classes) or 'it names none'}), got "
                    f"'{name}'; give the part that draws it a field label"
                )
        number = [self.classes.index(name) for name in self.truth.classes]
        return np.array(number, dtype=np.int64)[self.truth.class_id]


def expose(recipe: Scene, key: Key) -> Exposure:
    """Return what `key` draws from `recipe`: the same numbers wherever and whenever it is drawn.

    One thread computes it, because the number of threads decides in which order some sums are taken.
    """
    with _one_thread(), torch.no_grad():
        start = time.perf_counter()
        scene = sample(recipe, key)
        drawn = time.perf_counter()
        image = render(scene, key.generator("noise"))
        rendered = time.perf_counter()
        truth = annotate(scene)
        end = time.perf_counter()
    sensor = scene.microscope.sensor
    # Any sensor that declares its bits counts, not the library's own only.
    bits = int(sensor.bits) if "bits" in fields(type(sensor)) else None
    return Exposure(
        image, truth, bits, {"sample": drawn - start, "render": rendered - drawn, "annotate": end - rendered}
    )


def name_of(index: int) -> str:
    """Return the stem of the file names of frame `index`.

    >>> name_of(17)
    '000017'
    """
    return f"{index:06d}"


def split_of(index: int) -> str:
    """Return "train" or "val": every fifth frame is kept for validation.

    Frames are independent of one another, so that this is as random as a draw; and a run that is extended moves no
    frame from one part to the other, and has both from two frames on.

    >>> [split_of(index) for index in range(6)]
    ['train', 'val', 'train', 'train', 'train', 'train']
    """
    return "val" if index % 5 == 1 else "train"


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
