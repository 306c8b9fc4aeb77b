"""Point spread functions measured on a bead."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from exitwave.lattice import Lattice
from exitwave.model import Value
from exitwave.optics.psf.sampling import Focus, sampled_transfer
from exitwave.quantity import Quantity, param

# An Airy disc is at half its peak at this share of the radius of its first dark ring.
_HALF = 0.4220


class MeasuredPSF(Value):
    """A stack of images (Z, H, W) of a point, `spacing` micrometres apart along (z, y, x), z upwards.

    Between the samples it is the cosine series through them, the band-limited function that continues beyond each
    end as its mirror image; outside of the stack it is zero, and its integral is 1. The emitter lies at `center`,
    in micrometres from sample n // 2 of every axis; if that is not given it is the centroid of what is brighter than
    half the peak. The bead is taken for a point: one wider than a third of the resolution blurs what it measures.
    `from_bead` takes the background off a raw stack.

    >>> stack = torch.zeros(5, 7, 7)
    >>> stack[2, 3, 4] = 1.0
    >>> MeasuredPSF(stack, spacing=(0.3, 0.1, 0.1)).center.tolist()
    [0.0, 0.0, 0.1]
    """

    samples: Quantity = param("any", dims=("Z", "H", "W"), doc="the stack of images, in any unit")
    spacing: tuple[float, float, float] = dataclasses.field(metadata={"unit": "um"})
    center: Quantity = param("um", dims=(3,), default=None, doc="where the emitter lies, from the stack's middle")

    def __post_init__(self) -> None:
        object.__setattr__(self, "spacing", _steps(self.spacing))
        super().__post_init__()

    def fill(self) -> dict[str, Any]:
        return {"center": _centroid(self.samples.detach(), self.spacing)}

    def check(self) -> None:
        if min(self.samples.shape) < 2:
            raise ValueError(
                f"MeasuredPSF.samples must be a stack (Z, H, W), got shape {tuple(self.samples.shape)}; crop less"
            )
        if float(self.samples.detach().sum()) <= 0:
            raise ValueError(
                "MeasuredPSF.samples must hold light, got a stack that sums to nothing; take off less background"
            )

    def at(self, z: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """Return h (Z, H, W) in 1/um^3 at distances z (Z,), y (H,), x (W,) in micrometres."""
        found = self.samples.to(z) / self._total().to(z)
        between = [self._between(lags, axis).to(z.dtype) for axis, lags in enumerate((z, y, x))]
        found = torch.einsum("ai,ijk->ajk", between[0], found)
        return torch.einsum("bj,ajk,ck->abc", between[1], found, between[2])

    def lateral(self, z: Tensor) -> Tensor:
        """Return the integral of h over each plane (Z,), in 1/um."""
        planes = self.samples.double().sum((1, 2)) * (self.spacing[1] * self.spacing[2])
        return (self._between(z, 0) @ (planes / self._total().double()).to(z.device)).to(z.dtype)

    def _total(self) -> Tensor:
        return self.samples.sum() * math.prod(self.spacing)

    def _between(self, lags: Tensor, axis: int) -> Tensor:
        """Return the weights (lags, samples) of the cosine series through the samples of one axis."""
        count = self.samples.shape[axis]
        place = (lags.double() + self.center[axis].double().to(lags.device)) / self.spacing[axis] + count // 2
        order = torch.arange(count, dtype=torch.float64, device=lags.device)
        series = torch.cos(math.pi / count * order * (place[:, None] + 0.5))
        shares = torch.cos(math.pi / count * order[:, None] * (order + 0.5)) * (2 / count)
        shares = torch.where(order[:, None] == 0, 0.5 * shares, shares)
        # A sample's cell is part of the stack; so is what rounding puts beyond it.
        inside = (place > -0.5 - 1e-4) & (place < count - 0.5 + 1e-4)
        return torch.where(inside[:, None], series @ shares, 0.0)

    def focus(self) -> Focus:
        """Return the sizes of the focus: its Airy disc is that of a lens with the same area above half the peak."""
        found = self.samples.double() / self._total().double()
        peak = found.amax()
        bright = (found.detach() > 0.5 * peak.detach()).sum((1, 2)).amax()
        area = bright * self.spacing[1] * self.spacing[2]
        span = torch.as_tensor(max(self._ends()[0]), dtype=torch.float64, device=found.device)
        return Focus(peak, torch.sqrt(area.double() / math.pi) / _HALF, span)

    def _ends(self) -> list[tuple[float, float]]:
        """Return how far in micrometres the stack goes down and up from the emitter, along every axis."""
        ends = []
        for count, step, center in zip(self.samples.shape, self.spacing, self.center.detach().tolist(), strict=True):
            ends.append(((count // 2 + 0.5) * step + center, (count - count // 2 - 0.5) * step - center))
        return ends

    def band(self, rtol: float) -> tuple[float, float, float]:
        """Return the frequencies along z, y, x in 1/um beyond which the transfer of the samples is below `rtol`."""
        size = torch.fft.rfftn(self.samples.detach()).abs()
        bright = size >= rtol * float(size[0, 0, 0])
        found = []
        for axis, (count, step) in enumerate(zip(self.samples.shape, self.spacing, strict=True)):
            others = [other for other in range(3) if other != axis]
            held = bright.any(others[1]).any(others[0]).nonzero().flatten()
            highest = int(torch.minimum(held, count - held).amax())
            # One step further: between the frequencies of the stack.
            found.append(min(highest + 1.0, 0.5 * count) / (count * step))
        return found[0], found[1], found[2]

    def reach(self, rtol: float, depth: float) -> tuple[float, float, float]:
        """Return the distances along z, y, x in micrometres to the ends of the stack."""
        z, y, x = (max(ends) for ends in self._ends())
        return z, y, x

    def transfer(self, lattice: Lattice, like: Tensor) -> Tensor:
        """Return the Fourier transform of h (of `lattice.bands`) over one period of the lattice."""
        return sampled_transfer(self.at, lattice, like)


def from_bead(stack: Tensor | np.ndarray, spacing: tuple[float, float, float]) -> MeasuredPSF:
    """Return the PSF of a raw stack of a bead (Z, H, W), its planes' background taken off.

    The background is the median of each plane's border; what noise leaves below it is kept, for its mean is zero.

    >>> stack = torch.full((3, 9, 9), 5.0)
    >>> stack[1, 4, 4] = 7.0
    >>> float(from_bead(stack, (0.3, 0.1, 0.1)).samples.sum())
    2.0
    """
    given = torch.as_tensor(np.asarray(stack, dtype=np.float64) if isinstance(stack, np.ndarray) else stack)
    if given.ndim != 3 or min(given.shape) < 3:
        raise ValueError(f"expected a stack (Z, H, W) of at least 3 x 3 x 3, got shape {tuple(given.shape)}; crop less")
    border = torch.ones(given.shape[1:], dtype=torch.bool, device=given.device)
    border[1:-1, 1:-1] = False
    given = given if given.is_floating_point() else given.double()
    return MeasuredPSF(given - given[:, border].median(dim=1).values[:, None, None], spacing)


def _steps(spacing: object) -> tuple[float, float, float]:
    """Return the spacing as three floats; a one-line error where it is none."""
    steps = tuple(spacing) if isinstance(spacing, tuple | list) else (spacing,)
    numbers = [float(step) for step in steps if isinstance(step, int | float) and not isinstance(step, bool)]
    if len(numbers) != 3 or len(steps) != 3 or not all(math.isfinite(step) and step > 0 for step in numbers):
        raise ValueError(
            f"MeasuredPSF.spacing must be three positive numbers (z, y, x) in um, got {spacing!r}; it is not in the "
            "pixels, so look it up"
        )
    return numbers[0], numbers[1], numbers[2]


def _centroid(samples: Tensor, spacing: tuple[float, float, float]) -> Tensor:
    """Return the centroid (3,) in micrometres from sample n // 2 of what is brighter than half the peak."""
    bright = samples.double()
    bright = torch.where(bright > 0.5 * bright.amax(), bright, 0.0)
    total = bright.sum().clamp(min=1e-300)  # a dark stack is refused by its own name
    center = []
    for axis, (count, step) in enumerate(zip(samples.shape, spacing, strict=True)):
        place = (torch.arange(count, dtype=torch.float64, device=samples.device) - count // 2) * step
        others = [other for other in range(3) if other != axis]
        center.append((bright.sum(others) * place).sum() / total)
    return torch.stack(center)
