"""`exitwave fit`: what it recovers, from which files, and what it writes."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from cli.commands import BEAD, TINY, done, refused, run
from PIL import Image

import exitwave as ew
from exitwave.cli.unknowns import Wishes, prior_of, unknowns_of
from exitwave.data import recipe
from exitwave.data.volumes import write_volume

SIZE, INDEX, OFFSET = "specimen.parts.0.size", "specimen.parts.0.index", "microscope.sensor.offset"
IDEAL = BEAD.replace('"Interferometer", noise = "10 mrad"', '"Ideal"').replace("[64, 64]", "[48, 48]")


def fitted(folder: str) -> dict[str, float]:
    rows = csv.DictReader(Path(folder, "parameters.csv").read_text().splitlines())
    return {row["parameter"]: float(row["fitted"]) for row in rows}


@pytest.fixture
def hologram() -> np.ndarray:
    """Return the image of a bead out of focus, whose recipe has another radius."""
    Path("ideal.toml").write_text(IDEAL.replace('{ type = "Objective" }', '{ type = "Objective", defocus = "3 um" }'))
    done("render", "ideal.toml", "--set", "specimen.parts.0.size=[[1.1]]", "--out", "image.npy")
    return np.load("image.npy")


def test_fit_recovers_radius_and_index_and_its_files_read_back() -> None:
    done("render", "bead.toml", "--out", "image.tif", "--set", "microscope.sensor.offset=0.2")
    told = done(
        "fit", "bead.toml", "image.tif", "--free", f"{SIZE}=0.5 um..2 um,{INDEX}",
        "--free", OFFSET, "--set", "specimen.parts.0.size=[[1.2]]",
        "--set", "specimen.parts.0.index=[1.345]", "--out", "result", "--movie", "steps.gif", "--checkpoint", "state",
    )  # fmt: skip
    assert "standard error" in told
    assert "converged" in told
    rows = list(csv.DictReader(Path("result/parameters.csv").read_text().splitlines()))
    assert [(row["parameter"], row["unit"]) for row in rows] == [
        ("specimen.parts.0.size[0, 0]", "um"), ("specimen.parts.0.index[0]", "1"), ("microscope.sensor.offset", "rad"),
    ]  # fmt: skip
    for row, truth, start in zip(rows, (1.0, 1.36, 0.2), (1.2, 1.345, 0.0), strict=True):
        assert abs(float(row["fitted"]) - truth) < 4 * float(row["standard_error"]) < 0.02
        assert float(row["start"]) == pytest.approx(start)
    scene = recipe(Path("result/fitted.toml"))
    assert float(scene.specimen.parts[0].size) == float(rows[0]["fitted"])
    with Image.open("result/fit.png") as picture:
        assert min(picture.size) > 400
    with Image.open("steps.gif") as movie:
        movie.seek(2)  # an error where there are fewer frames
    assert Path("state").exists()


def test_binning_averages_and_enlarges_the_pixel() -> None:
    done("render", "bead.toml", "--clean", "--out", "image.tif", "--set", "grid.shape=[65, 66]")
    done("fit", "bead.toml", "image.tif", "--free", OFFSET, "--bin", "2", "--set", "grid.pixel=0.1")
    scene = recipe(Path("image-fit/fitted.toml"))
    assert scene.grid.shape == (32, 33)
    assert scene.grid.spacing == (0.2, 0.2)


def test_a_cut_out_is_fitted_where_it_lies() -> None:
    """The bead is in the middle of the image, 24 pixels down in it; in the cut-out, 6 rows lower than its middle."""
    done("render", "bead.toml", "--clean", "--out", "image.tif", "--set", "grid.shape=[80, 64]")
    done(
        "fit", "bead.toml", "image.tif", "--free", "specimen.parts.0.center.0.1", "--crop", "10,8,48,48",
        "--set", "specimen.parts.0.center=[[0, 0.4, 0]]",
    )  # fmt: skip
    assert fitted("image-fit")["specimen.parts.0.center.0.1"] == pytest.approx(0.6, abs=1e-4)


@pytest.mark.parametrize("normalise", ["median", "background.tif"])
def test_counts_of_any_camera_become_irradiance(hologram: np.ndarray, normalise: str) -> None:
    """A lamp that is brighter on one side is divided out by its own image; a median takes an even one."""
    lamp = np.full((48, 48), 1000.0)
    lamp += np.arange(48) * 10 if normalise.endswith("tif") else 0
    tifffile.imwrite("counts.tif", (hologram * lamp).astype(np.float32))
    tifffile.imwrite("background.tif", lamp.astype(np.float32))
    # Nothing but the edges of the field tell of the lamp that a median divides by.
    wide = 0.02 if normalise == "median" else 1e-4
    done("fit", "ideal.toml", "counts.tif", "--free", SIZE, "--normalise", normalise)
    assert fitted("counts-fit")["specimen.parts.0.size[0, 0]"] == pytest.approx(1.1, abs=wide)


def test_normalised_images_have_the_level_of_the_recipes_camera() -> None:
    """A camera of four times the counts, and a recipe's that knows only its own."""
    camera = IDEAL.replace('"Ideal"', '"Camera", bits = 12, dose = 10000, gain = 0.1')
    Path("camera.toml").write_text(camera.replace('{ type = "Objective" }', '{ type = "Objective", defocus = "3 um" }'))
    done("render", "camera.toml", "--out", "image.tif", "--set", "microscope.sensor.gain=0.3")
    done("fit", "camera.toml", "image.tif", "--free", f"{SIZE},microscope.sensor.gain", "--normalise", "median")
    found = fitted("image-fit")
    assert found["specimen.parts.0.size[0, 0]"] == pytest.approx(1.0, abs=0.02)
    assert found["microscope.sensor.gain"] == pytest.approx(0.1, rel=0.02)


