"""The contact sheet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data.datasets import picture
from PIL import Image

import exitwave as ew
from exitwave.data import generate
from exitwave.data.frame import Frame, expose
from exitwave.data.overlay import SIDE, colour_of, displayed, drawn, round_length
from exitwave.data.sheet import composed


def test_it_shows_every_image_with_the_colours_of_the_classes(dataset: Path) -> None:
    sheet = picture(dataset / "sheet.png")
    assert sheet.shape[2] == 3
    assert sheet.shape[1] > 4 * SIDE  # eight images: two rows of four
    for number in (0, 1):
        near = np.abs(sheet.astype(int) - colour_of(number)).max(-1) < 40
        assert near.mean() > 1e-3


def test_it_shows_no_more_than_twelve(recipe: ew.Scene, tmp_path: Path) -> None:
    generate(recipe, tmp_path, n=12)
    before = (tmp_path / "sheet.png").read_bytes()
    generate(recipe, tmp_path, n=13)
    assert (tmp_path / "sheet.png").read_bytes() == before


def test_boxes_lie_where_the_truth_says(recipe: ew.Scene) -> None:
    exposure = expose(recipe, ew.Key(3, 0))
    blank = np.full(exposure.truth.shape, 200, dtype=np.uint8)
    picture = np.asarray(drawn(Frame(0, blank, exposure.truth, ("bead", "rod"), "")))
    scale = SIDE / 64
    for corners in exposure.truth.oriented_boxes:
        for k in range(4):
            middle = (corners[k] + corners[(k + 1) % 4]) / 2
            row, col = ((middle + 0.5) * scale).astype(int)
            if 2 < row < picture.shape[0] - 60 and 2 < col < picture.shape[1] - 2:
                patch = picture[row - 2 : row + 3, col - 2 : col + 3].astype(int)
                assert np.abs(patch - 200).max() > 50


@pytest.mark.parametrize("count", range(1, 13))
def test_every_number_of_tiles_fits(count: int) -> None:
    tiles = [Image.new("RGB", (20, 10), (255, 0, 0))] * count
    sheet = np.asarray(composed(tiles, ["a"] * count, ["class"]))
    assert (sheet == (255, 0, 0)).all(-1).sum() == count * 200


def test_many_classes_do_not_leave_the_sheet() -> None:
    composed([Image.new("RGB", (20, 10))], ["a"], [f"a class with a long name {number}" for number in range(40)])


@pytest.mark.parametrize(("longest", "length"), [(0.019, 0.01), (0.99, 0.5), (1.0, 1.0), (4.9, 2.0), (730.0, 500.0)])
def test_scale_bars_have_round_lengths(longest: float, length: float) -> None:
    assert round_length(longest) == length


def test_flat_and_many_channelled_images_can_be_shown() -> None:
    assert displayed(np.zeros((4, 4), dtype=np.float32)).dtype == np.uint8
    assert displayed(np.random.default_rng(0).random((4, 4, 2))).shape == (4, 4)
