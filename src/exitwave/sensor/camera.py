"""A camera with the noise of a real one."""

from __future__ import annotations

import itertools
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from exitwave.field import Light
from exitwave.fourier import BLOCK
from exitwave.model import Value
from exitwave.quantity import ANY_SHAPE, Quantity, param
from exitwave.sensor.ideal import check_response, mix


class Camera(Value):
    """A camera: (H, W) or, with a colour `response`, (C, H, W) in digital counts.

    Light is integrated over the square pixel. `dose` photons per pixel at irradiance 1 give Poisson electrons with
    `quantum_efficiency`; an electron-multiplying register multiplies them by a gamma-distributed `em_gain`; Gaussian
    `read_noise` (electrons RMS) is added, `gain` (counts per electron) and `offset` (counts) follow, and the
    converter clips at `full_well` electrons and `bits`. Gain, offset and read noise may be maps (H, W): sCMOS pixels
    differ. Without a generator the expectation comes back, unrounded.

    Noise model: Janesick, Photon Transfer (SPIE, 2007); EM register: Basden et al., MNRAS 345, 985 (2003).
    """

    dose: Quantity = param("photon", low=0.0, high=1e9, exclusive=True, default=1e4, doc="photons per pixel at 1")
    quantum_efficiency: Quantity = param("1", low=0.0, high=1.0, default=0.8, doc="electrons per photon")
    gain: Quantity = param("count", low=0.0, high=1e6, dims=ANY_SHAPE, default=0.025, doc="counts per electron")
    offset: Quantity = param("count", low=-1e6, high=1e6, dims=ANY_SHAPE, default=0.0, doc="counts in the dark")
    read_noise: Quantity = param("electron", low=0.0, high=1e5, dims=ANY_SHAPE, default=2.0, doc="electrons RMS")
    em_gain: Quantity = param("1", low=1.0, high=1e4, default=1.0, doc="electron multiplication; 1 is none")
    full_well: Quantity = param("electron", low=1.0, high=1e9, default=1e6, doc="electrons that a pixel holds")
    vignette: Quantity = param("1", low=0.0, high=1.0, default=0.0, doc="light lost in the image's corners")
    response: Quantity = param("1", low=0.0, dims=("C", "L"), default=None, doc="colour response")
    bits: int = 8

    coherent: ClassVar[bool] = False
    noisy: ClassVar[bool] = True

    def check(self) -> None:
        check_response(self.response)
        if not isinstance(self.bits, int) or not 1 <= self.bits <= 32:
            raise ValueError(f"Camera.bits must be an integer from 1 to 32, got {self.bits!r}; cameras have 8 to 16")

    def transfer(self, fy: Tensor, fx: Tensor, pixel: tuple[float, float]) -> Tensor | None:
        """Return the transfer function of square pixels, sinc(fy p) sinc(fx p)."""
        return torch.sinc(fy * pixel[0]) * torch.sinc(fx * pixel[1])

    def read(self, light: Light, generator: torch.Generator | None) -> Tensor:
        """Return counts for relative irradiances; noisy with a generator, expected without."""
        image = mix(light, self.response)
        self._check_maps(image)
        if generator is None:
            expected = self._electrons(image, self._shade(image)) * self.em_gain.to(image)
            return self._counts(expected, self.offset.to(image), self.gain.to(image))
        with torch.no_grad():
            shade = self._shade(image)
            colours = image.reshape(-1, *image.shape[-2:])
            counts = torch.empty_like(colours)
            # A cache-full of one colour's rows after the other.
            for colour, start in itertools.product(range(len(colours)), range(0, image.shape[-2], BLOCK)):
                rows = slice(start, start + BLOCK)
                electrons = self._electrons(colours[colour, rows], shade[rows])
                counts[colour, rows] = self._noisy(electrons, generator, colour, rows)
            return counts.reshape(image.shape)

    def _noisy(self, electrons: Tensor, generator: torch.Generator, colour: int, rows: slice) -> Tensor:
        """Return the counts (h, W) of one exposure, in some rows of one colour, for expected electrons."""
        offset, gain, read_noise = (
            _part(given, colour, rows).to(electrons) for given in (self.offset, self.gain, self.read_noise)
        )
        # Draws are made where the generator lives, so that a seed means the same on every device.
        home = generator.device
        drawn = shot_noise(electrons.to(home), generator)
        em_gain = float(self.em_gain)
        if em_gain > 1:
            # n electrons leave the register as a sum of n exponentials of mean `em_gain`.
            seed = int(torch.randint(2**62, (), generator=generator, device=home))
            many = np.random.default_rng(seed).standard_gamma(drawn.double().cpu().numpy())
            drawn = torch.from_numpy(many).to(drawn) * em_gain
        noise = torch.randn(drawn.shape, generator=generator, dtype=drawn.dtype, device=home)
        counts = self._counts(drawn.to(electrons).add_(noise.to(electrons).mul_(read_noise)), offset, gain)
        return counts.round_().clamp_(0, self.white)

    def _check_maps(self, image: Tensor) -> None:
        for name in ("gain", "offset", "read_noise"):
            size, want = tuple(getattr(self, name).shape), tuple(image.shape)
            # One number per colour, (C, 1, 1), is a map too.
            if any(n not in (1, m) for n, m in zip(size[::-1], want[::-1], strict=False)) or len(size) > len(want):
                raise ValueError(
                    f"Camera.{name} must be one number or a map like the image {want}, got {size}; crop the map"
                )

    @property
    def white(self) -> int:
        """The largest count."""
        return 2**self.bits - 1

    def variance(self, image: Tensor) -> Tensor:
        """Return the variance (counts squared) of every pixel of an expected image: shot, register, read, rounding."""
        gain, em_gain = self.gain.to(image), self.em_gain.to(image)
        electrons = ((image - self.offset.to(image)) / (gain * em_gain)).clamp(min=0.0)
        # Multiplication doubles the shot noise (excess noise factor 2 at high gain).
        shot = electrons * em_gain**2 * torch.where(em_gain > 1, 2.0, 1.0).to(image)
        return gain**2 * (shot + self.read_noise.to(image) ** 2) + 1 / 12

    def _shade(self, image: Tensor) -> Tensor:
        """Return the electrons (H, W) of every pixel at irradiance 1."""
        height, width = image.shape[-2:]
        y = torch.linspace(-1, 1, height, dtype=image.dtype, device=image.device)[:, None]
        x = torch.linspace(-1, 1, width, dtype=image.dtype, device=image.device)[None]
        bright = (self.dose * self.quantum_efficiency).to(image)
        return bright * (1 - self.vignette.to(image) * (y**2 + x**2) / 2)

    def _electrons(self, image: Tensor, shade: Tensor) -> Tensor:
        # Interpolation may undershoot zero by rounding.
        return shade * image.clamp(min=0.0)

    def _counts(self, electrons: Tensor, offset: Tensor, gain: Tensor) -> Tensor:
        held = torch.minimum(electrons, self.full_well.to(electrons) * self.em_gain.to(electrons))
        return (offset + gain * held).clamp(max=float(self.white))