def test_spoilt_pixels_are_left_out_and_counted(hologram: np.ndarray) -> None:
    """Scratches in a mask, NaN, and the white end of a counting type."""
    counts = np.round(hologram * 10_000)
    counts[:3] = 65535
    tifffile.imwrite("counts.tif", counts.astype(np.uint16))
    mask = np.zeros((48, 48), np.uint8)
    mask[10:12] = 255
    counts[10:12] = 0
    tifffile.imwrite("spoilt.tif", counts.astype(np.uint16))
    Image.fromarray(mask).save("mask.png")
    told = done("fit", "ideal.toml", "spoilt.tif", "--free", SIZE, "--normalise", "median", "--mask", "mask.png")
    assert "240 of 2,304 pixels" in told
    assert fitted("spoilt-fit")["specimen.parts.0.size[0, 0]"] == pytest.approx(1.1, abs=0.02)
    hologram[20, 20] = np.nan
    tifffile.imwrite("holes.tif", hologram)
    assert "1 of 2,304 pixels" in done("fit", "ideal.toml", "holes.tif", "--free", SIZE)
    assert fitted("holes-fit")["specimen.parts.0.size[0, 0]"] == pytest.approx(1.1, abs=1e-4)


def test_a_stack_is_a_focus_series_about_the_recipes_focus(hologram: np.ndarray) -> None:
    planes = []
    for defocus in (2.0, 3.0, 4.0):
        done("render", "ideal.toml", "--set", f"microscope.optics.defocus={defocus}", "--out", "plane.npy")
        planes.append(np.load("plane.npy"))
    tifffile.imwrite("stack.tif", np.stack(planes), photometric="minisblack")
    told = done(
        "fit", "ideal.toml", "stack.tif", "--step", "1 um", "--free", "microscope.optics.defocus",
        "--set", "microscope.optics.defocus='2.7 um'",
    )  # fmt: skip
    assert "3 planes 1 um apart" in told
    assert fitted("stack-fit")["microscope.optics.defocus"] == pytest.approx(2.0, abs=1e-4)
    assert float(ew.get(recipe(Path("stack-fit/fitted.toml")), "microscope.optics.defocus")) == pytest.approx(
        3.0, abs=1e-4
    )
    for plane, image in enumerate(planes):
        tifffile.imwrite(f"{plane}.tif", image)
    done("fit", "ideal.toml", "0.tif", "1.tif", "2.tif", "--step", "1 um", "--free", SIZE, "--out", "apart")
    assert fitted("apart")["specimen.parts.0.size[0, 0]"] == pytest.approx(1.0, abs=1e-4)


