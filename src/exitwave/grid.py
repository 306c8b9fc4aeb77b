"""Grids: where an image or a volume is sampled."""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from exitwave.model import Value


class Grid(Value):
    """A regular grid in micrometres: (height, width), or (depth, height, width) for volumes.

    `pixel` is the sample spacing, one number or one per axis. The origin is the sample n // 2 of each axis, and
    coordinates are those of pixel centres.

    >>> Grid(shape=(512, 512), pixel=0.1).pixel
    (0.1, 0.1)
    """

    shape: tuple[int, ...]
    pixel: tuple[float, ...] | float = dataclasses.field(metadata={"unit": "um"})

    def __post_init__(self) -> None:
        shape = tuple(self.shape) if isinstance(self.shape, tuple | list) else (self.shape,)
        if len(shape) not in (2, 3) or not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in shape):
            raise ValueError(f"Grid.shape must be (height, width) or (depth, height, width), got {shape}")
        given = self.pixel
        pixel = tuple(given) if isinstance(given, tuple | list) else (given,) * len(shape)
        try:
            pixel = tuple(float(step) for step in pixel)
        except (TypeError, ValueError):
            raise TypeError(f"Grid.pixel must be a number in um, got {given!r}; pass for example 0.1") from None
        if len(pixel) != len(shape):
            raise ValueError(f"Grid.pixel must be one number or {len(shape)} numbers for {shape}, got {len(pixel)}")
        if not all(math.isfinite(step) and step > 0 for step in pixel):
            raise ValueError(f"Grid.pixel must be positive and finite, got {given!r} um; pass the size of a sample")
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "pixel", pixel)

    @property
    def spacing(self) -> tuple[float, ...]:
        """The sample spacing of every axis in micrometres."""
        assert isinstance(self.pixel, tuple)  # __post_init__ made it one
        return self.pixel

    @property
    def extent(self) -> tuple[float, ...]:
        """The full width of every axis in micrometres."""
        return tuple(n * step for n, step in zip(self.shape, self.spacing, strict=True))

    def padded(self, margin: tuple[int, ...]) -> Grid:
        """Return the grid with `margin` more samples before and after every axis."""
        return Grid(tuple(n + 2 * m for n, m in zip(self.shape, margin, strict=True)), self.pixel)

    def axis(self, axis: int, like: Tensor) -> Tensor:
        """Return the coordinates of one axis in micrometres, shape (n,), with the dtype and device of `like`."""
        n = self.shape[axis]
        return (torch.arange(n, device=like.device, dtype=like.dtype) - n // 2) * self.spacing[axis]


def fast_length(n: int) -> int:
    """Return the smallest length from `n` on without prime factors above 7, whose Fourier transform is fast.

    From 64 on it is a multiple of 4: other lengths take half as long again for every sample.

    >>> fast_length(1019)
    1024
    """
    step = 4 if n > 60 else 1
    n = -(-n // step) * step
    while True:
        rest = n
        for prime in (2, 3, 5, 7):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += step
