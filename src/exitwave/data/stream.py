"""Streams: the images or volumes of a dataset without the dataset, rendered while a network trains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from exitwave import toml
from exitwave.annotate import Truth, VolumeTruth
from exitwave.data.catalogue import classes_of, recipe
from exitwave.data.frame import Exposure, Frame
from exitwave.data.tries import checked, drawn
from exitwave.random import Key
from exitwave.scene import Scene


class Stream(IterableDataset[dict[str, Any]]):
    """Frames `start`, `start` + 1, ... of a recipe, `length` of them or without end, rendered as they are asked for.

    Frame i is the one that `generate` writes under that number with the same recipe, seed and share `readable` of
    outlines that can be seen, before it is rounded for the file. Each is a dict:

    - `image` (C, H, W), float32, in the sensor's unit: counts from a camera. C is 1 or the number of colours.
    - `ids` (H, W), int64: 0 is background, other values are the `id` of an object.
    - `id` (M,), int64: the objects with a visible pixel, in the order of all that follows.
    - `classes` (M,), int64: index into `stream.classes`.
    - `boxes` (M, 4), float32: amodal boxes (row0, col0, row1, col1) in pixels, centres at integers, not clipped.
    - `oriented_boxes` (M, 4, 2), float32: corners (row, col) of the smallest rectangles.
    - `index`: the number i.

    Frames of a recipe with a depth are volumes: `image` (1, Z, H, W); in place of `ids`, `labels` {class: (Z, H, W)}
    with a volume for every class of the recipe, and `membranes` (Z, H, W), booleans; `boxes` (M, 6) in voxels, z0, y0,
    x0, z1, y1, x1; in place of oriented boxes, `centers` (M, 3) in micrometres.

    The frames are dealt out in turn to the processes of `torch.distributed`, if it is initialised when the stream is
    made (`shard` = (rank, number of processes) says otherwise), and then to the workers of a `DataLoader`: together
    they give each frame once. `collate` makes batches of frames with different numbers of objects.

    >>> import exitwave as ew
    >>> bead = ew.Particles(ew.Sphere(), center=[[0, 0, 0]], size=[[1.0]], index=[1.59])
    >>> scene = ew.Scene(ew.Specimen((bead,), medium=1.33), ew.brightfield(), ew.Grid((64, 64), 0.1))
    >>> frame = next(iter(Stream(scene)))
    >>> frame["image"].shape, frame["boxes"].tolist()
    (torch.Size([1, 64, 64]), [[22.0, 22.0, 42.0, 42.0]])
    """

    def __init__(
        self,
        source: str | Path | Scene,
        seed: int = 0,
        start: int = 0,
        length: int | None = None,
        shard: tuple[int, int] | None = None,
        readable: float | None = None,
    ) -> None:
        scene = recipe(source)
        Key(seed, start)  # checks both
        if length is not None and (not isinstance(length, int) or length < 0):
            raise ValueError(f"expected length to be an integer >= 0 or None for no end, got {length!r}")
        self.rank, self.ranks = _process() if shard is None else shard
        if not 0 <= self.rank < self.ranks:
            raise ValueError(f"expected shard (rank, processes) with 0 <= rank < processes, got {shard}")
        # As text, which every kind of worker can be sent, and which is what `generate` draws from.
        self.recipe = toml.dump(scene)
        self.classes = classes_of(scene)
        self.seed, self.start, self.length = seed, start, length
        self.readable = checked(readable, len(scene.grid.shape))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        scene = toml.load(self.recipe)
        worker = get_worker_info()
        number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        # The processes first: whatever the number of workers, a process then gets the same frames.
        own = self.rank + self.ranks * number
        while self.length is None or own < self.length:
            yield self._frame(scene, self.start + own)
            own += self.ranks * workers

    def _frame(self, scene: Scene, index: int) -> dict[str, Any]:
        exposure, _ = drawn(scene, Key(self.seed, index), self.readable)
        if len(scene.grid.shape) == 3:
            return self._volume(exposure, index)
        image = exposure.image
        frame = Frame[Truth](index, image.numpy(), exposure.truth, self.classes, "")
        truth, visible = exposure.truth, frame.visible
        return {
            "image": (image if image.ndim == 3 else image[None]).to(torch.float32),
            "ids": torch.from_numpy(truth.ids).to(torch.int64),
            "id": torch.from_numpy(visible + 1),
            "classes": torch.from_numpy(frame.class_id[visible]),
            "boxes": torch.from_numpy(truth.boxes[visible]).to(torch.float32),
            "oriented_boxes": torch.from_numpy(truth.oriented_boxes[visible]).to(torch.float32),
            "index": index,
        }

    def _volume(self, exposure: Exposure, index: int) -> dict[str, Any]:
        frame = Frame[VolumeTruth](index, exposure.image.numpy(), exposure.truth, self.classes, "")
        truth, visible = frame.truth, frame.visible
        empty = np.zeros(truth.shape, dtype=np.int32)
        return {
            "image": exposure.image[None].to(torch.float32),
            "labels": {name: torch.from_numpy(truth.labels.get(name, empty)).to(torch.int64) for name in self.classes},
            "membranes": torch.from_numpy(truth.membranes),
            "id": torch.from_numpy(visible + 1),
            "classes": torch.from_numpy(frame.class_id[visible]),
            "boxes": torch.from_numpy(truth.boxes[visible]).to(torch.float32),
            "centers": torch.from_numpy(truth.center[visible]).to(torch.float32),
            "index": index,
        }


def collate(frames: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return frames of a stream as a batch: images (B, C, H, W) and ids (B, H, W) stacked, everything else as lists.

    Of volumes the images (B, 1, Z, H, W), membranes and labels of every class (B, Z, H, W) are stacked.

    For `DataLoader(stream, batch_size=4, collate_fn=collate)`.

    >>> frame = {"image": torch.zeros(1, 8, 8), "ids": torch.zeros(8, 8), "boxes": torch.zeros(3, 4)}
    >>> batch = collate([frame, frame])
    >>> batch["image"].shape, len(batch["boxes"])
    (torch.Size([2, 1, 8, 8]), 2)
    """
    batch: dict[str, Any] = {name: [frame[name] for frame in frames] for name in frames[0]}
    stacked: dict[str, Any] = {
        name: torch.stack(batch[name]) for name in ("image", "ids", "membranes") if name in batch
    }
    if "labels" in batch:
        stacked["labels"] = {
            name: torch.stack([labels[name] for labels in batch["labels"]]) for name in batch["labels"][0]
        }
    return {**batch, **stacked}


def _process() -> tuple[int, int]:
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