def test_hdf5_tells_its_image_pixel_light_and_medium(hologram: np.ndarray) -> None:
    with h5py.File("image.h5", "w") as file:
        held = file.create_dataset("group/data", data=hologram[None])
        held.attrs.update({"medium_index": "1.40\n...\n", "illum_wavelen": "5.5e-07\n...\n", "pixel size": 1.2e-7})
        file["x"] = np.arange(48) * 0.12
    told = done("fit", "ideal.toml", "image.h5:/group/data", "--free", SIZE, "--out", "one")
    assert "pixel 0.12 um, from the file; the recipe says 0.1 um: --set grid.pixel=0.1 keeps it" in told
    assert "the file says medium 1.4, the recipe 1.33" in told
    assert "wavelength" not in told
    assert recipe(Path("one/fitted.toml")).grid.spacing == (0.12, 0.12)
    told = done("fit", "ideal.toml", "image.h5", "--free", SIZE, "--set", "grid.pixel='100 nm'", "--out", "two")
    assert "pixel 0.1 um, from --set: the file says 0.12 um" in told
    assert fitted("two")["specimen.parts.0.size[0, 0]"] == pytest.approx(1.1, abs=1e-4)


def test_particles_are_found_before_they_are_fitted() -> None:
    """Nothing of the recipe's centre is right, and its radius by a quarter."""
    Path("found.toml").write_text(BEAD.replace("[[0, 0, 0]]", "[[0, 1.1, -0.8]]"))
    done("render", "found.toml", "--out", "image.tif")
    told = done(
        "fit", "bead.toml", "image.tif", "--init", "detect", "--count", "1",
        "--free", f"{SIZE},specimen.parts.0.center",
        "--set", "specimen.parts.0.size=[[1.25]]", "--set", "specimen.parts.0.index=[1.36]",
        "--prior", "specimen.parts.0.center=Normal(0 nm, 2 um)",
    )  # fmt: skip
    assert "1 particle found" in told
    found = fitted("image-fit")
    assert found["specimen.parts.0.center[0, 1]"] == pytest.approx(1.1, abs=0.01)
    assert found["specimen.parts.0.size[0, 0]"] == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    "words",
    [
        ("--curriculum", "coarse-to-fine", "--blur", "800 nm"),
        ("--curriculum", "optics-then-particles"),
        ("--curriculum", "multi-start", "--starts", "3", "--scale", "specimen.parts.0.center.0.1=600 nm"),
        ("--loss", "huber"),
    ],
)
def test_every_curriculum_ends_at_the_truth(words: tuple[str, ...]) -> None:
    done("render", "bead.toml", "--clean", "--out", "image.tif", "--set", "grid.shape=[48, 48]")
    done(
        "fit", "bead.toml", "image.tif", "--free", f"{OFFSET},specimen.parts.0.center.0.1", *words,
        "--set", "specimen.parts.0.center=[[0, 0.5, 0]]",
    )  # fmt: skip
    assert fitted("image-fit")["specimen.parts.0.center.0.1"] == pytest.approx(0.0, abs=1e-3)


def test_options_become_unknowns() -> None:
    scene = recipe(Path("bead.toml"))
    found = unknowns_of(
        scene,
        Wishes(
            free=[f"{SIZE}=300 nm..2 um, {INDEX}=..1.5", OFFSET],
            prior=[f"{INDEX}=Normal(1.36, 0.01)", f'{SIZE}={{ type = "LogNormal", median = "1 um", sigma = 0.1 }}'],
            tie=[f"{INDEX},specimen.medium"],
            scale=[f"{SIZE}=100 nm"],
        ),
    )
    size, index, offset = found
    assert (size.low, size.high, size.scale, size.tied) == (0.3, 2.0, 0.1, False)
    assert size.prior == ew.LogNormal(1.0, 0.1)
    assert index.paths == (INDEX, "specimen.medium")
    assert (index.high, index.tied, index.prior) == (1.5, True, ew.Normal(1.36, 0.01))
    assert offset.paths == (OFFSET,)
    assert prior_of("TruncatedNormal(1 um, 50 nm, 900 nm, 1.2 um)", "um", SIZE) == ew.TruncatedNormal(1, 0.05, 0.9, 1.2)


