"""Three-class masks and nnU-Net's raw dataset on disk, read as nnU-Net reads them."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import tifffile
from data.datasets import assert_same, beads_and_rods, contents, picture
from typer.testing import CliRunner

import exitwave as ew
from exitwave.annotate import annotate
from exitwave.annotate.classes import three_classes
from exitwave.cli import app
from exitwave.data import Frame, generate
from exitwave.data.frame import split_of
from exitwave.data.writers import Entry
from exitwave.data.writers.classes import Writer as Classes
from exitwave.data.writers.nnunet import FOLDER, Writer

FORMATS = "classes,nnunet"
SMALL = ["grid.shape=[96, 128]", *(f"specimen.parts.{part}.count={count}" for part, count in enumerate((6, 8, 3)))]


def command(recipe: str, out: Path, n: int, *assignments: str) -> Any:
    given = [word for assignment in assignments for word in ("--set", assignment)]
    return CliRunner().invoke(app, ["generate", recipe, str(out), "-n", str(n), "--format", FORMATS, *given])


@pytest.fixture(scope="module")
def colloids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a dataset of seven small images of colloids, frames 1 and 6 of which are for validation."""
    out = tmp_path_factory.mktemp("colloids") / "out"
    done = command("colloids", out, 7, *SMALL)
    assert done.exit_code == 0, done.output
    return out


