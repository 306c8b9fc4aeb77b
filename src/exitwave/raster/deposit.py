"""Deposits: what every part of a specimen adds to the light's path and absorbance.

A new kind of part registers a function here with `@deposit.register`; nothing else has to know of it.
"""

from __future__ import annotations

from functools import singledispatch

import torch
from torch import Tensor
from torch.autograd import forward_ad

from exitwave.field import Canvas
from exitwave.raster.splat import splat
from exitwave.specimen import Film, Particles, Specimen

Maps = tuple[Tensor, Tensor | None, Tensor | None]


@singledispatch
def deposit(part: object, specimen: Specimen, canvas: Canvas, like: Tensor) -> Maps:
    """Return the maps (H, W) that `part` adds to the light's path and absorbance; None where a map is zero everywhere.

    In order: optical path difference at the sodium D line (micrometres), absorbance (1), and path difference per
    (1/lambda^2 - 1/0.5893^2), in cubic micrometres.
    """
    raise TypeError(
        f"expected particles or films in transmitted light, got {type(part).__name__}; if it is a population of a "
        "recipe, draw it with sample(scene, Key(seed)) first"
    )


@deposit.register
def _(part: Particles, specimen: Specimen, canvas: Canvas, like: Tensor) -> Maps:
    weights = [part.index - specimen.medium.to(like)]
    stained = _matters(part.absorption)
    if stained:
        weights.append(part.absorption)
    slope = part.dispersion - specimen.dispersion.to(like)
    dispersive = _matters(slope)
    if dispersive:
        weights.append(slope)
    maps = splat(part, torch.stack([weight.to(like) for weight in weights], -1), canvas)
    return maps[0], maps[1] if stained else None, maps[-1] if dispersive else None


@deposit.register
def _(part: Film, specimen: Specimen, canvas: Canvas, like: Tensor) -> Maps:
    height, width = canvas.grid.shape
    dy, dx = canvas.grid.spacing
    path, stain = part.maps((height, width), (dy, dx), like)
    return path.to(like), stain.to(like), None


def _matters(weight: Tensor) -> bool:
    """Return whether a weight is non-zero or somebody asks for a derivative by it."""
    if weight.requires_grad or forward_ad.unpack_dual(weight).tangent is not None:
        return True
    return bool(torch.any(weight != 0))
