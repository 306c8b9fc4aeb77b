"""Slabs: chords shared out among planes, mostly in plain torch and double precision."""

from __future__ import annotations

import importlib
from dataclasses import replace

import pytest
import torch
from raster.chords import CANVAS, SHAPES, SLABS, crowd
from torch import Tensor

import exitwave as ew
from exitwave import native
from exitwave.field import Slabs
from exitwave.raster import splat
from exitwave.specimen import Shape

DOUBLE = torch.float64
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def column(altitude: float, half: float, slabs: Slabs) -> Tensor:
    """Return what each plane gets of the middle of a wide box that stands upright at some altitude."""
    box = ew.Particles(
        ew.Box(), torch.tensor([[altitude, 0, 0]], dtype=DOUBLE), torch.tensor([[half, 2, 2]], dtype=DOUBLE), [1.5]
    )
    return splat(box, torch.ones(1, 1, dtype=DOUBLE), CANVAS, slabs)[:, 0, 40, 55]


@every_shape
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_planes_add_up_to_the_thin_map(shape: Shape, dtype: torch.dtype) -> None:
    one = crowd(shape, 2, SLABS).to(dtype)
    thin = replace(one, slabs=None).maps()
    close = 1e-12 if dtype is DOUBLE else 1e-5
    torch.testing.assert_close(one.maps().sum(0), thin, rtol=0, atol=close * float(thin.abs().max()))


def test_one_plane_is_the_thin_map() -> None:
    one = crowd(ew.Ellipsoid(), 2, Slabs(0.7, 0.3, 1)).to(DOUBLE)
    torch.testing.assert_close(one.maps()[0], replace(one, slabs=None).maps())


def test_shares_are_those_of_the_hat_functions_on_a_lattice() -> None:
    slabs = Slabs(-1.0, 0.5, 5)
    for altitude in (-3.0, -1.1, -0.3, 0.02, 0.6, 1.3):
        heights = altitude + (torch.arange(20_000, dtype=DOUBLE) + 0.5) / 20_000 * 0.8 - 0.4
        place = ((heights - slabs.first) / slabs.step).clamp(0, slabs.count - 1)
        hats = (1 - (place - torch.arange(slabs.count)[:, None]).abs()).clamp(min=0)
        found = column(altitude, 0.4, slabs)
        torch.testing.assert_close(found / found.sum(), hats.mean(1), rtol=0, atol=1e-8)


def test_a_thin_slice_lies_between_its_neighbours_in_proportion() -> None:
    found = column(0.35, 1e-2 * 7.5, Slabs(0.0, 1.0, 4))
    torch.testing.assert_close(found / found.sum(), torch.tensor([0.65, 0.35, 0, 0], dtype=DOUBLE))


def test_chords_move_between_planes_with_the_altitude() -> None:
    step = 1e-4
    for altitude in (-1.6, -0.95, 0.1, 0.73, 2.0):
        middle = torch.tensor([[altitude, 0.013, 0.02]], dtype=DOUBLE, requires_grad=True)

        def total(center: Tensor) -> Tensor:
            body = ew.Particles(ew.Sphere(), center, torch.tensor([[0.6]], dtype=DOUBLE), [1.5])
            weight = torch.arange(SLABS.count, dtype=DOUBLE)[:, None, None, None] ** 2
            return (splat(body, torch.ones(1, 1, dtype=DOUBLE), CANVAS, SLABS) * weight).sum()

        (slope,) = torch.autograd.grad(total(middle), middle)
        up, here = torch.tensor([[step, 0, 0]], dtype=DOUBLE), middle.detach()
        difference = (total(here + up) - total(here - up)) / (2 * step)
        assert float(slope[0, 0]) == pytest.approx(float(difference), rel=1e-6, abs=1e-6)


@every_shape
def test_derivatives_of_the_reference(shape: Shape) -> None:
    one = crowd(shape, 2, Slabs(-0.5, 0.45, 3), count=12, seed=3).to(DOUBLE)
    # Bodies of a few pixels in a general pose, near the canvas's middle.
    free = [one.center[6:8] * 0.1, one.size[6:8] * 0 + 0.31 + 0.1 * one.size[6:8].argsort(1), one.rotation[6:8]]
    canvas = replace(CANVAS, grid=ew.Grid((24, 24), (0.1, 0.12)), shape=(24, 24))

    def maps(center: Tensor, size: Tensor, rotation: Tensor, weights: Tensor) -> Tensor:
        body = ew.Particles(shape, center, size, [1.5, 1.5], rotation)
        return splat(body, weights, canvas, one.slabs)

    inputs = [tensor.clone().requires_grad_() for tensor in (*free, one.weights[6:8])]
    assert torch.autograd.gradcheck(maps, inputs, eps=1e-7, atol=2e-4, rtol=2e-4, fast_mode=True)


def test_recomputed_slabs_have_the_gradients_of_the_tape(monkeypatch: pytest.MonkeyPatch) -> None:
    one = crowd(ew.Box(), 2, SLABS).to(DOUBLE)
    taped = one.gradients()
    # The module; its name in the package is that of the function.
    monkeypatch.setattr(importlib.import_module("exitwave.raster.splat"), "_TAPE", 0)
    for found, expected in zip(one.gradients(), taped, strict=True):
        torch.testing.assert_close(found, expected)


def test_no_particles_give_empty_planes() -> None:
    nobody = ew.Particles(ew.Sphere(), torch.zeros(0, 3), torch.zeros(0, 1), torch.zeros(0))
    assert splat(nobody, torch.zeros(0, 2), CANVAS, SLABS).shape == (SLABS.count, 2, 80, 110)
    assert splat(nobody, torch.zeros(0, 2), CANVAS).shape == (2, 80, 110)


@pytest.mark.skipif(native.KERNELS is None, reason="installed without the compiled kernels")
def test_kernels_move_with_the_altitude_as_the_reference_does() -> None:
    single, double = crowd(ew.Sphere(), 1, SLABS), crowd(ew.Sphere(), 1, SLABS).to(DOUBLE)
    torch.testing.assert_close(single.gradients()[0][:, 0].double(), double.gradients()[0][:, 0], rtol=1e-4, atol=1e-4)