def cases(folder: Path, ending: str) -> dict[str, list[Path]]:
    """Return the files of every case by its name, as nnU-Net finds them: what comes before _0000 is the name."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        match = re.fullmatch(rf"(.+)_\d{{4}}{re.escape(ending)}", path.name)
        assert match, path
        found.setdefault(match[1], []).append(path)
    return found


def areas(mask: np.ndarray) -> int:
    """Return the number of separate areas in a mask."""
    labels = np.empty(mask.shape, dtype=np.int32)
    scipy.ndimage.label(mask, output=labels)
    return int(labels.max())


def test_class_masks_are_those_of_the_masks(colloids: Path) -> None:
    names = {f"{split_of(index)}/{index:06d}.png" for index in range(7)}
    assert {str(path.relative_to(colloids / "classes")) for path in colloids.glob("classes/*/*")} == names
    touching = 0
    for name in names:
        mask = picture(colloids / "classes" / name)
        assert mask.dtype == np.uint8
        assert mask.shape == picture(colloids / "images" / name).shape
        assert set(np.unique(mask).tolist()) == {0, 1, 2}
        # Some beads touch: the insides of more particles than there are separate areas can be told apart.
        touching += areas(mask == 1) > areas(mask > 0)
    assert touching > 2


def test_masks_are_the_classes_of_the_truth(recipe: ew.Scene, tmp_path: Path) -> None:
    generate(recipe, tmp_path, n=3, seed=3, format="classes,nnunet,masks-png")
    for index in range(3):
        name, tail = f"{split_of(index)}/{index:06d}.png", "Ts" if index == 1 else "Tr"
        truth = annotate(ew.sample(recipe, ew.Key(3, index)))
        np.testing.assert_array_equal(picture(tmp_path / "classes" / name), three_classes(truth.ids))
        mask = picture(tmp_path / FOLDER / f"labels{tail}" / f"{index:06d}.png")
        np.testing.assert_array_equal(mask, three_classes(picture(tmp_path / "masks-png" / name)))


def test_layout_of_the_raw_dataset(colloids: Path) -> None:
    root = colloids / FOLDER
    assert re.fullmatch(r"Dataset\d{3}_\w+", root.name)
    data = json.loads((root / "dataset.json").read_text())
    assert data["channel_names"] == {"0": "intensity"}
    assert data["labels"] == {"background": 0, "particle": 1, "contour": 2}
    assert data["numTraining"] == 5
    assert data["file_ending"] == ".png"
    assert data["overwrite_image_reader_writer"] == "NaturalImage2DIO"
    assert sorted(path.name for path in root.iterdir()) == [
        "dataset.json", "imagesTr", "imagesTs", "labelsTr", "labelsTs"
    ]  # fmt: skip
    for tail, split in (("Tr", "train"), ("Ts", "val")):
        found = cases(root / f"images{tail}", ".png")
        assert list(found) == [f"{index:06d}" for index in range(7) if split_of(index) == split]
        assert {f"{name}.png" for name in found} == {path.name for path in (root / f"labels{tail}").iterdir()}
        for name, files in found.items():
            assert [path.name for path in files] == [f"{name}_0000.png"]
            assert files[0].read_bytes() == (colloids / f"images/{split}/{name}.png").read_bytes()
            mask = (root / f"labels{tail}" / f"{name}.png").read_bytes()
            assert mask == (colloids / f"classes/{split}/{name}.png").read_bytes()


def test_every_file_is_in_the_manifest(colloids: Path) -> None:
    files = json.loads((colloids / "manifest.json").read_text())["files"]
    assert set(contents(colloids)) == {*files, "manifest.json"}


def test_colours_are_channels(tmp_path: Path) -> None:
    generate(beads_and_rods(colours=3), tmp_path, n=2, format="nnunet")
    data = json.loads((tmp_path / FOLDER / "dataset.json").read_text())
    assert data["channel_names"] == {"0": "red", "1": "green", "2": "blue"}
    image = picture(tmp_path / "images/train/000000.png")
    files = cases(tmp_path / FOLDER / "imagesTr", ".png")["000000"]
    np.testing.assert_array_equal(np.stack([picture(path) for path in files], -1), image)


def test_images_deeper_than_a_byte_are_tiff(tmp_path: Path) -> None:
    generate(beads_and_rods(bits=12), tmp_path, n=1, format=FORMATS)
    root = tmp_path / FOLDER
    data = json.loads((root / "dataset.json").read_text())
    assert (data["file_ending"], data["numTraining"]) == (".tif", 1)
    assert not (root / "imagesTs").exists()
    image = tifffile.imread(root / "imagesTr/000000_0000.tif")
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image, picture(tmp_path / "images/train/000000.png"))
    mask = tifffile.imread(root / "labelsTr/000000.tif")
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, picture(tmp_path / "classes/train/000000.png"))


def test_an_image_without_particles_is_background(recipe: ew.Scene, tmp_path: Path) -> None:
    generate(ew.Scene(ew.Specimen(()), recipe.microscope, recipe.grid), tmp_path, n=1, format=FORMATS)
    assert not picture(tmp_path / FOLDER / "labelsTr/000000.png").any()


def test_a_run_that_was_cut_is_resumed_to_the_same_bytes(colloids: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(colloids, out)
    (out / FOLDER / "dataset.json").write_text("{")
    (out / FOLDER / "imagesTr/000003_0000.png").unlink()
    (out / FOLDER / "labelsTs/000001.png").write_bytes(b"half")
    (out / "classes/train/000004.png").unlink()
    (out / "manifest.json").unlink()
    done = command("colloids", out, 7, *SMALL)
    assert "; 4 were there" in done.output
    assert_same(out, colloids)


def test_a_longer_run_has_the_files_of_a_whole_one(colloids: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command("colloids", out, 2, *SMALL)
    assert json.loads((out / FOLDER / "dataset.json").read_text())["numTraining"] == 1
    command("colloids", out, 7, *SMALL)
    assert_same(out, colloids)


def test_two_workers_write_the_same_bytes(tmp_path: Path) -> None:
    for workers in (1, 2):
        generate(beads_and_rods(), tmp_path / str(workers), n=4, format=FORMATS, workers=workers)
    assert_same(tmp_path / "1", tmp_path / "2")


def test_volumes_are_refused(tmp_path: Path) -> None:
    done = command("nuclei", tmp_path / "out", 1)
    assert done.exit_code != 0
    (line,) = done.output.splitlines()
    assert line.startswith("error: expected formats of volumes, got 'classes', which labels images; use masks, ")
    with pytest.raises(ValueError, match="expected formats of volumes, got 'nnunet', which labels images; use masks"):
        generate("nuclei", tmp_path / "out", n=1, format="nnunet")
    assert not (tmp_path / "out").exists()


def wide() -> Writer:
    """Return a format of one's own: contours of four pixels."""
    return Writer(width=4.0)


def test_contours_of_another_width(recipe: ew.Scene, tmp_path: Path) -> None:
    generate(recipe, tmp_path, n=1, seed=3, format="data.test_nnunet:wide")
    truth = annotate(ew.sample(recipe, ew.Key(3, 0)))
    np.testing.assert_array_equal(picture(tmp_path / FOLDER / "labelsTr/000000.png"), three_classes(truth.ids, 4.0))
    assert Classes(width=4.0).width == 4.0


def test_images_of_several_kinds_are_refused(recipe: ew.Scene) -> None:
    truth = annotate(ew.sample(recipe, ew.Key(3, 0)))
    frame = Frame(0, np.zeros(truth.shape, dtype=np.uint8), truth, ("bead", "rod"), "images/train/000000.png")
    deeper = replace(frame, index=2, image=np.zeros((*truth.shape, 3), dtype=np.uint16))
    notes = [Writer().frame(each)[1] for each in (frame, deeper)]
    entries = [Entry(2 * number, "train", "", truth.shape, note) for number, note in enumerate(notes)]
    message = (
        "expected images of one kind for nnU-Net, 1 channel in .png as the first, got frame 2 with 3 channels in .tif"
    )
    with pytest.raises(ValueError, match=message):
        Writer().finish(("bead", "rod"), lambda: iter(entries))