BAD_OPTIONS: list[tuple[tuple[str, ...], str]] = [
    (("--prior", f"{SIZE}=Norml(1, 2)"), "did you mean 'Normal'?"),
    (("--prior", f"{SIZE}=Normal(1)"), "expected Normal(mean, sigma), got 1 numbers"),
    (("--prior", f"{SIZE}=Normal(1 deg, 2)"), "a unit of the same kind as um"),
    (("--prior", f"{SIZE}=1.5"), "write for example Normal(1.58, 0.01)"),
    (("--prior", f"{INDEX}=Normal(1, 2)"), "add it to --free"),
    (("--tie", "specimen.parts.0.sze"), "did you mean 'size'?"),
    (("--free", f"{INDEX}=2"), "expected LOW..HIGH"),
    (("--free", f"{INDEX}=2..1"), "must have low < high"),
    (("--free", SIZE), "is free twice"),
    (("--scale", f"{SIZE}=0.1 rad"), "a unit of the same kind as um"),
    (("--curriculum", "bold"), "curriculum must be one of"),
    (("--curriculum", "multi-start"), "needs unknowns with a scale"),
    (("--loss", "l1"), "loss must be one of"),
    (("--crop", "0,0,99,9"), "--crop must lie in the image"),
    (("--normalise", "mode"), "none, mean, median or the file"),
    (("--normalise", "mean"), "reads the light's phase"),
    (("--mask", "small.tif"), "must be of the image's size (48, 48), got (9, 9)"),
    (("--mask", "none.png"), "cannot read none.png"),
    (("--movie", "steps.mp4"), "written as .gif or .webp"),
    (("--movie", "image.tif/steps.gif"), "cannot write into"),
    (("--checkpoint", "image.tif"), "expected the checkpoint of a fit"),
]


@pytest.mark.parametrize(("words", "said"), BAD_OPTIONS)
def test_bad_options_are_explained(words: tuple[str, ...], said: str) -> None:
    done("render", "bead.toml", "--out", "image.tif", "--set", "grid.shape=[48, 48]")
    tifffile.imwrite("small.tif", np.zeros((9, 9), np.uint8))
    assert said in refused("fit", "bead.toml", "image.tif", "--free", SIZE, *words)


@pytest.mark.parametrize(
    "words",
    [
        ("--free", SIZE, "--init", "guess"),
        ("--free", SIZE, "--count", "2"),
        ("--free", SIZE, "--crop", "1,2,3"),
        ("--free", SIZE, "--prior", "x"),
    ],
)
def test_wrong_usage_is_told_as_such(words: tuple[str, ...]) -> None:
    assert run("fit", "bead.toml", "image.tif", *words).exit_code == 2


def test_populations_are_drawn_for_the_grid_of_the_image() -> None:
    """Each particle of the first draw is a start."""
    Path("tiny.toml").write_text(TINY.replace("count = 4", "count = 2"))
    done("render", "tiny.toml", "--out", "image.tif", "--set", "grid.shape=[48, 48]")
    told = done("fit", "tiny.toml", "image.tif", "--free", INDEX, "--tie", INDEX, "--steps", "3")
    assert told.count(INDEX) >= 1
    assert recipe(Path("image-fit/fitted.toml")).specimen.parts[0].count == 2


POINTS = """type = "Scene"
grid = { shape = [8, 8, 8], pixel = 1.0 }

[specimen]
parts = [{ type = "Points", center = [[0, 0, 0]], emission = [1000.0] }]

[microscope]
illumination = { type = "Flood" }
interaction = { type = "Emission", background = 20.0 }
optics = { type = "Detection", psf = { type = "GaussianPSF", sigma = [0.5, 0.2, 0.2] } }
sensor = { type = "Camera", bits = 16, dose = 1, quantum_efficiency = 1.0, gain = 2.0, offset = 50.0 }
"""
PLACES, BRIGHT = [[0.33, -0.41, 0.52], [-0.6, 0.48, -0.3]], [9000.0, 5000.0]
SIGMA = "microscope.optics.psf.sigma"


@pytest.fixture
def volume() -> np.ndarray:
    """Return the stack of two points that the recipe knows nothing of, seen through a wider point spread function."""
    Path("points.toml").write_text(POINTS)
    done(
        "render", "points.toml", "--clean", "--out", "stack.npy", "--set", "grid.shape=[14, 26, 24]",
        "--set", "grid.pixel=[0.3, 0.1, 0.12]", "--set", f"specimen.parts.0.center={PLACES}",
        "--set", f"specimen.parts.0.emission={BRIGHT}", "--set", f"{SIGMA}=[0.55, 0.23, 0.24]",
    )  # fmt: skip
    return np.load("stack.npy")


