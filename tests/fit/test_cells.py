"""Cells and points in volumes: brightness by least squares, starts from seeds, curricula, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import exitwave as ew
from exitwave.fit.cells import GAIN, OFFSET, VERTICES, cell_scene, fit_cells, matched, psf_paths, shape_stages
from exitwave.fit.emitters import emitters_in
from exitwave.fit.starts import cells_from_labels, cells_from_seeds, edge_of
from exitwave.specimen.meshes import centroids, foam, icosphere, volumes

GRID = ew.Grid((18, 22, 20), (0.3, 0.25, 0.25))
BALL = icosphere(radius=1.6, subdivisions=3)
PSF = ew.GaussianPSF(sigma=(0.4, 0.25, 0.25))


def stack_of(mesh: ew.Mesh, gain: float = 0.01, offset: float = 7.0) -> np.ndarray:
    return ew.render(ew.substitute(cell_scene(mesh, PSF, GRID), {GAIN: gain, OFFSET: offset})).numpy()


def test_brightness_and_background_of_the_right_shape_are_those_of_the_stack() -> None:
    """Whatever the counts: of a camera of 16 bits, or between 0 and 1; voxels that are not counted do not count."""
    for gain, offset in ((0.02, 100.0), (3e-7, -0.1)):
        stack = stack_of(BALL, gain, offset)
        stack[0, 0, 0], stack[3, 4, 5] = np.nan, 1e6
        mask = np.zeros(stack.shape, dtype=bool)
        mask[3, 4, 5] = True
        scene = matched(cell_scene(BALL, PSF, GRID), stack, mask)
        assert float(ew.get(scene, GAIN)) == pytest.approx(gain, rel=1e-6)
        assert float(ew.get(scene, OFFSET)) == pytest.approx(offset, rel=1e-4)
    known = matched(cell_scene(BALL, PSF, GRID), stack_of(BALL), background=5.0)
    assert float(ew.get(known, OFFSET)) == 5.0


def test_a_fit_does_not_depend_on_the_unit_of_counts() -> None:
    start = cell_scene(icosphere(radius=1.4, subdivisions=2), PSF, GRID)
    stack = stack_of(BALL)
    stages = (ew.Stage((VERTICES, GAIN, OFFSET), steps=4, smoothing=10.0),)
    some, others = (fit_cells(start, stack * unit, stages) for unit in (1.0, 1e-4))
    assert torch.allclose(some.scene.specimen.parts[0].vertices, others.scene.specimen.parts[0].vertices, atol=1e-4)
    assert float(others.values[GAIN]) == pytest.approx(1e-4 * float(some.values[GAIN]), rel=1e-3)
    assert torch.allclose(others.image, 1e-4 * some.image, rtol=1e-3)
    assert torch.allclose(others.target, 1e-4 * some.target)


def test_walls_between_cells_are_two_membranes() -> None:
    mesh = foam([[0, 0, -1.0], [0, 0, 1.0]], hull=(1.5, 1.5, 2.0), edge=0.6)
    density = cell_scene(mesh, PSF, GRID).specimen.parts[0].density
    inner = mesh.regions.amin(1) > 0
    assert torch.allclose(density[inner] / density[~inner].mean(), torch.full_like(density[inner], 2.0))


@pytest.mark.parametrize("walls", ["bright", "between"])
def test_cells_start_about_their_seeds(walls: str) -> None:
    """Cells of two sizes: what is bright tells where the wall is, what lies between the seeds does not."""
    seeds = torch.tensor([[0.0, 0.0, -0.9], [0.0, 0.0, 1.1]])
    truth = foam(seeds, weights=[1.2, 0.0], hull=(1.9, 1.9, 2.1), edge=0.5)
    found = cells_from_seeds(stack_of(truth), GRID.spacing, seeds.double().numpy(), 0.6, walls)
    assert bool(found.closed().all())
    assert torch.allclose(centroids(found), centroids(truth), atol=0.3 if walls == "bright" else 0.6)
    share = [float(volumes(mesh)[0] / volumes(mesh).sum()) for mesh in (found, truth)]
    if walls == "bright":
        assert share[0] == pytest.approx(share[1], abs=0.05)
    else:
        assert share[0] == pytest.approx(0.5, abs=0.1)


def test_cells_that_the_stack_cuts_go_on_beyond_it() -> None:
    """No wall lies where the stack ends, and the others are where they were."""
    labels = np.zeros((12, 12, 12), np.int64)
    labels[3:9, 3:9, :] = 5
    low, high = (end(cells_from_labels(labels, (0.2, 0.2, 0.2)).vertices, 0) for end in (torch.amin, torch.amax))
    assert torch.allclose(torch.stack([low, high])[:, :2], torch.tensor([[-0.7, -0.7], [0.5, 0.5]]), atol=0.1)
    assert float(low[2]) < -1.2 - 0.8
    assert float(high[2]) > 1.0 + 0.8


def test_gaps_between_labels_are_closed() -> None:
    """Two boxes with a gap between them become one wall halfway; what is far from both stays outside."""
    labels = np.zeros((20, 20, 20), np.int64)
    labels[4:16, 4:9, :], labels[4:16, 11:16, :] = 3, 8
    apart, joined = (cells_from_labels(labels, (0.2, 0.2, 0.2), 0.5, gap) for gap in (0.0, 0.6))
    assert {tuple(sorted(pair)) for pair in apart.regions.tolist()} == {(0, 1), (0, 2)}
    shared = joined.regions.amin(1) > 0
    assert bool(shared.any())
    wall = joined.vertices[joined.faces[shared].unique()]
    assert torch.allclose(wall[:, 1].mean(), torch.tensor(-0.1), atol=0.05)  # the gap is voxels 9 and 10 of 20
    grown = labels.size * 0.2**3 * 12 * 12 / 20**2 * (1 + 2 * 6 / 20)  # continued by six voxels at both ends
    assert float(volumes(joined).sum()) == pytest.approx(grown, rel=0.02)
    with pytest.raises(ValueError, match="gap must be zero or more"):
        cells_from_labels(labels, (0.2, 0.2, 0.2), 0.5, -1.0)


def test_edges_are_a_share_of_the_diameter_of_cells() -> None:
    balls = np.array([4 / 3 * np.pi * radius**3 for radius in (0.1, 2.0, 50.0)])
    assert edge_of(balls, (0.2, 0.2, 0.2)) == pytest.approx(0.6)
    assert edge_of(balls, (0.8, 0.4, 0.4)) == pytest.approx(2 * 0.128 ** (1 / 3))


def test_stages_go_from_coarse_to_fine_and_take_turns() -> None:
    psf = psf_paths(cell_scene(BALL, PSF, GRID))
    assert psf == ("microscope.optics.psf.sigma",)
    assert psf_paths(cell_scene(BALL, ew.VectorialPSF(na=0.9), GRID)) == ("microscope.optics.psf.na",)
    stages = shape_stages((0.2, 0.2, 0.2), rounds=2, psf=psf)
    assert [stage.blur for stage in stages] == [0.6, 0.3, 0.0, 0.0, 0.0, 0.0]
    assert [VERTICES in (stage.free or ()) for stage in stages] == [True, True, False, True, False, True]
    assert [psf[0] in (stage.free or ()) for stage in stages] == [False, False, True, False, True, True]
    assert len(shape_stages((0.2, 0.2, 0.2), rounds=1, blur=0.0)) == 1


def test_what_cells_cannot_be_fitted_to() -> None:
    scene = cell_scene(BALL, PSF, GRID)
    with pytest.raises(ValueError, match=r"the stack must be of the scene's shape \(18, 22, 20\), got \(4, 4, 4\)"):
        matched(scene, np.zeros((4, 4, 4)))
    with pytest.raises(ValueError, match="the stack must show something"):
        matched(scene, np.ones(GRID.shape))
    far = cell_scene(icosphere(radius=0.5, center=(0.0, 0.0, 90.0)), PSF, GRID)
    with pytest.raises(ValueError, match="the cells give no light in the stack"):
        matched(far, stack_of(BALL))
    with pytest.raises(ValueError, match="rounds and steps must be at least 1"):
        shape_stages((0.2, 0.2, 0.2), rounds=0)
    with pytest.raises(ValueError, match="voxel must be three lengths"):
        shape_stages((0.2, 0.2))
    with pytest.raises(ValueError, match="cells need a grid"):
        cell_scene(BALL, PSF, ew.Grid((8, 8), 0.1))
    with pytest.raises(ValueError, match='walls must be "bright" or "between"'):
        cells_from_seeds(stack_of(BALL), GRID.spacing, np.zeros((1, 3)), walls="thick")


def test_points_in_noise_are_found_and_nothing_else() -> None:
    places = torch.tensor([[0.4, -1.0, 0.6], [-1.1, 0.9, -0.9], [1.2, 1.4, 1.3]])
    points = ew.Points(places, emission=[4000.0, 2500.0, 3000.0])
    camera = ew.Camera(dose=1.0, quantum_efficiency=1.0, gain=2.0, offset=100.0, bits=16)
    microscope = ew.widefield(PSF, interaction=ew.Emission(background=10.0), sensor=camera)
    scene = ew.Scene(ew.Specimen((points,)), microscope, GRID)
    image = ew.render(scene, torch.Generator().manual_seed(1)).double()
    image[2, 3, 4] = torch.nan
    start = ew.substitute(
        scene, {"specimen.parts.0.center": [[0.0, 0, 0]] * 3, "microscope.interaction.background": 0.0}
    )
    found = emitters_in(start, image)
    part = found.specimen.parts[0]
    order = part.center[:, 0].argsort(descending=True)[[1, 2, 0]]
    assert torch.allclose(part.center[order], places.double(), atol=0.06)
    assert torch.allclose(part.emission[order], points.emission.double(), rtol=0.1)
    assert float(found.microscope.interaction.background) == pytest.approx(10.0, abs=0.5)
    (brightest,) = emitters_in(start, image, count=1).specimen.parts[0].center
    assert torch.allclose(brightest, places[0].double(), atol=0.06)


def test_volumes_without_points_are_refused() -> None:
    scene = ew.Scene(ew.Specimen((ew.Points([[0, 0, 0]]),)), ew.widefield(PSF), GRID)
    with pytest.raises(ValueError, match="nothing stands out of the noise: the volume holds one value"):
        ew.detect(scene, torch.ones(GRID.shape))
    with pytest.raises(ValueError, match="the volume must be of the scene's shape"):
        ew.detect(scene, torch.ones(3, 4, 5))
    with pytest.raises(ValueError, match="detect finds Points in volumes"):
        ew.detect(ew.Scene(ew.Specimen((BALL,)), ew.widefield(PSF), GRID), torch.rand(GRID.shape))
    with pytest.raises(ValueError, match="count must be a positive integer"):
        ew.detect(scene, torch.rand(GRID.shape), count=0)
    noise = torch.randn(GRID.shape, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="nothing stands out of the noise: expected points"):
        ew.detect(scene, noise)
