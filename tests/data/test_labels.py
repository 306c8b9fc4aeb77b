"""Label files: parsed by code of its own, compared with the geometry of the scene."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from data.datasets import picture

import exitwave as ew
from exitwave.annotate import Truth, annotate
from exitwave.data import generate
from exitwave.data.frame import split_of
from exitwave.data.polygon import clip, tight_rectangle
from exitwave.data.rle import packed, regions

SIZE = np.array([64.0, 48.0])  # width, height


def truths(recipe: ew.Scene, count: int = 8) -> Iterator[tuple[int, Truth]]:
    for index in range(count):
        yield index, annotate(ew.sample(recipe, ew.Key(3, index)))


def read_labels(path: Path, columns: int) -> np.ndarray:
    """Return the rows of a label file, refused wherever a trainer would refuse them (as ultralytics checks them)."""
    rows = np.array([[float(word) for word in line.split()] for line in path.read_text().splitlines()])
    rows = rows.reshape(-1, columns)
    assert (rows[:, 0] == rows[:, 0].astype(int)).all()
    assert rows[:, 0].min(initial=0) >= 0
    assert rows[:, 0].max(initial=0) < 2
    assert rows[:, 1:].min(initial=0) >= 0
    assert rows[:, 1:].max(initial=0) <= 1
    assert len(np.unique(rows, axis=0)) == len(rows)
    return rows


def distance_outside(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Return how far points lie outside a convex polygon given in order, by half-planes; negative inside."""
    edges = np.roll(corners, -1, 0) - corners
    normals = np.stack([edges[:, 1], -edges[:, 0]], -1) / np.linalg.norm(edges, axis=1)[:, None]
    signed = ((points[:, None] - corners[None]) * normals[None]).sum(-1)
    return np.minimum(signed.max(1), (-signed).max(1))


def test_yolo_obb_holds_the_oriented_boxes(recipe: ew.Scene, dataset: Path) -> None:
    cut = 0
    for index, truth in truths(recipe):
        rows = read_labels(dataset / f"labels/{split_of(index)}/{index:06d}.txt", 9)
        visible = np.flatnonzero(truth.area > 0)
        assert rows[:, 0].tolist() == truth.class_id[visible].tolist()
        for row, number in zip(rows, visible, strict=True):
            corners = row[1:].reshape(4, 2) * SIZE - 0.5  # (x, y) with integers at pixel centres
            if truth.truncated[number]:
                cut += 1
                inside = np.argwhere(truth.amodal_mask(int(number)))[:, ::-1]
                around = tight_rectangle(corners)
                assert distance_outside(inside, corners).max() < 1.0
                assert distance_outside(inside, around).max() < 0.5
            else:
                np.testing.assert_allclose(corners, truth.oriented_boxes[number][:, ::-1], atol=1e-4)
    assert cut > 3


def test_yolo_holds_the_boxes(recipe: ew.Scene, tmp_path: Path) -> None:
    generate(recipe, tmp_path, n=8, seed=3, format="yolo")
    for index, truth in truths(recipe):
        rows = read_labels(tmp_path / f"labels/{split_of(index)}/{index:06d}.txt", 5)
        for row, number in zip(rows, np.flatnonzero(truth.area > 0), strict=True):
            middle, size = row[1:3] * SIZE - 0.5, row[3:5] * SIZE
            low, high = middle - size / 2, middle + size / 2
            row0, col0, row1, col1 = truth.boxes[number]
            if not truth.truncated[number]:
                np.testing.assert_allclose([*low, *high], [col0, row0, col1, row1], atol=1e-4)
            else:
                inside = np.argwhere(truth.amodal_mask(int(number)))[:, ::-1]
                assert (inside >= low).all()
                assert (inside <= high).all()
                assert (low >= np.array([col0, row0]) - 1e-3).all()
                assert (high <= np.array([col1, row1]) + 1e-3).all()


def test_data_yaml_names_the_classes_and_finds_the_images(dataset: Path) -> None:
    yaml = pytest.importorskip("yaml")
    data = yaml.safe_load((dataset / "data.yaml").read_text())
    assert data["names"] == {0: "bead", 1: "rod"}
    for split, count in (("train", 6), ("val", 2)):
        images = sorted((dataset / data[split]).iterdir())
        assert len(images) == count
        # Trainers find labels by this replacement.
        assert all(Path(str(image).replace("/images/", "/labels/")).with_suffix(".txt").is_file() for image in images)


def test_a_single_image_is_its_own_validation(recipe: ew.Scene, tmp_path: Path) -> None:
    generate(recipe, tmp_path, n=1)
    assert "val: images/train\n" in (tmp_path / "data.yaml").read_text()


