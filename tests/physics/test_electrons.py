"""Secondary electrons: yields of slabs, slopes and spheres, layers, shadows, the probe, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import exitwave as ew
from exitwave.field import Canvas
from exitwave.raster.fragments import fragments
from exitwave.specimen.meshes import icosphere

GRID = ew.Grid((40, 48), 0.01)
SHARP = 1e-6  # um: a probe that blurs nothing


def scene(*parts: Any, grid: ew.Grid = GRID, detector: ew.ElectronDetector | None = None, **numbers: Any) -> ew.Scene:
    """Return a scene under a probe without width, without shadows unless they are asked for."""
    probe = numbers.pop("probe", SHARP)
    beam = ew.Beam(probe=probe, convergence=numbers.pop("convergence", 0.0), focus=numbers.pop("focus", 0.0))
    yields = ew.SecondaryElectrons(**{"shadowing": 0.0, **numbers})
    microscope = ew.Microscope(beam, yields, detector or ew.ElectronDetector(), ew.Ideal())
    return ew.Scene(ew.Specimen(parts), microscope, grid).to(torch.float64)


def slab(thickness: float, bottom: float = 0.0, side: float = 9.0, **numbers: Any) -> ew.Particles:
    """Return a slab `side` micrometres wide, which lies on `bottom`."""
    middle = bottom + thickness / 2
    size = [thickness / 2, side / 2, side / 2]
    return ew.Particles(ew.Box(), [[middle, 0.0, 0.0]], [size], [1.5], **numbers)


def ball(radius: float = 0.15, center: tuple[float, float, float] = (0.15, 0.0, 0.0), **numbers: Any) -> ew.Particles:
    return ew.Particles(ew.Sphere(), [center], [[radius]], [1.5], **numbers)


def test_the_bare_support_yields_one() -> None:
    assert torch.allclose(ew.render(scene()), torch.ones(40, 48))


@pytest.mark.parametrize("thickness", [0.002, 0.02, 0.5])
def test_a_slab_yields_what_escapes_from_its_depth(thickness: float) -> None:
    image = ew.render(scene(slab(thickness, secondary=[2.5], backscatter=[0.4]), escape_depth=0.015, range=0.3))
    expected = 2.5 * (1 - math.exp(-thickness / 0.015)) + 0.4 * (1 - math.exp(-thickness / 0.3))
    assert torch.allclose(image, torch.full_like(image, expected), rtol=1e-6)


@pytest.mark.parametrize("tilt", [0.3, 0.9, 1.3])
def test_a_tilted_slab_is_brighter_by_a_power_of_the_cosine(tilt: float) -> None:
    """Turned about x: the way along the beam grows, the way out along the normal is what it was."""
    turned = slab(0.04, -0.02, rotation=[[math.cos(tilt / 2), math.sin(tilt / 2), 0.0, 0.0]])
    image = ew.render(scene(turned, escape_depth=0.015, tilt_exponent=0.8))
    expected = math.cos(tilt) ** -0.8 * (1 - math.exp(-0.04 / 0.015))
    assert float(image[20, 24]) == pytest.approx(expected, rel=1e-6)


def test_a_sphere_yields_by_its_slope_and_its_chord() -> None:
    """Where the whole cell is covered, at the angle arcsin(r / R) with the chord 2 sqrt(R^2 - r^2)."""
    image = ew.render(scene(ball(), escape_depth=0.02, tilt_exponent=0.93))
    y, x = torch.meshgrid(*(GRID.axis(axis, image) for axis in (0, 1)), indexing="ij")
    distance = torch.hypot(y, x)
    whole = distance < 0.15 - 0.008
    cosine = torch.sqrt((1 - (distance / 0.15) ** 2).clamp(min=1e-9))
    expected = cosine**-0.93 * (1 - torch.exp(-2 * 0.15 * cosine**2 / 0.02))
    assert torch.allclose(image[whole], expected[whole], rtol=1e-6)
    assert torch.allclose(image[distance > 0.15 + 0.008], torch.ones((), dtype=torch.float64))


def test_a_mesh_is_seen_as_the_body_that_it_encloses() -> None:
    """A fine icosphere beside the sphere, with a yield of its own."""
    mesh = icosphere(0.15, (0.15, 0.0, 0.0), subdivisions=5)
    found = ew.render(scene(ew.Mesh(mesh.vertices, mesh.faces, secondary=[2.0], backscatter=[0.3]), probe=0.008))
    expected = ew.render(scene(ball(secondary=[2.0], backscatter=[0.3]), probe=0.008))
    assert float((found - expected).abs().amax()) < 0.02 * float(expected.amax())


def test_a_mesh_with_a_hole_is_refused() -> None:
    mesh = icosphere(0.15, (0.15, 0.0, 0.0), subdivisions=2)
    with pytest.raises(ValueError, match="thickness of region 1 is undefined, its surface is not closed"):
        ew.render(scene(ew.Mesh(mesh.vertices, mesh.faces[:-1])))


def test_rims_of_larger_spheres_are_brighter() -> None:
    small, large = (float(ew.render(scene(ball(r, (r, 0.0, 0.0)), probe=0.004)).amax()) for r in (0.05, 0.15))
    assert large > 1.1 * small


def test_layers_are_seen_through_one_another() -> None:
    """Two slabs over the support, each of which lets exp(-t / l) through."""
    layers = slab(0.02, 0.0, secondary=[3.0]), slab(0.01, 0.1, secondary=[0.5])
    image = ew.render(scene(*layers, escape_depth=0.015, transparency=0.03))
    lower, upper = (a * (1 - math.exp(-t / 0.015)) for a, t in ((3.0, 0.02), (0.5, 0.01)))
    expected = upper + math.exp(-0.01 / 0.03) * (lower + math.exp(-0.02 / 0.03))
    assert torch.allclose(image, torch.full_like(image, expected), rtol=1e-6)
    opaque = ew.render(scene(*layers, escape_depth=0.015))
    assert torch.allclose(opaque, torch.full_like(opaque, upper), rtol=1e-6)


def test_heaps_are_brighter_than_what_they_are_made_of() -> None:
    """What comes from the depth grows with all that lies below: two slabs are as bright as one of both thicknesses."""
    pair = slab(0.2, 0.0, backscatter=[2.0]), slab(0.1, 0.5, backscatter=[2.0])
    image = ew.render(scene(*pair, escape_depth=0.015, range=0.3))
    expected = 1 - math.exp(-0.1 / 0.015) + 2.0 * (1 - math.exp(-0.3 / 0.3))
    assert torch.allclose(image, torch.full_like(image, expected), rtol=1e-6)


def test_a_detector_at_the_side_sees_the_slopes_that_face_it() -> None:
    """Opposite slopes differ by (1 + a n.s) / (1 + a n'.s); the support stays as it is."""
    side = ew.ElectronDetector(asymmetry=0.6, azimuth=0.0, elevation=math.pi / 4)
    image = ew.render(scene(ball(), detector=side))
    column = round(0.08 / 0.01)
    tilt = math.asin(0.08 / 0.15)
    towards, away = (1 + 0.6 * math.cos(math.pi / 4) * (math.cos(tilt) + way * math.sin(tilt)) for way in (1, -1))
    assert float(image[20, 24 + column] / image[20, 24 - column]) == pytest.approx(towards / away, rel=1e-6)
    assert float(image[0, 0]) == pytest.approx(1.0)


def test_every_particle_has_a_brightness_of_its_own() -> None:
    pair = ew.Particles(
        ew.Sphere(), [[0.05, 0.0, -0.1], [0.05, 0.0, 0.1]], [[0.05], [0.05]], [1.5, 1.5], secondary=[1.0, 2.0]
    )
    image = ew.render(scene(pair))
    assert torch.allclose(image[20, 34], 2 * image[20, 14])


def test_the_edge_of_a_plate_is_the_integral_of_the_probe() -> None:
    """Of a plate whose border lies between two columns: the mean of a cell under a Gaussian, an error function."""
    plate = ew.Particles(ew.Box(), [[0.05, 0.0, -2.005]], [[0.05, 9.0, 2.0]], [1.5], secondary=[5.0])
    for sigma in (0.012, 0.02):
        image = ew.render(scene(plate, probe=sigma, grid=ew.Grid((8, 64), 0.01)))
        x = ew.Grid((8, 64), 0.01).axis(1, image)
        inside = 0.5 * torch.erfc((x + 0.005) / (sigma * math.sqrt(2)))
        expected = 1 + (5.0 * (1 - math.exp(-0.1 / 0.015)) - 1) * inside
        # The raster is one of cells, whose width adds to the probe's.
        assert float((image[4] - expected).abs().amax()) < 0.02 * 4 * 0.01 / sigma


def test_what_is_out_of_focus_is_blurred_by_the_cone() -> None:
    """A slab 1 um high under a cone of 20 mrad that is focused on it, or on the support: blurred by 10 nm there."""
    plate = ew.Particles(ew.Box(), [[0.5, 0.0, -2.0025]], [[0.5, 9.0, 2.0]], [1.5], secondary=[5.0])
    grid = ew.Grid((8, 128), 0.005)
    for focus, sigma in ((1.0, 0.004), (0.0, math.hypot(0.004, 0.01))):
        image = ew.render(scene(plate, probe=0.004, convergence=0.02, focus=focus, grid=grid))[4]
        # The probe stands over the plate, two and a half cells from its border.
        lost = (5.0 - float(image[61])) / 4.0
        assert lost == pytest.approx(0.5 * math.erfc(0.0125 / sigma / math.sqrt(2)), abs=0.015)


def test_blurs_of_many_widths_agree_with_a_sum_over_places() -> None:
    """Each place collects with the spot that stands over it; against the sum itself, written out."""
    heights = ew.Particles(ew.Ellipsoid(), [[0.0, 0.0, 0.0]], [[0.6, 0.3, 0.3]], [1.5], secondary=[2.0])
    grid = ew.Grid((24, 24), 0.02)
    sharp = scene(heights, grid=grid)
    wide = scene(heights, probe=0.02, convergence=0.08, grid=grid)
    interaction, beam = wide.microscope.interaction, wide.microscope.illumination
    canvas = interaction.canvas(wide.specimen, beam, grid)
    like = torch.zeros((), dtype=torch.float64)
    found = fragments(wide.specimen.parts, canvas, like)
    shown, height = interaction.yields(wide.specimen, found, wide.microscope.optics, canvas, like)
    rows, columns = (canvas.grid.axis(axis, shown) for axis in (0, 1))
    sigma = beam.sigma(height)
    summed = torch.empty_like(shown)
    for row in range(canvas.grid.shape[0]):
        for column in range(canvas.grid.shape[1]):
            one = sigma[row, column]
            weight = torch.exp(-((rows - rows[row]) ** 2) / (2 * one**2))[:, None] * torch.exp(
                -((columns - columns[column]) ** 2) / (2 * one**2)
            )
            summed[row, column] = (weight * shown).sum() / weight.sum()
    image = ew.render(wide)
    assert float((image - summed[canvas.image]).abs().amax()) < 0.02 * float(shown.amax())
    assert float((image - ew.render(sharp)).abs().amax()) > 0.2


def test_shadows_fall_beside_a_wall_and_nowhere_else() -> None:
    """Beside a step of height h the surroundings are h (1 - Phi(d / s)) higher: a closed form of the distance d."""
    canvas = Canvas(ew.Grid((32, 400), 0.005), (0, 0), (32, 400))
    height = torch.zeros(32, 400, dtype=torch.float64)
    height[:, 100:300] = 0.1
    yields = ew.SecondaryElectrons(shadowing=0.8, shadow_length=0.02)
    passed = yields.shadows(height, canvas)[16]
    column = 320
    distance = (column - 300 + 0.5) * 0.005
    expected = 0.0
    for scale in (0.02, 0.04, 0.08):
        around = 0.1 * 0.5 * math.erfc(distance / scale / math.sqrt(2))
        expected += 1 / (1 + (0.8 * around / scale) ** 2) / 3
    assert float(passed[column]) == pytest.approx(expected, rel=1e-4)
    assert float(passed[200]) == pytest.approx(1.0, abs=1e-9)
    assert float(passed[0]) == pytest.approx(1.0, abs=1e-4)


def test_nothing_wraps_around() -> None:
    """A bright ball at the left end is seen as on a grid with room around it."""
    bright = ball(center=(0.15, 0.0, -0.24), secondary=[50.0])
    image = ew.render(scene(bright, probe=0.02, shadowing=1.0))
    wide = ew.render(scene(bright, grid=ew.Grid((140, 148), 0.01), probe=0.02, shadowing=1.0))
    assert torch.allclose(image, wide[50:90, 50:98], atol=2e-3)


def test_bodies_beyond_the_image_light_it_through_the_probe() -> None:
    beyond = ball(center=(0.15, 0.0, 0.24 + 0.152), secondary=[50.0])
    assert float(ew.render(scene(beyond, probe=0.02))[20, -1]) > 1.2


def test_the_support_hides_what_lies_below_it() -> None:
    """A sphere sunk to two thirds is a cap: as wide as it is at z = 0, and bare support around that."""
    image = ew.render(scene(ball(0.15, (-0.06, 0.0, 0.0)), escape_depth=0.02, tilt_exponent=0.0))
    y, x = torch.meshgrid(*(GRID.axis(axis, image) for axis in (0, 1)), indexing="ij")
    distance = torch.hypot(y, x)
    rim = math.sqrt(0.15**2 - 0.06**2)
    square = 1 - (distance / 0.15) ** 2
    cap = 1 - torch.exp(-2 * 0.15 * square / 0.02)
    assert torch.allclose(image, torch.where(distance < rim, cap, 1.0), rtol=1e-6)


def test_bodies_below_the_support_are_refused() -> None:
    with pytest.raises(ValueError, match=r"got number 1 below it, up to -0\.01 um; raise its z"):
        ew.render(scene(ball(), ball(0.15, (-0.16, 0.0, 0.0))))
    # Beyond the field nothing is drawn and nothing asked.
    ew.render(scene(ball(), ball(0.15, (-0.16, 9.0, 0.0))))


def test_a_body_that_rises_beyond_the_border_is_no_error() -> None:
    """Of a sunk sphere the canvas holds a rim alone, which lies below the support: it is bare."""
    image = ew.render(scene(ball(0.15, (-0.1, 0.48, 0.0))))
    assert torch.allclose(image, torch.ones_like(image))


def test_film_is_the_texture_of_the_support_and_not_of_bodies() -> None:
    film = ew.Film(scale=0.05, secondary=0.2, seed=3)
    grid = ew.Grid((256, 256), 0.01)
    image = ew.render(scene(film, grid=grid))
    assert float(image.std() / image.mean()) == pytest.approx(0.2, rel=0.15)
    assert float(image.amin()) > 0
    assert torch.allclose(ew.render(scene(slab(0.5), film)), ew.render(scene(slab(0.5))))


@pytest.mark.parametrize("step", [0.01, 0.0173])
def test_steps_of_the_support_are_bright_by_their_height_and_not_by_the_sample(step: float) -> None:
    """Lines cross steps once per terrace, so that pi / 2 / terrace of them lies in each area (Buffon)."""
    film = ew.Film(step_height=0.012, terrace=0.3, levels=2.0, seed=5)
    image = ew.render(scene(film, grid=ew.Grid((900, 900), step), escape_depth=0.008, tilt_exponent=0.9))
    excess = 0.008 * ((1 + (0.012 / 0.008) ** 2) ** 0.45 - 1)
    assert float(image.mean()) - 1 == pytest.approx(math.pi / 2 / 0.3 * excess, rel=0.08)
    assert float(image.median()) == pytest.approx(1.0, abs=1e-4)


def test_a_detector_at_the_side_sees_steps_up_and_down() -> None:
    film = ew.Film(step_height=0.012, terrace=0.3, seed=5)
    side = ew.ElectronDetector(asymmetry=0.8, azimuth=0.0, elevation=0.3)
    image = ew.render(scene(film, detector=side, escape_depth=0.008))
    rise = torch.gradient(film.relief((40, 48), (0.01, 0.01), image), dim=1)[0]
    assert float(image[rise < -1e-3].mean()) > 1.2 > float(image[rise > 1e-3].mean())


def test_shadows_know_the_terraces() -> None:
    film = ew.Film(step_height=0.05, terrace=0.3, seed=5)
    bare, shaded = (ew.render(scene(film, shadowing=shadowing)) for shadowing in (0.0, 1.0))
    heights = film.relief((40, 48), (0.01, 0.01), bare)
    # Light falls at the feet of steps, not on terraces that look down on others.
    lower = shaded / bare < 0.98
    assert bool(lower.any())
    assert float(heights[lower].mean()) < float(heights.mean())


def test_every_number_has_its_derivative() -> None:
    film = ew.Film(secondary=0.1, scale=0.05, step_height=0.02, terrace=0.2, levels=0.7, seed=5)
    pair = ew.Particles(
        ew.Sphere(),
        [[0.1, 0.01, -0.06], [0.16, -0.03, 0.05]],
        [[0.1], [0.12]],
        [1.5, 1.5],
        secondary=[1.5, 1.2],
        backscatter=[0.1, 0.3],
    )
    whole = scene(
        pair,
        film,
        grid=ew.Grid((10, 12), 0.04),
        probe=0.03,
        convergence=0.02,
        shadowing=0.5,
        transparency=0.2,
        detector=ew.ElectronDetector(asymmetry=0.3, azimuth=0.4),
    )
    names = (
        "specimen.parts.0.center",
        "specimen.parts.0.size",
        "specimen.parts.0.secondary",
        "specimen.parts.0.backscatter",
        "specimen.parts.1.secondary",
        "specimen.parts.1.step_height",
        "specimen.parts.1.terrace",
        "specimen.parts.1.levels",
        "microscope.interaction.escape_depth",
        "microscope.interaction.tilt_exponent",
        "microscope.interaction.range",
        "microscope.interaction.transparency",
        "microscope.interaction.shadowing",
        "microscope.interaction.shadow_length",
        "microscope.optics.asymmetry",
        "microscope.optics.azimuth",
    )

    def image(*values: Tensor) -> Tensor:
        return ew.render(ew.substitute(whole, dict(zip(names, values, strict=True))))

    values = tuple(ew.get(whole, name).clone().requires_grad_() for name in names)
    assert torch.autograd.gradcheck(image, values, eps=1e-6, atol=1e-4, rtol=1e-3, check_forward_ad=True)


@pytest.mark.parametrize("name", ["probe", "convergence", "focus"])
def test_the_beam_has_its_derivatives(name: str) -> None:
    """By differences."""
    whole = scene(ball(), probe=0.02, convergence=0.05, focus=0.1)
    path = f"microscope.illumination.{name}"
    value = ew.get(whole, path).clone().requires_grad_()
    weight = torch.randn(40, 48, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    (slope,) = torch.autograd.grad((ew.render(ew.substitute(whole, {path: value})) * weight).sum(), value)
    step = 1e-5 * float(value.detach())
    ends = [
        float((ew.render(ew.substitute(whole, {path: float(value.detach()) + way * step})) * weight).sum())
        for way in (1, -1)
    ]
    assert float(slope) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-3)


def test_what_electrons_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match=r"SecondaryElectrons\.escape_depth must lie in \(0, 10\) um, got 0"):
        ew.SecondaryElectrons(escape_depth=0.0)
    with pytest.raises(ValueError, match=r"ScanSensor\.dose must lie in"):
        ew.ScanSensor(dose=0.0)
    with pytest.raises(ValueError, match=r"electrons need a grid \(height, width\), got \(4, 4, 4\)"):
        ew.render(scene(grid=ew.Grid((4, 4, 4), 0.1)))
    with pytest.raises(TypeError, match="electrons see Particles"):
        ew.render(scene(ew.Points([[0, 0, 0]])))
    light = ew.widefield(ew.GaussianPSF(sigma=(0.4, 0.2, 0.2)))
    with pytest.raises(TypeError, match=r"Microscope\.illumination must suit its interaction, got Flood; use a Beam"):
        ew.Microscope(light.illumination, ew.SecondaryElectrons(), ew.ElectronDetector(), ew.Ideal())
