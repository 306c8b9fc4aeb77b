"""Paths and bodies for the tests of kernels; in a module of their own, so that other processes can make them."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

import exitwave as ew
from exitwave.interaction.exit_wave import exit_wave
from exitwave.raster.silhouette import Coverage, cover
from exitwave.specimen import Particles, Shape

SHAPES: dict[str, Shape] = {
    "sphere": ew.Sphere(),
    "ellipsoid": ew.Ellipsoid(),
    "rod": ew.Rod(),
    "box": ew.Box(),
    "disk": ew.Disk(),
    "crystal": ew.Crystal(),
    "crystal of unequal faces": ew.Crystal(per_face=True),
}
IMAGE = ew.Grid((90, 70), (0.1, 0.13))
POSES = ([1, 0, 0, 0], [0.5, 0.5, 0.5, 0.5], [math.sqrt(0.5), 0, math.sqrt(0.5), 0], [0.2, -0.9, 0.1, 0.4])


def hills(*shape: int, steepness: float = 1.0, seed: int = 0) -> Tensor:
    """Return random optical paths whose slopes lie on both sides of half a cycle per sample."""
    path = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return steepness * (path + path.roll(1, -1)) + torch.arange(shape[-1]) * 0.2


def gradients(cycles: Tensor, absorbance: Tensor | None, dtype: torch.dtype) -> list[Tensor]:
    """Return the wave and the gradients of a random sum of its values, by cycles and by absorbance."""
    given = [tensor.to(dtype, copy=True).requires_grad_() for tensor in (cycles, absorbance) if tensor is not None]
    wave = exit_wave(given[0], given[1] if len(given) > 1 else None)
    weight = torch.randn(wave.shape, generator=torch.Generator().manual_seed(9)).to(dtype)
    return [wave.detach(), *torch.autograd.grad((wave * weight).sum(), given)]


def landscape() -> list[Tensor]:
    """Return a wave and its gradients."""
    return gradients(hills(70, 90, steepness=0.3), hills(70, 90, seed=8).abs(), torch.float32)


def crowd(shape: Shape, size: float, count: int = 12, seed: int = 0, spread: float = 6.0) -> Particles:
    """Return bodies of about `size` micrometres in and around the image, some of them in special poses."""
    rng = np.random.default_rng(seed)
    center = rng.uniform(-1, 1, (count, 3)) * [5, spread, spread]
    center[0] = 0
    lengths = np.sort(rng.uniform(0.5, 1.5, (count, len(shape.lengths))), 1) * size
    pose = rng.normal(size=(count, 4))
    pose[: len(POSES)] = POSES[:count]
    return ew.Particles(shape, center, lengths, np.full(count, 1.5), pose)


def all_shapes() -> Coverage:
    """Return the silhouettes of a crowd of every shape."""
    return cover([crowd(shape, 1.5) for shape in SHAPES.values()], IMAGE)


def assert_same(found: Coverage, expected: Coverage) -> None:
    assert torch.equal(found.ids, expected.ids)
    assert torch.equal(found.inside, expected.inside)
    assert torch.equal(found.area, expected.area)
    torch.testing.assert_close(found.depth, expected.depth, rtol=1e-6, atol=1e-6, equal_nan=True)