def decoded(segmentation: dict[str, Any]) -> np.ndarray:
    """Return the mask of compressed run lengths: written down from the format's description, one letter at a time."""
    counts: list[int] = []
    value = shift = 0
    for letter in segmentation["counts"]:
        code = ord(letter) - 48
        value |= (code & 31) << shift
        shift += 5
        if not code & 32:
            if code & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    height, width = segmentation["size"]
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return flat.reshape(width, height).T


def test_coco(recipe: ew.Scene, dataset: Path) -> None:
    truth_of = dict(truths(recipe))
    seen = 0
    for split in ("train", "val"):
        data = json.loads((dataset / f"annotations/instances_{split}.json").read_text())
        names = {category["id"]: category["name"] for category in data["categories"]}
        images = {image["id"]: image for image in data["images"]}
        assert sorted(images) == [index for index in range(8) if split_of(index) == split]
        assert [annotation["id"] for annotation in data["annotations"]] == list(range(1, len(data["annotations"]) + 1))
        for image in images.values():
            assert picture(dataset / image["file_name"]).shape == (image["height"], image["width"])
        for annotation in data["annotations"]:
            truth, number = truth_of[annotation["image_id"]], annotation["instance"] - 1
            mask = decoded(annotation["segmentation"])
            np.testing.assert_array_equal(mask, truth.visible_mask(number))
            rows, columns = np.nonzero(mask)
            x, y = columns.min(), rows.min()
            assert annotation["bbox"] == [x, y, columns.max() + 1 - x, rows.max() + 1 - y]
            assert annotation["area"] == mask.sum()
            assert annotation["iscrowd"] == 0
            assert names[annotation["category_id"]] == truth.classes[truth.class_id[number]]
            assert annotation["visible_fraction"] == pytest.approx(truth.visible_fraction[number], abs=1e-6)
            assert annotation["truncated"] == truth.truncated[number]
            row0, col0, row1, col1 = truth.boxes[number]
            np.testing.assert_allclose(
                annotation["amodal_bbox"], [col0 + 0.5, row0 + 0.5, col1 - col0, row1 - row0], atol=1e-3
            )
            corners = np.reshape(annotation["oriented_box"], (4, 2))
            np.testing.assert_allclose(corners, truth.oriented_boxes[number][:, ::-1] + 0.5, atol=1e-3)
            seen += 1
    assert seen == sum((truth.area > 0).sum() for truth in truth_of.values())


def test_run_lengths_of_random_maps() -> None:
    random = np.random.default_rng(5)
    for height, width, instances in ((7, 5, 3), (1, 9, 2), (40, 30, 50), (3, 3, 1)):
        ids = random.integers(0, instances + 1, (height, width))
        found = regions(ids)
        assert sorted(found) == [k for k in np.unique(ids).tolist() if k]
        for number, (counts, _, area) in found.items():
            mask = decoded({"counts": counts, "size": [height, width]})
            np.testing.assert_array_equal(mask, ids == number)
            assert area == mask.sum()
    assert regions(np.zeros((4, 4), dtype=int)) == {}


def test_long_run_lengths() -> None:
    counts = np.array([0, 2**40, 1, 2**33, 2**50, 5])
    value = shift = 0
    numbers: list[int] = []
    (text,) = packed(counts, np.array([0]))
    for letter in text:
        code = ord(letter) - 48
        value |= (code & 31) << shift
        shift += 5
        if not code & 32:
            numbers.append(value - (1 << shift) * (code >> 4 & 1) + (numbers[-2] if len(numbers) > 2 else 0))
            value = shift = 0
    assert numbers == counts.tolist()


def test_masks(recipe: ew.Scene, dataset: Path) -> None:
    for index, truth in truths(recipe):
        place = f"{split_of(index)}/{index:06d}"
        tiff = tifffile.imread(dataset / f"masks/{place}.tif")
        assert tiff.dtype == np.uint16
        np.testing.assert_array_equal(tiff, truth.ids)
        np.testing.assert_array_equal(picture(dataset / f"masks-png/{place}.png"), truth.ids)


