"""`exitwave fit-shape`: cells of a foam from their stack, what is written, and what is refused."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from cli.commands import done, refused, run

import exitwave as ew
from exitwave.cli.cells import cell_rows, seeds_of, surface_of
from exitwave.cli.shape_files import appearing
from exitwave.data.volumes import read_volume, write_labels, write_volume
from exitwave.fit.cells import GAIN, OFFSET, cell_scene
from exitwave.specimen.meshes import foam, icosphere, load_mesh, report, volumes, voxelize

SHAPE, VOXEL = (20, 22, 22), (0.3, 0.27, 0.27)
SEEDS = torch.tensor([[0.0, 0.0, -1.1], [0.2, -0.9, 0.8], [-0.2, 1.0, 0.9]])
SIGMA = (0.45, 0.3, 0.3)
FEW = ("--steps", "15", "--rounds", "1", "--edge", "0.6")


@pytest.fixture(scope="module")
def truth() -> ew.Mesh:
    return foam(SEEDS, hull=(2.1, 2.2, 2.2), edge=0.6)


@pytest.fixture(scope="module")
def counts(truth: ew.Mesh) -> np.ndarray:
    """Return the stack of the foam with 1 % noise, as a camera counts."""
    scene = cell_scene(truth, ew.GaussianPSF(sigma=SIGMA), ew.Grid(SHAPE, VOXEL))
    image = ew.render(ew.substitute(scene, {GAIN: 0.05, OFFSET: 100.0})).numpy()
    noisy = image + np.random.default_rng(0).normal(size=SHAPE) * 0.01 * (image.max() - 100)
    return np.rint(noisy).astype(np.uint16)


@pytest.fixture
def stack(counts: np.ndarray) -> None:
    write_volume("stack.ome.tif", counts, VOXEL)
    # Beside the true places, as somebody clicks.
    moved = SEEDS + 0.2 * torch.tensor([[1.0, -1, 1], [0, 1, -1], [1, 1, 0]])
    Path("seeds.csv").write_text(
        "cell,z_um,y_um,x_um\n"
        + "".join(f"{n},{z:.2f},{y:.2f},{x:.2f}\n" for n, (z, y, x) in zip((3, 5, 9), moved.tolist(), strict=True))
    )


def rows(path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(path).read_text().splitlines()))


def dice(mesh: ew.Mesh, truth: ew.Mesh) -> list[float]:
    found, true = (voxelize(one, SHAPE, VOXEL).numpy() for one in (mesh, truth))
    return [
        2 * float(((found == k) & (true == k)).sum()) / float((found == k).sum() + (true == k).sum())
        for k in range(1, len(truth.fill_density) + 1)
    ]


@pytest.mark.usefixtures("stack")
def test_cells_of_a_foam_are_found_from_seeds(truth: ew.Mesh, counts: np.ndarray) -> None:
    told = done("fit-shape", "stack.ome.tif", "--cells", "seeds.csv", "--psf-sigma", "0.5,250 nm,0.25",
                "--out", "cells", "--movie", *FEW)  # fmt: skip
    assert "correlation" in told
    files = ("cells", "cells.csv", "convergence.gif", "meshes.ply", "overlay.png", "rendered.ome.tif", "report.txt",
             "residual.ome.tif")  # fmt: skip
    assert tuple(sorted(file.name for file in Path("cells").iterdir())) == files
    mesh = load_mesh("cells/meshes.ply")
    assert min(dice(mesh, truth)) > 0.95
    assert report(mesh).faults == ()
    rendered, residual = (read_volume(f"cells/{name}.ome.tif") for name in ("rendered", "residual"))
    assert rendered.voxel == VOXEL
    assert np.allclose(rendered.data + residual.data, counts, atol=0.01)
    assert np.corrcoef(rendered.data.ravel(), counts.ravel())[0, 1] > 0.98
    table = rows("cells/cells.csv")
    assert [row["cell"] for row in table] == ["3", "5", "9"]
    assert table[0]["neighbours"] == "5 9"
    for row, expected in zip(table, volumes(truth).tolist(), strict=True):
        assert float(row["volume_um3"]) == pytest.approx(expected, rel=0.04)
        alone = load_mesh(f"cells/cells/{int(row['cell']):04d}.ply")
        assert float(volumes(alone)) == pytest.approx(float(row["volume_um3"]), rel=1e-3)
    # Widths that start 20 % off; a round of them brings them nearer.
    line = next(line for line in Path("cells/report.txt").read_text().splitlines() if line.startswith("sigma"))
    sigma = [float(number) for number in line.partition("start, ")[2].removesuffix(" fitted").split(", ")]
    assert sigma == pytest.approx(SIGMA, rel=0.08)


@pytest.mark.usefixtures("stack")
def test_frames_follow_one_another_from_labels(truth: ew.Mesh, counts: np.ndarray) -> None:
    """The second frame is the first one moved by a voxel along x: so do the cells, and they keep their numbers."""
    write_labels("labels.tif", 2 * voxelize(truth, SHAPE, VOXEL), VOXEL)
    write_volume("next.tif", np.roll(counts, 1, axis=2), VOXEL)
    done("fit-shape", "stack.ome.tif", "next.tif", "--cells", "labels.tif", "--psf-sigma", "0.45,0.3,0.3",
         "--fixed-psf", "--background", "100", "--blur", "0", "--out", "frames", *FEW)  # fmt: skip
    table = rows("frames/cells.csv")
    assert [(row["frame"], row["cell"]) for row in table] == [(f, c) for f in "01" for c in "246"]
    for before, after in zip(table[:3], table[3:], strict=True):
        assert float(after["x_um"]) - float(before["x_um"]) == pytest.approx(VOXEL[2], abs=0.08)
        assert float(after["z_um"]) == pytest.approx(float(before["z_um"]), abs=0.05)
    assert "offset       100 at the start, 100 fitted" in Path("frames/t001/report.txt").read_text()
    assert Path("frames/t000/meshes.ply").exists()


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ("z_um,y_um,x_um\n0,0,-1\n0,9,1\n", "seeds must lie in the stack, z -3 to 2.7, .* got 1 of 2 outside, seed 2"),
        ("z_um,y_um,x_um\n0,0,-1\n0,0.01,-1\n", "got seeds 1 and 2 in one; remove one"),
        ("z,y,x\n0,0,-1\n0,1,1\n", "must say the unit of z, y and x"),
        ("z_um,y_um\n0,0\n", "expected columns z, y and x with their unit"),
        ("z_um,y_um,x_um\n", "expected a header and a row for every cell"),
        ("z_um,y_um,x_um\n0,zero,1\n", "expected numbers in row 1 of cells.csv, got 0,zero,1"),
        ("id,z_um,y_um,x_um\n1,0,0,-1\n1,0,0,1\n", "a number of its own from 1 on, got 1 twice"),
    ],
)
def test_seeds_that_cannot_be(seeds: str, message: str) -> None:
    Path("cells.csv").write_text(seeds)
    told = refused("fit-shape", "stack.ome.tif", "--cells", "cells.csv", "--psf-sigma", "0.5,0.3,0.3")
    assert re.search(message, told), told
    assert not Path("stack-shapes").exists()


def test_stacks_that_cannot_be(counts: np.ndarray) -> None:
    Path("seeds.csv").write_text("z_voxel,y_voxel,x_voxel\n10,11,7\n10,8,14\n")
    tifffile.imwrite("bare.tif", counts)
    sigma = ("--psf-sigma", "0.5,0.3,0.3")
    assert "voxel size of bare.tif is not in the file" in refused(
        "fit-shape", "bare.tif", "--cells", "seeds.csv", *sigma
    )
    plane, flat, small = counts[:1], np.full_like(counts, 7), counts[:, :18]
    for name, array, message in (
        ("plane.tif", plane, "expected a stack of planes in plane.tif"),
        ("flat.tif", flat, "the stack must show something, got one value everywhere in flat.tif"),
    ):
        write_volume(name, array, VOXEL)
        assert message in refused("fit-shape", name, "--cells", "seeds.csv", *sigma)
    write_volume("stack.tif", counts, VOXEL)
    write_labels("labels.tif", small, VOXEL)
    assert "labels must have the stack's shape" in refused("fit-shape", "stack.tif", "--cells", "labels.tif", *sigma)
    write_labels("none.tif", np.zeros(SHAPE, np.uint16), VOXEL)
    assert "a label other than 0" in refused("fit-shape", "stack.tif", "--cells", "none.tif", *sigma)
    write_volume("small.tif", small, VOXEL)
    assert "frames must have one shape" in refused("fit-shape", "stack.tif", "small.tif", "--cells", "seeds.csv")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "expected either --cells"),
        (("--cells", "a.csv", "--na", "1", "--psf-sigma", "1,1,1"), "got both"),
        (("--cells", "a.csv", "--fixed-psf"), "needs --psf-sigma"),
        (("--cells", "a.csv", "--psf-sigma", "0.2,0.2"), "three lengths"),
        (("--cells", "a.csv", "--voxel", "0,1,1"), "above zero"),
        (("--cells", "a.csv", "--background", "dark"), "auto or a number"),
        (("--cells", "a.csv", "--walls", "thick"), "bright or between"),
    ],
)
def test_wrong_usage(words: tuple[str, ...], message: str) -> None:
    result = run("fit-shape", "stack.tif", *words)
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())


def test_seeds_in_voxels_count_from_the_first_and_in_micrometres_from_the_middle() -> None:
    Path("voxels.csv").write_text("label,Z [px],Y [px],X [px]\n4,0,11,12\n")
    Path("lengths.csv").write_text("x (um),y (um),z (um)\n0.27,0,-3\n")
    voxels, lengths = (seeds_of(Path(f"{name}.csv"), SHAPE, VOXEL) for name in ("voxels", "lengths"))
    assert voxels.names == (4,)
    assert lengths.names == (1,)
    assert np.allclose(voxels.places, [[-3.0, 0.0, 0.27]])
    assert np.allclose(lengths.places, voxels.places)


def test_a_ball_has_the_sphericity_of_a_ball() -> None:
    """Area and volume of a sphere; its surface alone is the mesh itself."""
    ball = icosphere(radius=2.0, center=(0.5, -0.25, 1.0), subdivisions=4)
    (row,) = cell_rows(ball, [7], ew.Grid((16, 16, 24), 0.4))
    assert row[0] == 7
    assert float(str(row[1])) == pytest.approx(4 / 3 * np.pi * 8, rel=5e-3)
    assert float(str(row[2])) == pytest.approx(4 * np.pi * 4, rel=5e-3)
    assert [float(str(place)) for place in row[3:6]] == pytest.approx([0.5, -0.25, 1.0], abs=1e-3)
    assert float(str(row[7])) == pytest.approx(1.0, abs=2e-3)
    assert row[8] == 1
    assert cell_rows(ball, [7], ew.Grid((16, 16, 14), 0.4))[0][8] == 0
    assert torch.equal(volumes(surface_of(ball, 1)), volumes(ball))


def test_a_folder_appears_whole_or_not_at_all() -> None:
    Path("kept").mkdir()
    Path("kept/notes.txt").write_text("mine")
    Path("kept/report.txt").write_text("old")

    def interrupted() -> None:
        with appearing(Path("kept")) as folder:
            (folder / "report.txt").write_text("new")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        interrupted()
    assert Path("kept/report.txt").read_text() == "old"
    with appearing(Path("kept")) as folder:
        (folder / "report.txt").write_text("new")
    assert Path("kept/report.txt").read_text() == "new"
    assert Path("kept/notes.txt").read_text() == "mine"
    assert [file.name for file in Path().iterdir() if file.name.startswith(".partial")] == []
