"""`exitwave show`: labels of every format, and where they are drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cli.commands import done, refused
from PIL import Image

from exitwave.cli.labels import labels_of, unpacked
from exitwave.data.overlay import colour_of


def test_show_reads_every_format_alike(dataset: Path) -> None:
    image = dataset / "images/train/000000.png"
    count = len((dataset / "labels/train/000000.txt").read_text().splitlines())
    labels = ("labels/train/000000.txt", "annotations/instances_train.json", "masks/train/000000.tif",
              "masks-png/train/000000.png")  # fmt: skip
    for number, label in enumerate(labels):
        told = done("show", image, dataset / label, "--out", f"{number}.png")
        assert f" {count} from " in told
        assert ("bead" in told) == (number < 2)
    assert "from set/labels/train/000000.txt" in done("show", image)
    assert Path("000000-labels.png").read_bytes() == Path("0.png").read_bytes()


def test_masks_in_coco_and_images_are_the_same(dataset: Path) -> None:
    image = dataset / "images/train/000000.png"
    ids = labels_of(dataset / "masks/train/000000.tif", image, (48, 64)).ids
    coco = labels_of(dataset / "annotations/instances_train.json", image, (48, 64)).ids
    assert ids is not None
    assert coco is not None
    pairs = {(int(a), int(b)) for a, b in zip(ids.ravel(), coco.ravel(), strict=True)}
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})  # one to one
    assert (0, 0) in pairs


def test_boxes_are_drawn_where_they_are() -> None:
    Image.fromarray(np.full((64, 64), 90, np.uint8)).save("grey.png")
    Path("box.txt").write_text("0 0.5 0.5 0.5 0.25\n\n")
    assert "class 0 1 from" in done("show", "grey.png", "box.txt", "--out", "drawn.png")
    drawn = np.asarray(Image.open("drawn.png"))
    assert drawn.shape == (512, 512, 3)  # small images are enlarged
    red, green, blue = colour_of(0)
    rows, columns = np.nonzero((drawn == (red, green, blue)).all(-1))
    for found, expected in ((rows, (192, 320)), (columns, (128, 384))):
        assert found.min() == pytest.approx(expected[0], abs=2)
        assert found.max() == pytest.approx(expected[1], abs=2)
    assert (drawn[256, 256] == 90).all()


def test_polygons_and_plain_boxes_of_coco_are_drawn() -> None:
    Image.fromarray(np.zeros((600, 600), np.uint8)).save("grey.png")
    note = {"id": 1, "image_id": 3, "category_id": 1, "bbox": [100, 200, 50, 60]}
    whole = {
        "images": [{"id": 3, "file_name": "elsewhere/grey.png", "height": 600, "width": 600}],
        "categories": [{"id": 1, "name": "cell"}],
        "annotations": [note, {**note, "id": 2, "segmentation": [[300, 300, 400, 300, 350, 400]]}],
    }
    Path("coco.json").write_text(json.dumps(whole))
    assert "cell 2 from" in done("show", "grey.png", "coco.json", "--out", "drawn.png")
    drawn = np.asarray(Image.open("drawn.png")).max(-1) > 0
    assert drawn[230, 99:101].any()  # the left side of the box, between two pixels
    assert drawn[299:301, 350].any()  # the upper side of the triangle
    assert not drawn[330, 350]


def test_run_lengths_are_those_of_pycocotools() -> None:
    mask = unpacked("3X121", (43, 2))  # 3 outside, 40 inside, 2 outside, 41 inside
    assert np.flatnonzero(np.diff(mask.T.ravel().astype(int))).tolist() == [2, 42, 44]
    assert (unpacked([3, 40, 2, 41], (43, 2)) == mask).all()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", "0 0.5 0.5\n", "a class and 4 or 8 numbers"),
        ("a.txt", "0 0.5 0.5 0.1 x\n", "in line 1 of a.txt"),
        ("a.txt", "0 50 50 10 10\n", "numbers from 0 to 1"),
        ("a.json", "{", "is not valid JSON"),
        ("a.json", "[]", "in the COCO format"),
        ("a.json", '{"images": []}', "expected one image grey.png in a.json, got 0"),
        ("a.json", '{"images": [{"id": 0, "file_name": "grey.png", "height": 9, "width": 9}]}', "9 x 9"),
        ("a.png", "", "cannot read a.png"),
        ("a.xml", "", "ends in .txt, .json"),
        ("none.txt", None, "cannot read none.txt"),
        ("", None, "expected a label beside grey.png"),
    ],
)
def test_bad_labels_are_explained(name: str, content: str | None, said: str) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("grey.png")
    if content is not None:
        Path(name).write_text(content)
    assert said in refused("show", "grey.png", *filter(None, [name]))
    assert not Path("grey-labels.png").exists()


def test_masks_of_another_image_are_refused(dataset: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("grey.png")
    other = dataset / "masks/val/000001.tif"
    assert "expected a mask of integers of shape (8, 8)" in refused("show", "grey.png", other)
