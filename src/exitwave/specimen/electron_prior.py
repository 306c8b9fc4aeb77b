"""What is known of a material's yield before it is measured, as a prior for recipes."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from exitwave.model import Value
from exitwave.specimen.electron_yields import RelativeYield, relative_yield


class MaterialYield(Value):
    """A prior for the `secondary` or `backscatter` of one material on another, for electrons of `energy` in keV.

    Lognormal about `relative_yield`, with published maxima as far apart as two standard deviations. It draws a number
    for every particle; as the mean of another prior, it draws one for all particles of a scene.

    >>> prior = MaterialYield("silver", on="silicon", energy=5.0)
    >>> [round(end, 1) for end in prior.support()]
    [0.9, 5.0]
    """

    body: str
    on: str
    energy: float
    term: str = "secondary"
    thickness: float = math.inf
    efficiency: float = 3.0

    bounded: ClassVar[bool] = False

    def check(self) -> None:
        if self.term not in ("secondary", "backscatter"):
            raise ValueError(
                f"term must be 'secondary' or 'backscatter', got {self.term!r}; pick the one it stands for"
            )
        self.known()

    def known(self) -> RelativeYield:
        """Return the yields that the prior is about."""
        return relative_yield(self.body, self.on, self.energy, self.thickness, self.efficiency)

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        median, sigma = self._numbers()
        return median * torch.exp(sigma * torch.randn(shape, generator=generator, dtype=torch.float64))

    def support(self) -> tuple[float, float]:
        median, sigma = self._numbers()
        return median * math.exp(-4 * sigma), median * math.exp(4 * sigma)

    def deviation(self, value: Tensor) -> Tensor:
        median, sigma = self._numbers()
        # A term that is known to be zero says nothing.
        return torch.log(value / median) / sigma if median and sigma else value.new_zeros(0)

    def _numbers(self) -> tuple[float, float]:
        """Return the median, and the standard deviation of the logarithm."""
        known = self.known()
        return known.secondary if self.term == "secondary" else known.backscatter, math.log(known.scatter) / 2
