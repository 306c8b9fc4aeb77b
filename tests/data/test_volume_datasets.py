"""Datasets of volumes: files read back by readers of their own, and compared with the geometry of the scene."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from data.datasets import assert_same, contents, picture
from torch.utils.data import DataLoader

import exitwave as ew
from exitwave.annotate import VolumeTruth, annotate
from exitwave.data import Run, Stream, collate, generate
from exitwave.data.frame import split_of
from exitwave.data.overlay import colour_of
from exitwave.data.volumes import read_volume
from exitwave.specimen.meshes.files import load_mesh
from exitwave.specimen.meshes.solids import icosphere

VOXEL = (0.4, 0.25, 0.2)
SHAPE = (12, 24, 32)


def cells() -> ew.Scene:
    """Return a recipe of two cells, a nucleus in one of them and two bright points, in noise."""
    left, right, inner = (
        icosphere(1.6, (0, 0, -1.7), 2),
        icosphere(1.4, (0, 0.4, 1.5), 2),
        icosphere(0.8, (0, 0, -1.7), 2),
    )
    count = len(left.vertices)
    walls = ew.Mesh(
        torch.cat([left.vertices, right.vertices]),
        torch.cat([left.faces, right.faces + count]),
        regions=torch.tensor([[1, 0], [2, 0]]).repeat_interleave(len(left.faces), 0),
        density=torch.full((2 * len(left.faces),), 300.0),
    )
    nucleus = ew.Mesh(inner.vertices, inner.faces, fill_density=torch.tensor([200.0]), label="nucleus")
    points = ew.Points([[1.0, 2.0, 0.0], [9.0, 0, 0]], [500.0, 500.0])
    microscope = ew.widefield(
        ew.GaussianPSF(sigma=(0.4, 0.2, 0.2)),
        interaction=ew.Emission(background=ew.Uniform(1.0, 5.0), rtol=1e-3),
        sensor=ew.Camera(dose=1.0, gain=2.0, offset=100.0, bits=12),
    )
    return ew.Scene(ew.Specimen((walls, nucleus, points)), microscope, ew.Grid(SHAPE, VOXEL))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return generate(cells(), tmp_path_factory.mktemp("volumes") / "out", n=3, seed=5)


def truth(index: int) -> VolumeTruth:
    return annotate(ew.sample(cells(), ew.Key(5, index)))


def test_the_usual_formats_are_those_of_volumes(made: Run) -> None:
    assert made.formats == ("masks", "membranes", "meshes")
    assert made.written == 3


def test_images_are_those_of_render_with_their_voxels(made: Run) -> None:
    for index in range(3):
        key = ew.Key(5, index)
        expected = ew.render(ew.sample(cells(), key), key.generator("noise"))
        path = made.folder / f"images/{split_of(index)}/{index:06d}.ome.tif"
        volume = read_volume(path)
        assert volume.voxel == pytest.approx(VOXEL)
        assert volume.data.shape == SHAPE
        np.testing.assert_array_equal(volume.data, expected.numpy())
        with tifffile.TiffFile(path) as file:
            assert file.series[0].axes == "ZYX"
            assert file.series[0].dtype == np.uint16


def test_masks_of_every_class_are_those_of_the_truth(made: Run) -> None:
    for name, values in (("cell", {0, 1, 2}), ("nucleus", {0, 3}), ("point", {0, 4})):
        labels = tifffile.imread(made.folder / f"masks/{name}/train/000000.ome.tif")
        assert labels.dtype == np.uint16
        assert set(np.unique(labels)) == values
        np.testing.assert_array_equal(labels, truth(0).labels[name])


def test_membranes_are_masks(made: Run) -> None:
    walls = tifffile.imread(made.folder / "membranes/val/000001.ome.tif")
    assert set(np.unique(walls)) == {0, 255}
    np.testing.assert_array_equal(walls > 0, truth(1).membranes)


def test_meshes_tell_the_regions_by_the_ids_of_the_table(made: Run) -> None:
    walls = load_mesh(made.folder / "meshes/cell/train/000000.ply")
    assert walls.regions.unique().tolist() == [0, 1, 2]
    assert torch.equal(walls.vertices, ew.get(cells(), "specimen.parts.0.vertices"))
    nucleus = load_mesh(made.folder / "meshes/nucleus/train/000000.ply")
    assert nucleus.regions.unique().tolist() == [0, 3]
    assert not (made.folder / "meshes/point").exists()


def test_the_table_has_a_row_for_every_object(made: Run) -> None:
    rows = list(csv.DictReader((made.folder / "truth.csv").read_text().splitlines()))
    assert [row["class"] for row in rows[:5]] == ["cell", "cell", "nucleus", "point", "point"]
    assert [row["id"] for row in rows[:5]] == ["1", "2", "3", "4", "5"]
    assert len(rows) == 15
    known = truth(0)
    for row, number in zip(rows[:5], range(5), strict=True):
        assert float(row["center_x"]) == pytest.approx(known.center[number, 2], abs=1e-5)
        assert int(row["voxels"]) == known.voxels[number]
        assert float(row["x1"]) == pytest.approx(known.boxes[number, 5], abs=1e-3)
    assert float(rows[0]["volume"]) == pytest.approx(known.volume[0], rel=1e-5)
    assert rows[3]["volume"] == ""
    assert float(rows[3]["emission"]) == 500.0


def test_parquet_has_the_same_columns(made: Run, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    generate(cells(), tmp_path, n=1, seed=5, format="parquet")
    table = parquet.read_table(tmp_path / "truth.parquet")
    header = (made.folder / "truth.csv").read_text().partition("\n")[0]
    assert table.column_names == header.split(",")


def test_the_sheet_shows_the_volumes_with_their_outlines(made: Run) -> None:
    sheet = picture(made.sheet)
    for number in range(3):
        near = np.abs(sheet.astype(int) - colour_of(number)).max(-1) < 40
        assert near[46:].any()


def test_an_interrupted_run_is_continued_to_the_same_bytes(made: Run, tmp_path: Path) -> None:
    generate(cells(), tmp_path, n=1, seed=5)
    path = tmp_path / "masks/cell/train/000000.ome.tif"
    path.write_bytes(path.read_bytes()[:-1])
    done = generate(cells(), tmp_path, n=3, seed=5)
    assert (done.written, done.reused) == (3, 0)
    assert_same(tmp_path, made.folder)
    assert generate(cells(), tmp_path, n=3, seed=5).reused == 3


def test_the_manifest_lists_every_file(made: Run) -> None:
    manifest = json.loads((made.folder / "manifest.json").read_text())
    assert manifest["files"].keys() | {"manifest.json"} == contents(made.folder).keys()
    assert manifest["formats"] == ["masks", "membranes", "meshes"]


def test_images_of_light_that_is_not_counted_are_floats(tmp_path: Path) -> None:
    scene = ew.substitute(cells(), {"microscope.sensor": ew.Ideal()})
    generate(scene, tmp_path, n=1, format="masks")
    assert tifffile.imread(tmp_path / "images/train/000000.ome.tif").dtype == np.float32


def test_streams_give_what_the_dataset_holds(made: Run) -> None:
    for frame in Stream(cells(), seed=5, length=2):
        index = frame["index"]
        stored = tifffile.imread(made.folder / f"images/{split_of(index)}/{index:06d}.ome.tif")
        np.testing.assert_array_equal(frame["image"][0].numpy(), stored)
        assert frame["image"].shape == (1, *SHAPE)
        assert set(frame["labels"]) == {"cell", "nucleus", "point"}
        np.testing.assert_array_equal(frame["labels"]["nucleus"].numpy(), truth(index).labels["nucleus"])
        assert torch.equal(frame["membranes"], torch.from_numpy(truth(index).membranes))
        assert frame["id"].tolist() == [1, 2, 3, 4]  # the second point lies outside
        assert frame["boxes"].shape == (4, 6)
        assert frame["centers"].shape == (4, 3)


def test_batches_of_volumes() -> None:
    batches = list(DataLoader(Stream(cells(), length=3), batch_size=2, collate_fn=collate))
    assert [batch["image"].shape[0] for batch in batches] == [2, 1]
    assert batches[0]["labels"]["cell"].shape == (2, *SHAPE)
    assert batches[0]["membranes"].shape == (2, *SHAPE)
    assert len(batches[0]["boxes"]) == 2


@pytest.mark.parametrize("format", ["yolo-obb", "yolo", "coco", "masks-png", "masks,coco"])
def test_formats_of_images_are_refused(tmp_path: Path, format: str) -> None:
    name = format.rpartition(",")[2]
    message = f"expected formats of volumes, got '{name}', which labels images; use masks, membranes, meshes, parquet"
    with pytest.raises(ValueError, match=message):
        generate(cells(), tmp_path / "out", n=1, format=format)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("format", ["membranes", "meshes"])
def test_formats_of_volumes_are_refused_for_images(recipe: ew.Scene, tmp_path: Path, format: str) -> None:
    with pytest.raises(
        ValueError, match=f"expected formats of images, got '{format}', which labels volumes; use classes, "
    ):
        generate(recipe, tmp_path / "out", n=1, format=format)


def test_labels_that_cannot_name_a_folder_are_refused(tmp_path: Path) -> None:
    scene = ew.substitute(cells(), {"specimen.parts.0.label": "../cell"})
    with pytest.raises(ValueError, match=r"frame 0: expected a label that can name a folder, got '\.\./cell'; use"):
        generate(scene, tmp_path / "out", n=1)
