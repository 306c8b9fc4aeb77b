"""The support under electrons: its texture, and the steps between its terraces."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from exitwave.field import Canvas
from exitwave.specimen import Film
from exitwave.specimen.shapes import root
from exitwave.stages import Counter

# In micrometres: a step of no height, whose derivative somebody asks for, divides as one of this height.
_FLAT = 1e-9


def support(
    parts: Sequence[object], optics: Counter, escape_depth: Tensor, tilt_exponent: Tensor, canvas: Canvas, like: Tensor
) -> tuple[Tensor, Tensor]:
    """Return what the bare support yields at the samples of a canvas, 1 where it is flat, and its height in um (H, W).

    Every `Film` multiplies the yield by its texture. A step of height h is a ramp as wide as the escape depth: tilted
    by theta with tan(theta) = h / escape_depth, and brighter than the flat by cos^-n(theta) times what the detector
    collects from it. Over the length of a step that excess is the same however wide samples are.
    """
    shape, spacing = (canvas.grid.shape[0], canvas.grid.shape[1]), (canvas.grid.spacing[0], canvas.grid.spacing[1])
    light, height = like.new_ones(shape), like.new_zeros(shape)
    for part in parts:
        if not isinstance(part, Film):
            continue
        light = light * part.yields(shape, spacing, like)
        if float(part.step_height.detach()) == 0 and not part.step_height.requires_grad:
            continue
        relief = part.relief(shape, spacing, like, canvas.origin)
        depth, rise = escape_depth.to(like), part.step_height.to(like).clamp(min=_FLAT)
        slope = torch.stack(torch.gradient(relief, spacing=list(spacing)))
        # Terraces are flat, and most of the support.
        edge = slope.detach().any(0).flatten().nonzero()[:, 0]
        slope = slope.flatten(1).index_select(1, edge)
        steepness = root(slope.square().sum(0))
        aspect = rise / depth
        cosine = torch.rsqrt(1 + aspect.square())
        normal = torch.stack([torch.ones_like(steepness), *(-aspect * slope / steepness)], -1) * cosine
        bright = cosine ** -tilt_exponent.to(like) * optics.collected(normal)
        factor = like.new_ones(light.numel()).index_add(0, edge, steepness * depth / rise * (bright - 1))
        light = light * factor.reshape(shape)
        height = height + relief
    return light, height