def table(dataset: Path) -> list[dict[str, str]]:
    with (dataset / "truth.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_truth_table(recipe: ew.Scene, dataset: Path) -> None:
    rows = iter(table(dataset))
    for index, truth in truths(recipe):
        for number in range(len(truth.class_id)):
            row = next(rows)
            assert (int(row["frame"]), int(row["id"])) == (index, number + 1)
            assert (dataset / row["image"]).is_file()
            assert row["class"] == truth.classes[truth.class_id[number]]
            assert int(row["area"]) == truth.area[number]
            assert row["truncated"] == str(bool(truth.truncated[number]))
            box = [float(row[name]) for name in ("row0", "col0", "row1", "col1")]
            np.testing.assert_allclose(box, truth.boxes[number], atol=1e-4)
            corner = [float(row["corner2_row"]), float(row["corner2_col"])]
            np.testing.assert_allclose(corner, truth.oriented_boxes[number, 2], atol=1e-4)
            for name, values in truth.physical.items():
                if values.dtype.kind != "f":
                    assert row[name] == str(values[number])
                elif np.isnan(values[number]):
                    assert row[name] == ""
                else:
                    assert np.float32(float(row[name])) == np.float32(values[number])
    assert next(rows, None) is None


def test_parquet_holds_what_csv_holds(dataset: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow.parquet")
    columns = pyarrow.read_table(dataset / "truth.parquet").to_pydict()
    rows = table(dataset)
    assert list(columns) == list(rows[0])
    for name, values in columns.items():
        texts = ["" if value is None else str(value) for value in values]
        assert texts == [row[name] for row in rows]
    assert {type(value) for value in columns["truncated"]} == {bool}
    assert {type(value) for value in columns["id"]} == {int}


def test_an_image_without_objects_has_empty_labels(recipe: ew.Scene, tmp_path: Path) -> None:
    empty = ew.Scene(ew.Specimen((), medium=1.33), recipe.microscope, recipe.grid)
    generate(empty, tmp_path, n=2, format="yolo-obb,coco,masks,parquet")
    assert (tmp_path / "labels/train/000000.txt").read_text() == ""
    assert json.loads((tmp_path / "annotations/instances_val.json").read_text())["annotations"] == []
    assert len(table(tmp_path)) == 0


def test_hidden_objects_are_in_the_table_and_in_no_label(recipe: ew.Scene, tmp_path: Path) -> None:
    beads = ew.Particles(ew.Sphere(), [[2, 0, 0], [0, 0, 0], [0, 50, 0]], [[0.8], [0.4], [0.5]], [1.4] * 3, label="b")
    scene = ew.Scene(ew.Specimen((beads,), medium=1.33), recipe.microscope, recipe.grid)
    generate(scene, tmp_path, n=1, format="yolo-obb,coco")
    assert len(read_labels(tmp_path / "labels/train/000000.txt", 9)) == 1
    annotations = json.loads((tmp_path / "annotations/instances_train.json").read_text())["annotations"]
    assert [annotation["instance"] for annotation in annotations] == [1]
    assert [int(row["area"]) > 0 for row in table(tmp_path)] == [True, False, False]


class Counter:
    """A format of somebody else's: the number of objects, one text file per image and one for all."""

    dimensions = (2,)
    owns = ("counts", "total.txt")

    def frame(self, frame: Any) -> tuple[dict[str, bytes], Any]:
        count = len(frame.visible)
        return {f"counts/{frame.name}.txt": str(count).encode()}, count

    def finish(self, classes: Any, entries: Any) -> dict[str, list[bytes]]:
        return {"total.txt": [str(sum(entry.note for entry in entries())).encode()]}


def test_a_format_of_ones_own(recipe: ew.Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = type("Module", (), {"Counter": Counter})
    monkeypatch.setitem(__import__("sys").modules, "somebody", module)
    generate(recipe, tmp_path, n=2, seed=3, format="somebody:Counter")
    counts = [int(path.read_text()) for path in tmp_path.glob("counts/*.txt")]
    assert int((tmp_path / "total.txt").read_text()) == sum(counts)
    assert len(counts) == 2


def test_clipping_keeps_what_lies_inside() -> None:
    random = np.random.default_rng(2)
    for _ in range(50):
        angle = np.sort(random.uniform(0, 2 * np.pi, 7))
        middle = random.uniform(-3, 13, 2)
        polygon = middle + 4 * np.stack([np.cos(angle), np.sin(angle)], -1)
        inside = clip(polygon, (10, 12))
        points = random.uniform([-0.5, -0.5], [9.5, 11.5], (400, 2))
        expected = distance_outside(points, polygon) < 0
        if len(inside) < 3:
            assert expected.mean() < 0.01
            continue
        assert (inside >= -0.5).all()
        assert (inside <= [9.5, 11.5]).all()
        y, x = inside.T
        area = abs((y * np.roll(x, -1) - x * np.roll(y, -1)).sum()) / 2
        assert area == pytest.approx(120 * expected.mean(), abs=120 * 0.1)


def test_tight_rectangle_is_the_smallest() -> None:
    random = np.random.default_rng(3)
    for _ in range(20):
        angle = np.sort(random.uniform(0, 2 * np.pi, 6))
        polygon = np.stack([3 * np.cos(angle), np.sin(angle)], -1)
        corners = tight_rectangle(polygon)
        assert distance_outside(polygon, corners).max() < 1e-9
        area = np.prod(np.linalg.norm(corners[1:3] - corners[:2], axis=1))
        turns = np.linspace(0, np.pi / 2, 2000)
        areas = [
            np.prod(np.ptp(polygon @ np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]), axis=0))
            for t in turns
        ]
        assert area <= min(areas) + 1e-9
        assert area == pytest.approx(min(areas), rel=0.01)
