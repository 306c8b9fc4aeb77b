"""Particles are found in images without hand work: where they are, how large, how turned, and none too many."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import exitwave as ew
from exitwave.fit.detect import detect

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
CAMERA = ew.Camera(dose=5000, gain=0.02)
PIXEL = 0.1


def places(count: int, shape: tuple[int, int], apart: float, margin: float, seed: int = 0) -> np.ndarray:
    """Return centres (N, 3) in one plane, at least `apart` from one another and `margin` from the border, in um."""
    generator = np.random.default_rng(seed)
    half = np.array(shape) * PIXEL / 2 - margin
    found: list[np.ndarray] = []
    while len(found) < count:
        place = generator.uniform(-half, half)
        if all(np.hypot(*(place - other)) > apart for other in found):
            found.append(place)
    return np.array([[0.0, *place] for place in found])


def scene(part: ew.Particles, microscope: ew.Microscope, shape: tuple[int, int]) -> ew.Scene:
    return ew.Scene(ew.Specimen((part,), medium=1.33), microscope, ew.Grid(shape, PIXEL))


def beads(microscope: ew.Microscope, index: float = 1.45) -> ew.Scene:
    """Twelve beads of radius 0.7 to 1.3 um."""
    center = places(12, (256, 256), 4.5, 1.5)
    radius = np.random.default_rng(1).uniform(0.7, 1.3, (12, 1))
    return scene(ew.Particles(ew.Sphere(), center=center, size=radius, index=[index] * 12), microscope, (256, 256))


def like(truth: ew.Scene, size: list[float], z: float = 0.0) -> ew.Scene:
    """Return a scene that knows only what the particles of `truth` are, and roughly how large."""
    part = truth.specimen.parts[0]
    index, absorption = [float(part.index[0])], [float(part.absorption[0])]
    one = ew.Particles(part.shape, center=[[z, 0, 0]], size=[size], index=index, absorption=absorption)
    return ew.Scene(ew.Specimen((one,), medium=1.33), truth.microscope, truth.grid)


def matched(truth: ew.Scene, found: ew.Scene) -> tuple[Tensor, ew.Particles, ew.Particles]:
    """Return lateral distances in pixels, and the particles of both scenes in one order; as many in either."""
    true, seen = truth.specimen.parts[0], found.specimen.parts[0]
    assert seen.count == true.count
    distance = torch.cdist(true.center[:, 1:].double(), seen.center[:, 1:].double()) / PIXEL
    nearest = distance.argmin(1)
    assert len(set(nearest.tolist())) == true.count
    rows = {name: getattr(seen, name)[nearest] for name in ("center", "size", "index", "rotation")}
    return distance.min(1).values, true, ew.Particles(seen.shape, **rows)


def angles(part: ew.Particles) -> Tensor:
    return 2 * torch.atan2(part.rotation[:, 3], part.rotation[:, 0]).double()


@pytest.mark.parametrize("defocus", [0.0, -5.0])
def test_beads_are_found_in_and_out_of_focus(defocus: float) -> None:
    truth = beads(ew.brightfield(na=0.8, condenser_na=0.3, defocus=defocus, sensor=CAMERA))
    image = ew.render(truth, torch.Generator().manual_seed(0))
    distance, true, seen = matched(truth, detect(like(truth, [1.4]), image))
    assert float(distance.max()) < 0.5
    assert float((seen.size / true.size - 1).abs().max()) < 0.15


@pytest.mark.parametrize(
    "microscope",
    [
        ew.darkfield(na=0.5, sensor=ew.Camera(dose=1e5, gain=0.02, bits=12)),
        ew.phase_contrast(na=0.6, sensor=CAMERA),
        ew.quantitative_phase(na=0.8),
    ],
    ids=["darkfield", "phase contrast", "quantitative phase"],
)
def test_beads_are_found_in_any_contrast(microscope: ew.Microscope) -> None:
    truth = beads(microscope, index=1.40)
    image = ew.render(truth, torch.Generator().manual_seed(0))
    distance, true, seen = matched(truth, detect(like(truth, [0.8]), image))
    assert float(distance.max()) < 0.5
    assert float((seen.size / true.size - 1).abs().max()) < 0.15


def test_brightness_contrast_and_missing_pixels_do_not_matter() -> None:
    truth = beads(ew.brightfield(na=0.8, condenser_na=0.3, defocus=2.0, sensor=CAMERA))
    image = ew.render(truth, torch.Generator().manual_seed(0)).double()
    y, x = torch.meshgrid(torch.linspace(-1, 1, 256), torch.linspace(-1, 1, 256), indexing="ij")
    image = 7.0 + 0.3 * image + 2.0 * x - 1.0 * y**2
    image[100:103] = torch.nan
    distance, true, seen = matched(truth, detect(like(truth, [1.0]), image))
    assert float(distance.max()) < 0.5
    assert float((seen.size / true.size - 1).abs().max()) < 0.15


def test_colours_and_maps_of_the_camera_are_no_obstacle() -> None:
    wavelengths = [0.46, 0.535, 0.6]
    offset = np.random.default_rng(0).normal(5.0, 0.5, (256, 256))
    camera = ew.Camera(dose=5000, gain=0.02, offset=offset, response=ew.camera_rgb(wavelengths))
    truth = beads(ew.brightfield(na=0.8, wavelength=wavelengths, rings=1, sensor=camera))
    image = ew.render(truth, torch.Generator().manual_seed(0))
    assert image.shape == (3, 256, 256)
    distance, _, _ = matched(truth, detect(like(truth, [1.0]), image))
    assert float(distance.max()) < 0.5


def test_count_keeps_the_strongest_and_everything_else_stays() -> None:
    truth = beads(ew.brightfield(na=0.8, condenser_na=0.3, sensor=CAMERA))
    start = like(truth, [1.0])
    found = detect(start, ew.render(truth, torch.Generator().manual_seed(0)), count=3)
    part, template = found.specimen.parts[0], start.specimen.parts[0]
    assert part.count == 3
    assert part.label == template.label
    assert part.index.tolist() == template.index.tolist() * 3
    assert part.center.dtype == template.center.dtype
    assert found.microscope == start.microscope
    assert found.grid == start.grid
    # The largest of beads of one kind has the strongest image.
    assert float(part.size[0]) == pytest.approx(float(truth.specimen.parts[0].size.max()), rel=0.1)


@pytest.mark.parametrize(
    ("shape", "size", "microscope"),
    [
        (ew.Sphere(), [1.0], ew.brightfield(na=0.8, defocus=4.0, sensor=CAMERA)),
        (ew.Sphere(), [0.6], ew.hologram(na=0.8, sensor=CAMERA)),
        (ew.Rod(), [0.45, 1.7], ew.brightfield(na=0.8, sensor=CAMERA)),
    ],
    ids=["spots", "rings", "silhouettes"],
)
def test_nothing_is_found_in_noise(shape: ew.Value, size: list[float], microscope: ew.Microscope) -> None:
    particle = ew.Particles(shape, center=[[0, 0, 0]], size=[size], index=[1.45])  # pyright: ignore[reportArgumentType]
    start = scene(particle, microscope, (160, 200))
    empty = ew.Scene(ew.Specimen((), medium=1.33), microscope, start.grid)
    with pytest.raises(ValueError, match="nothing stands out of the noise"):
        detect(start, ew.render(empty, torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("z", [8.0, 15.0, -8.0])
def test_holograms_tell_the_height(z: float) -> None:
    camera = ew.Camera(dose=2e4, gain=0.01)
    bead = ew.Particles(ew.Sphere(), center=[[z, 1.03, -2.17]], size=[[0.65]], index=[1.58])
    truth = scene(bead, ew.hologram(na=0.9, wavelength=0.658, defocus=0.0, sensor=camera), (200, 200))
    image = ew.render(truth, torch.Generator().manual_seed(0))
    # Nothing is known of the height, and the radius is wrong by a quarter.
    distance, _, seen = matched(truth, detect(like(truth, [0.5]), image))
    assert float(distance.max()) < 0.3
    assert float(seen.center[0, 0]) == pytest.approx(z, abs=1.0)
    assert float(seen.size[0, 0]) == pytest.approx(0.65, abs=0.1)


def test_holograms_of_two_beads_are_told_apart() -> None:
    camera = ew.Camera(dose=2e4, gain=0.01)
    bead = ew.Particles(ew.Sphere(), center=[[10, 4, -5], [14, -5, 4]], size=[[0.6], [0.6]], index=[1.58, 1.58])
    microscope = ew.hologram(na=0.9, wavelength=0.658, defocus=0.0, sensor=camera, interaction=ew.Multislice())
    truth = scene(bead, microscope, (256, 256))
    image = ew.render(truth, torch.Generator().manual_seed(0))
    distance, true, seen = matched(truth, detect(like(truth, [0.5]), image))
    assert float(distance.max()) < 1.0
    assert float((seen.center - true.center)[:, 0].abs().max()) < 1.0


def test_the_published_hologram_is_found() -> None:
    path = DATA / "hologram_polystyrene" / "image0001.h5"
    if not path.exists():
        pytest.skip("the real hologram is not in the repository")
    h5py = pytest.importorskip("h5py")
    with h5py.File(path) as file:
        image = file["data"][0].astype(float)
    bead = ew.Particles(ew.Sphere(), center=[[0, 0, 0]], size=[[0.5]], index=[1.58])
    microscope = ew.hologram(na=1.2, wavelength=0.658, defocus=0.0, index=1.33)
    start = ew.Scene(ew.Specimen((bead,), medium=1.33), microscope, ew.Grid((100, 100), 0.1151))
    found = detect(start, image).specimen.parts[0]
    assert found.count == 1
    z, y, x = (found.center[0].double() + torch.tensor([0.0, 5.755, 5.755])).tolist()
    # The published x runs down the rows. The camera looks from where the light goes: the bead is before its focus.
    assert (y, x) == pytest.approx((5.534, 5.792), abs=0.1)
    assert z == pytest.approx(-14.15, abs=1.0)
    assert float(found.size[0, 0]) == pytest.approx(0.648, abs=0.1)


def test_what_is_found_is_a_start_from_which_a_fit_arrives() -> None:
    camera = ew.Camera(dose=2e4, gain=0.008)
    bead = ew.Particles(ew.Sphere(), center=[[8.0, 1.0, -2.0]], size=[[0.65]], index=[1.58])
    truth = scene(bead, ew.hologram(na=0.9, wavelength=0.658, defocus=0.0, sensor=camera), (128, 128))
    image = ew.render(truth, torch.Generator().manual_seed(0))
    free = ["specimen.parts.0.center", "specimen.parts.0.size"]
    result = ew.fit(detect(like(truth, [0.5]), image), image, free=free)
    for path in free:
        assert torch.allclose(result.values[path], ew.get(truth, path).double(), atol=0.01), path


def bodies(shape: ew.Value, size: np.ndarray, microscope: ew.Microscope, index: float) -> ew.Scene:
    count = len(size)
    turn = np.random.default_rng(2).uniform(0, math.pi, count)
    zero = np.zeros(count)
    rotation = np.stack([np.cos(turn / 2), zero, zero, np.sin(turn / 2)], -1)
    reach = float(size.max()) + 1.0
    part = ew.Particles(
        shape,  # pyright: ignore[reportArgumentType]
        center=places(count, (320, 320), 2.2 * reach, reach),
        size=size,
        index=[index] * count,
        rotation=rotation,
    )
    return scene(part, microscope, (320, 320))


@pytest.mark.parametrize("defocus", [1.0, -1.0])
def test_rods_are_found_with_their_direction_and_both_lengths(defocus: float) -> None:
    generator = np.random.default_rng(3)
    size = np.stack([generator.uniform(0.4, 0.5, 8), generator.uniform(1.2, 2.4, 8)], -1)
    truth = bodies(ew.Rod(), size, ew.brightfield(na=0.8, defocus=defocus, sensor=CAMERA), 1.40)
    image = ew.render(truth, torch.Generator().manual_seed(0))
    distance, true, seen = matched(truth, detect(like(truth, [0.45, 1.7]), image))
    assert float(distance.max()) < 1.0
    turn = torch.remainder(angles(seen) - angles(true) + math.pi / 2, math.pi) - math.pi / 2
    assert float(turn.abs().max()) < math.radians(5)
    assert float((seen.size / true.size - 1).abs().max()) < 0.15


def test_crystals_are_found_with_their_corners() -> None:
    size = np.array([1.8, 2.4]) * np.random.default_rng(4).uniform(0.7, 1.3, (5, 1))
    truth = bodies(ew.Crystal(), size, ew.brightfield(na=0.3, sensor=CAMERA), 1.5)
    image = ew.render(truth, torch.Generator().manual_seed(0))
    distance, true, seen = matched(truth, detect(like(truth, [1.8, 2.4]), image))
    assert float(distance.max()) < 1.0
    # Seen along its axis, the tetragonal crystal is a square.
    turn = torch.remainder(angles(seen) - angles(true) + math.pi / 4, math.pi / 2) - math.pi / 4
    assert float(turn.abs().max()) < math.radians(5)
    assert float((seen.size / true.size - 1).abs().max()) < 0.15


def test_bad_input_is_refused_in_one_line() -> None:
    truth = beads(ew.brightfield(na=0.8, sensor=CAMERA))
    image = ew.render(truth)
    with pytest.raises(ValueError, match=r"scene's shape \(256, 256\).*got \(256, 255\)"):
        detect(truth, image[:, 1:])
    with pytest.raises(ValueError, match="finite pixels"):
        detect(truth, torch.full_like(image, torch.nan))
    with pytest.raises(ValueError, match="nothing stands out of the noise"):
        detect(truth, torch.ones_like(image))
    with pytest.raises(ValueError, match="count must be a positive integer"):
        detect(truth, image, count=0)
    with pytest.raises(ValueError, match="Particles"):
        detect(ew.Scene(ew.Specimen((), medium=1.33), truth.microscope, truth.grid), image)
    tilted = dataclasses.replace(truth, microscope=ew.hologram(na=0.5, reference=ew.Reference()))
    with pytest.raises(ValueError, match="smooth empty field"):
        detect(tilted, image)
    invisible = ew.substitute(like(truth, [1.0]), {"specimen.parts.0.index": [1.33]})
    with pytest.raises(ValueError, match="must show in its image"):
        detect(invisible, image)
