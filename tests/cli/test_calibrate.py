"""`exitwave calibrate`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from cli.commands import done, refused, run
from PIL import Image

import exitwave as ew
from exitwave.data import recipe
from exitwave.toml import dump

GAIN = "microscope.sensor.gain"


def _scene(gain: float) -> ew.Scene:
    spheres = ew.Population(
        ew.Sphere(), ew.Scattered(), count=4, size=(ew.Uniform(0.05, 0.08),), secondary=3.0, label="sphere"
    )
    sensor = ew.ScanSensor(gain=ew.Uniform(gain - 2, gain + 2), offset=5.0)
    microscope = ew.substitute(ew.sem(), {"sensor": sensor})
    return ew.Scene(ew.Specimen((spheres,)), microscope, ew.Grid((64, 64), 0.015))


@pytest.fixture(autouse=True)
def _files(_here: None) -> None:
    Path("spheres.toml").write_text(dump(_scene(24.0)), encoding="utf-8")
    Path("real").mkdir()
    for index in range(6):
        key = ew.Key(5, index)
        image = ew.render(ew.sample(_scene(32.0), key), key.generator("noise")).numpy()
        if index % 2:
            Image.fromarray(image.astype(np.uint8)).save(f"real/{index}.png")
        else:
            tifffile.imwrite(f"real/{index}.tif", image.astype(np.uint8))


def test_a_recipe_is_calibrated_to_a_folder() -> None:
    told = done("calibrate", "spheres.toml", "real", "--out", "new", "--free", GAIN, "-n", "4", "--rounds", "2")
    found = recipe(Path("new/spheres.toml"))
    middle = (float(ew.get(found, f"{GAIN}.low")) + float(ew.get(found, f"{GAIN}.high"))) / 2
    assert middle == pytest.approx(32.0, rel=0.06)
    for word in ("6 images", f"{GAIN}.low", "intensity", "spectrum", "edges", "texture", "before", "after"):
        assert word in told
    with Image.open("new/sheet.png") as sheet:
        assert min(sheet.size) >= 3 * 64  # three rows of pieces
    assert "calibrated to 6 images in real" in Path("new/spheres.toml").read_text(encoding="utf-8").splitlines()[0]


def test_counts_of_16_bits_are_scaled_to_the_sensors() -> None:
    for file in Path("real").iterdir():
        image = tifffile.imread(file) if file.suffix == ".tif" else np.asarray(Image.open(file))
        file.unlink()
        tifffile.imwrite(file.with_suffix(".tif"), image.astype(np.uint16) * 257)
    words = ("calibrate", "spheres.toml", "real", "--out", "new", "--free", GAIN, "-n", "4", "--rounds", "1")
    assert "counts up to 65535 scaled to the recipe's 255" in done(*words)
    found = recipe(Path("new/spheres.toml"))
    assert float(ew.get(found, f"{GAIN}.high")) > 30.0


def test_a_data_bar_is_found_and_may_be_cropped() -> None:
    noisy = np.random.default_rng(3).normal(60, 6, (100, 64)).round()
    noisy[70:98] = 0
    noisy[80:90, 10:20] = 255
    Path("bars").mkdir()
    for number in range(2):
        tifffile.imwrite(f"bars/{number}.tif", np.roll(noisy, number, axis=1).astype(np.uint8))
    words = ("calibrate", "spheres.toml", "bars", "--out", "new", "--free", GAIN, "-n", "2", "--rounds", "1")
    assert "data bar from row 70 to 97; cut it off with --crop 0,0,70,64" in refused(*words)
    assert not Path("new").exists()
    done(*words, "--crop", "0,0,70,64")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("spheres.toml", "nowhere"), "expected a folder of images, got 'nowhere'"),
        (("spheres.toml", "empty"), "expected TIFF or PNG images in empty, got none"),
        (("spheres.toml", "real", "--free", "microscope.sensor.gains"), "did you mean 'gain'?"),
        (("spheres.toml", "real", "--crop", "0,0,70,64"), "--crop must lie in the image"),
        (("spheres.toml", "real", "--crop", "0,0,20,20"), "32 x 32 pixels or more, got 20 x 20"),
        (("bead.toml", "real"), "expected a recipe of scanned electrons"),
        (("spheres.toml", "flat"), "got 7 in every pixel"),
        (("spheres.toml", "broken"), "got NaN or infinity"),
    ],
)
def test_what_cannot_be_calibrated_is_told(words: tuple[str, ...], message: str) -> None:
    for name in ("empty", "flat", "broken"):
        Path(name).mkdir()
    tifffile.imwrite("flat/a.tif", np.full((64, 64), 7, np.uint8))
    tifffile.imwrite("broken/a.tif", np.full((64, 64), np.nan, np.float32))
    assert message in refused("calibrate", *words, "--out", "new")
    assert not Path("new").exists()


def test_a_crop_that_is_no_crop_is_wrong_usage() -> None:
    assert run("calibrate", "spheres.toml", "real", "--out", "new", "--crop", "1,2").exit_code == 2
