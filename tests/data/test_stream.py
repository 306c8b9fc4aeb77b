"""Streams: every frame once, and the same one that a dataset holds."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from data.datasets import picture
from torch.utils.data import DataLoader

import exitwave as ew
from exitwave.data import Stream, collate
from exitwave.data.frame import split_of


def indices(stream: Stream, workers: int) -> list[int]:
    context = "spawn" if workers else None
    loader = DataLoader(stream, batch_size=None, num_workers=workers, multiprocessing_context=context)
    return [frame["index"] for frame in loader]


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_share_the_frames(recipe: ew.Scene, workers: int) -> None:
    assert indices(Stream(recipe, start=5, length=7), workers) == list(range(5, 12))


def test_processes_share_the_frames(recipe: ew.Scene) -> None:
    shards = [indices(Stream(recipe, length=8, shard=(rank, 3)), 0) for rank in range(3)]
    assert shards == [[0, 3, 6], [1, 4, 7], [2, 5]]


def test_processes_and_workers_share_the_frames(recipe: ew.Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: Counter[int] = Counter()
    for rank in range(2):
        for number in range(3):
            worker = type("Worker", (), {"id": number, "num_workers": 3})
            monkeypatch.setattr("exitwave.data.stream.get_worker_info", lambda worker=worker: worker)
            seen.update(frame["index"] for frame in Stream(recipe, length=13, shard=(rank, 2)))
    assert seen == Counter(range(13))


def test_the_process_group_deals_the_frames(recipe: ew.Scene, tmp_path: Path) -> None:
    if not torch.distributed.is_available():
        pytest.skip("torch without distributed")
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        stream = Stream(recipe, length=2)
    finally:
        torch.distributed.destroy_process_group()
    assert (stream.rank, stream.ranks) == (0, 1)


def test_without_length_it_does_not_end(recipe: ew.Scene) -> None:
    assert [frame["index"] for frame in islice(Stream(recipe, start=3), 4)] == [3, 4, 5, 6]


def test_frames_are_those_of_the_dataset(recipe: ew.Scene, dataset: Path) -> None:
    for frame in Stream(recipe, seed=3, length=3):
        index = frame["index"]
        stored = picture(dataset / f"images/{split_of(index)}/{index:06d}.png")
        np.testing.assert_array_equal(frame["image"][0].numpy(), stored)
        masks = picture(dataset / f"masks-png/{split_of(index)}/{index:06d}.png")
        np.testing.assert_array_equal(frame["ids"].numpy(), masks)


def test_what_a_frame_holds(recipe: ew.Scene) -> None:
    stream = Stream(recipe, seed=3, length=1)
    frame = next(iter(stream))
    count = len(frame["id"])
    assert frame["image"].shape == (1, 48, 64)
    assert frame["image"].dtype == torch.float32
    assert frame["boxes"].shape == (count, 4)
    assert frame["oriented_boxes"].shape == (count, 4, 2)
    assert set(frame["ids"].unique().tolist()) == {0, *frame["id"].tolist()}
    assert {stream.classes[k] for k in frame["classes"]} == {"bead", "rod"}


def test_batches(recipe: ew.Scene) -> None:
    batches = list(DataLoader(Stream(recipe, length=5), batch_size=2, collate_fn=collate))
    assert [batch["index"] for batch in batches] == [[0, 1], [2, 3], [4]]
    assert batches[0]["image"].shape == (2, 1, 48, 64)
    assert [len(boxes) for boxes in batches[0]["boxes"]] == [len(number) for number in batches[0]["id"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "expected seed to be an integer >= 0"),
        ({"start": -1}, "expected index to be an integer >= 0"),
        ({"length": -1}, "expected length to be an integer >= 0 or None"),
        ({"shard": (2, 2)}, r"expected shard \(rank, processes\) with 0 <= rank < processes, got \(2, 2\)"),
    ],
)
def test_bad_arguments(recipe: ew.Scene, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Stream(recipe, **arguments)  # pyright: ignore[reportArgumentType]
