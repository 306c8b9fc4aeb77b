"""Whether the compiled kernels are there, and for which tensors they may stand in for the torch reference."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

import torch
from torch import Tensor
from torch.autograd import forward_ad


def _find() -> tuple[ModuleType | None, str]:
    """Return the extension module, or None and why not."""
    if os.environ.get("EXITWAVE_NATIVE") == "0":
        return None, "EXITWAVE_NATIVE=0"
    try:
        return importlib.import_module("exitwave._native"), ""
    except ModuleNotFoundError:
        return None, "installed without a C++ compiler"


KERNELS, _WHY_NOT = _find()


def level() -> str:
    """Return which kernels run on the CPU, such as "native (x86-64-v4)", or why there are none."""
    return f"torch only: {_WHY_NOT}" if KERNELS is None else f"native ({KERNELS.level()})"


def transforming() -> bool:
    """Return whether a transform of `torch.func` is at work, which hand-written derivatives do not pass."""
    return torch._C._are_functorch_transforms_active()


def usable(*tensors: Tensor, dtypes: tuple[torch.dtype, ...] = (torch.float32,)) -> bool:
    """Return whether the kernels may work on `tensors`: single precision on the CPU, and no transform of torch active.

    Everything else (double precision if it is not among `dtypes`, other devices, forward-mode derivatives, `vmap`) goes
    through the reference.
    """
    if KERNELS is None or transforming():
        return False
    return all(
        tensor.dtype in dtypes and tensor.device.type == "cpu" and forward_ad.unpack_dual(tensor).tangent is None
        for tensor in tensors
    )


def kernels() -> ModuleType:
    """Return the extension module, where `usable` has said that it is there."""
    if KERNELS is None:
        raise RuntimeError("expected the compiled kernels, got none; install the package with a C++ compiler")
    return KERNELS
