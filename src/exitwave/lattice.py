"""Lattices: the frequencies at which the spectrum of a volume is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from exitwave.grid import fast_length

T = TypeVar("T")


@dataclass(frozen=True)
class Lattice:
    """A periodic box around a volume, and the frequencies of it that a microscope passes; axes (z, y, x).

    The box has `shape` samples of `spacing` micrometres; the volume is its part of `window` samples from sample
    `corner` on, with its own origin at its sample window // 2. Of the box's frequencies j / period those with |j| <=
    `order` are kept, which may be more than `shape` samples can hold: sampling then aliases them, as it does in a
    microscope. Distances from an emitter that matter begin at `nearest` micrometres; a period holds all of them. Light
    that does not end within a period is faded out over the first and the last `fade` micrometres of it, which nobody
    looks at, for a periodic function must not jump.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    order: tuple[int, int, int]
    corner: tuple[int, int, int]
    window: tuple[int, int, int]
    nearest: tuple[float, float, float]
    fade: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def period(self) -> tuple[float, float, float]:
        """The box's size in micrometres."""
        return triple([n * step for n, step in zip(self.shape, self.spacing, strict=True)])

    @property
    def origin(self) -> tuple[float, float, float]:
        """The coordinates of the box's sample (0, 0, 0) in micrometres."""
        places = zip(self.corner, self.window, self.spacing, strict=True)
        return triple([-(corner + n // 2) * step for corner, n, step in places])

    @property
    def bands(self) -> tuple[int, int, int]:
        """The shape of a spectrum of real numbers: 2 order + 1 frequencies, and order + 1 along x.

        Along z and y they come as 0, 1, ..., order, -order, ..., -1, along x as 0, 1, ..., order.
        """
        return 2 * self.order[0] + 1, 2 * self.order[1] + 1, self.order[2] + 1

    def frequencies(self, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the frequencies fz (n, 1, 1), fy (m, 1) and fx (k,) in 1/um with the dtype and device of `like`."""
        fz, fy, fx = (
            torch.cat([torch.arange(order + 1), torch.arange(-order, 0)]).to(like) / period
            for order, period in zip(self.order, self.period, strict=True)
        )
        return fz[:, None, None], fy[:, None], fx[: self.order[2] + 1]

    def resolved(self) -> Lattice:
        """Return the same box with samples fine enough for all its frequencies, and all of it to be looked at."""
        shape = [fast_length(2 * order + 1) for order in self.order]
        spacing = [period / n for period, n in zip(self.period, shape, strict=True)]
        return replace(self, shape=triple(shape), spacing=triple(spacing), corner=(0, 0, 0), window=triple(shape))

    def lags(self, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the distances from an emitter, z (n,), y (m,), x (k,) in um, that tell its image's kept frequencies.

        2 order + 1 of them along every axis, evenly over one period.
        """
        z, y, x = (
            nearest + torch.arange(2 * order + 1).to(like) * (period / (2 * order + 1))
            for order, period, nearest in zip(self.order, self.period, self.nearest, strict=True)
        )
        return z, y, x

    def fading(self, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what fades light out at the ends of the lags, factors (n, 1, 1), (m, 1) and (k,) from 0 to 1."""
        factors = []
        for lag, fade, period, nearest in zip(self.lags(like), self.fade, self.period, self.nearest, strict=True):
            inside = torch.minimum(lag - nearest, nearest + period - lag)
            share = (inside / fade).clamp(0.0, 1.0) if fade > 0 else torch.ones_like(lag)
            factors.append(torch.sin(0.5 * math.pi * share).square())
        return factors[0][:, None, None], factors[1][:, None], factors[2]


def triple(numbers: Sequence[T]) -> tuple[T, T, T]:
    """Return three things, one for each axis (z, y, x), as a tuple."""
    z, y, x = numbers
    return z, y, x