def _part(given: Tensor, colour: int, rows: slice) -> Tensor:
    """Return what a number or a map, (H, W) or (C, H, W), holds for some rows of a colour."""
    cube = given.reshape((1,) * (3 - given.ndim) + given.shape)
    plane = cube[colour if len(cube) > 1 else 0]
    return plane[rows] if len(plane) > 1 else plane


def shot_noise(mean: Tensor, generator: torch.Generator) -> Tensor:
    """Return Poisson-distributed numbers of electrons for a mean number (...).

    From 200 electrons on they are drawn as round(m + sqrt(m) z + (z^2 - 1) / 6 + (z - z^3) / (72 sqrt(m))), z normal:
    Cornish and Fisher's expansion (Rev. Inst. Int. Stat. 5, 307, 1938), whose mean, variance, skewness and kurtosis are
    those of Poisson's distribution to 1e-4, at a fifth of the time of exact draws. Below they are exact.
    """
    few = mean < 200.0
    z = torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
    root = mean.clamp(min=1.0).sqrt_()
    square = z * z
    # z (sqrt(m) + (1 - z^2) / (72 sqrt(m))) + (z^2 - 1) / 6 + m
    drawn = (1.0 - square).div_(root).mul_(1 / 72).add_(root).mul_(z)
    drawn.add_(square, alpha=1 / 6).add_(mean).sub_(1 / 6).round_()
    if bool(few.any()):
        drawn[few] = torch.poisson(mean[few], generator=generator)
    return drawn
