"""`exitwave render`, and `exitwave generate`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from cli.commands import done, refused
from PIL import Image

import exitwave as ew
from exitwave.data import recipe


def test_render_is_the_image_that_generate_writes() -> None:
    done("render", "tiny.toml", "--seed", "3", "--index", "1", "--out", "one.png")
    done("generate", "tiny.toml", "set", "-n", "2", "--seed", "3")
    assert Path("one.png").read_bytes() == Path("set/images/val/000001.png").read_bytes()


def test_render_writes_the_numbers_that_the_suffix_promises() -> None:
    assert "48 x 64 pixels of 0.1 um" in done("render", "tiny.toml")
    counts = np.asarray(Image.open("tiny.png"))
    done("render", "tiny.toml", "--out", "tiny.tif")
    done("render", "tiny.toml", "--out", "deep/tiny.npy")
    assert counts.dtype == tifffile.imread("tiny.tif").dtype == np.uint8
    assert (tifffile.imread("tiny.tif") == counts).all()
    assert (np.load("deep/tiny.npy") == counts).all()
    done("render", "bead.toml", "--out", "phase.png")
    phase = np.asarray(Image.open("phase.png"))
    assert (phase.min(), phase.max()) == (0, 255)  # what is not counted is stretched


def test_clean_is_the_expectation() -> None:
    done("render", "tiny.toml", "--clean", "--out", "clean.tif")
    clean = tifffile.imread("clean.tif")
    expected = ew.render(ew.sample(recipe(Path("tiny.toml")), ew.Key(0, 0)))
    assert clean.dtype == np.float32
    np.testing.assert_array_equal(clean, expected.numpy())


def test_generate_tells_where_time_went_and_results_are() -> None:
    told = done("generate", "tiny.toml", "out", "-n", "2", "--format", "yolo-obb,coco", "--set", "grid.shape=[40, 40]")
    for word in ("render", "annotate", "share", "2 images in"):
        assert word in told
    for line in told.splitlines():
        if " out/" in line:
            assert Path(line.split()[-1]).exists()
    for path in ("out/images", "out/labels", "out/annotations", "out/truth.csv", "out/sheet.png", "out/manifest.json"):
        assert f" {path}\n" in told
    assert "0 images in" in done(
        "generate", "tiny.toml", "out", "-n", "2", "--format", "yolo-obb,coco", "--set", "grid.shape=[40, 40]"
    )


def test_generate_leaves_another_run_alone() -> None:
    done("generate", "tiny.toml", "out", "-n", "1")
    before = {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
    assert "its seed is 0, got 1" in refused("generate", "tiny.toml", "out", "-n", "1", "--seed", "1")
    other = ("--set", "microscope.optics.na=0.4")
    assert "holds another run" in refused("generate", "tiny.toml", "out", "-n", "1", *other)
    assert "expected an empty or new folder" in refused("generate", "tiny.toml", ".", "-n", "1")
    assert {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()} == before
