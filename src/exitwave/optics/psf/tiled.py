"""Point spread functions that differ from place to place."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor

from exitwave.lattice import Lattice
from exitwave.model import Value
from exitwave.optics.psf.sampling import PSF, Focus

Share = Callable[[Tensor], Tensor]
"""How much (Q,) of the light from places (Q, 3) in um spreads in a certain way."""


class TiledPSF(Value):
    """Several PSFs, each at the middle of its tile of a region about the origin, `extent` um wide along (z, y, x).

    `tiles` counts them along (z, y, x); `psfs` lists them with x fastest. Light from between the middles is shared
    between neighbours in proportion to its distance (hat functions), so that all shares of a place add up to 1;
    beyond the outermost middles nothing changes any more. A rendering costs as much as one for every tile.
    Its own numbers, `at` and the others, are those at the origin.

    >>> from exitwave.optics.psf.gaussian import GaussianPSF
    >>> left, right = GaussianPSF(sigma=(0.6, 0.2, 0.2)), GaussianPSF(sigma=(0.6, 0.2, 0.3))
    >>> psf = TiledPSF((left, right), tiles=(1, 1, 2), extent=(1.0, 8.0, 8.0))
    >>> psf.weights(torch.tensor([[0.0, 3.0, -1.0]])).flatten().tolist()
    [0.75, 0.25]
    """

    psfs: tuple[Any, ...]
    tiles: tuple[int, int, int]
    extent: tuple[float, float, float] = dataclasses.field(metadata={"unit": "um"})

    def __post_init__(self) -> None:
        tiles, extent = tuple(self.tiles), tuple(float(size) for size in self.extent)
        if len(tiles) != 3 or not all(isinstance(n, int) and n > 0 for n in tiles):
            raise ValueError(f"TiledPSF.tiles must be three counts (z, y, x) from 1 on, got {self.tiles!r}; use 1s")
        if len(extent) != 3 or not all(math.isfinite(size) and size > 0 for size in extent):
            raise ValueError(f"TiledPSF.extent must be three sizes (z, y, x) in um, got {self.extent!r}; give its box")
        if len(self.psfs) != math.prod(tiles):
            raise ValueError(
                f"TiledPSF.psfs must have {math.prod(tiles)} entries for tiles {tiles}, got {len(self.psfs)}; list one "
                "for each, x fastest"
            )
        for psf in self.psfs:
            if not isinstance(psf, Value):
                raise TypeError(f"TiledPSF.psfs must hold PSFs, got {type(psf).__name__}; pass for example GaussianPSF")
        object.__setattr__(self, "psfs", tuple(self.psfs))
        object.__setattr__(self, "tiles", tiles)
        object.__setattr__(self, "extent", extent)

    def weights(self, position: Tensor) -> Tensor:
        """Return how much of the light from places (Q, 3) in um goes through each PSF (T, Q)."""
        found = torch.ones_like(position[None, :, 0])
        for axis, (count, width) in enumerate(zip(self.tiles, self.extent, strict=True)):
            place = position[:, axis] * (count / width) + 0.5 * (count - 1)
            middle = torch.arange(count, dtype=place.dtype, device=place.device)[:, None]
            hat = (1 - (place.clamp(0, count - 1) - middle).abs()).clamp(min=0.0)
            found = (found[:, None] * hat).flatten(0, 1)
        return found

    def _middle(self) -> list[tuple[Any, Tensor]]:
        """Return the PSFs that share the origin, and their shares."""
        shares = self.weights(torch.zeros(1, 3, dtype=torch.float64))[:, 0]
        return [(psf, share) for psf, share in zip(self.psfs, shares, strict=True) if float(share) > 0]

    def at(self, z: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """Return h (Z, H, W) in 1/um^3 of an emitter at the origin."""
        return torch.stack([psf.at(z, y, x) * share.to(z) for psf, share in self._middle()]).sum(0)

    def lateral(self, z: Tensor) -> Tensor:
        """Return the integral of h over each plane (Z,), in 1/um, at the origin."""
        return torch.stack([psf.lateral(z) * share.to(z) for psf, share in self._middle()]).sum(0)

    def focus(self) -> Focus:
        """Return the sizes of the focus at the origin, means of those around it."""
        found = [(psf.focus(), share) for psf, share in self._middle()]
        return Focus(
            *(
                torch.stack([part * share.to(part) for part, share in pairs]).sum(0)
                for pairs in (
                    [(focus.peak, share) for focus, share in found],
                    [(focus.radius, share) for focus, share in found],
                    [(focus.span, share) for focus, share in found],
                )
            )
        )

    def band(self, rtol: float) -> tuple[float, float, float]:
        """Return the highest frequencies of all tiles along z, y, x in 1/um."""
        z, y, x = (max(parts) for parts in zip(*(psf.band(rtol) for psf in self.psfs), strict=True))
        return z, y, x

    def reach(self, rtol: float, depth: float) -> tuple[float, float, float]:
        """Return the longest reach of all tiles along z, y, x in micrometres."""
        z, y, x = (max(parts) for parts in zip(*(psf.reach(rtol, depth) for psf in self.psfs), strict=True))
        return z, y, x

    def transfer(self, lattice: Lattice, like: Tensor) -> Tensor:
        """Return the Fourier transform of h (of `lattice.bands`) of an emitter at the origin."""
        return torch.stack([psf.transfer(lattice, like) * share.to(like) for psf, share in self._middle()]).sum(0)


@singledispatch
def parts(psf: Any) -> tuple[tuple[PSF, Share | None], ...]:
    """Return the PSFs that make up one, each with its share of the light by place; None where it has all of it.

    A new kind of PSF that differs from place to place registers a function here with `@parts.register`.
    """
    return ((psf, None),)


@parts.register
def _(psf: TiledPSF) -> tuple[tuple[PSF, Share | None], ...]:
    def share(number: int) -> Share:
        return lambda position: psf.weights(position)[number]

    return tuple((tile, share(number)) for number, tile in enumerate(psf.psfs))
