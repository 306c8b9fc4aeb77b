"""Derivatives of the image by every declared parameter of a scene, in double precision.

The scenes are enumerated with `paths`, so that a parameter that is added later is tested without a new line here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

import exitwave as ew
from exitwave.field import Canvas
from exitwave.raster import splat

# torch compiles a table of its own when it first makes a dual number, and warns about the way it does so.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

DOUBLE = torch.float64

SIZES: dict[str, tuple[Any, tuple[tuple[float, ...], ...]]] = {
    "sphere": (ew.Sphere(), ((0.71,), (0.53,))),
    "ellipsoid": (ew.Ellipsoid(), ((0.4, 0.63, 0.91), (0.71, 0.52, 0.33))),
    "rod": (ew.Rod(), ((0.37, 0.93), (0.53, 0.81))),
    "box": (ew.Box(), ((0.41, 0.57, 0.76), (0.64, 0.33, 0.52))),
    "disk": (ew.Disk(), ((0.77, 0.31), (0.56, 0.62))),
    "crystal": (ew.Crystal(), ((0.63, 0.71), (0.52, 0.81))),
    "disordered": (
        ew.Crystal(per_face=True),
        tuple(tuple(0.55 + 0.013 * ((7 * face + body) % 12) for face in range(12)) for body in range(2)),
    ),
    "rounded": (ew.RoundedCrystal(), ((0.63, 0.71, 0.4), (0.52, 0.81, 0.7))),
}

# Parameters that move no pixel of an expected image, and why.
INERT = {
    "microscope.optics.index": "the immersion only bounds the aperture",
    "microscope.sensor.read_noise": "noise has no mean",
    "microscope.sensor.noise": "noise has no mean",
    "microscope.sensor.full_well": "nothing is saturated here",
    "specimen.parts.1.height": "a thin specimen has one plane",
    "specimen.parts.0.secondary": "light frees no electrons",
    "specimen.parts.0.backscatter": "light frees no electrons",
    "specimen.parts.1.secondary": "light frees no electrons",
    "specimen.parts.1.step_height": "light sees no steps",
    "specimen.parts.1.terrace": "light sees no steps",
    "specimen.parts.1.levels": "light sees no steps",
}


def body(name: str) -> ew.Particles:
    shape, size = SIZES[name]
    return ew.Particles(
        shape,
        center=torch.tensor([[0.31, -0.43, 0.37], [-0.17, 0.52, -0.61]], dtype=DOUBLE),
        size=torch.tensor(size, dtype=DOUBLE),
        index=torch.tensor([1.42, 1.39], dtype=DOUBLE),
        rotation=torch.tensor([[0.9, 0.3, -0.5, 0.2], [0.3, -0.7, 0.4, 0.8]], dtype=DOUBLE),
        absorption=torch.tensor([0.3, 0.1], dtype=DOUBLE),
        dispersion=torch.tensor([0.01, 0.004], dtype=DOUBLE),
        birefringence=torch.tensor([0.03, -0.02], dtype=DOUBLE),
        optic_axis=torch.tensor([[0.8, 0.5, -0.3], [0.2, 0.9, 0.6]], dtype=DOUBLE),
    )


def specimen(name: str) -> ew.Specimen:
    film = ew.Film(opd=0.02, absorbance=0.1, scale=3.0, exponent=2.5, seed=3)
    return ew.Specimen((body(name), film), medium=1.33, dispersion=0.003)


def camera(name: str) -> ew.Scene:
    """Köhler light of two colours, aberrations, a colour camera with all its imperfections."""
    microscope = ew.Microscope(
        ew.Koehler(0.35, wavelength=(0.47, 0.61), spectrum=(1.0, 0.7), rings=1),
        ew.Transmission(),
        ew.Objective(na=0.6, defocus=0.8, zernike=(0.05, -0.03, 0.02)),
        ew.Camera(
            dose=1e3, gain=0.1, offset=3.0, em_gain=1.5, vignette=0.2, response=((1.0, 0.2), (0.3, 0.9)), bits=16
        ),
    )
    return ew.Scene(specimen(name), microscope, ew.Grid((12, 14), 0.25))


def laser(name: str) -> ew.Scene:
    microscope = ew.Microscope(
        ew.Coherent(0.55, direction=(0.11, -0.07)),
        ew.Transmission(),
        ew.Objective(na=0.6, defocus=-0.7, zernike=(0.03,)),
        ew.Ideal(response=((1.0,),)),
    )
    return ew.Scene(specimen(name), microscope, ew.Grid((12, 14), 0.25))


def interferometer(name: str) -> ew.Scene:
    sensor = ew.Interferometer(offset=0.1, tilt=(0.02, -0.03))
    polars = ew.Polarization(polarizer=0.2, analyzer=0.5, retardance=0.05, azimuth=0.9)
    optics = ew.Objective(na=0.6, defocus=0.3, polarization=polars)
    microscope = ew.Microscope(ew.Coherent(0.55), ew.Transmission(), optics, sensor)
    return ew.Scene(specimen(name), microscope, ew.Grid((12, 14), 0.25))


def maps(name: str) -> ew.Scene:
    """A camera whose gain, offset and noise differ from pixel to pixel."""
    scene = laser(name)
    generator = torch.Generator().manual_seed(7)

    def random(scale: float) -> Tensor:
        return scale * (1 + 0.1 * torch.rand(3, 4, generator=generator, dtype=DOUBLE))

    sensor = ew.Camera(gain=random(0.02), offset=random(10.0), read_noise=random(2.0), bits=16)
    return ew.Scene(scene.specimen, ew.substitute(scene.microscope, {"sensor": sensor}), ew.Grid((3, 4), 0.25))


def ring(name: str) -> ew.Scene:
    """Phase contrast."""
    optics = ew.Objective(na=0.6, defocus=0.4, plate=ew.PhaseRing(0.27, 0.41, phase=-1.2, transmission=0.3))
    microscope = ew.Microscope(ew.Annulus(0.3, 0.37, points=5), ew.Transmission(), optics, ew.Ideal())
    return ew.Scene(specimen(name), microscope, ew.Grid((12, 14), 0.25))


def shear(name: str) -> ew.Scene:
    """Differential interference contrast in oblique light."""
    optics = ew.Objective(na=0.6, defocus=0.4, plate=ew.Shear((0.1, 0.2), bias=0.7))
    lamp = ew.HalfDisk(0.35, inner_na=0.1, azimuth=0.4, points=2, rings=2)
    return ew.Scene(specimen(name), ew.Microscope(lamp, ew.Transmission(), optics, ew.Ideal()), ew.Grid((12, 14), 0.25))


def deep(name: str) -> ew.Scene:
    """A few lamps through several slabs, crossed polars with a compensator."""
    polars = ew.Polarization(polarizer=0.2, analyzer=1.6, retardance=0.1, azimuth=0.9)
    optics = ew.Objective(na=0.6, defocus=0.4, polarization=polars)
    lamp = ew.SourcePoints(((0.1, 0.2), (-0.15, 0.05)), weight=(1.0, 2.0))
    interaction = ew.Multislice(slabs=3, depth=(-1.6, 1.7))
    film = ew.Film(opd=0.02, absorbance=0.1, scale=3.0, exponent=2.5, height=0.3, seed=3)
    parts = ew.Specimen((body(name), film), medium=1.33, dispersion=0.003)
    return ew.Scene(parts, ew.Microscope(lamp, interaction, optics, ew.Ideal()), ew.Grid((12, 14), 0.25))


def fringes(name: str) -> ew.Scene:
    """An off-axis hologram of polarised light."""
    reference, polars = ew.Reference((0.3, 0.5), amplitude=0.8), ew.Polarization(0.2, 0.5, retardance=0.05)
    optics = ew.Objective(na=0.6, defocus=0.4, polarization=polars, reference=reference)
    microscope = ew.Microscope(
        ew.Coherent(0.55, direction=(0.05, 0.1)), ew.Transmission(), optics, ew.Camera(gain=0.1, bits=16)
    )
    return ew.Scene(specimen(name), microscope, ew.Grid((12, 14), 0.25))


SCENES: dict[str, Callable[[str], ew.Scene]] = {
    "camera": camera,
    "laser": laser,
    "interferometer": interferometer,
    "maps": maps,
    "ring": ring,
    "shear": shear,
    "deep": deep,
    "fringes": fringes,
}
# Every scene with rods, and the other shapes' own parameters by way of the cheapest one.
CASES = [(scene, "rod") for scene in SCENES] + [("laser", name) for name in SIZES if name != "rod"]


def double(scene: ew.Scene) -> ew.Scene:
    return scene.to(DOUBLE)


def probes(scene: ew.Scene) -> Tensor:
    """Return two random weightings of the image: their sums stand for all pixels."""
    image = ew.render(scene)
    return torch.randn(2, *image.shape, generator=torch.Generator().manual_seed(11), dtype=DOUBLE) / image.abs().mean()


@pytest.mark.parametrize(("scene_name", "shape"), CASES)
def test_every_parameter_passes_gradcheck(scene_name: str, shape: str) -> None:
    scene = double(SCENES[scene_name](shape))
    weights = probes(scene)
    for path in ew.paths(scene):
        value = ew.get(scene, path)
        if value.numel() == 0 or (shape != "rod" and not path.startswith("specimen.parts.0")):
            continue

        def signal(new: Tensor, path: str = path) -> Tensor:
            image = ew.render(ew.substitute(scene, {path: new}))
            return torch.einsum("p...,...->p", weights, image)

        start = value.clone().requires_grad_()
        # Steps far below the half widths of kinks; tolerances far above what double precision leaves of them.
        assert torch.autograd.gradcheck(signal, (start,), eps=1e-6, atol=1e-5, rtol=1e-4), path
        strength = signal(start)[0]
        moves = strength.requires_grad
        if moves:
            (gradient,) = torch.autograd.grad(strength, start, materialize_grads=True)
            moves = bool(gradient.abs().max() > 1e-9)
        inert = path in INERT
        inert = inert and not (scene_name == "deep" and path.endswith(".height"))
        # With one wavelength the spectrum and the response are normalised away.
        alone = scene_name != "camera"
        inert = inert or (alone and path.endswith(("spectrum", "response")))
        assert moves != inert, path


@pytest.mark.parametrize(("scene_name", "shape"), CASES)
def test_forward_mode_agrees_with_reverse_mode(scene_name: str, shape: str) -> None:
    """One directional derivative of a full render along a random change of all parameters at once."""
    scene = double(SCENES[scene_name](shape))
    weights = probes(scene)
    generator = torch.Generator().manual_seed(5)
    values = {path: ew.get(scene, path) for path in ew.paths(scene)}
    steps = {path: torch.randn(value.shape, generator=generator, dtype=DOUBLE) for path, value in values.items()}
    with forward_ad.dual_level():
        duals = {path: forward_ad.make_dual(value, steps[path]) for path, value in values.items()}
        image = ew.render(ew.substitute(scene, duals))
        tangent = forward_ad.unpack_dual(image).tangent
    assert tangent is not None
    forward = torch.einsum("p...,...->p", weights, tangent)
    leaves = {path: value.clone().requires_grad_() for path, value in values.items()}
    signal = torch.einsum("p...,...->p", weights, ew.render(ew.substitute(scene, leaves)))
    for number in range(2):
        found = torch.autograd.grad(signal[number], list(leaves.values()), retain_graph=True, materialize_grads=True)
        reverse = sum(float((gradient * steps[path]).sum()) for path, gradient in zip(leaves, found, strict=True))
        assert float(forward[number]) == pytest.approx(reverse, rel=1e-9)


def test_gradients_of_the_complex_field() -> None:
    scene = double(ew.substitute(laser("ellipsoid"), {"microscope.optics.polarization": ew.Polarization(0.1, 0.4)}))
    for path in ("specimen.parts.0.center", "microscope.optics.na", "specimen.medium"):

        def field(new: Tensor, path: str = path) -> Tensor:
            return ew.optical_field(ew.substitute(scene, {path: new}))[::4, ::5]

        start = ew.get(scene, path).clone().requires_grad_()
        assert torch.autograd.gradcheck(field, (start,), eps=1e-6, atol=1e-5, rtol=1e-4), path


def test_gradient_by_position_is_the_images_shift() -> None:
    """Moving everything by d along x is -d times the image's slope: a derivative from the image alone."""
    scene = double(laser("sphere"))
    scene = ew.substitute(scene, {"specimen.parts": (body("sphere"),)})
    scene = ew.Scene(scene.specimen, scene.microscope, ew.Grid((40, 40), 0.1))
    center = ew.get(scene, "specimen.parts.0.center").clone()
    along_x = torch.tensor([0.0, 0.0, 1.0], dtype=DOUBLE).expand_as(center)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(center, along_x)
        moved = forward_ad.unpack_dual(ew.render(ew.substitute(scene, {"specimen.parts.0.center": dual}))).tangent
    image, moved = ew.render(scene)[0], None if moved is None else moved[0]
    slope = (8 * (image[:, 3:-1] - image[:, 1:-3]) - (image[:, 4:] - image[:, :-4])) / (12 * 0.1)
    assert moved is not None
    assert float((moved[:, 2:-2] + slope).abs().max()) < 0.05 * float(slope.abs().max())


