"""Frames that cannot be read: told by the contrast of their outlines, and drawn anew."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data.datasets import assert_same, contents, picture
from typer.testing import CliRunner

import exitwave as ew
from exitwave import toml
from exitwave.annotate import Truth, annotate
from exitwave.cli import app
from exitwave.cli.scenes import scene_of
from exitwave.data import Stream, generate
from exitwave.data.frame import expose, split_of
from exitwave.data.images import stored
from exitwave.data.readable import ROSE, noise, readable_share, visibility
from exitwave.data.tries import TRIES, drawn, further

LEVEL, SIGMA = 100.0, 4.0
FAR = 'microscope.illumination.focus="20 um"'


def dyed_beads(low: float, high: float) -> ew.Scene:
    """Return a recipe of four beads that absorb and do not refract, with a prior on the dose."""
    arrangement = ew.Scattered(margin=0.0)
    size = (ew.Uniform(0.6, 0.8),)
    beads = ew.Population(ew.Sphere(), arrangement, 4, size, index=1.33, absorption=2.0, label="bead")
    sensor = ew.Camera(dose=ew.LogUniform(low, high), gain=1.0, bits=12)
    microscope = ew.brightfield(na=0.9, condenser_na=0.3, rings=1, sensor=sensor)
    return ew.Scene(ew.Specimen((beads,), medium=1.33), microscope, ew.Grid((48, 64), 0.1))


@pytest.fixture
def recipe() -> ew.Scene:
    """Return a recipe that gives unreadable images every second time."""
    return dyed_beads(2.0, 200.0)


def disks(*centers: tuple[float, float, float], radius: float = 1.5, side: int = 128) -> Truth:
    beads = ew.Particles(ew.Sphere(), center=centers, size=[[radius]] * len(centers), index=[1.5] * len(centers))
    return annotate(ew.Scene(ew.Specimen((beads,), medium=1.33), ew.brightfield(na=0.5), ew.Grid((side, side), 0.1)))


def noisy(signal: np.ndarray, seed: int = 0) -> np.ndarray:
    return LEVEL + SIGMA * (signal + np.random.default_rng(seed).normal(size=signal.shape))


def command(out: Path, *words: str) -> Any:
    file = out.with_name("recipe.toml")
    file.write_text(toml.dump(dyed_beads(2.0, 200.0)))
    return CliRunner().invoke(app, ["generate", str(file), str(out), *words])


@pytest.mark.parametrize("contrast", [3.0, -3.0, 10.0])
def test_a_disk_has_the_contrast_that_it_was_given(contrast: float) -> None:
    # A ring of 30 pixels across is longer than what counts, so that both sides are of 32 pixels: A is 16.
    truth = disks((0, 0, 0))
    found = visibility(noisy(contrast * (truth.ids > 0)), truth)
    assert found == pytest.approx([4 * abs(contrast)], rel=0.1)


def test_small_objects_need_more_contrast() -> None:
    # All of a bead 5 pixels across is within two pixels of its outline: A is 21 x 32 / (21 + 32).
    small, large = disks((0, 0, 0), radius=0.25), disks((0, 0, 0))
    assert small.area.tolist() == [21]
    found = [
        np.median([visibility(noisy(6.0 * (truth.ids > 0), seed), truth) for seed in range(40)])
        for truth in (small, large)
    ]
    assert found[0] / found[1] == pytest.approx(math.sqrt(21 * 32 / 53 / 16), rel=0.05)


def test_nothing_is_seen_in_noise_alone() -> None:
    truth = disks(*((0, y, x) for y in (-4, 0, 4) for x in (-4, 0, 4)))
    found = np.concatenate([visibility(noisy(np.zeros(truth.shape), seed), truth) for seed in range(20)])
    assert found.max() < ROSE
    assert readable_share(found) == 0


def test_shadows_are_seen_whose_bright_and_dark_sides_cancel() -> None:
    truth = disks((0, 0, 0))
    relief = np.sign(np.arange(128) - 63.5)[None] * (truth.ids > 0)
    assert abs(relief[truth.ids > 0].mean()) < 0.05
    assert visibility(noisy(5 * relief), truth) == pytest.approx([20], rel=0.15)


def test_particles_that_touch_are_seen_if_they_differ_or_show_a_rim() -> None:
    truth = disks((0, 0, -1.4), (0, 0, 1.4), side=96)
    assert (visibility(noisy(4.0 * truth.ids), truth) > ROSE).all()
    blurred = np.hypot(*np.meshgrid(np.arange(96) - 48, np.arange(96) - 48)) / 20
    assert (visibility(noisy(-blurred), truth) < ROSE).all()  # one wide spot shows no outline


def test_gain_offset_and_mirrors_change_nothing() -> None:
    truth = disks((0, 0, 0))
    image = noisy(2.0 * (truth.ids > 0))
    assert visibility(300 - 7 * image, truth) == pytest.approx(visibility(image, truth))


def test_the_best_colour_counts() -> None:
    truth = disks((0, 0, 0))
    colours = [noisy(contrast * (truth.ids > 0), seed) for seed, contrast in enumerate((0, 5, 1))]
    best = visibility(colours[1], truth)
    assert visibility(np.stack(colours, -1), truth) == pytest.approx(best)


def test_what_is_hidden_or_tiny_is_not_judged() -> None:
    truth = disks((0, 0, 0), (5.0, 0.1, 0))
    assert truth.visible_fraction[0] < 0.25
    image = noisy(3.0 * (truth.ids > 0))
    assert np.isnan(visibility(image, truth)).tolist() == [True, False]
    dot = disks((0, 0, 0), radius=0.2)
    assert dot.area[0] < 16
    assert np.isnan(visibility(noisy(9.0 * (dot.ids > 0)), dot)).all()
    assert readable_share(visibility(noisy(9.0 * (dot.ids > 0)), dot)) == 1


def test_noise_is_told_from_slopes_stripes_and_objects() -> None:
    truth = disks(*((0, y, x) for y in (-3, 3) for x in (-3, 3)), radius=2.5)
    place = np.arange(128.0)
    signal = 9.0 * (truth.ids > 0) + 0.3 * place + np.sin(place)[:, None]
    assert noise(noisy(signal), truth.ids == 0) == pytest.approx(SIGMA, rel=0.1)


def test_noise_of_few_electrons_is_not_none() -> None:
    # Poisson: the variance is the mean. Most pixels are zero, and so is the median of all differences.
    image = np.random.default_rng(0).poisson(0.03, (256, 256)).astype(float)
    assert noise(image) == pytest.approx(math.sqrt(0.03), rel=0.05)


def test_an_image_without_noise_shows_the_least_contrast() -> None:
    truth = disks((0, 0, 0))
    assert (visibility(1e-3 * (truth.ids > 0), truth) > ROSE).all()
    assert visibility(np.ones(truth.shape), truth) == pytest.approx([0])


def test_the_dose_decides_and_the_first_readable_try_is_kept(recipe: ew.Scene) -> None:
    rejected = 0
    for index in range(12):
        key = ew.Key(3, index)
        found = drawn(recipe, key, 0.9)
        rejected += found.rejected
        for number in range(found.rejected + 1):
            scene = ew.sample(recipe, further(key, number))
            dose = float(ew.get(scene, "microscope.sensor.dose"))
            # Beads let e^-2.8 to 1 of the light through. With contrast c = .7 sqrt(dose) of a pixel's noise, halved by
            # the lens, 4 c is 5 at 13 photons.
            assert dose > 6 if number == found.rejected else dose < 100
    assert 4 < rejected < 40


def test_frames_that_can_be_read_are_those_of_a_run_without_the_rule(recipe: ew.Scene, tmp_path: Path) -> None:
    done = generate(recipe, tmp_path / "some", 10, seed=3, format="masks-png", readable=0.9)
    generate(recipe, tmp_path / "all", 10, seed=3, format="masks-png")
    manifest = json.loads((tmp_path / "some/manifest.json").read_text())
    assert (manifest["readable"], manifest["rejected"]) == (0.9, done.rejected)
    assert done.rejected > 2
    assert "rejected" not in (tmp_path / "all/manifest.json").read_text()
    told = []
    for index in range(10):
        record = json.loads(gzip.decompress((tmp_path / f"some/records/{index:06d}.json.gz").read_bytes()))
        told.append(record["rejected"])
        name = f"{split_of(index)}/{index:06d}.png"
        one, other = (picture(tmp_path / folder / "images" / name) for folder in ("some", "all"))
        assert np.array_equal(one, other) == (told[-1] == 0)
        truth = annotate(ew.sample(recipe, further(ew.Key(3, index), told[-1])))
        np.testing.assert_array_equal(picture(tmp_path / "some/masks-png" / name), truth.ids)
        assert readable_share(visibility(one, truth)) >= 0.9
    assert sum(told) == done.rejected
    assert 0 in told
    assert set(done.seconds) >= {"sample", "render", "annotate", "judge"}


def test_runs_are_the_same_however_they_are_made(recipe: ew.Scene, tmp_path: Path) -> None:
    generate(recipe, tmp_path / "whole", 7, seed=3, readable=0.9)
    generate(recipe, tmp_path / "longer", 3, seed=3, readable=0.9)
    (tmp_path / "longer/images/train/000002.png").unlink()
    done = generate(recipe, tmp_path / "longer", 7, seed=3, readable=0.9)
    assert (done.written, done.reused) == (5, 2)
    assert_same(tmp_path / "longer", tmp_path / "whole")
    generate(recipe, tmp_path / "workers", 7, seed=3, readable=0.9, workers=2)
    assert_same(tmp_path / "workers", tmp_path / "whole")


def test_another_share_is_another_run(recipe: ew.Scene, tmp_path: Path) -> None:
    generate(recipe, tmp_path / "some", 1, readable=0.9)
    generate(recipe, tmp_path / "all", 1)
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=r"its readable is 0.9, got 0.5; pass the same to continue it"):
        generate(recipe, tmp_path / "some", 1, readable=0.5)
    with pytest.raises(ValueError, match=r"its readable is 0.9, got not given; pass the same"):
        generate(recipe, tmp_path / "some", 1)
    with pytest.raises(ValueError, match=r"its readable is not given, got 0.9; pass the same"):
        generate(recipe, tmp_path / "all", 1, readable=0.9)
    assert contents(tmp_path) == before


def test_a_stream_gives_the_frames_of_the_dataset(recipe: ew.Scene, tmp_path: Path) -> None:
    done = generate(recipe, tmp_path, 6, seed=3, readable=0.9)
    assert done.rejected > 0
    for index, frame in enumerate(Stream(recipe, seed=3, length=6, readable=0.9)):
        image = picture(tmp_path / f"images/{split_of(index)}/{index:06d}.png")
        np.testing.assert_array_equal(frame["image"][0].numpy(), image)


def test_a_recipe_that_nobody_can_read_is_refused_with_what_to_narrow(tmp_path: Path) -> None:
    message = (
        rf"frame 0: expected 90% of the outlines to be seen, with contrast sqrt\(A\) of 5 or more, got 0% to \d+% in "
        rf"{TRIES} images, with .* for the middle object; narrow microscope.sensor.dose \(drawn from 2.\d* to \d+.*\), "
        "or ask for a smaller share"
    )
    with pytest.raises(ValueError, match=message):
        generate(dyed_beads(2.0, 12.0), tmp_path, 1, readable=0.9)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5, math.nan, True, "0.9"])
def test_what_is_no_share_is_refused(recipe: ew.Scene, tmp_path: Path, share: Any) -> None:
    with pytest.raises(ValueError, match="expected readable to be a share of the objects above 0 and up to 1, got"):
        generate(recipe, tmp_path / "out", 1, readable=share)
    assert not (tmp_path / "out").exists()


def test_volumes_are_not_judged(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected images to judge by the contrast of outlines, got volumes; leave"):
        generate("nuclei", tmp_path, 1, readable=0.9)


def test_the_command_tells_how_many_were_rejected(tmp_path: Path) -> None:
    done = command(tmp_path / "out", "-n", "6", "--seed", "3", "--readable", "0.9")
    assert done.exit_code == 0, done.output
    rejected = json.loads((tmp_path / "out/manifest.json").read_text())["rejected"]
    assert rejected > 0
    assert f"{rejected} of {6 + rejected} drawn were rejected: less than 90% of the outlines" in done.output
    assert "rejected" not in command(tmp_path / "all", "-n", "1").output


def test_ordinary_micrographs_are_kept_and_those_far_out_of_focus_are_not() -> None:
    small = ["grid.shape=[160, 192]", "specimen.parts.0.count=16", "specimen.parts.1.count=4"]
    weak = "microscope.sensor.dose=2.5"
    usual, blurred = scene_of("tio2-sem", [*small, weak]), scene_of("tio2-sem", [*small, weak, FAR])
    found = {}
    for name, recipe in (("usual", usual), ("blurred", blurred)):
        exposures = [expose(recipe, ew.Key(3, index)) for index in range(3)]
        shares = [readable_share(visibility(stored(one.image, one.bits), one.truth)) for one in exposures]
        found[name] = sorted(shares)
    assert found["usual"][0] >= 0.9
    assert found["blurred"][-1] < 0.5
