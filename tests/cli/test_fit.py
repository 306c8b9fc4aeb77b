"""`exitwave fit`: what it recovers and writes."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from cli.commands import done
from PIL import Image

from exitwave.data import recipe


def test_fit_recovers_radius_and_index_and_its_files_read_back() -> None:
    done("render", "bead.toml", "--out", "image.tif", "--set", "microscope.sensor.offset=0.2")
    told = done(
        "fit", "bead.toml", "image.tif", "--free", "specimen.parts.0.size,specimen.parts.0.index",
        "--free", "microscope.sensor.offset", "--set", "specimen.parts.0.size=[[1.2]]",
        "--set", "specimen.parts.0.index=[1.345]", "--out", "result",
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
    fitted = recipe(Path("result/fitted.toml"))
    assert float(fitted.specimen.parts[0].size) == float(rows[0]["fitted"])
    with Image.open("result/fit.png") as picture:
        assert min(picture.size) > 400


def test_binning_averages_and_enlarges_the_pixel() -> None:
    done("render", "bead.toml", "--clean", "--out", "image.tif", "--set", "grid.shape=[65, 66]")
    done("fit", "bead.toml", "image.tif", "--free", "microscope.sensor.offset", "--bin", "2", "--set", "grid.pixel=0.1")
    fitted = recipe(Path("image-fit/fitted.toml"))
    assert fitted.grid.shape == (32, 33)
    assert fitted.grid.spacing == (0.2, 0.2)
