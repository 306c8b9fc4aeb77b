"""The exit wave against closed forms, and the compiled kernel against the plain one in double precision."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from raster.samples import all_shapes, assert_same, gradients, hills, landscape
from torch import Tensor

from exitwave import native
from exitwave.interaction.exit_wave import exit_wave
from exitwave.raster.silhouette import Coverage

compiled = pytest.mark.skipif(native.KERNELS is None, reason="installed without the compiled kernels")
SHAPES = ((1, 1), (1, 37), (37, 1), (2, 2), (2, 40), (3, 3), (16, 17), (130, 50), (2, 3, 65, 33))


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_phase_is_the_path_to_single_precision_however_thick_the_body(dtype: torch.dtype) -> None:
    row = torch.arange(20_000, dtype=torch.float64) * 0.3791
    cycles = torch.stack([row, 7 - row, row * 1e-5])[:, None].to(dtype)
    wave = exit_wave(cycles, None)
    phase = 2 * math.pi * (cycles.double() % 1.0)
    assert float((wave[0] - torch.cos(phase)).abs().max()) < 3e-7
    assert float((wave[1] - torch.sin(phase)).abs().max()) < 3e-7


def test_whole_and_half_cycles_beyond_the_mantissa() -> None:
    whole = torch.tensor([[0.0, 3.0, -5.0, 2.0**23, -(2.0**24), 3e30]]).T
    np.testing.assert_array_equal(exit_wave(whole[:1], None)[:, 0, 0], [1, 0])
    for number in whole.flatten().tolist():
        np.testing.assert_array_equal(exit_wave(torch.full((1, 1), number), None).flatten(), [1, 0])
    for number in (0.5, -0.5, 2.0**22 + 0.5, -(2.0**21) - 1.5):
        np.testing.assert_allclose(exit_wave(torch.full((1, 1), number), None).flatten(), [-1, 0], atol=1e-7)


def test_absorbance_takes_its_exponential_of_the_irradiance() -> None:
    absorbance = torch.linspace(-3, 60, 500).repeat(3, 1)
    wave = exit_wave(torch.full_like(absorbance, 0.3), absorbance)
    expected = torch.exp(-absorbance.double())
    np.testing.assert_allclose((wave.double() ** 2).sum(0), expected, rtol=1e-5)
    assert exit_wave(torch.zeros(1, 1), torch.tensor([[math.inf]])).abs().max() < 1e-18


@pytest.mark.parametrize(
    ("slope", "amplitude"), [(0.39, 1.0), (0.45, 0.84375), (0.5, 0.5), (0.55, 0.15625), (0.61, 0.0)]
)
@pytest.mark.parametrize("axis", [0, 1])
def test_facets_steeper_than_half_a_cycle_per_sample_are_dark(slope: float, amplitude: float, axis: int) -> None:
    ramp = (torch.arange(40.0) * slope)[:, None].expand(40, 40)
    wave = exit_wave(ramp if axis == 0 else ramp.T, None)
    modulus = torch.hypot(*wave) if axis == 0 else torch.hypot(*wave).T
    torch.testing.assert_close(modulus[1:-1], torch.full((38, 40), amplitude), atol=3e-5, rtol=0)
    # On the border there is no neighbour to tell the slope.
    torch.testing.assert_close(modulus[[0, -1]], torch.ones(2, 40))


def test_planes_of_a_stack_do_not_touch() -> None:
    stack, absorbance = hills(3, 2, 20, 30), hills(3, 2, 20, 30, seed=1).abs()
    together = exit_wave(stack, absorbance)
    for i in range(3):
        for j in range(2):
            assert torch.equal(together[:, i, j], exit_wave(stack[i, j], absorbance[i, j]))


def test_derivatives_in_double_precision() -> None:
    cycles = hills(2, 5, 6, steepness=0.3).double().requires_grad_()
    absorbance = hills(5, 6, seed=2).double().abs().requires_grad_()
    assert torch.autograd.gradcheck(exit_wave, (cycles, absorbance), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(exit_wave, (cycles, absorbance))


@compiled
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("steepness", [0.05, 0.4, 30.0])
@pytest.mark.parametrize("absorbing", [False, True])
def test_kernel_is_the_plain_wave(shape: tuple[int, ...], steepness: float, absorbing: bool) -> None:
    cycles = hills(*shape, steepness=steepness)
    absorbance = hills(*shape, seed=3).abs() if absorbing else None
    found, expected = (gradients(cycles, absorbance, dtype) for dtype in (torch.float32, torch.float64))
    torch.testing.assert_close(found[0].double(), expected[0], atol=5e-7, rtol=0)
    for mine, other in zip(found[1:], expected[1:], strict=True):
        torch.testing.assert_close(mine.double(), other, atol=1e-5 * float(other.abs().max()), rtol=0)


@compiled
def test_equal_slopes_share_the_gradient() -> None:
    y, x = torch.meshgrid(torch.arange(20.0), torch.arange(30.0), indexing="ij")
    cycles = 0.5 * (y + x)
    for found, expected in zip(
        gradients(cycles, None, torch.float32), gradients(cycles, None, torch.float64), strict=True
    ):
        torch.testing.assert_close(found.double(), expected, atol=2e-5, rtol=0)


@compiled
def test_bands_of_rows_and_threads_do_not_show(threads: None) -> None:
    cycles, absorbance = hills(2, 200, 70, steepness=0.3), hills(2, 200, 70, seed=4).abs()
    results = []
    for number in (1, 2, 5):
        torch.set_num_threads(number)
        results.append(gradients(cycles, absorbance, torch.float32))
    for other in results[1:]:
        assert all(torch.equal(one, two) for one, two in zip(results[0], other, strict=True))


@compiled
def test_layouts_do_not_matter() -> None:
    cycles, absorbance = hills(40, 30, steepness=0.3), hills(1, 40, seed=5).abs()
    plain = gradients(cycles.T.contiguous(), absorbance.repeat(30, 1), torch.float32)
    turned = gradients(cycles.T, absorbance, torch.float32)
    assert torch.equal(plain[0], turned[0])
    assert torch.equal(plain[1], turned[1])
    torch.testing.assert_close(plain[2].sum(0, keepdim=True), turned[2])


def test_what_is_not_a_number_stays_where_it_is() -> None:
    for bad in (math.nan, math.inf, -math.inf):
        cycles = torch.zeros(40, 50)
        cycles[20, 30] = bad
        wave = exit_wave(cycles.requires_grad_(), None)
        wave[:, :10].sum().backward()
        assert wave[:, 20, 30].isnan().all()
        away = torch.ones(40, 50, dtype=torch.bool)
        away[19:22, 29:32] = False
        assert torch.equal(wave[:, away].detach(), torch.tensor([[1.0], [0.0]]).expand(2, int(away.sum())))
    assert exit_wave(torch.zeros(3, 3), torch.full((3, 3), math.nan)).isnan().all()


def test_second_derivatives_in_single_precision() -> None:
    def turning(dtype: torch.dtype) -> Tensor:
        cycles = hills(12, 13, steepness=0.3).to(dtype).requires_grad_()
        (slope,) = torch.autograd.grad((exit_wave(cycles, None)[0] ** 2).sum(), cycles, create_graph=True)
        return torch.autograd.grad((slope**2).sum(), cycles)[0]

    expected = turning(torch.float64)
    torch.testing.assert_close(
        turning(torch.float32).double(), expected, atol=1e-5 * float(expected.abs().max()), rtol=0
    )


def test_transforms_of_torch_pass_through() -> None:
    cycles, tangent = hills(3, 9, 8, steepness=0.3), hills(3, 9, 8, seed=6)
    mapped = torch.func.vmap(lambda plane: exit_wave(plane, None), out_dims=1)(cycles)
    torch.testing.assert_close(mapped, exit_wave(cycles, None), atol=5e-7, rtol=0)
    forward = torch.func.jvp(lambda path: exit_wave(path, None), (cycles,), (tangent,))[1]
    weight = hills(2, 3, 9, 8, seed=7)
    free = cycles.clone().requires_grad_()
    (pulled,) = torch.autograd.grad((exit_wave(free, None) * weight).sum(), free)
    torch.testing.assert_close((forward * weight).sum(), (pulled * tangent).sum(), rtol=1e-4, atol=1e-2)


def test_only_wanted_gradients_are_computed() -> None:
    absorbance = torch.rand(5, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
    exit_wave(torch.zeros(5, 6), absorbance)[0].sum().backward()
    assert absorbance.grad is not None
    torch.testing.assert_close(absorbance.grad, -0.5 * torch.exp(-0.5 * absorbance.detach()))


SCRIPT = """
import sys, torch
from dataclasses import astuple
from exitwave import native
from raster.samples import all_shapes, landscape
torch.save([native.level(), landscape(), astuple(all_shapes())], sys.argv[1])
"""


@compiled
@pytest.mark.parametrize("level", ["baseline", "v3"])
def test_kernels_for_older_processors_agree(level: str, tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "EXITWAVE_SIMD": level, "PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path / "found")], env=environment, check=True)
    name, wave, silhouettes = torch.load(tmp_path / "found")
    assert "v4" not in name
    for one, two in zip(wave, landscape(), strict=True):
        torch.testing.assert_close(one, two, atol=2e-6 * float(two.abs().max()), rtol=0)
    assert_same(Coverage(*silhouettes), all_shapes())
