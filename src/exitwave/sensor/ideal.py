"""An ideal detector."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from exitwave.field import Light
from exitwave.model import Value
from exitwave.quantity import Quantity, param


class Ideal(Value):
    """Point samples of the relative irradiance, without noise: (H, W), or (C, H, W) with a colour `response`.

    `response` (C, L) weighs the wavelengths for each colour channel; every channel is 1 in the empty field.
    """

    response: Quantity = param("1", low=0.0, dims=("C", "L"), default=None, doc="colour response")

    coherent: ClassVar[bool] = False
    noisy: ClassVar[bool] = False

    def check(self) -> None:
        check_response(self.response)

    def transfer(self, fy: Tensor, fx: Tensor, pixel: tuple[float, float]) -> Tensor | None:
        """Return the transfer function of the pixels: none, points."""
        return None

    def read(self, light: Light, generator: torch.Generator | None) -> Tensor:
        """Return the relative irradiance; there is no noise to draw."""
        return mix(light, self.response)

    def variance(self, image: Tensor) -> Tensor:
        """Return the variance of every pixel: 1, for want of a noise model, so that fits weigh pixels evenly."""
        return torch.ones_like(image)

    def saturated(self, image: Tensor) -> Tensor:
        """Return which pixels are at the end of the detector's range: none."""
        return torch.zeros_like(image, dtype=torch.bool)


def mix(light: Light, response: Tensor | None) -> Tensor:
    """Return wavelengths (L, ..., H, W) weighed into one image (..., H, W), or by a response (C, L) into C of them."""
    spectrum = light.spectrum.to(light.data)
    if response is not None and response.shape[-1] != len(spectrum):
        raise ValueError(
            f"the sensor's response must have {len(spectrum)} columns, one per wavelength, got {response.shape[-1]}"
        )
    weight = spectrum if response is None else spectrum * response.to(light.data)
    weight = weight / weight.sum(-1, keepdim=True)
    return torch.tensordot(weight, light.data, dims=1)


def check_response(response: Tensor | None) -> None:
    """Raise a one-line error where a colour channel sees nothing."""
    if response is not None and float(response.detach().sum(-1).min()) <= 0:
        raise ValueError("every row of response needs a positive entry, got a channel that sees nothing; drop the row")
