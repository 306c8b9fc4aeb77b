"""Deposits: what every part of a specimen adds to the light's path, absorbance and polarisation.

A new kind of part registers functions here with `@deposit.register`, `@channels.register`, `@span.register` and
`@bend.register`; nothing else has to know of it.
"""

from __future__ import annotations

from functools import singledispatch
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad

from exitwave import native
from exitwave.field import Canvas, Slabs
from exitwave.raster.splat import splat
from exitwave.specimen import Film, Particles, Specimen

CHANNELS = ("opd", "absorbance", "dispersive", "retardance_cosine", "retardance_sine")
"""What can be added up along the light's way, in the order in which maps are stacked."""


class Maps(NamedTuple):
    """What light meets: maps (H, W), or (S, H, W) in slabs; None where a map is zero everywhere.

    `opd` is the optical path difference at the sodium D line in micrometres, `absorbance` that of the irradiance,
    `dispersive` the path difference per (1/lambda^2 - 1/0.5893^2) in cubic micrometres. The retardance is the path
    difference in micrometres between slow and fast polarisation, times the cosine and the sine of twice the slow one's
    azimuth, counted from x towards y; `opd` is the mean of both polarisations.
    """

    opd: Tensor
    absorbance: Tensor | None = None
    dispersive: Tensor | None = None
    retardance_cosine: Tensor | None = None
    retardance_sine: Tensor | None = None


def maps_of(specimen: Specimen, canvas: Canvas, slabs: Slabs | None, like: Tensor) -> Maps:
    """Return the maps of all parts of a specimen together."""
    kept = kept_channels(specimen)
    stack: Tensor | None = None
    for part in specimen.parts:
        stack = deposit(part, specimen, canvas, slabs, kept, stack, like)
    if stack is None:
        depth = () if slabs is None else (slabs.count,)
        stack = like.new_zeros(*depth, len(kept), *canvas.grid.shape)
    return Maps(**dict(zip(kept, stack.unbind(-3), strict=True)))


def kept_channels(specimen: Specimen) -> tuple[str, ...]:
    """Return the channels that any part of a specimen has something for, in the order of `CHANNELS`."""
    found = {"opd"}.union(*(channels(part, specimen) for part in specimen.parts))
    return tuple(channel for channel in CHANNELS if channel in found)


@singledispatch
def channels(part: object, specimen: Specimen) -> set[str]:
    """Return the channels that a part has something for: those that are not zero, or asked for derivatives."""
    raise TypeError(_unknown(part))


@singledispatch
def deposit(
    part: object,
    specimen: Specimen,
    canvas: Canvas,
    slabs: Slabs | None,
    kept: tuple[str, ...],
    stack: Tensor | None,
    like: Tensor,
) -> Tensor:
    """Return `stack` (C, H, W), or (S, C, H, W) in slabs, with what `part` adds to the `kept` channels.

    A stack that is given may be written to; None stands for zeros of the dtype and device of `like`.
    """
    raise TypeError(_unknown(part))


@singledispatch
def span(part: object) -> Tensor:
    """Return the lowest and the highest z (2,) of a part in micrometres; empty where there is nothing."""
    raise TypeError(_unknown(part))


@singledispatch
def bend(part: object, specimen: Specimen) -> tuple[Tensor, Tensor]:
    """Return half the height (N,) in micrometres and the index step (N,) of what bends light in a part."""
    raise TypeError(_unknown(part))


@channels.register
def _(part: Particles, specimen: Specimen) -> set[str]:
    found = {"opd"}
    if _matters(part.absorption):
        found.add("absorbance")
    if _matters(part.dispersion - specimen.dispersion.to(part.dispersion)):
        found.add("dispersive")
    if _matters(part.birefringence):
        found.update(("retardance_cosine", "retardance_sine"))
    return found


@deposit.register
def _(
    part: Particles,
    specimen: Specimen,
    canvas: Canvas,
    slabs: Slabs | None,
    kept: tuple[str, ...],
    stack: Tensor | None,
    like: Tensor,
) -> Tensor:
    weights = {
        "opd": part.index.to(like) - specimen.medium.to(like),
        "absorbance": part.absorption,
        "dispersive": part.dispersion - specimen.dispersion.to(part.dispersion),
    }
    if "retardance_sine" in kept:
        excess, weights["retardance_cosine"], weights["retardance_sine"] = part.retardance()
        weights["opd"] = weights["opd"] + 0.5 * excess
    return splat(part, torch.stack([weights[channel].to(like) for channel in kept], -1), canvas, slabs, stack)


@span.register
def _(part: Particles) -> Tensor:
    if not part.count:
        return part.center.new_zeros(0)
    middle, half = part.center[:, 0], part.reach()[:, 0]
    return torch.stack([(middle - half).min(), (middle + half).max()])


@bend.register
def _(part: Particles, specimen: Specimen) -> tuple[Tensor, Tensor]:
    step = (part.index.detach() - specimen.medium.detach().to(part.index)).abs()
    return part.reach().detach()[:, 0], step + part.birefringence.detach().abs()


@channels.register
def _(part: Film, specimen: Specimen) -> set[str]:
    return {"opd", "absorbance"} if _matters(part.absorbance) else {"opd"}


@deposit.register
def _(
    part: Film,
    specimen: Specimen,
    canvas: Canvas,
    slabs: Slabs | None,
    kept: tuple[str, ...],
    stack: Tensor | None,
    like: Tensor,
) -> Tensor:
    height, width = canvas.grid.shape
    dy, dx = canvas.grid.spacing
    sheets = dict(zip(("opd", "absorbance"), part.maps((height, width), (dy, dx), like), strict=True))
    if slabs is None:
        share = like.new_ones(())
    else:
        # Shared out by linear splitting between the two planes beside it.
        plane = ((part.height.to(like) - slabs.first) / slabs.step).clamp(0, slabs.count - 1)
        share = (1 - (torch.arange(slabs.count, device=like.device) - plane).abs()).clamp(min=0.0)[:, None, None]
    layers = [share * sheets[channel].to(like) if channel in sheets else None for channel in kept]
    if stack is None:
        nothing = torch.zeros_like(share * sheets["opd"])
        return torch.stack([nothing if layer is None else layer for layer in layers], -3)
    if native.transforming():
        # Transforms do not write into what they have not wrapped.
        parts = zip(stack.unbind(-3), layers, strict=True)
        return torch.stack([held if layer is None else held + layer for held, layer in parts], -3)
    for channel, layer in enumerate(layers):
        if layer is not None:
            stack[..., channel, :, :] += layer
    return stack


@span.register
def _(part: Film) -> Tensor:
    return part.height.reshape(1).repeat(2)


@bend.register
def _(part: Film, specimen: Specimen) -> tuple[Tensor, Tensor]:
    nothing = part.height.detach().new_zeros(0)
    return nothing, nothing


def _unknown(part: object) -> str:
    return (
        f"expected particles or films in transmitted light, got {type(part).__name__}; if it is a population of a "
        "recipe, draw it with sample(scene, Key(seed)) first"
    )


def _matters(weight: Tensor) -> bool:
    """Return whether a weight is non-zero or somebody asks for a derivative by it."""
    if weight.requires_grad or forward_ad.unpack_dual(weight).tangent is not None:
        return True
    return bool(torch.any(weight != 0))
