"""Gauss's rule, and how many nodes of it a wave needs."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from scipy.special import roots_legendre
from torch import Tensor

_STEP = 8


def nodes_for(radians: float) -> int:
    """Return the nodes of Gauss's rule that integrate waves whose phase turns by `radians` over the interval.

    Half a node per radian of the phase's half span resolves it; what is added brings the error below 1e-9 for a
    smooth amplitude.

    >>> nodes_for(0.0), nodes_for(400.0)
    (16, 128)
    """
    half = 0.5 * radians
    count = 0.5 * half + 3.0 * half ** (1 / 3) + 9
    return _STEP * math.ceil(count / _STEP)


def legendre(count: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the nodes and weights of Gauss's rule over [-1, 1], in double precision on the device of `like`."""
    nodes, weights = _rule(count)
    return nodes.to(like.device), weights.to(like.device)


@lru_cache(maxsize=64)
def _rule(count: int) -> tuple[Tensor, Tensor]:
    nodes, weights = roots_legendre(count)
    return torch.from_numpy(nodes), torch.from_numpy(weights)