def test_gradient_by_size_is_the_rim() -> None:
    """Of the volume on the grid by the radius of a sphere: its surface, 4 pi R^2, at any sub-pixel place and size."""
    generator, grid = torch.Generator().manual_seed(2), ew.Grid((96, 96), 0.1)
    for _ in range(5):
        radius = (0.5 + torch.rand(1, 1, generator=generator, dtype=DOUBLE)).requires_grad_()
        center = torch.rand(1, 3, generator=generator, dtype=DOUBLE) * 0.1
        sphere = ew.Particles(ew.Sphere(), center, radius, torch.tensor([1.5], dtype=DOUBLE))
        thickness = splat(sphere, torch.ones(1, 1, dtype=DOUBLE), Canvas(grid, (0, 0), (96, 96)))
        (slope,) = torch.autograd.grad(thickness.sum() * 0.01, radius)
        assert float(slope) == pytest.approx(4 * torch.pi * float(radius.detach()) ** 2, rel=0.01)


def test_faint_and_clear_specimens_have_gradients_too() -> None:
    """Index step, absorption and dispersion of exactly zero: nothing to see, but a slope to leave zero by."""
    scene = double(camera("sphere"))
    zero = torch.zeros(2, dtype=DOUBLE)
    start = {
        "specimen.parts.0.index": torch.full((2,), 1.33, dtype=DOUBLE),
        "specimen.parts.0.absorption": zero,
        "specimen.parts.0.dispersion": zero,
    }
    clear = ew.substitute(scene, {**start, "specimen.dispersion": torch.zeros((), dtype=DOUBLE)})
    for path, value in start.items():
        leaf = value.clone().requires_grad_()
        image = ew.render(ew.substitute(clear, {path: leaf}))
        (gradient,) = torch.autograd.grad((image * probes(clear)[0]).sum(), leaf)
        assert bool((gradient.abs() > 1e-6).all()), path


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize(
    "rotation", [(1.0, 0.0, 0.0, 0.0), (0.5**0.5, 0.5**0.5, 0.0, 0.0), (0.5**0.5, 0.0, 0.5**0.5, 0.0)]
)
def test_gradients_are_finite_in_singular_poses(shape: str, rotation: tuple[float, ...]) -> None:
    """Face-on and edge-on, centred on a sample, in both precisions: no NaN from a vanishing length."""
    for dtype in (torch.float32, DOUBLE):
        kind, size = SIZES[shape]
        leaves: dict[str, Any] = {
            "center": torch.zeros(1, 3, dtype=dtype),
            "size": torch.tensor(size[:1], dtype=dtype),
            "rotation": torch.tensor([rotation], dtype=dtype),
        }
        particles = ew.Particles(kind, index=torch.tensor([1.4], dtype=dtype), **leaves)
        scene = ew.Scene(
            ew.Specimen((particles,), medium=1.33), ew.hologram(na=0.6, defocus=1.0), ew.Grid((12, 12), 0.2)
        )
        free = {f"specimen.parts.0.{name}": value.clone().requires_grad_() for name, value in leaves.items()}
        image = ew.render(ew.substitute(scene, free))
        gradients = torch.autograd.grad(
            (image * torch.linspace(0, 1, 12)).sum(), list(free.values()), materialize_grads=True
        )
        for path, gradient in zip(free, gradients, strict=True):
            assert bool(torch.isfinite(gradient).all()), path
            assert float(gradient.abs().max()) < 1e4, path
