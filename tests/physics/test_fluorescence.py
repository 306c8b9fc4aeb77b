"""Fluorescence images against closed forms: what a point, a plane, a depth and a pinhole do to emitted light."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

import exitwave as ew

GAUSS = ew.GaussianPSF(sigma=(0.5, 0.2, 0.25))
VOLUME = ew.Grid((17, 24, 20), (0.3, 0.1, 0.12))


def points(*places: tuple[float, float, float], emission: list[float] | None = None) -> ew.Points:
    return ew.Points(torch.tensor(places, dtype=torch.float64), emission)


def scene(*parts: object, microscope: ew.Microscope | None = None, grid: ew.Grid = VOLUME) -> ew.Scene:
    one = ew.Scene(ew.Specimen(tuple(parts)), microscope or ew.widefield(GAUSS), grid)
    return one.to(torch.float64)


def axes(grid: ew.Grid) -> list[Tensor]:
    like = torch.zeros((), dtype=torch.float64)
    z, y, x = (grid.axis(axis, like) for axis in range(3))
    return [z[:, None, None], y[:, None], x]


def gauss(grid: ew.Grid, place: tuple[float, float, float], sigma: tuple[float, float, float]) -> Tensor:
    """Return a Gaussian of unit integral about a place, times the volume of a voxel."""
    found = torch.ones(())
    for axis, middle, width, step in zip(axes(grid), place, sigma, grid.spacing, strict=True):
        found = found * torch.exp(-0.5 * ((axis - middle) / width) ** 2) * (step / (math.sqrt(2 * math.pi) * width))
    return found


def relative(found: Tensor, expected: Tensor) -> float:
    return float(torch.linalg.vector_norm(found - expected) / torch.linalg.vector_norm(expected))


@pytest.mark.parametrize("place", [(0.0, 0.0, 0.0), (0.41, -0.33, 0.57), (2.9, 1.1, -1.3), (-4.0, 0.0, 0.2)])
def test_a_point_shows_the_psf(place: tuple[float, float, float]) -> None:
    """Inside, at the border, and outside, from where its light still reaches in and does not wrap around."""
    image = ew.render(scene(points(place, emission=[5.0])))
    expected = 5.0 * gauss(VOLUME, place, (0.5, 0.2, 0.25))
    assert float((image - expected).abs().max()) < 2e-5 * 5.0 * float(gauss(VOLUME, (0, 0, 0), (0.5, 0.2, 0.25)).max())


def test_an_image_sums_to_the_emission() -> None:
    grid = ew.Grid((33, 32, 32), (0.3, 0.1, 0.12))
    image = ew.render(scene(points((0.1, 0.0, 0.2), (-0.5, 0.3, 0.0), emission=[2.0, 3.0]), grid=grid))
    assert float(image.sum()) == pytest.approx(5.0, rel=1e-4)


def test_coarse_voxels_sample_points_of_the_same_image() -> None:
    """What the voxels cannot resolve is aliased, not lost: every fourth voxel of a fine image is the coarse image."""
    fine, coarse = ew.Grid((8, 32, 32), (0.4, 0.1, 0.1)), ew.Grid((8, 8, 8), (0.4, 0.4, 0.4))
    part = points((0.2, 0.13, -0.31), (0.0, -0.7, 0.4))
    found, expected = (ew.render(scene(part, grid=grid)) for grid in (coarse, fine))
    assert relative(found / 16, expected[:, ::4, ::4]) < 2e-5


@pytest.mark.parametrize(
    "microscope",
    [
        ew.widefield(GAUSS),
        ew.widefield(ew.ScalarPSF(na=0.6, wavelength=0.6)),
        ew.light_sheet(ew.ScalarPSF(na=0.6, wavelength=0.6)),
        ew.two_photon(GAUSS),
    ],
)
def test_part_of_a_volume_is_the_volume_of_that_part(microscope: ew.Microscope) -> None:
    whole, part = ew.Grid((20, 30, 26), (0.3, 0.12, 0.12)), ew.Grid((4, 10, 12), (0.3, 0.12, 0.12))
    places = points((0.4, 0.5, -0.6), (-2.0, -1.0, 0.3), (2.2, 0.2, 1.1))
    found, expected = (ew.render(scene(places, microscope=microscope, grid=grid)) for grid in (part, whole))
    assert relative(found, expected[8:12, 10:20, 7:19]) < 1e-3


def test_every_plane_of_a_widefield_stack_gets_the_same_light() -> None:
    """A camera sees all light of a point in every plane, sharp or not."""
    grid = ew.Grid((5, 96, 96), (0.5, 0.15, 0.15))
    image = ew.render(scene(points((0.0, 0.0, 0.0)), microscope=ew.widefield(na=0.6, index=1.0), grid=grid))
    light = image.sum((1, 2))
    assert float(light.min() / light.max()) > 0.97
    assert float(image[2].max() / image[0].max()) > 1.5


def test_an_image_is_the_plane_in_focus() -> None:
    flat = ew.Grid((64, 64), 0.1)
    image = ew.render(scene(points((0.0, 0.0, 0.3), emission=[7.0]), grid=flat))
    assert float(image.sum()) == pytest.approx(7.0, rel=1e-3)
    away = ew.render(scene(points((0.5, 0.0, 0.3), emission=[7.0]), grid=flat))
    assert float(away.sum()) == pytest.approx(7.0 * math.exp(-0.5), rel=1e-3)
    lens = ew.render(scene(points((0.0, 0.0, 0.0)), microscope=ew.widefield(na=0.8, index=1.0), grid=flat))
    assert float(lens.sum()) == pytest.approx(1.0, rel=0.03)


def test_depth_weakens_light_exponentially() -> None:
    bright = scene(points((1.0, 0.0, 0.0)))
    dim = ew.substitute(bright, {"microscope.interaction.attenuation": 0.4, "microscope.interaction.surface": 2.0})
    assert relative(ew.render(dim), ew.render(bright) * math.exp(-0.4)) < 1e-10


def test_the_light_of_solids_is_weakened_as_that_of_their_parts() -> None:
    """By the divergence theorem and samples of the density, against quadrature inside tetrahedra."""
    corners = torch.tensor([[-0.6, -0.5, -0.5], [0.9, -0.5, -0.4], [-0.6, 0.7, -0.3], [-0.5, -0.4, 0.8]]).double()
    faces = torch.tensor([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]])
    body = ew.Mesh(corners, faces, fill_density=[1.0])
    if float(ew.Tetrahedra(corners, [[0, 1, 2, 3]]).volumes()) > 0 > float(_signed(body)):
        body = ew.Mesh(corners, faces.flip(1), fill_density=[1.0])
    emission = ew.Emission(attenuation=0.7)
    microscope = ew.widefield(ew.GaussianPSF(sigma=(0.5, 0.25, 0.25)), interaction=emission)
    images = [ew.render(scene(part, microscope=microscope)) for part in (body, ew.Tetrahedra(corners, [[0, 1, 2, 3]]))]
    assert relative(images[0], images[1]) < 2e-4


def _signed(mesh: ew.Mesh) -> Tensor:
    return (mesh.vertices[mesh.faces].mean(1) * mesh.area_vectors()).sum() / 3


def test_a_sheet_of_light_multiplies_gaussians() -> None:
    """exp(-z^2 / 2 a^2) times exp(-z^2 / 2 b^2) is a Gaussian of 1/s^2 = 1/a^2 + 1/b^2."""
    image = ew.render(scene(points((0.2, 0.1, 0.0)), microscope=ew.light_sheet(GAUSS, thickness=0.5)))
    assert relative(image, gauss(VOLUME, (0.2, 0.1, 0.0), (0.5 / math.sqrt(2), 0.2, 0.25))) < 1e-3


def test_a_closed_pinhole_multiplies_excitation_and_emission() -> None:
    optics = ew.Detection(GAUSS, pinhole=0.0)
    microscope = ew.Microscope(ew.ScannedSpot(GAUSS), ew.Emission(), optics, ew.Ideal())
    image = ew.render(scene(points((0.2, 0.1, 0.0)), microscope=microscope))
    narrow = math.sqrt(0.5)
    assert relative(image, gauss(VOLUME, (0.2, 0.1, 0.0), (0.5 * narrow, 0.2 * narrow, 0.25 * narrow))) < 2e-3


def test_two_photons_square_the_focus() -> None:
    image = ew.render(scene(points((0.2, 0.1, 0.0)), microscope=ew.two_photon(GAUSS)))
    narrow = math.sqrt(0.5)
    assert relative(image, gauss(VOLUME, (0.2, 0.1, 0.0), (0.5 * narrow, 0.2 * narrow, 0.25 * narrow))) < 2e-3


def test_tiles_share_the_light() -> None:
    """Half way between the middles of two tiles, a point shows the mean of their PSFs."""
    other = ew.GaussianPSF(sigma=(0.5, 0.3, 0.2))
    tiled = ew.TiledPSF((GAUSS, other), tiles=(1, 1, 2), extent=(5.0, 3.0, 2.0))
    found = ew.render(scene(points((0.0, 0.1, 0.0)), microscope=ew.widefield(tiled)))
    images = [ew.render(scene(points((0.0, 0.1, 0.0)), microscope=ew.widefield(psf))) for psf in (GAUSS, other)]
    assert relative(found, (images[0] + images[1]) / 2) < 2e-5


def test_a_camera_integrates_over_its_pixels() -> None:
    """A Gaussian over a square pixel is a product of error functions."""
    camera = ew.Camera(dose=1.0, quantum_efficiency=1.0, gain=1.0, bits=32)
    image = ew.render(scene(points((0.0, 0.05, 0.0), emission=[1e4]), microscope=ew.widefield(GAUSS, sensor=camera)))
    z, y, x = axes(VOLUME)

    def share(axis: Tensor, middle: float, width: float, step: float) -> Tensor:
        ends = [(axis - middle + side * step / 2) / (math.sqrt(2) * width) for side in (-1, 1)]
        return 0.5 * (torch.erf(ends[1]) - torch.erf(ends[0]))

    along = torch.exp(-0.5 * (z / 0.5) ** 2) * 0.3 / (math.sqrt(2 * math.pi) * 0.5)
    expected = 1e4 * along * share(y, 0.05, 0.2, 0.1) * share(x, 0.0, 0.25, 0.12)
    assert relative(image, expected) < 2e-5


def test_bleaching_takes_its_share_plane_by_plane() -> None:
    still = scene(points((0.0, 0.0, 0.0)))
    fading = ew.substitute(still, {"microscope.interaction.bleaching": 0.1, "microscope.interaction.background": 0.25})
    left = 0.9 ** torch.arange(17.0, dtype=torch.float64)[:, None, None]
    assert relative(ew.render(fading), ew.render(still) * left + 0.25) < 1e-12


def test_the_closed_form_of_every_element_gives_the_same_image() -> None:
    parts = (
        points((0.3, 0.2, 0.1)),
        ew.Filaments(torch.tensor([[0.0, -0.5, -0.5], [0.4, 0.5, 0.2], [-0.9, 0.6, 0.6]]).double()),
        ew.Mesh(torch.tensor([[0.0, 0, 0], [0.2, 0.8, 0.1], [0.5, -0.1, 0.9]]).double(), [[0, 1, 2]]),
    )
    fast = scene(*parts)
    exact = ew.substitute(fast, {"microscope.interaction.method": "direct"})
    assert relative(ew.render(fast), ew.render(exact)) < 1e-5


def test_gradients_of_an_image_are_right() -> None:
    grid = ew.Grid((4, 6, 5), (0.4, 0.25, 0.3))
    mesh = ew.Mesh(
        torch.tensor([[0.0, 0, 0], [0.2, 0.5, 0.1], [0.3, -0.1, 0.4], [0.0, 0.1, 0.5]]), [[0, 1, 2], [0, 2, 3]]
    )
    base = scene(points((0.1, 0.2, 0.0)), mesh, grid=grid)
    paths = [
        "specimen.parts.0.center",
        "specimen.parts.0.emission",
        "specimen.parts.1.vertices",
        "specimen.parts.1.density",
        "microscope.optics.psf.sigma",
        "microscope.interaction.attenuation",
    ]
    base = ew.substitute(base, {"microscope.interaction.attenuation": 0.2})
    given = [ew.get(base, path).detach().clone().requires_grad_() for path in paths]

    def image(*values: Tensor) -> Tensor:
        return ew.render(ew.substitute(base, dict(zip(paths, values, strict=True))))

    assert torch.autograd.gradcheck(image, given, eps=1e-6, atol=1e-6, check_forward_ad=True)


def test_psf_returns_the_image_of_a_point() -> None:
    found = ew.psf(scene(points((1.0, 1.0, 1.0), emission=[9.0])))
    assert relative(found, gauss(VOLUME, (0.0, 0.0, 0.0), (0.5, 0.2, 0.25))) < 2e-5


def test_stages_of_different_microscopes_do_not_mix() -> None:
    bright = ew.brightfield()
    with pytest.raises(TypeError, match=r"Microscope\.optics must suit its interaction, got Objective; use Detection"):
        dataclasses.replace(ew.widefield(GAUSS), optics=bright.optics)
    with pytest.raises(TypeError, match="fluorescence has no phase to read, got Interferometer"):
        ew.widefield(GAUSS, sensor=ew.Interferometer())  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"Microscope\.illumination must suit its interaction, got Flood"):
        dataclasses.replace(bright, illumination=ew.Flood())
    with pytest.raises(TypeError, match="only light that passes the specimen has a field"):
        ew.optical_field(scene(points((0, 0, 0))))


def test_parts_without_light_are_refused() -> None:
    bead = ew.Particles(ew.Sphere(), center=[[0, 0, 0]], size=[[1.0]], index=[1.5])
    with pytest.raises(TypeError, match="Particles"):
        ew.render(scene(bead))


def test_volumes_beyond_the_memory_are_told() -> None:
    small = ew.widefield(GAUSS, interaction=ew.Emission(memory=1e-4))
    with pytest.raises(MemoryError, match=r"needs about .* GiB allowed by Emission\.memory; write it slab by slab"):
        ew.render(scene(points((0, 0, 0)), microscope=small))


def test_a_specimen_without_parts_is_dark() -> None:
    assert float(ew.render(scene()).abs().max()) == 0
