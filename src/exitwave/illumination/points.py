"""Sources point by point."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from exitwave.field import Source
from exitwave.illumination.sampling import check_method, check_spectrum, even, kernels_of, refined
from exitwave.model import Value
from exitwave.quantity import Quantity, param


class SourcePoints(Value):
    """An incoherent sum of any plane waves: the lamps of an LED array, or a measured source.

    `direction` (P, 2) is index times sine of the incidence along (y, x), `weight` (P,) the brightness of each; only
    ratios count. `method` as for `Koehler`.

    >>> SourcePoints(direction=[[0.0, 0.1], [0.0, -0.1]], weight=[1.0, 3.0]).source().weight
    tensor([0.2500, 0.7500], dtype=torch.float64)
    """

    direction: Quantity = param("1", low=-1.6, high=1.6, dims=("P", 2), doc="index times sine along (y, x)")
    weight: Quantity = param("1", low=0.0, dims=("P",), default=None, doc="relative brightness")
    wavelength: Quantity = param("um", low=0.0, exclusive=True, dims=("L",), default=0.55, doc="vacuum wavelengths")
    spectrum: Quantity = param("1", low=0.0, dims=("L",), default=None, doc="relative strength of each wavelength")
    method: str = "abbe"
    kernels: int = 16

    def fill(self) -> dict[str, Tensor]:
        points = self.direction
        weight = torch.ones(len(points) if isinstance(points, Tensor) else 1, dtype=torch.float64)
        return {"weight": weight, "spectrum": even(self.wavelength)}

    def check(self) -> None:
        check_spectrum(self.spectrum)
        check_method("SourcePoints", self.method, self.kernels)
        if not float(self.weight.detach().sum()) > 0:
            raise ValueError("a source needs light, got weights that sum to zero; give one point a weight")

    def source(self) -> Source:
        """Return the plane waves of the source."""
        return Source(
            self.direction,
            self.weight / self.weight.sum(),
            self.wavelength,
            self.spectrum / self.spectrum.sum(),
            kernels_of(self.method, self.kernels),
        )


@refined.register
def _(illumination: SourcePoints) -> SourcePoints:
    return replace(illumination, method="abbe")  # the lamps are what they are
