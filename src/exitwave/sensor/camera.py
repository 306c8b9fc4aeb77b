"""A camera with the noise of a real one."""

from __future__ import annotations

import itertools
from types import ModuleType
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from exitwave import native
from exitwave.field import Light
from exitwave.fourier import BLOCK
from exitwave.model import Value
from exitwave.quantity import ANY_SHAPE, Quantity, param
from exitwave.sensor.ideal import check_response, mix

FEW = 200.0
"""Expected electrons below which shot noise is drawn exactly."""


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
            expected = self._electrons(image, _squares(image)) * self.em_gain.to(image)
            return self._counts(expected, self.offset.to(image), self.gain.to(image))
        with torch.no_grad():
            down, across = _squares(image)
            colours = image.detach().reshape(-1, *image.shape[-2:])
            counts = torch.empty_like(colours)
            # A cache-full of one colour's rows after the other.
            for colour, start in itertools.product(range(len(colours)), range(0, image.shape[-2], BLOCK)):
                rows = slice(start, start + BLOCK)
                part = colours[colour, rows]
                maps = [_part(given, colour, rows).to(part) for given in (self.offset, self.gain, self.read_noise)]
                counts[colour, rows] = self._noisy(part, (down[rows], across), maps, generator)
            return counts.reshape(image.shape)

    def _noisy(
        self, image: Tensor, squares: tuple[Tensor, Tensor], maps: list[Tensor], generator: torch.Generator
    ) -> Tensor:
        """Return the counts (h, W) of one exposure in some rows of one colour; `maps` are offset, gain and noise."""
        # Draws are made where the generator lives, so that a seed means the same on every device.
        home = generator.device
        kernels = native.KERNELS if home.type == "cpu" and native.usable(image, *maps) else None
        if kernels is None:
            drawn = shot_noise(self._electrons(image, squares).to(home), generator)
        else:
            drawn = self._shot_noise(kernels, image, squares, generator)
        em_gain = float(self.em_gain)
        if em_gain > 1:
            # n electrons leave the register as a sum of n exponentials of mean `em_gain`.
            seed = int(torch.randint(2**62, (), generator=generator, device=home))
            many = np.random.default_rng(seed).standard_gamma(drawn.double().cpu().numpy())
            drawn = torch.from_numpy(many).to(drawn) * em_gain
        noise = torch.randn(drawn.shape, generator=generator, dtype=drawn.dtype, device=home)
        if kernels is not None:
            return self._converted(kernels, drawn, noise, maps)
        offset, gain, read_noise = maps
        counts = self._counts(drawn.to(image).add_(noise.to(image).mul_(read_noise)), offset, gain)
        return counts.round_().clamp_(0, self.white)

    def _shot_noise(
        self, kernels: ModuleType, image: Tensor, squares: tuple[Tensor, Tensor], generator: torch.Generator
    ) -> Tensor:
        """Return what `shot_noise` returns for the electrons of irradiances (h, W).

        The same draws: roots may differ in their last bit, which one pixel in a million's rounding shows.
        """
        drawn = torch.randn(image.shape, generator=generator, dtype=image.dtype)
        down, across = (square.flatten() for square in squares)
        bright, vignette = float(self._bright(image)), float(self.vignette.to(image))
        if kernels.shot_noise(image, down, across, bright, vignette, FEW, drawn):
            _draw_few(drawn, self._electrons(image, squares), generator)
        return drawn

    def _converted(self, kernels: ModuleType, drawn: Tensor, noise: Tensor, maps: list[Tensor]) -> Tensor:
        """Return the counts (h, W) of electrons and normal numbers for the noise of reading."""
        offset, gain, read_noise = (given.expand(-1, drawn.shape[1]).contiguous() for given in maps)
        counts = torch.empty_like(drawn)
        kernels.convert(drawn, noise, gain, offset, read_noise, float(self._full(drawn)), float(self.white), counts)
        return counts

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

    def saturated(self, image: Tensor) -> Tensor:
        """Return which pixels show the largest count, of converter or full well: they may have had more light."""
        full = self.offset.to(image) + self.gain.to(image) * self._full(image)
        return image >= full.clamp(max=float(self.white)).floor()

    def _bright(self, image: Tensor) -> Tensor:
        """Return the electrons of a pixel in the middle at irradiance 1."""
        return (self.dose * self.quantum_efficiency).to(image)

    def _electrons(self, image: Tensor, squares: tuple[Tensor, Tensor]) -> Tensor:
        """Return the expected electrons of irradiances (..., h, W)."""
        shade = self._bright(image) * (1 - self.vignette.to(image) * (squares[0] + squares[1]) / 2)
        # Interpolation may undershoot zero by rounding.
        return shade * image.clamp(min=0.0)

    def _full(self, image: Tensor) -> Tensor:
        """Return the electrons that the converter is given at most."""
        return self.full_well.to(image) * self.em_gain.to(image)

    def _counts(self, electrons: Tensor, offset: Tensor, gain: Tensor) -> Tensor:
        held = torch.minimum(electrons, self._full(electrons))
        return (offset + gain * held).clamp(max=float(self.white))


def _squares(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return the squared distances (H, 1) and (1, W) of rows and columns from the middle, 1 on the edges."""
    height, width = image.shape[-2:]
    y = torch.linspace(-1, 1, height, dtype=image.dtype, device=image.device)[:, None]
    x = torch.linspace(-1, 1, width, dtype=image.dtype, device=image.device)[None]
    return y**2, x**2


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
    z = torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
    root = mean.clamp(min=1.0).sqrt_()
    square = z * z
    # z (sqrt(m) + (1 - z^2) / (72 sqrt(m))) + (z^2 - 1) / 6 + m; native/camera.cpp takes the same steps.
    drawn = (1.0 - square).div_(root).mul_(1 / 72).add_(root).mul_(z)
    drawn.add_(square.mul_(1 / 6)).add_(mean).sub_(1 / 6).round_()
    _draw_few(drawn, mean, generator)
    return drawn


def _draw_few(drawn: Tensor, mean: Tensor, generator: torch.Generator) -> None:
    """Draw anew, exactly, what is expected below `FEW`."""
    places = torch.nonzero((mean < FEW).flatten())[:, 0]
    if len(places):
        drawn.view(-1)[places] = torch.poisson(mean.reshape(-1)[places], generator=generator)