def test_a_stack_is_one_volume_for_a_recipe_of_volumes(volume: np.ndarray) -> None:
    """Points are found, and places, light, background and widths come out; the file tells the voxel."""
    write_volume("stack.ome.tif", volume.astype(np.float32), (0.3, 0.1, 0.12))
    told = done(
        "fit", "points.toml", "stack.ome.tif", "--init", "detect", "--out", "result",
        "--free", f"specimen.parts.0.center,specimen.parts.0.emission,{SIGMA}",
        "--free", "microscope.interaction.background",
    )  # fmt: skip
    assert "voxel 0.3 x 0.1 x 0.12 um, from the file" in told
    assert "2 particles found" in told
    found = fitted("result")
    centers = [found[f"specimen.parts.0.center[{n}, {axis}]"] for n in range(2) for axis in range(3)]
    assert centers == pytest.approx([place for row in PLACES for place in row], abs=1e-3)
    assert [found[f"specimen.parts.0.emission[{n}]"] for n in range(2)] == pytest.approx(BRIGHT, rel=1e-3)
    assert [found[f"{SIGMA}[{n}]"] for n in range(3)] == pytest.approx([0.55, 0.23, 0.24], rel=1e-3)
    assert found["microscope.interaction.background"] == pytest.approx(20.0, rel=1e-3)
    assert recipe(Path("result/fitted.toml")).grid.shape == (14, 26, 24)


def test_a_volume_is_cut_masked_and_averaged(volume: np.ndarray) -> None:
    """The brighter point alone, 5 planes up; a mask hides what is wrong in the file, and pixels are averaged by two."""
    mask = np.zeros(volume.shape, np.uint8)
    mask[9, 6:8] = 1
    np.save("spoilt.npy", np.where(mask > 0, 9e4, volume))
    np.save("mask.npy", mask)
    told = done(
        "fit", "points.toml", "spoilt.npy", "--voxel", "300 nm,0.1,0.12", "--crop", "4,0,8,9,20,16", "--bin", "2",
        "--mask", "mask.npy", "--init", "detect", "--count", "1", "--method", "lm",
        "--free", f"specimen.parts.0.center,specimen.parts.0.emission,{SIGMA}",
    )  # fmt: skip
    assert "from --voxel" in told
    assert "pixels" in told
    scene = recipe(Path("spoilt-fit/fitted.toml"))
    assert scene.grid.shape == (9, 10, 8)
    assert scene.grid.spacing == (0.3, 0.2, 0.24)
    # From the middle of the file, sample n // 2, to that of the cut, whose pixels lie between two of the file.
    expected = [0.33 + 7 * 0.3 - 8 * 0.3, -0.41 + 13 * 0.1 - 10.5 * 0.1, 0.52 + 12 * 0.12 - 16.5 * 0.12]
    center = [fitted("spoilt-fit")[f"specimen.parts.0.center[0, {axis}]"] for axis in range(3)]
    assert center == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "voxel size of stack.npy is not in the file; pass voxel=.* / --voxel"),
        (("stack.npy", "--voxel", "1,1,1"), "expected one volume .* got 2 files"),
        (("--voxel", "1,1,1", "--crop", "0,0,0,20,4,4"), "--crop must lie in the image of .* planes to 20"),
        (("--voxel", "1,1,1", "--normalise", "mean"), "dark in fluorescence; leave it out"),
        (("--voxel", "1,1,1", "--mask", "small.npy"), "the mask small.npy must be of the volume's size"),
    ],
)
def test_volumes_that_cannot_be_fitted(words: tuple[str, ...], message: str) -> None:
    Path("points.toml").write_text(POINTS)
    rng = np.random.default_rng(0)
    np.save("stack.npy", rng.random((4, 5, 6)))
    np.save("small.npy", rng.random((4, 5, 5)))
    told = refused("fit", "points.toml", "stack.npy", *words, "--free", "specimen.parts.0.emission")
    assert re.search(message, told), told


def test_options_of_images_and_of_volumes_do_not_mix() -> None:
    Path("points.toml").write_text(POINTS)
    np.save("stack.npy", np.random.default_rng(0).random((4, 5, 6)))
    free = ("--free", "specimen.parts.0.emission")
    assert run("fit", "points.toml", "stack.npy", *free, "--step", "1 um").exit_code == 2
    assert run("fit", "points.toml", "stack.npy", *free, "--voxel", "1,1,1", "--crop", "0,0,4,4").exit_code == 2
    assert run("fit", "bead.toml", "image.tif", "--free", SIZE, "--voxel", "1,1,1").exit_code == 2
