"""Datasets on disk: the same bytes however they were made."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from data.datasets import EVERY, assert_same, contents, picture

import exitwave as ew
from exitwave import toml
from exitwave.data import Run, generate


def test_same_bytes_for_any_number_of_workers(recipe: ew.Scene, dataset: Path, tmp_path: Path) -> None:
    done = generate(recipe, tmp_path / "out", n=8, seed=3, format=EVERY, workers=2)
    assert (done.written, done.reused) == (8, 0)
    assert_same(tmp_path / "out", dataset)


def test_another_seed_gives_other_images(recipe: ew.Scene, dataset: Path, tmp_path: Path) -> None:
    generate(recipe, tmp_path, n=1, seed=4)
    name = "images/train/000000.png"
    assert (tmp_path / name).read_bytes() != (dataset / name).read_bytes()


def test_the_thread_count_of_the_caller_changes_nothing(recipe: ew.Scene, dataset: Path, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        generate(recipe, tmp_path, n=2, seed=3, format=EVERY)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    for name in ("images/train/000000.png", "images/val/000001.png"):
        assert (tmp_path / name).read_bytes() == (dataset / name).read_bytes()


def test_manifest_lists_every_file_with_its_sum(recipe: ew.Scene, dataset: Path) -> None:
    manifest = json.loads((dataset / "manifest.json").read_text())
    assert manifest["files"].keys() | {"manifest.json"} == contents(dataset).keys()
    for name, sums in manifest["files"].items():
        data = (dataset / name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (sums["bytes"], sums["sha256"])
    assert (manifest["seed"], manifest["frames"]) == (3, 8)
    assert manifest["versions"]["torch"] == importlib.metadata.version("torch")
    assert toml.load(manifest["recipe"]) == recipe == toml.load(dataset / "recipe.toml")


def test_images_are_those_of_render(recipe: ew.Scene, dataset: Path) -> None:
    key = ew.Key(3, 4)
    expected = ew.render(ew.sample(recipe, key), key.generator("noise"))
    image = picture(dataset / "images/train/000004.png")
    np.testing.assert_array_equal(image, expected.numpy())


def test_the_run_tells_where_the_time_went(run: Run) -> None:
    assert set(run.seconds) == {"sample", "render", "annotate", "encode", "write", "finish"}
    assert 0 < sum(run.seconds.values()) < 1.05 * run.elapsed
    assert run.sheet.is_file()


def test_progress_is_shown_on_request(recipe: ew.Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generate(recipe, tmp_path / "silent", n=2)
    assert capsys.readouterr().err == ""
    generate(recipe, tmp_path / "shown", n=2, progress=True)
    assert "2/2" in capsys.readouterr().err
