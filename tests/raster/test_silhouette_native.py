"""Silhouettes by the compiled kernel against those in plain torch: other formulas for the same outlines."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from raster.samples import IMAGE, SHAPES, assert_same, crowd

import exitwave as ew
from exitwave import native
from exitwave.raster import silhouette
from exitwave.raster.bodies import BODIES
from exitwave.raster.silhouette import Coverage, cover, mask
from exitwave.raster.splat import SIZES
from exitwave.specimen import Shape

compiled = pytest.mark.skipif(native.KERNELS is None, reason="installed without the compiled kernels")


def plain(monkeypatch: pytest.MonkeyPatch, act: Callable[[], Coverage]) -> Coverage:
    with monkeypatch.context() as patch:
        patch.setattr(native, "KERNELS", None)
        return act()


@compiled
@pytest.mark.parametrize("size", [0.03, 0.1, 1.0, 4.0, 30.0])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_kernel_draws_the_plain_silhouettes(shape: Shape, size: float, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = crowd(shape, size)
    expected = plain(monkeypatch, lambda: cover([bodies], IMAGE))
    assert_same(cover([bodies], IMAGE), expected)
    assert int(expected.inside.sum()) >= {0.03: 1, 0.1: 10}.get(size, 100)


@compiled
def test_bodies_of_all_shapes_hide_one_another_as_in_the_plain_image(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [crowd(shape, 1.5, seed=number) for number, shape in enumerate(SHAPES.values())]
    expected = plain(monkeypatch, lambda: cover(parts, IMAGE))
    assert len(expected.ids.unique()) > 30
    assert_same(cover(parts, IMAGE), expected)


@compiled
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_of_bodies_in_one_place_the_last_is_seen(shape: Shape) -> None:
    one = crowd(shape, 1.0, count=1)
    found = cover([one, one, one], IMAGE)
    assert set(found.ids.unique().tolist()) == {0, 3}
    assert len(found.area.unique()) == 1


@compiled
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_masks_are_those_of_the_plain_silhouettes(shape: Shape, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = crowd(shape, 1.5)
    found = [mask(bodies, number, IMAGE) for number in range(bodies.count)]
    monkeypatch.setattr(native, "KERNELS", None)
    for number, one in enumerate(found):
        assert torch.equal(one, mask(bodies, number, IMAGE))
    assert [int(one.sum()) for one in found] == cover([bodies], IMAGE).inside.tolist()


@compiled
def test_areas_far_beyond_the_image_are_exact() -> None:
    # Rows and columns of pixels: 40,001 x 20,001 and, turned by 90 degrees, the other way round.
    slab = ew.Particles(
        ew.Box(),
        torch.zeros(2, 3),
        [[1.0, 1000.0, 2000.0]] * 2,
        [1.5] * 2,
        [[1, 0, 0, 0], [math.sqrt(0.5), 0, 0, math.sqrt(0.5)]],
    )
    found = cover([slab], ew.Grid((96, 128), 0.1))
    assert found.area.tolist() == [40_001 * 20_001] * 2
    assert found.inside.tolist() == [96 * 128] * 2
    assert bool((found.ids == 2).all())


@compiled
def test_bodies_of_any_size_take_a_moment() -> None:
    giant = ew.Particles(ew.Sphere(), [[0, 0, 0]], [[1e5]], [1.5])
    found = cover([giant], ew.Grid((16, 16), 0.001))
    assert float(found.area[0]) == pytest.approx(math.pi * 1e16, rel=1e-4)
    torch.testing.assert_close(found.depth, torch.full((16, 16), 1e5))


@compiled
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_what_is_not_a_number_covers_nothing(shape: Shape) -> None:
    bodies = crowd(shape, 1.0, count=3)
    kernels = silhouette._kernels([bodies])
    assert kernels is not None
    block = next(silhouette.bodies(bodies))
    for broken in (
        block._replace(center=block.center * math.nan),
        block._replace(size=block.size * math.nan),
        block._replace(center=block.center + 1e30),
    ):
        found = silhouette._draw(kernels, [[broken]], IMAGE)
        assert not found.ids.any()
        assert found.depth.isnan().all()
        assert not found.inside.any()


@compiled
def test_threads_do_not_show() -> None:
    parts = [crowd(shape, 2.0, count=100) for shape in SHAPES.values()]
    before = torch.get_num_threads()
    found = []
    for number in (1, 2, 5):
        torch.set_num_threads(number)
        found.append(cover(parts, IMAGE))
    torch.set_num_threads(before)
    for other in found[1:]:
        for name in ("ids", "area", "inside"):
            assert torch.equal(getattr(found[0], name), getattr(other, name))
        assert found[0].depth.numpy().tobytes() == other.depth.numpy().tobytes()


@compiled
def test_narrow_images(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = crowd(ew.Ellipsoid(), 0.5, spread=0.5)
    for shape in ((1, 1), (3, 5), (40, 1), (1, 40), (33, 9)):
        grid = ew.Grid(shape, 0.1)
        expected = plain(monkeypatch, lambda grid=grid: cover([bodies], grid))
        assert_same(cover([bodies], grid), expected)
    none = ew.Particles(ew.Sphere(), torch.zeros(0, 3), torch.zeros(0, 1), torch.zeros(0))
    assert not cover([none], IMAGE).ids.any()


def test_shapes_without_a_kernel_are_drawn_in_plain_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = crowd(ew.Sphere(), 1.0)
    expected = cover([bodies, bodies], IMAGE)
    monkeypatch.setattr(silhouette, "BODIES", {ew.Rod: BODIES[ew.Rod]})
    assert silhouette._kernels([bodies]) is None
    assert_same(cover([bodies, bodies], IMAGE), expected)


@compiled
def test_pieces_of_the_plain_image_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [crowd(shape, 1.0, seed=number) for number, shape in enumerate(SHAPES.values())]
    found = cover(parts, IMAGE)
    monkeypatch.setattr(native, "KERNELS", None)
    monkeypatch.setattr(silhouette, "_BLOCK", 5)
    monkeypatch.setattr(silhouette, "CHUNK", 300)
    assert_same(found, cover(parts, IMAGE))


@compiled
def test_plain_areas_far_beyond_the_image_are_close(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = crowd(ew.Ellipsoid(), 30.0, count=3)
    found = cover([bodies], IMAGE)
    # With patches of at most 256 pixels the rest is counted on every s-th row and column.
    monkeypatch.setattr(native, "KERNELS", None)
    monkeypatch.setattr(silhouette, "_SIDES", SIZES[:12])
    expected = cover([bodies], IMAGE)
    torch.testing.assert_close(found.area.double(), expected.area.double(), rtol=2e-3, atol=0)
    assert torch.equal(found.ids, expected.ids)
