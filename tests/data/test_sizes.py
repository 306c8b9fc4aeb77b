"""Size tables on disk: what the truth measures, and the distribution that was drawn."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import exitwave as ew
from exitwave.annotate import annotate
from exitwave.data import generate

MEDIAN, SPREAD = 0.2, 0.25


def lognormal_beads() -> ew.Scene:
    size = (ew.LogNormal(MEDIAN, SPREAD),)
    arrangement = ew.Scattered(margin=0.0, overlap=0.0)
    beads = ew.Population(ew.Sphere(), arrangement, 200, size, index=1.4, label="bead")
    microscope = ew.brightfield(na=0.5, condenser_na=0.3, rings=1, sensor=ew.Camera())
    return ew.Scene(ew.Specimen((beads,), medium=1.33), microscope, ew.Grid((256, 320), 0.1))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sizes") / "out"
    generate(lognormal_beads(), out, 4, seed=1, format="sizes")
    return out


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "sizes.csv").open() as file:
        return list(csv.DictReader(file))


def test_every_instance_has_a_row_with_its_size_in_micrometres(table: Path) -> None:
    found = rows(table)
    assert len(found) == 800
    for index, split in enumerate(("train", "val", "train", "train")):
        own = [row for row in found if row["image"] == f"images/{split}/{index:06d}.png"]
        truth = annotate(ew.sample(lognormal_beads(), ew.Key(1, index)))
        assert [int(row["id"]) for row in own] == list(range(1, 201))
        assert {(row["split"], row["class"]) for row in own} == {(split, "bead")}
        radius = truth.physical["size_radius"]
        for name in ("diameter", "min_feret", "max_feret"):
            np.testing.assert_allclose([float(row[name]) for row in own], 2 * radius, rtol=1.3e-3)
        np.testing.assert_allclose([float(row["perimeter"]) for row in own], 2 * np.pi * radius, rtol=5e-4)
        np.testing.assert_allclose([float(row["center_row"]) for row in own], 128 + truth.center[:, 1] / 0.1, atol=1e-4)
        np.testing.assert_allclose([float(row["visible_fraction"]) for row in own], truth.visible_fraction, atol=1e-6)
        assert [row["truncated"] == "True" for row in own] == truth.truncated.tolist()


def test_the_distribution_is_that_of_whole_and_visible_objects(table: Path) -> None:
    data = json.loads((table / "sizes.json").read_text())
    assert "crosses the border" in data["rule"]
    bead = data["classes"]["bead"]
    found = rows(table)
    cut = sum(row["truncated"] == "True" for row in found)
    assert cut > 20
    assert bead["truncated"] == cut
    assert bead["count"] + bead["truncated"] + bead["unseen"] == 800
    sizes = sorted(
        float(row["diameter"]) for row in found if row["truncated"] == "False" and float(row["visible_fraction"]) > 0
    )
    assert bead["count"] == len(sizes)
    assert bead["mean"] == pytest.approx(sum(sizes) / len(sizes))
    assert bead["D50"] == pytest.approx((sizes[(len(sizes) - 1) // 2] + sizes[len(sizes) // 2]) / 2)
    # A tenth of a lognormal distribution lies below its median times exp(-1.2816 sigma).
    assert bead["D50"] == pytest.approx(2 * MEDIAN, rel=0.05)
    assert bead["D10"] == pytest.approx(2 * MEDIAN * np.exp(-1.2816 * SPREAD), rel=0.06)
    assert bead["D90"] == pytest.approx(2 * MEDIAN * np.exp(1.2816 * SPREAD), rel=0.06)
    mean, variance = np.exp(SPREAD**2 / 2), np.exp(SPREAD**2) * (np.exp(SPREAD**2) - 1)
    assert bead["mean"] == pytest.approx(2 * MEDIAN * mean, rel=0.05)
    assert bead["standard_deviation"] == pytest.approx(2 * MEDIAN * np.sqrt(variance), rel=0.1)


def test_wires_and_meshes_have_sizes(tmp_path: Path) -> None:
    wire = ew.Chains(vertices=[[0, -1, -1], [0, 1, -1]], radius=[0.25], label="wire")
    ball = replace(ew.icosphere(0.5, center=(0, 0, 1.5), subdivisions=4), label="ball")
    scene = ew.Scene(ew.Specimen((wire, ball)), ew.sem(sensor=ew.ScanSensor()), ew.Grid((64, 64), 0.1))
    generate(scene, tmp_path, 1, format="sizes")
    data = json.loads((tmp_path / "sizes.json").read_text())["classes"]
    assert data["wire"]["D50"] == pytest.approx(np.sqrt(4 / np.pi * (2 * 0.5 + np.pi / 16)), rel=1e-3)
    assert data["ball"]["mean"] == pytest.approx(1.0, rel=5e-3)
    assert [data[name]["standard_deviation"] for name in ("wire", "ball")] == [None, None]


def test_images_without_objects_have_a_header_and_no_sizes(tmp_path: Path) -> None:
    beads = ew.Population(ew.Sphere(), ew.Scattered(), 0, (0.3,), index=1.4, label="bead")
    microscope = ew.brightfield(na=0.5, condenser_na=0.3, rings=1, sensor=ew.Camera())
    generate(ew.Scene(ew.Specimen((beads,)), microscope, ew.Grid((32, 32), 0.1)), tmp_path, 2, format="sizes")
    assert (tmp_path / "sizes.csv").read_text().startswith("image,split,id,class,visible_fraction,truncated,diameter,")
    assert rows(tmp_path) == []
    bead = json.loads((tmp_path / "sizes.json").read_text())["classes"]["bead"]
    assert [bead[name] for name in ("count", "truncated", "unseen")] == [0, 0, 0]
    assert [bead[name] for name in ("mean", "standard_deviation", "D10", "D50", "D90")] == [None] * 5


def test_volumes_have_no_size_table(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected formats of volumes, got 'sizes', which labels images; use"):
        generate("nuclei", tmp_path, 1, format="sizes")
