"""Tissues and nuclei as recipes draw them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import exitwave as ew
from exitwave.annotate.objects import objects
from exitwave.model import paths
from exitwave.specimen import Mesh, Points
from exitwave.specimen.assembly import Assembly, unpacked
from exitwave.specimen.draws import Generators
from exitwave.specimen.meshes.geometry import centroids, volumes
from exitwave.specimen.meshes.voxels import voxelize
from exitwave.specimen.microtubules import Microtubules
from exitwave.specimen.nuclei import Nuclei, Nucleus
from exitwave.specimen.tissue import Tissue

EXTENT = (24.0, 30.0, 30.0)
RADII = (8.0, 10.0, 12.0)


def generators(seed: int) -> Generators:
    return ew.Key(seed).generator


def embryo(seed: int = 0, **changes: object) -> Assembly:
    given: dict[str, object] = {"count": 16.0, "radii": RADII, "bend": 0.05, "bulge": 0.3}
    return Tissue(**(given | changes)).realise(generators(seed), EXTENT)  # pyright: ignore[reportArgumentType]


def first_mesh(assembly: Assembly) -> Mesh:
    return assembly.parts[0]


@pytest.mark.parametrize("seed", range(4))
def test_as_many_closed_cells_as_were_asked_for(seed: int) -> None:
    mesh = first_mesh(embryo(seed, irregularity=1.0, bulge=0.8))
    assert len(mesh.fill_density) == 16
    assert bool(mesh.closed().all())
    assert float(volumes(mesh).min()) > 0


def test_without_arch_and_bend_the_cells_fill_the_ellipsoid() -> None:
    total = float(volumes(first_mesh(embryo(bend=0.0, bulge=0.0))).sum())
    assert total == pytest.approx(4 / 3 * math.pi * math.prod(RADII), rel=0.01)


def test_cells_alike_and_cells_unlike() -> None:
    spread = [float(volumes(first_mesh(embryo(irregularity=given, bulge=0.0))).std() / 240) for given in (0.0, 1.0)]
    assert spread[0] < 0.15
    assert spread[1] > 1.5 * spread[0]


def test_the_ellipsoid_turns_from_x_to_y() -> None:
    mesh = first_mesh(embryo(azimuth=math.pi / 2, bend=0.0))
    reach = mesh.vertices.abs().amax(0)
    assert reach.tolist() == pytest.approx([8.0, 12.0, 10.0], rel=0.03)


def test_walls_are_as_bright_as_the_membranes_of_both_cells() -> None:
    bright = first_mesh(embryo(membrane=ew.LogNormal(100.0, 0.4)))
    sides, density = bright.regions.numpy(), bright.density.numpy()
    own = np.zeros(17)
    for cell in range(1, 17):
        alone = (sides == cell).any(1) & (sides == 0).any(1)
        if alone.any():
            own[cell] = density[alone][0]
    known = (own[sides] > 0).all(1)
    assert known.sum() > 100
    assert density[known] == pytest.approx(own[sides[known]].sum(1), rel=1e-5)


def test_brightness_along_the_walls_varies_as_told() -> None:
    density = first_mesh(embryo(mottle=0.5, grain=2.0)).density
    plain = first_mesh(embryo()).density
    assert float((density / plain).log().std()) == pytest.approx(0.5, rel=0.2)


def test_nuclei_lie_in_their_cells_and_filaments_too() -> None:
    tissue = embryo(nucleus=Nucleus(radius=1.5), filaments=Microtubules(count=5.0, length=6.0))
    cells, nuclei, filaments = tissue.parts
    shape, step = (60, 60, 60), (0.35, 0.45, 0.45)
    cell, nucleus = voxelize(cells, shape, step), voxelize(nuclei, shape, step)
    for number in range(1, 17):
        assert set(cell[nucleus == number].tolist()) <= {number}
    voxel = torch.round(filaments.vertices / torch.tensor(step)).long() + torch.tensor([30, 30, 30])
    inside = cell[voxel[:, 0], voxel[:, 1], voxel[:, 2]]
    # Near a wall a voxel's centre may lie on its other side.
    assert (inside > 0).double().mean() > 0.97
    assert float(filaments.lengths().max()) <= 0.41
    length = objects(filaments)[0].length
    assert length.max() <= 6.0
    assert len(length) <= 80


def test_a_filled_field_is_full() -> None:
    tissue = Tissue(count=60.0, irregularity=0.5).realise(generators(1), EXTENT)
    mesh = first_mesh(tissue)
    inside = voxelize(mesh, (24, 30, 30), 1.0)
    assert bool((inside > 0).all())
    middle = centroids(mesh)
    within = (middle.abs() < torch.tensor(EXTENT) / 2).all(1).sum()
    assert 45 <= int(within) <= 75
    # Where cells are cut beyond the field, there is no membrane.
    assert float(mesh.density[(mesh.regions == 0).any(1)].max()) == 0


def test_the_same_key_gives_the_same_tissue() -> None:
    given = {"count": 4.0, "nucleus": Nucleus(texture=0.3), "filaments": Microtubules(count=3.0)}
    assert embryo(3, **given) == embryo(3, **given)
    assert embryo(3, **given) != embryo(4, **given)
    # What is in the cells does not change them.
    assert first_mesh(embryo(3, count=4.0)) == first_mesh(embryo(3, **given))


def test_one_cell_is_an_egg() -> None:
    mesh = first_mesh(embryo(count=1.0, bend=0.0, bulge=0.0))
    assert volumes(mesh).tolist() == pytest.approx([4 / 3 * math.pi * math.prod(RADII)], rel=0.02)


@pytest.mark.parametrize(("spacing", "apart"), [(1.4, True), (0.8, False)])
def test_nuclei_keep_apart_or_press_on_one_another_but_never_overlap(spacing: float, apart: bool) -> None:
    made = Nuclei(14.0, Nucleus(radius=ew.Uniform(2.0, 3.0), roughness=0.05), spacing, (8.0, 9.0, 9.0))
    (mesh,) = made.realise(generators(2), EXTENT).parts
    assert bool(mesh.closed().all())
    points = mesh.vertices.reshape(14, -1, 3)
    middle = points.mean(1)
    # Whoever overlaps is told by the higher number alone: every nucleus must hold all of its voxels.
    step = 0.3
    label = voxelize(mesh, (80, 80, 80), step)
    size = torch.bincount(label.flatten(), minlength=15)[1:] * step**3
    assert size.double() == pytest.approx(volumes(mesh).double(), rel=0.03)
    gap = torch.stack([torch.cdist(points[i], points[j]).min() for i in range(14) for j in range(i)])
    assert float(torch.cdist(middle, middle).fill_diagonal_(99).min()) > 0.6 * 4
    assert bool((gap > 0.3).all()) == apart


def test_nuclei_are_as_large_and_as_bright_as_drawn() -> None:
    made = Nuclei(8.0, Nucleus(radius=2.0, brightness=5.0, elongation=0.0, roughness=0.0), 1.2, RADII)
    (mesh,) = made.realise(generators(0), EXTENT).parts
    assert volumes(mesh).tolist() == pytest.approx([4 / 3 * math.pi * 8] * 8, rel=0.02)
    assert mesh.fill_density.tolist() == pytest.approx([5.0] * 8)
    assert float(mesh.density.max()) == 0


def test_specks_take_their_share_of_the_light() -> None:
    nucleus = Nucleus(radius=2.0, brightness=5.0, elongation=0.0, roughness=0.0, texture=0.4, grains=50.0)
    mesh, specks = Nuclei(3.0, nucleus, 1.2, RADII).realise(generators(0), EXTENT).parts
    assert isinstance(specks, Points)
    assert specks.label == ""
    light = 3 * 4 / 3 * math.pi * 8 * 5
    assert float(specks.emission.sum()) == pytest.approx(0.4 * light, rel=1e-4)
    assert mesh.fill_density.tolist() == pytest.approx([3.0] * 3)
    middle = mesh.vertices.reshape(3, -1, 3).mean(1)
    assert float(torch.cdist(specks.center, middle).amin(1).max()) <= 2.0


def test_recipes_are_drawn_and_named_by_paths() -> None:
    tissue = Tissue(count=ew.Uniform(4, 6), radii=RADII, nucleus=Nucleus(radius=ew.Uniform(1.0, 1.5)))
    microscope = ew.widefield(ew.GaussianPSF(sigma=(0.4, 0.2, 0.2)))
    recipe = ew.Scene(ew.Specimen((tissue,)), microscope, ew.Grid((24, 30, 30), 1.0))
    assert ew.load(ew.dump(recipe)) == recipe
    drawn = ew.sample(recipe, ew.Key(0, 1))
    assert drawn == ew.sample(recipe, ew.Key(0, 1))
    assert "specimen.parts.0.parts.1.vertices" in paths(drawn)
    assert len(unpacked(drawn.specimen.parts)) == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Tissue(radii=(1.0, 2.0)), r"Tissue.radii needs 3 semi-axes .* got 2; list them"),
        (lambda: Tissue().realise(generators(0), (10.0, 10.0)), r"Tissue fills a volume, got a grid \(height, width\)"),
        (
            lambda: Nuclei(3.0).realise(generators(0), (9.0, 9.0)),
            r"Nuclei fills a volume, got a grid \(height, width\)",
        ),
        (lambda: Nuclei(90.0).realise(generators(0), (9.0, 9.0, 9.0)), "expected room for 90 nuclei, got none left"),
    ],
)
def test_what_cannot_be_drawn_is_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # pyright: ignore[reportCallIssue]


def test_assemblies_hold_values() -> None:
    with pytest.raises(TypeError, match=r"Assembly.parts must be a tuple, got list; write \(mesh, points\)"):
        Assembly([Points([[0, 0, 0]])])  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"Assembly.parts must hold values such as Mesh, got int"):
        Assembly((1,))
