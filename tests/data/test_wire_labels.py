"""Labels of wires in every format of images, against the masks and silhouettes of the scene."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import exitwave as ew
from exitwave.annotate import annotate
from exitwave.data import generate

FORMATS = ("yolo-obb", "coco", "masks", "masks-png", "classes", "nnunet", "parquet")


@pytest.fixture(scope="module")
def recipe() -> ew.Scene:
    return replace(ew.recipe("agnw-sem"), grid=ew.Grid((150, 200), 0.03))


@pytest.fixture(scope="module")
def folder(recipe: ew.Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wires")
    generate(recipe, out / "all", n=2, seed=3, format=",".join(FORMATS))
    generate(recipe, out / "yolo", n=2, seed=3, format="yolo")
    return out


def test_every_format_of_images_has_wires(recipe: ew.Scene, folder: Path) -> None:
    files = [json.loads(path.read_text()) for path in (folder / "all" / "annotations").iterdir()]
    notes = [note for file in files for note in file["annotations"]]
    for index in range(2):
        truth = annotate(ew.sample(recipe, ew.Key(3, index)))
        (mask,) = (folder / "all" / "masks").rglob(f"{index:06d}.tif")
        (same,) = (folder / "all" / "masks-png").rglob(f"{index:06d}.png")
        (three,) = (folder / "all" / "classes").rglob(f"{index:06d}.png")
        assert np.array_equal(tifffile.imread(mask), truth.ids)
        assert np.array_equal(np.asarray(Image.open(same)), truth.ids)
        assert np.array_equal(np.asarray(Image.open(three)) > 0, truth.ids > 0)
        rows = list(csv.DictReader((folder / "all" / "truth.csv").read_text().splitlines()))
        rows = [row for row in rows if int(row["frame"]) == index]
        assert [int(row["amodal_area"]) for row in rows] == truth.amodal_area.tolist()
        assert {row["shape"] for row in rows} == {"Wire"}
        assert [float(row["length"]) for row in rows] == pytest.approx(truth.physical["length"].tolist(), rel=1e-6)
        areas = [note["area"] for note in notes if note["image_id"] == index]
        assert areas == truth.area[truth.visible].tolist()


def test_boxes_of_wires_hold_what_the_image_shows_of_them(recipe: ew.Scene, folder: Path) -> None:
    for index in range(2):
        truth = annotate(ew.sample(recipe, ew.Key(3, index)))
        size = np.array([truth.shape[1], truth.shape[0]])
        (file,) = (folder / "yolo" / "labels").rglob(f"{index:06d}.txt")
        straight = np.loadtxt(file, ndmin=2)[:, 1:] * [*size, *size]
        (file,) = (folder / "all" / "labels").rglob(f"{index:06d}.txt")
        turned = np.loadtxt(file, ndmin=2)[:, 1:].reshape(-1, 4, 2) * size
        assert len(straight) == len(turned) == len(truth.visible)
        assert (turned >= 0).all()
        assert (turned <= size).all()
        assert truth.truncated[truth.visible].any()
        for number, box, corners in zip(truth.visible, straight, turned, strict=True):
            rows, columns = np.nonzero(truth.amodal_mask(number))
            low, high = np.array([[columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]])
            # The round end of a wire reaches beyond the last pixel's centre, by no more than its radius.
            beyond = np.concatenate([low - (box[:2] - box[2:] / 2), box[:2] + box[2:] / 2 - high])
            assert beyond.min() > -0.51
            assert beyond.max() < 2.0
            # Of a rectangle that sticks out of the image, corners are cut off.
            if not truth.truncated[number]:
                points = np.stack([columns, rows], -1) + 0.5
                ahead = np.roll(corners, -1, 0) - corners
                sides = [
                    run[0] * (points - at)[:, 1] - run[1] * (points - at)[:, 0]
                    for run, at in zip(ahead, corners, strict=True)
                ]
                depth = np.array(sides) / np.linalg.norm(ahead, axis=1)[:, None]
                assert max(depth.min(), (-depth).min()) > -1e-2
