"""Shapes: meshes back out of stacks, their point spread function unknown."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import scipy.ndimage
import torch
from torch import Tensor

import exitwave as ew
from benchmarks.fluorescence.measure import DATA, SPOT
from exitwave.fit.cells import GAIN, OFFSET, VERTICES, cell_scene, fit_cells, matched, psf_paths, shape_stages
from exitwave.fit.starts import cells_from_labels, cells_from_seeds, edge_of
from exitwave.specimen.meshes import icosphere, load_mesh, report, surface_distance, volumes, voxelize

_SIGMA = "microscope.optics.psf.sigma"
_OVULE = DATA / "membranes_ovule/sample_ovule.h5"


def shape() -> None:
    """Print how far a sphere that became spot is from it, and the width that was found, without and with noise."""
    if not SPOT.exists():
        print(f"shape: left out, for there is no {SPOT.name} in {SPOT.parent}")
        return
    size, sigma = 64, 1.5
    mesh = load_mesh(SPOT)
    low, high = mesh.vertices.amin(0), mesh.vertices.amax(0)
    spot = ew.Mesh((mesh.vertices - (low + high) / 2) * (0.8 * size / float((high - low).max())), mesh.faces)
    grid = ew.Grid((size,) * 3, 1.0)
    image = ew.render(_seen(spot, sigma, grid)).double()
    for noise in (0.0, 0.1):
        generator = torch.Generator().manual_seed(0)
        stack = image + noise * image.max() * torch.randn(image.shape, generator=generator, dtype=image.dtype)
        start = _seen(icosphere(size / 4, subdivisions=4), 1.3 * sigma, grid)
        clock, processor = time.perf_counter(), time.process_time()
        result = ew.fit(start, stack, [VERTICES, ew.Unknown(_SIGMA, tied=True)], _from_a_sphere())
        clock, processor = time.perf_counter() - clock, time.process_time() - processor
        found = result.scene.specimen.parts[0]
        off = surface_distance(found, spot)
        width = float(result.values[_SIGMA])
        print(
            f"shape: sphere to spot at {size}^3, noise of {noise:.0%} of the maximum: mean distance {off.mean_ab:.3f} "
            f"and {off.mean_ba:.3f} voxels, 99 % within {max(off.p99_ab, off.p99_ba):.2f}; sigma {width:.4f} of "
            f"{sigma} ({width / sigma - 1:+.2%}) from {1.3 * sigma:.2f}; {len(found.vertices):,} vertices, "
            f"{len(result.history)} steps, {clock:.0f} s, {processor:.0f} CPU s; {_sound(found)}"
        )


def _seen(mesh: ew.Mesh, sigma: float, grid: ew.Grid) -> ew.Scene:
    optics = ew.GaussianPSF(sigma=(sigma,) * 3)
    return ew.Scene(ew.Specimen((mesh,)), ew.widefield(optics, interaction=ew.Emission(rtol=1e-4)), grid)


def _from_a_sphere() -> tuple[ew.Stage, ...]:
    """Return stages from a blur of eight voxels to none, then everything with the point spread function."""
    return (
        ew.Stage(free=(VERTICES,), steps=12, blur=8.0),
        ew.Stage(free=(VERTICES,), steps=30, blur=4.0, edge=4.0),
        ew.Stage(free=(VERTICES,), steps=30, blur=2.0, edge=3.0, smoothing=20.0),
        ew.Stage(steps=100, edge=2.0, smoothing=10.0),
    )


def foam() -> None:
    """Print how well eight cells are found from seeds that are up to .3 um off, in stacks with 5 % noise."""
    voxel, shape = (0.2, 0.2, 0.2), (48, 48, 48)
    grid, sigma = ew.Grid(shape, voxel), (0.4, 0.25, 0.25)
    for seed in range(3):
        draw = np.random.default_rng(seed)
        corners = 1.9 * np.array([[z, y, x] for z in (-1, 1) for y in (-1, 1) for x in (-1, 1)])
        seeds = corners + draw.uniform(-0.5, 0.5, (8, 3))
        truth = ew.foam(torch.from_numpy(seeds), hull=(3.6, 3.8, 3.9), edge=0.4)
        bright = ew.substitute(cell_scene(truth, ew.GaussianPSF(sigma=sigma), grid), {GAIN: 0.05, OFFSET: 100.0})
        image = ew.render(bright).numpy()
        stack = image + draw.normal(size=shape) * 0.05 * (image.max() - 100)
        clicked = seeds + draw.uniform(-0.3, 0.3, (8, 3))
        clock = time.perf_counter()
        start = cell_scene(cells_from_seeds(stack, voxel, clicked), ew.GaussianPSF(sigma=(0.5, 0.35, 0.35)), grid)
        result = fit_cells(start, stack)
        clock = time.perf_counter() - clock
        labels = voxelize(truth, shape, voxel).numpy()
        before, after = (_dice(one.specimen.parts[0], labels, range(1, 9), voxel) for one in (start, result.scene))
        found = ", ".join(f"{width:.3f}" for width in result.scene.microscope.optics.psf.sigma.tolist())
        print(
            f"foam {seed}: Dice of eight cells {min(before):.3f} to {max(before):.3f} at the start, {min(after):.3f} "
            f"to {max(after):.3f} fitted; sigma {found} of {', '.join(map(str, sigma))} from 0.5, 0.35, 0.35; "
            f"{clock:.0f} s; {_sound(result.scene.specimen.parts[0])}"
        )


def ovule() -> None:
    """Print how a real stack is explained, and its labels are found again, from labels eroded by 2 and shifted by 1."""
    if not _OVULE.exists():
        print(f"ovule: left out, for there is no {_OVULE.name} in {_OVULE.parent}")
        return
    import h5py

    with h5py.File(_OVULE) as file:
        raw, labels = np.asarray(file["raw"]).astype(np.float64), np.asarray(file["label"]).astype(np.int64)
        voxel = tuple(float(step) for step in np.asarray(file["raw"].attrs["element_size_um"]))
    kept = _eroded(labels)
    names = np.unique(kept[kept > 0]).tolist()
    inner = [number for number, name in enumerate(names, 1) if _cut(labels == name) < 0.1]
    grid = ew.Grid(raw.shape, voxel)
    clock = time.perf_counter()
    mesh = cells_from_labels(kept, voxel, gap=1.2)
    optics = ew.GaussianPSF(sigma=tuple(1.5 * step for step in voxel))
    start = matched(cell_scene(mesh, optics, grid), raw)
    meshed = time.perf_counter() - clock
    truth = np.zeros_like(labels)
    for number, name in enumerate(names, 1):
        truth[labels == name] = number
    before = _dice(mesh, truth, inner, voxel)
    print(f"ovule: {len(names)} cells of 200 voxels and more are left, {len(inner)} of them with less than a tenth of "
          f"their voxels at the end of the stack; meshed in {meshed:.0f} s")  # fmt: skip
    begun = _correlation(ew.render(start), raw)
    print(f"ovule: correlation {begun:.3f} at the start, median Dice {np.median(before):.3f}")
    for smoothing in (10.0, 30.0, 100.0):
        edge = edge_of(volumes(mesh).numpy(), voxel)
        stages = shape_stages(voxel, edge, psf=psf_paths(start), smoothing=smoothing)
        clock = time.perf_counter()
        result = fit_cells(start, raw, stages)
        clock = time.perf_counter() - clock
        found = result.scene.specimen.parts[0]
        after = _dice(found, truth, inner, voxel)
        every = _dice(found, truth, range(1, len(names) + 1), voxel)
        print(
            f"ovule: smoothing {smoothing:g}: correlation {_correlation(result.image, raw):.3f}, median Dice "
            f"{np.median(after):.3f} (of all cells {np.median(every):.3f}); {clock:.0f} s; {_sound(found)}"
        )


def _eroded(labels: np.ndarray) -> np.ndarray:
    """Return labels eroded by two voxels and shifted by one along x, without what has less than 200 voxels left."""
    kept = np.zeros_like(labels)
    for name in np.unique(labels[labels > 0]):
        inside = np.asarray(scipy.ndimage.binary_erosion(labels == name, iterations=2, border_value=1))
        if inside.sum() >= 200:
            kept = np.where(inside, name, kept)
    kept = np.roll(kept, 1, axis=2)
    kept[:, :, 0] = kept[:, :, 1]
    return kept


def _cut(inside: np.ndarray) -> float:
    """Return the share of voxels that lie at the end of the stack."""
    ends = sum(int(inside.take(end, axis).sum()) for axis in range(3) for end in (0, -1))
    return ends / int(inside.sum())


def _dice(mesh: ew.Mesh, labels: np.ndarray, regions: Sequence[int], voxel: tuple[float, ...]) -> list[float]:
    """Return how much regions of a mesh and labels overlap: 2 |A and B| / (|A| + |B|)."""
    z, y, x = voxel
    found = voxelize(mesh, labels.shape, (z, y, x)).numpy()
    pairs = ((found == region, labels == region) for region in regions)
    return [2 * float((one & other).sum()) / max(float(one.sum() + other.sum()), 1.0) for one, other in pairs]


def _correlation(image: Tensor, stack: np.ndarray) -> float:
    return float(np.corrcoef(image.detach().double().numpy().ravel(), stack.ravel())[0, 1])


def _sound(mesh: ew.Mesh) -> str:
    return "; ".join(report(mesh).faults) or "a sound mesh"
