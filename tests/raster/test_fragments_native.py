"""Fragments of particles by the compiled kernels against plain torch, forward and backward."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from raster.chords import CANVAS, POSES, SHAPES, Crowd, apart, crowd
from torch import Tensor

import exitwave as ew
from exitwave import native
from exitwave.raster.chords import particle_fragments
from exitwave.raster.fragments import Fragments
from exitwave.specimen import Shape

compiled = pytest.mark.skipif(native.KERNELS is None, reason="installed without the compiled kernels")
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
NAMES = ("center", "size", "rotation")
COLUMNS = ("top", "bottom", "slope", "share")


@dataclass(frozen=True)
class Found:
    """Fragments in the order of samples and bodies, and the gradients of a random sum over some of them."""

    key: Tensor
    columns: tuple[Tensor, ...]
    gradients: tuple[Tensor, ...]


def surfaces(part: ew.Particles, like: Tensor) -> Fragments:
    """Return the fragments of particles."""
    (found,), count = particle_fragments(part, 0, CANVAS, like)
    assert count == part.count
    return found


def find(one: Crowd, among: Tensor | None = None) -> Found:
    """Return what lines meet; the sum runs over places well inside, and those of `among`."""
    fresh = [tensor.clone().requires_grad_() for tensor in one.free[:3]]
    center, size, rotation = fresh
    body = ew.Particles(one.shape, center, size, torch.ones_like(center[:, 0]), rotation)
    found = surfaces(body, one.center[0, 0])
    # Where a line only touches a body, its chord is what keeps roots from zero.
    long = (found.top - found.bottom > 1e-4).nonzero()[:, 0]
    key, order = torch.sort((found.sample * body.count + found.body)[long])
    place = found.sample[long[order]]
    columns = tuple(
        column.index_select(-1, long[order]) for column in (found.top, found.bottom, found.slope, found.share)
    )
    top, bottom, slope, share = (column.detach() for column in columns)
    # At rims slopes and their derivatives grow without bound, above and below.
    inner = (share > 0.3) & (slope.norm(dim=0) < 10) & (top - bottom > 0.02)
    if among is not None:
        inner &= torch.isin(key, among)
    generator = torch.Generator().manual_seed(2)
    pulls = [torch.randn(*column.shape[:-1], CANVAS.grid.shape[0] * CANVAS.grid.shape[1], generator=generator)
             for column in columns]  # fmt: skip
    total = sum(((column * pull.to(column)[..., place])[..., inner]).sum()
                for column, pull in zip(columns, pulls, strict=True))  # fmt: skip
    assert isinstance(total, Tensor)
    gradients = torch.autograd.grad(total, fresh, allow_unused=True)
    filled = (torch.zeros_like(one) if part is None else part for one, part in zip(fresh, gradients, strict=True))
    return Found(key, tuple(column.detach() for column in columns), tuple(filled))


def plain(monkeypatch: pytest.MonkeyPatch, one: Crowd, among: Tensor | None = None) -> Found:
    with monkeypatch.context() as patch:
        patch.setattr(native, "KERNELS", None)
        return find(one, among)


@compiled
@every_shape
def test_kernels_agree_with_plain_torch(shape: Shape, monkeypatch: pytest.MonkeyPatch) -> None:
    one = crowd(shape)
    exact = plain(monkeypatch, one.to(torch.float64))
    among = exact.key
    here, single = find(one, among), plain(monkeypatch, one, among)
    exact = plain(monkeypatch, one.to(torch.float64), here.key)
    # Whether a line only just touches a body is rounding.
    both = here.key[torch.isin(here.key, exact.key)]
    assert len(both) > 1000
    assert len(here.key) - len(both) <= 3
    assert len(exact.key) - len(both) <= 3
    for name, *columns in zip(COLUMNS, here.columns, single.columns, exact.columns, strict=True):
        mine, torchs, right = (
            column[..., torch.isin(found.key, both)]
            for column, found in zip(columns, (here, single, exact), strict=True)
        )
        most = 1e-5 * (1 + right.abs())
        far = ((mine - right).abs() > most).sum(), ((torchs - right).abs() > most).sum()
        # Rims and upright faces lose digits in single precision, whoever computes them.
        assert far[0] <= 1.3 * far[1] + 3, name
    turned = len(POSES) if type(shape) is ew.Crystal else 0
    for name, found, expected, rounded in zip(NAMES, here.gradients, exact.gradients, single.gradients, strict=True):
        some = slice(turned if name == "rotation" else 0, None)
        largest = expected[some].abs().amax().clamp(min=1e-12)
        off = (found[some].double() - expected[some]).abs().amax(1) / largest
        most = max(1e-4, 2 * apart(rounded[some], expected[some]))
        # On creases of an outline, where two sides are equally near, normals jump, and rounding says which it is.
        assert int((off > most).sum()) <= 1, name
        assert float(off.amax()) < max(1e-3, most), name


def everything() -> list[Tensor]:
    """Return what is found of a crowd of every shape."""
    found = [find(crowd(shape)) for shape in SHAPES.values()]
    return [tensor for one in found for tensor in (one.key, *one.columns, *one.gradients)]


@compiled
def test_any_number_of_threads_gives_the_same_bytes() -> None:
    before = torch.get_num_threads()
    found: list[Fragments] = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            one = crowd(ew.Ellipsoid(), count=300)
            found.append(surfaces(one.particles(), torch.zeros(())))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(
            torch.equal(first, second)
            for first, second in zip(vars(found[0]).values(), vars(other).values(), strict=True)
        )


@compiled
def test_simd_levels_agree(tmp_path: Path) -> None:
    here = everything()
    for level in ("baseline", "v3"):
        path = tmp_path / f"{level}.pt"
        code = "import torch; from raster.test_fragments_native import everything; "
        code += f"torch.save(everything(), {str(path)!r})"
        environment = os.environ | {"EXITWAVE_SIMD": level, "PYTHONPATH": str(Path(__file__).parents[1])}
        subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)
        there = torch.load(path)
        for first in range(0, len(here), 8):
            key, *columns = here[first : first + 5]
            other, *others = there[first : first + 5]
            assert len(torch.isin(key, other).nonzero()) >= len(key) - 3
            for mine, its in zip(columns, others, strict=True):
                off = (mine[..., torch.isin(key, other)] - its[..., torch.isin(other, key)]).abs()
                assert float((off > 1e-3).double().mean()) < 5e-3


@compiled
def test_second_derivatives_take_the_plain_path(monkeypatch: pytest.MonkeyPatch) -> None:
    def curvature() -> Tensor:
        radius = torch.tensor([[0.55], [0.8]], requires_grad=True)
        body = ew.Particles(ew.Sphere(), torch.tensor([[0.0, 0.1, 0.2], [0.5, 1.0, -2.0]]), radius, torch.ones(2))
        found = surfaces(body, torch.zeros(()))
        inner = (found.share == 1) & (found.slope.detach().norm(dim=0) < 3)
        total = (found.top.square() + found.slope.square().sum(0))[inner].sum()
        (slope,) = torch.autograd.grad(total, radius, create_graph=True)
        return torch.autograd.grad(slope.sum(), radius)[0]

    found = curvature()
    monkeypatch.setattr(native, "KERNELS", None)
    torch.testing.assert_close(found, curvature(), rtol=1e-4, atol=1e-4)


@compiled
def test_transforms_of_torch_take_the_plain_path() -> None:
    def total(radius: Tensor) -> Tensor:
        body = ew.Particles(ew.Sphere(), torch.tensor([[0.0, 0.1, 0.2]]), radius, torch.ones(1))
        return surfaces(body, torch.zeros(())).top.square().sum()

    size = torch.tensor([[0.55]])
    (expected,) = torch.autograd.grad(total(free := size.clone().requires_grad_()), free)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(size, torch.ones_like(size))
        tangent = torch.autograd.forward_ad.unpack_dual(total(dual)).tangent
    assert tangent is not None
    assert float(tangent) == pytest.approx(float(expected), rel=1e-5)


@compiled
@every_shape
def test_particles_beyond_all_bounds_have_no_fragments(shape: Shape) -> None:
    one = crowd(shape, count=9)
    one.center[:4] = torch.tensor([[0.0, 1e30, 0.0], [0.0, 0.0, -1e30], [0.0, -9.0, 0.0], [1e30, 0.0, 17.0]])
    found = surfaces(one.particles(), torch.zeros(()))
    assert int(found.body.amin()) >= 4
    assert bool(torch.isfinite(found.top).all())
