"""Spectra that are kept while nothing about them changes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd import forward_ad

from exitwave import native
from exitwave.model import Value, leaves, map_tensors

T = TypeVar("T")

# Spectra that are kept, and the bytes that they may take.
_KEPT = 12
_BYTES = 1 << 29
_cache: OrderedDict[Hashable, Tensor] = OrderedDict()


def remembered(values: tuple[Value, ...], others: tuple[Hashable, ...], build: Callable[[], Tensor]) -> Tensor:
    """Return what `build` makes of `values` and `others`, from memory while their numbers stay as they were.

    Where a derivative is asked for, everything is built anew.
    """
    numbers = [number for value in values for _, _, number in leaves(value)]
    if native.transforming() or any(_moving(number) for number in numbers):
        return build()
    key = (*others, *values)
    if key in _cache:
        _cache.move_to_end(key)
        return _cache[key]
    with torch.no_grad():
        found = build()
    if not found.is_inference() and found.nbytes <= _BYTES:
        # Copies: an optimiser may change its numbers where they lie.
        _keep((*others, *(map_tensors(value, _copied) for value in values)), found)
    return found


def plain(value: T) -> T:
    """Return a value whose numbers carry no derivative."""
    return map_tensors(value, lambda tensor: forward_ad.unpack_dual(tensor.detach()).primal)


def _moving(number: Any) -> bool:
    """Return whether a derivative by a number is asked for."""
    asked = torch.is_grad_enabled() and number.requires_grad
    return asked or forward_ad.unpack_dual(number).tangent is not None


def _copied(tensor: Tensor) -> Tensor:
    return tensor.detach().clone()


def _keep(key: Hashable, found: Tensor) -> None:
    """Keep a spectrum and drop those that were not used for longest, until all fit."""
    _cache[key] = found
    while len(_cache) > _KEPT or sum(kept.nbytes for kept in _cache.values()) > _BYTES:
        _cache.popitem(last=False)
