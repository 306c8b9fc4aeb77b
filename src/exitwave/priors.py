"""Priors: distributions that stand where a number may stand, and are replaced by draws in `sample`.

The numbers of a prior may themselves be priors: the inner ones are drawn once per scene, the outer one per particle.
`Normal(mean=Uniform(5, 10), sigma=0.3)` is a batch of similar beads whose mean size changes from scene to scene.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from exitwave.model import Value
from exitwave.quantity import Prior, Quantity, param


class Uniform(Value):
    """A uniform distribution over [low, high].

    >>> Uniform(1.0, 2.0).draw((2,), torch.Generator().manual_seed(0))
    tensor([1.9701, 1.7078], dtype=torch.float64)
    """

    low: Quantity = param("any")
    high: Quantity = param("any")

    bounded: ClassVar[bool] = True

    def check(self) -> None:
        _ordered(self, self.low, self.high)

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return self.low + (self.high - self.low) * _uniform(shape, generator)

    def support(self) -> tuple[float, float]:
        return _lowest(self.low), _highest(self.high)

    def deviation(self, value: Tensor) -> Tensor:
        return value.new_zeros(0)


class LogUniform(Value):
    """A distribution over [low, high] whose logarithm is uniform."""

    low: Quantity = param("any", low=0.0, exclusive=True)
    high: Quantity = param("any", low=0.0, exclusive=True)

    bounded: ClassVar[bool] = True

    def check(self) -> None:
        _ordered(self, self.low, self.high)

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        draws = self.low * torch.exp(torch.log(self.high / self.low) * _uniform(shape, generator))
        return draws.clamp(self.low, self.high)

    def support(self) -> tuple[float, float]:
        return _lowest(self.low), _highest(self.high)

    def deviation(self, value: Tensor) -> Tensor:
        return value.new_zeros(0)


class Normal(Value):
    """A normal distribution with mean `mean` and standard deviation `sigma`; its support is the whole line."""

    mean: Quantity = param("any")
    sigma: Quantity = param("any", low=0.0)

    bounded: ClassVar[bool] = False

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return self.mean + self.sigma * torch.randn(shape, generator=generator, dtype=torch.float64)

    def support(self) -> tuple[float, float]:
        # A parameter with a hard range wants TruncatedNormal; four sigma is where a typo shows, not a tail.
        return _lowest(self.mean) - 4 * _highest(self.sigma), _highest(self.mean) + 4 * _highest(self.sigma)

    def deviation(self, value: Tensor) -> Tensor:
        return (value - self.mean.to(value)) / self.sigma.to(value)


class LogNormal(Value):
    """A lognormal distribution with median `median`; `sigma` is the standard deviation of the natural logarithm."""

    median: Quantity = param("any", low=0.0, exclusive=True)
    sigma: Quantity = param("any", low=0.0)

    bounded: ClassVar[bool] = False

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return self.median * torch.exp(self.sigma * torch.randn(shape, generator=generator, dtype=torch.float64))

    def support(self) -> tuple[float, float]:
        spread = math.exp(4 * _highest(self.sigma))
        return _lowest(self.median) / spread, _highest(self.median) * spread

    def deviation(self, value: Tensor) -> Tensor:
        # In the logarithm, whose density is normal: the most probable number is then the median.
        return torch.log(value / self.median.to(value)) / self.sigma.to(value)


class TruncatedNormal(Value):
    """A normal distribution restricted to [low, high], drawn through its inverse cumulative distribution."""

    mean: Quantity = param("any")
    sigma: Quantity = param("any", low=0.0, exclusive=True)
    low: Quantity = param("any")
    high: Quantity = param("any")

    bounded: ClassVar[bool] = True

    def check(self) -> None:
        _ordered(self, self.low, self.high)

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        # An upper tail is drawn as a lower one, where probabilities near zero keep their digits.
        scale = torch.where(self.low > self.mean, -self.sigma, self.sigma)
        near, far = (torch.erfc((self.mean - end) / (scale * math.sqrt(2))) / 2 for end in (self.low, self.high))
        draws = self.mean + scale * torch.special.ndtri(near + (far - near) * _uniform(shape, generator))
        return draws.clamp(self.low, self.high)

    def support(self) -> tuple[float, float]:
        return _lowest(self.low), _highest(self.high)

    def deviation(self, value: Tensor) -> Tensor:
        return (value - self.mean.to(value)) / self.sigma.to(value)


class Choice(Value):
    """One of `values`, drawn with probabilities proportional to `weights` (equal where not given)."""

    values: Quantity = param("any", dims=("K",))
    weights: Quantity = param("1", low=0.0, dims=("K",), default=None)

    bounded: ClassVar[bool] = True

    def fill(self) -> dict[str, Tensor]:
        return {"weights": torch.ones_like(self.values) if isinstance(self.values, Tensor) else torch.ones(1)}

    def check(self) -> None:
        if self.values.numel() == 0 or float(self.weights.sum()) <= 0:
            raise ValueError("Choice needs at least one value with a positive weight, got none; add one")

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return self.values.to(torch.float64)[_categories(self.weights, shape, generator)]

    def support(self) -> tuple[float, float]:
        return float(self.values.min()), float(self.values.max())

    def deviation(self, value: Tensor) -> Tensor:
        raise ValueError("a fit takes a prior with one peak or a flat one, got a Choice; give for example Normal")


class Mixture(Value):
    """A draw from one of several priors, chosen for every number with probabilities proportional to `weights`.

    >>> small_and_large = Mixture((Normal(1.0, 0.1), Normal(5.0, 0.5)), weights=(0.8, 0.2))
    """

    parts: tuple[Prior, ...]
    weights: Quantity = param("1", low=0.0, dims=("K",))

    bounded: ClassVar[bool] = True

    def check(self) -> None:
        if not isinstance(self.parts, tuple) or not all(isinstance(part, Prior) for part in self.parts):
            raise TypeError(f"Mixture.parts must be a tuple of priors, got {self.parts!r:.40}; write (Normal(1, 0.1),)")
        if not self.parts or len(self.parts) != len(self.weights) or float(self.weights.sum()) <= 0:
            raise ValueError(
                f"Mixture needs one weight per part and a positive sum, got {len(self.parts)} parts and "
                f"{len(self.weights)} weights; match them"
            )

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        chosen = _categories(self.weights, shape, generator)
        draws = torch.stack([part.draw(shape, generator) for part in self.parts])
        return draws.gather(0, chosen[None])[0]

    def support(self) -> tuple[float, float]:
        supports = [part.support() for part in self.parts]
        return min(low for low, _ in supports), max(high for _, high in supports)

    def deviation(self, value: Tensor) -> Tensor:
        raise ValueError("a fit takes a prior with one peak or a flat one, got a Mixture; give for example Normal")


def _uniform(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator, dtype=torch.float64)


def _categories(weights: Tensor, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    edges = torch.cumsum(weights.to(torch.float64) / weights.sum(), 0)
    return torch.searchsorted(edges, _uniform(shape, generator)).clamp(max=len(weights) - 1)


def _ordered(prior: Value, low: Tensor, high: Tensor) -> None:
    if not bool((low <= high).all()):
        raise ValueError(
            f"{type(prior).__name__} needs low <= high, got low {float(low):g} and high {float(high):g}; swap them"
        )


def _lowest(bound: Tensor | Prior) -> float:
    return float(bound.min()) if isinstance(bound, Tensor) else bound.support()[0]


def _highest(bound: Tensor | Prior) -> float:
    return float(bound.max()) if isinstance(bound, Tensor) else bound.support()[1]
