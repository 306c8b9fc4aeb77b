"""Rectangles: the smallest around outlines that need not have edges."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from exitwave.specimen.shapes import smallest_rectangle


def turned(support: Callable[[Tensor], Tensor], corners: Tensor) -> Tensor:
    """Return rectangles (N, 4, 2) around N bodies that are no larger than those given: turned to where they are least.

    They turn to and fro by ever smaller angles, for round outlines have no edges to lie along. `support` tells how far
    each body reaches along directions (N, D, 2).
    """
    for halving in range(4, 24):
        angle = corners.new_tensor([-1.0, -0.5, 0.0, 0.5, 1.0]) * 2.0**-halving
        side = (corners[:, 1] - corners[:, 0])[:, None, :]
        across = torch.stack([side[..., 1], -side[..., 0]], -1)
        corners = smallest_rectangle(support, side * torch.cos(angle)[:, None] + across * torch.sin(angle)[:, None])
    return corners
