"""Splatting by the compiled kernels against plain torch in double precision, forward and backward."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from raster.chords import CANVAS, POSES, SHAPES, SLABS, Crowd, apart, crowd, everything
from torch import Tensor

import exitwave as ew
from exitwave import native
from exitwave.field import Canvas, Slabs
from exitwave.raster import splat
from exitwave.specimen import Shape

compiled = pytest.mark.skipif(native.KERNELS is None, reason="installed without the compiled kernels")
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
TESTS = Path(__file__).parents[1]
NAMES = ("center", "size", "rotation", "weights")


def plain(monkeypatch: pytest.MonkeyPatch, one: Crowd) -> tuple[Tensor, tuple[Tensor, ...]]:
    with monkeypatch.context() as patch:
        patch.setattr(native, "KERNELS", None)
        return one.maps(), one.gradients()


@compiled
@pytest.mark.parametrize(("slabs", "channels"), [(None, 1), (None, 3), (SLABS, 2), (Slabs(0.3, 1.0, 1), 4)])
@every_shape
def test_kernels_agree_with_plain_torch(
    shape: Shape, slabs: Slabs | None, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = crowd(shape, channels, slabs, seed=channels)
    exact, slopes = plain(monkeypatch, one.to(torch.float64))
    single, single_slopes = plain(monkeypatch, one)
    # Upright faces lose digits in single precision, whoever computes them.
    assert apart(one.maps(), exact) < max(1e-5, 1.5 * apart(single, exact))
    # Turning a crystal that stands exactly upright has no derivative: which of two faces counts is rounding.
    turned = len(POSES) if type(shape) is ew.Crystal else 0
    for name, found, expected, rounded in zip(NAMES, one.gradients(), slopes, single_slopes, strict=True):
        some = slice(turned if name == "rotation" else 0, None)
        assert apart(found[some], expected[some]) < max(1e-4, 2 * apart(rounded[some], expected[some])), name


@compiled
@every_shape
def test_any_number_of_threads_gives_the_same_bytes(shape: Shape) -> None:
    one = crowd(shape, 2, SLABS, count=300)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append((one.maps(), *one.gradients()))
    finally:
        torch.set_num_threads(before)
    for others in found[1:]:
        assert all(torch.equal(first, other) for first, other in zip(found[0], others, strict=True))


@compiled
def test_simd_levels_agree(tmp_path: Path) -> None:
    here = everything()
    for level in ("baseline", "v3"):
        path = tmp_path / f"{level}.pt"
        code = f"import torch; from raster.chords import everything; torch.save(everything(), {str(path)!r})"
        environment = os.environ | {"EXITWAVE_SIMD": level, "PYTHONPATH": str(TESTS)}
        subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)
        for found, expected in zip(torch.load(path), here, strict=True):
            # Rotations of face-on facets hang on the last digits.
            assert apart(found, expected) < (2e-2 if found.shape[-1] == 4 else 2e-4)


@compiled
def test_unknown_simd_level_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import exitwave._native"],
        env=os.environ | {"EXITWAVE_SIMD": "v9"}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "EXITWAVE_SIMD must be baseline, v3 or v4" in done.stderr


@compiled
def test_gradients_by_inputs_that_are_views() -> None:
    one = crowd(ew.Rod(), 2, SLABS)
    whole = torch.cat([one.center, one.size, one.rotation, one.weights], 1)
    strided = whole.T.contiguous().T.requires_grad_()
    center, size, rotation, weights = strided.split([3, 2, 4, 2], 1)
    body = ew.Particles(one.shape, center, size, torch.ones(len(whole)), rotation)
    maps = splat(body, weights, CANVAS, SLABS)
    torch.testing.assert_close(maps, one.maps())
    pull = torch.randn(maps.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64).float()
    # A gradient that arrives transposed in memory.
    pull = pull.transpose(2, 3).contiguous().transpose(2, 3)
    (found,) = torch.autograd.grad(maps, strided, pull)
    torch.testing.assert_close(found, torch.cat(one.gradients(), 1))


@compiled
def test_second_derivatives_take_the_plain_path(monkeypatch: pytest.MonkeyPatch) -> None:
    def curvature() -> Tensor:
        radius = torch.tensor([[0.55], [0.8]], requires_grad=True)
        body = ew.Particles(ew.Sphere(), torch.tensor([[0.0, 0.1, 0.2], [0.5, 1.0, -2.0]]), radius, torch.ones(2))
        total = splat(body, torch.ones(2, 1), CANVAS).square().sum()
        (slope,) = torch.autograd.grad(total, radius, create_graph=True)
        return torch.autograd.grad(slope.sum(), radius)[0]

    found = curvature()
    monkeypatch.setattr(native, "KERNELS", None)
    torch.testing.assert_close(found, curvature(), rtol=1e-4, atol=1e-4)


@compiled
def test_transforms_of_torch_take_the_plain_path() -> None:
    center, size, index = torch.tensor([[0.0, 0.1, 0.2]]), torch.tensor([[0.55]]), torch.ones(1)

    def total(radius: Tensor) -> Tensor:
        return splat(ew.Particles(ew.Sphere(), center, radius, index), torch.ones(1, 1), CANVAS).square().sum()

    free = size.clone().requires_grad_()
    (expected,) = torch.autograd.grad(total(free), free)
    forward_mode = torch.func.jvp(total, (size,), (torch.ones_like(size),))[1]
    assert float(forward_mode) == pytest.approx(float(expected), rel=1e-5)
    assert float(torch.func.grad(total)(size)) == pytest.approx(float(expected), rel=1e-5)


@compiled
@every_shape
def test_particles_beyond_all_bounds_draw_nothing(shape: Shape) -> None:
    one, without = crowd(shape, 1, count=9), crowd(shape, 1, count=9)
    far = torch.tensor([[0.0, 1e30, 0.0], [0.0, 0.0, -1e30], [0.0, -9.0, 0.0], [1e30, 0.0, 17.0]])
    one.center[:4] = far
    without.weights[:4] = 0.0
    torch.testing.assert_close(one.maps(), without.maps())
    assert all(bool(gradient.isfinite().all()) for gradient in one.gradients())


@compiled
def test_most_rows_of_a_body_may_pass_beside_the_canvas(monkeypatch: pytest.MonkeyPatch) -> None:
    # A ball 2,800 rows high whose rim is all that the canvas sees of it, in its middle rows.
    canvas = Canvas(ew.Grid((3000, 12), (0.1, 0.1)), (0, 0), (3000, 12))
    center = torch.tensor([[0.0, 0.0, 139.8], [0.0, 30.0, -139.9]])
    ones = torch.ones(2, 1)
    one = Crowd(ew.Sphere(), center, 140.0 * ones, torch.tensor([[1.0, 0, 0, 0]]).repeat(2, 1), ones, None, canvas)
    exact, slopes = plain(monkeypatch, one.to(torch.float64))
    assert 100 < int(exact.any(-1).sum()) < 1000
    # Single precision loses digits at the rim of a ball of that size.
    assert apart(one.maps(), exact) < 2e-4
    for found, expected in zip(one.gradients()[:2], slopes[:2], strict=True):
        assert apart(found, expected) < 1e-3


@compiled
@pytest.mark.parametrize("lost", ["rows", "position"])
def test_what_is_not_a_number_draws_nothing(lost: str) -> None:
    kernels = native.KERNELS
    assert kernels is not None
    for number, columns in enumerate((1, 6, 6, 18, 6, 96)):
        rows, position = torch.ones(1, columns), torch.full((1, 2), 20.0)
        (rows if lost == "rows" else position).fill_(torch.nan)
        arrays = (rows, torch.ones(1), position, torch.zeros(1), torch.ones(1, 1))
        maps = torch.full((3, 1, 40, 50), 7.0)
        kernels.splat_forward(number, *arrays, (0.1, 0.1, 0.1), (0.0, 1.0), maps, False, 2)
        assert not maps.any()


@compiled
def test_kernels_refuse_arrays_that_do_not_fit() -> None:
    kernels = native.KERNELS
    assert kernels is not None
    scale, position, weights = torch.ones(2), torch.zeros(2, 2), torch.ones(2, 1)
    with pytest.raises(ValueError, match=r"got another number of columns; call exitwave.raster.splat"):
        kernels.splat_forward(
            0,
            torch.ones(2, 6),
            scale,
            position,
            scale,
            weights,
            (0.1, 0.1, 0.1),
            None,
            torch.ones(1, 1, 9, 9),
            False,
            1,
        )
    with pytest.raises(ValueError, match=r"got other shapes; call exitwave.raster.splat"):
        kernels.splat_forward(
            0,
            torch.ones(3, 1),
            scale,
            position,
            scale,
            weights,
            (0.1, 0.1, 0.1),
            None,
            torch.ones(1, 1, 9, 9),
            False,
            1,
        )


def test_maps_of_several_parts_add_up_in_place() -> None:
    """The second and third part are added to the maps of the first; derivatives reach all of them."""
    generator = torch.Generator().manual_seed(3)
    canvas = Canvas(ew.Grid((40, 50), 0.1), (0, 0), (40, 50))
    leaves = [(4 * torch.rand(5, 3, generator=generator) - 2).requires_grad_() for _ in range(3)]
    weight = torch.ones(5, 1)

    def parts() -> list[ew.Particles]:
        size = torch.full((5, 1), 0.6)
        return [ew.Particles(ew.Sphere(), center, size, torch.full((5,), 1.4)) for center in leaves]

    together = None
    for part in parts():
        together = splat(part, weight, canvas, onto=together)
    assert together is not None
    apart = torch.stack([splat(part, weight, canvas) for part in parts()]).sum(0)
    assert torch.allclose(together, apart, atol=1e-5)
    probe = torch.randn(1, 40, 50, generator=generator)
    for one, other in zip(
        torch.autograd.grad((together * probe).sum(), leaves),
        torch.autograd.grad((apart * probe).sum(), leaves),
        strict=True,
    ):
        assert torch.allclose(one, other, atol=1e-5)


def test_parts_of_two_precisions_are_rendered_in_that_of_the_first() -> None:
    def bead(dtype: torch.dtype, x: float) -> ew.Particles:
        center = torch.tensor([[0.0, 0.0, x]], dtype=dtype)
        return ew.Particles(ew.Sphere(), center, torch.ones(1, 1, dtype=dtype), torch.full((1,), 1.4, dtype=dtype))

    single, double = torch.float32, torch.float64
    images = [
        ew.render(
            ew.Scene(ew.Specimen((bead(one, -1.5), bead(other, 1.5)), 1.33), ew.brightfield(), ew.Grid((32, 64), 0.1))
        )
        for one, other in ((single, double), (double, single), (double, double))
    ]
    assert [image.dtype for image in images] == [single, double, double]
    assert torch.allclose(images[0].double(), images[2], atol=1e-5)
    assert torch.allclose(images[1], images[2], atol=1e-5)


def test_a_render_needs_no_kernels(tmp_path: Path) -> None:
    code = """
import torch, exitwave as ew
from exitwave import native
beads = ew.Particles(ew.Sphere(), [[0, 0, 0], [0, 1, 2]], [[0.5], [0.8]], [1.5, 1.6])
scene = ew.Scene(ew.Specimen((beads,), medium=1.33), ew.hologram(wavelength=0.55), ew.Grid((48, 48), 0.1))
print(native.level())
torch.save(ew.render(scene), "image.pt")
"""
    images = []
    for setting in ({"EXITWAVE_NATIVE": "0"}, {}):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=os.environ | setting,
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        assert done.stdout.startswith("torch only: EXITWAVE_NATIVE=0") == bool(setting)
        images.append(torch.load(tmp_path / "image.pt"))
    torch.testing.assert_close(images[0], images[1], rtol=1e-4, atol=1e-5)
