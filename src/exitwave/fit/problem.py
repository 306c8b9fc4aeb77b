"""Problems: residuals of images in standard deviations of their noise, as a function of unbounded coordinates."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from exitwave.fit.coordinates import Coordinates
from exitwave.grid import fast_length
from exitwave.render import render
from exitwave.scene import Scene

HUBER, CAUCHY = 1.345, 2.385
"""Where the robust losses bend: they keep 95 % of the efficiency on normal noise (Holland and Welsch, 1977)."""

# Relative error of an image in double precision, after its Fourier transforms.
_ROUNDING = 1e-13


@dataclass(frozen=True)
class Problem:
    """Images to explain: `data` and one over the standard deviation of their noise, zero where masked, by scene.

    The model is computed in `precision`; losses and coordinates are double in any case.
    """

    coordinates: Coordinates
    data: tuple[Tensor, ...]
    weights: tuple[Tensor, ...]
    blur: float = 0.0
    loss: str = "gaussian"
    precision: torch.dtype = torch.float64

    @property
    def count(self) -> int:
        """The number of pixels that count."""
        return sum(int((weight > 0).sum()) for weight in self.weights)

    @property
    def rounding(self) -> float:
        """The loss below which there is nothing but rounding errors of the images."""
        squares = (data * weight for data, weight in zip(self.data, self.weights, strict=True))
        return 0.5 * sum(float(image.square().sum()) for image in squares) * _ROUNDING**2

    def split(self, vector: Tensor) -> list[Tensor]:
        """Return the piece of a vector that belongs to each unknown."""
        return self.coordinates.split(vector)

    def residual(self, pieces: list[Tensor]) -> Tensor:
        """Return the residuals (M,) of all images, and the deviations from the priors behind them."""
        scenes = self.coordinates.place(pieces)
        parts = [
            self.weighted(render(scene.to(self.precision)).double() - data, number)
            for number, (scene, data) in enumerate(zip(scenes, self.data, strict=True))
        ]
        return torch.cat([*(part.flatten() for part in parts), self.coordinates.deviations(pieces)])

    def weighted(self, difference: Tensor, number: int) -> Tensor:
        """Return differences of image `number` in standard deviations, blurred where asked for."""
        weighted = difference * self.weights[number].to(difference)
        if not self.blur:
            return weighted
        return blurred(weighted, self.blur, self.coordinates.scenes[number].grid.spacing)

    def half_squares(self, residual: Tensor) -> Tensor:
        """Return the loss, half the sum of squares or its robust counterpart."""
        return self.losses(residual).sum()

    def losses(self, residual: Tensor) -> Tensor:
        """Return what every residual adds to the loss."""
        square = residual.square()
        if self.loss == "huber":
            size = residual.abs().clamp(min=HUBER)
            square = torch.where(square > HUBER**2, 2 * HUBER * size - HUBER**2, square)
        elif self.loss == "cauchy":
            square = CAUCHY**2 * torch.log1p(square / CAUCHY**2)
        return 0.5 * square

    def emphasis(self, residual: Tensor) -> Tensor | None:
        """Return the factor (M,) that turns robust residuals into least squares of the same slope; None for ones."""
        if self.loss == "huber":
            return torch.sqrt(HUBER / residual.abs().clamp(min=HUBER))
        if self.loss == "cauchy":
            return 1 / torch.sqrt(1 + (residual / CAUCHY).square())
        return None

    def cost(self, vector: Tensor) -> tuple[float, Tensor, str]:
        """Return the loss at a vector, infinite where the model is not defined, its parts (M,), and why it is not."""
        try:
            with torch.no_grad():
                parts = self.losses(self.residual(self.split(vector)))
        except (ValueError, MemoryError) as error:
            return math.inf, vector.new_zeros(0), str(error)
        total = float(parts.sum())
        return (total, parts, "") if math.isfinite(total) else (math.inf, parts, "the image has NaN or infinite pixels")

    def offender(self, vector: Tensor, step: Tensor) -> str:
        """Return the unknown that spoils the model a step away, and how, as a clause."""
        whole = self.cost(vector + step)[2]
        for block in self.coordinates.blocks:
            alone = torch.zeros_like(step)
            part = slice(block.start, block.start + block.count)
            alone[part] = step[part]
            why = self.cost(vector + alone)[2]
            if why:
                return f"{block.name} led out of the model ({why})"
        return f"several unknowns together led out of the model ({whole})"


def blurred(image: Tensor, sigma: float, spacing: tuple[float, ...]) -> Tensor:
    """Return images (..., H, W) or volumes (..., Z, H, W) under a Gaussian of `sigma` micrometres.

    There are as many spatial axes as spacings. The variance of white noise stays what it is.
    """
    axes = range(-len(spacing), 0)
    shape = image.shape[-len(spacing) :]
    size = [fast_length(n + math.ceil(4 * sigma / step)) for n, step in zip(shape, spacing, strict=True)]
    spectrum = torch.fft.rfftn(image, s=size, dim=tuple(axes))
    # The energy of a Gaussian, its sum of squares over all samples, is a product over the axes.
    gain = 1.0
    for axis, n, step in zip(axes, size, spacing, strict=True):
        ladder = torch.fft.rfftfreq if axis == -1 else torch.fft.fftfreq
        frequency = ladder(n, step, dtype=image.dtype, device=image.device)
        transfer = torch.exp(-2 * (math.pi * sigma * frequency) ** 2)
        spectrum = spectrum * transfer.reshape(-1, *(1,) * (-1 - axis))
        gain *= max(math.sqrt(math.sqrt(4 * math.pi) * sigma / step), 1.0)
    found = torch.fft.irfftn(spectrum * gain, s=size, dim=tuple(axes))
    return found[(..., *(slice(n) for n in shape))]


def weights_of(scenes: tuple[Scene, ...], images: tuple[Tensor, ...], masks: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return one over the standard deviation of every pixel's noise at expected `images`, zero where masked."""
    return tuple(
        torch.where(mask, 0.0, 1 / torch.sqrt(scene.microscope.sensor.variance(image)))
        for scene, image, mask in zip(scenes, images, masks, strict=True)
    )
