"""A detector of phase."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from exitwave.field import Light
from exitwave.model import Value
from exitwave.quantity import Quantity, param


class Interferometer(Value):
    """Quantitative phase: the argument of the field in radians, (H, W), in (-pi, pi] about the background.

    A background `offset + tilt . (y, x)` is added, for the reference arm that a real instrument never removes quite.
    `noise` is the standard deviation of the phase. Light of several wavelengths has no common phase and is refused.
    """

    offset: Quantity = param("rad", low=-100.0, high=100.0, default=0.0, doc="background phase in the middle")
    tilt: Quantity = param("rad/um", low=-10.0, high=10.0, dims=(2,), default=(0.0, 0.0), doc="slope along (y, x)")
    noise: Quantity = param("rad", low=0.0, high=10.0, default=0.01, doc="standard deviation of the phase")

    coherent: ClassVar[bool] = True
    noisy: ClassVar[bool] = True

    def transfer(self, fy: Tensor, fx: Tensor, pixel: tuple[float, float]) -> Tensor | None:
        """Return the transfer function of the pixels: none, points."""
        return None

    def read(self, light: Light, generator: torch.Generator | None) -> Tensor:
        """Return the phase of the complex amplitude `light` (1, H, W) with its background."""
        if light.data.shape[0] != 1:
            raise ValueError(f"phase needs one wavelength, got {light.data.shape[0]}; use a laser or a narrow filter")
        image = torch.angle(light.data[0])
        tilt = self.tilt.to(image)
        y, x = light.grid.axis(0, image)[:, None], light.grid.axis(1, image)[None]
        image = image + self.offset.to(image) + tilt[0] * y + tilt[1] * x
        if generator is None:
            return image
        noise = torch.randn(image.shape, generator=generator, dtype=image.dtype, device=generator.device)
        return image + self.noise.to(image) * noise.to(image)

    def variance(self, image: Tensor) -> Tensor:
        """Return the variance (rad^2) of every pixel."""
        return torch.full_like(image, max(float(self.noise), 1e-6) ** 2)

    def saturated(self, image: Tensor) -> Tensor:
        """Return which pixels are at the end of the detector's range: none."""
        return torch.zeros_like(image, dtype=torch.bool)
