"""Secondary electrons: what a beam that scans a specimen from above frees at its surfaces."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from exitwave.field import Canvas, Light
from exitwave.grid import Grid
from exitwave.interaction.margin import canvas_around
from exitwave.interaction.support import support
from exitwave.model import Value
from exitwave.quantity import Quantity, param
from exitwave.raster.fragments import Fragments, fragments
from exitwave.specimen import Film, Specimen
from exitwave.stages import Counter, Probe, Sensor, require

# Scales of shadows, as multiples of the shortest.
_OCTAVES = (1.0, 2.0, 4.0)
# Standard deviations that a Gaussian is computed to.
_REACH = 4.0
# The smallest exponent of a transfer function along an axis: 2e-16, less than rounding in double precision.
_FAINT = -36.0
# Ratios of the variances of neighbouring images of different blur, of which about so many are made at most.
_RATIOS, _RUNGS = (1.25, 1.5, 2.0, 4.0, 16.0), 10


class SecondaryElectrons(Value):
    """Secondary electrons by escape depth, tilt and thickness, relative to the flat support, whose yield is 1.

    A surface whose normal is tilted by theta, with t micrometres of its body below it along the beam, yields

        secondary cos^-n(theta) (1 - exp(-t cos(theta) / escape_depth)) + backscatter (1 - exp(-T / range)),

    T being the thickness of all bodies at and below the place, so that heaps are bright. The first is the escape
    integral of a flat layer (H. Seiler, J. Appl. Phys. 54, R1, 1983), finite at grazing angles for n < 2: rims are
    bright, and more so those of larger bodies. What lies below a body is seen through it as exp(-t / transparency), not
    at all where that is 0. The support at z = 0 hides what lies below it; the thicknesses of bodies that are sunk into
    it in part count whole. Where a `Film` has terraces, bodies stand on these. Neighbours that stand higher keep
    electrons from the detector: the yield falls by the mean of 1 / (1 + (shadowing s)^2) over distances d of one, two
    and four times `shadow_length`, where s is how much higher than the place its surroundings within d are on average,
    over d.
    """

    escape_depth: Quantity = param(
        "um", low=0.0, high=10.0, exclusive=True, default=0.015, doc="of secondary electrons"
    )
    tilt_exponent: Quantity = param("1", low=0.0, high=1.95, default=0.93, doc="n of the yield's cos^-n")
    range: Quantity = param("um", low=0.0, high=100.0, exclusive=True, default=1.0, doc="depth of backscattering")
    transparency: Quantity = param(
        "um", low=0.0, high=100.0, default=0.0, doc="depth that lower bodies are seen through"
    )
    shadowing: Quantity = param("1", low=0.0, high=10.0, default=0.3, doc="strength of shadows; 0 is none")
    shadow_length: Quantity = param("um", low=0.0, high=10.0, exclusive=True, default=0.03, doc="shortest of shadows")

    def require(self, illumination: object, optics: object, sensor: object) -> None:
        """Raise a one-line error where the other stages are not those of an electron microscope."""
        require(illumination, Probe, "illumination", "use a Beam()")
        require(optics, Counter, "optics", "use an ElectronDetector()")
        require(sensor, Sensor, "sensor", "use a ScanSensor() or Ideal()")
        if isinstance(sensor, Sensor) and sensor.coherent:
            raise TypeError(f"electrons have no phase to read, got {type(sensor).__name__}; use a ScanSensor()")

    def light(self, specimen: Specimen, illumination: Any, optics: Any, sensor: Sensor, grid: Grid) -> Light:
        """Return the electrons that reach the detector (1, H, W), relative to the flat support."""
        like = torch.zeros((), dtype=specimen.dtype, device=specimen.device)
        canvas = self.canvas(specimen, illumination, grid)
        found = fragments(specimen.parts, canvas, like).risen(canvas.grid.shape)
        shown, height = self.yields(specimen, found, optics, canvas, like)
        shown = shown * self.shadows(height, canvas)
        image = _blurred(shown, illumination.sigma(height), canvas)
        fy, fx = _frequencies(canvas, image)
        pixels = sensor.transfer(fy, fx, (grid.spacing[0], grid.spacing[1]))
        if pixels is not None:
            image = torch.fft.irfft2(torch.fft.rfft2(image) * pixels, s=image.shape)
        return Light(image[canvas.image][None], like.new_ones(1), grid)

    def canvas(self, specimen: Specimen, illumination: Probe, grid: Grid) -> Canvas:
        """Return the samples that an image is computed on: its own, and a margin as wide as probe and shadows reach."""
        if len(grid.shape) != 2:
            raise ValueError(f"electrons need a grid (height, width), got {grid.shape}; drop the depth")
        low, high = specimen.extent()
        ends = torch.tensor([0.0, low[0], high[0]])
        spot = float(illumination.sigma(ends).detach().amax())
        reach = _REACH * spot
        if float(self.shadowing.detach()) > 0 or self.shadowing.requires_grad:
            reach += 2.5 * _OCTAVES[-1] * float(self.shadow_length.detach())
        return canvas_around(grid, reach, "use a smaller grid, a coarser pixel or less convergence")

    def yields(
        self, specimen: Specimen, found: Fragments, optics: Counter, canvas: Canvas, like: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the yield and the height in micrometres of what is seen at every sample of a canvas, both (H, W)."""
        shape = canvas.grid.shape
        light, ground = support(specimen.parts, optics, self.escape_depth, self.tilt_exponent, canvas, like)
        if not len(found.sample):
            return light, ground
        part = self._surface(specimen, found) * optics.collected(found.normal)
        opaque = 1 - found.share
        clear = opaque
        if float(self.transparency.detach()) > 0:
            clear = opaque + found.share * torch.exp(-found.thickness / self.transparency.to(like))
        above, below = found.passed(clear)
        covered = found.sample.unique_consecutive()
        light = light.flatten()
        light = light.index_put((covered,), light[covered] * below)
        light = light.index_add(0, found.sample, found.share * above * part)
        hidden = above if clear is opaque else found.passed(opaque)[0]
        height = ground.flatten().index_add(0, found.sample, found.share * hidden * found.top)
        return light.reshape(shape), height.reshape(shape)

    def _surface(self, specimen: Specimen, found: Fragments) -> Tensor:
        """Return the yield (F,) of the upper sides of fragments."""
        cosine, thick = found.cosine, found.thickness
        bodies: list[Any] = [part for part in specimen.parts if not isinstance(part, Film)]
        columns = [part.secondary for part in bodies], [part.backscatter for part in bodies]
        secondary, backscatter = (torch.cat(column).to(cosine).index_select(0, found.body) for column in columns)
        escaped = -torch.expm1(-thick * cosine / self.escape_depth.to(cosine))
        steep = torch.exp(-self.tilt_exponent.to(cosine) * torch.log(cosine))
        if float(backscatter.detach().amax()) == 0 and not backscatter.requires_grad:
            return secondary * steep * escaped
        return secondary * steep * escaped - backscatter * torch.expm1(-found.below() / self.range.to(cosine))

    def shadows(self, height: Tensor, canvas: Canvas) -> Tensor:
        """Return the share (H, W) of electrons that neighbours let pass, for a map of heights in micrometres."""
        if float(self.shadowing.detach()) == 0 and not self.shadowing.requires_grad:
            return torch.ones_like(height)
        spectrum, squares = torch.fft.rfft2(height), _squares(canvas, height)
        passed = torch.zeros_like(height)
        for octave in _OCTAVES:
            length = octave * self.shadow_length.to(height)
            around = torch.fft.irfft2(spectrum * _gaussian(length**2, squares), s=height.shape)
            slope = self.shadowing.to(height) * (around - height).clamp(min=0.0) / length
            passed = passed + 1 / (1 + slope.square())
        return passed / len(_OCTAVES)


def _squares(canvas: Canvas, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the squared angular frequencies of a canvas's real Fourier transform along y and x, in 1/um^2."""
    fy, fx = _frequencies(canvas, like)
    return (2 * math.pi * fy).square(), (2 * math.pi * fx).square()


def _gaussian(variance: Tensor | float, squares: tuple[Tensor, Tensor]) -> Tensor:
    """Return the transfer function of a Gaussian of this variance in um^2, at frequencies of `_squares`."""
    # What is too small to count stays a normal number: with denormal ones a transform takes five times as long.
    down, across = (torch.exp((-0.5 * variance * square).clamp(min=_FAINT)) for square in squares)
    return down * across


def _frequencies(canvas: Canvas, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the frequencies fy (H, 1) and fx (1, W / 2 + 1) of a canvas's real Fourier transform, in 1/um."""
    (height, width), (dy, dx) = canvas.grid.shape, canvas.grid.spacing
    fy = torch.fft.fftfreq(height, dy, dtype=like.dtype, device=like.device)
    fx = torch.fft.rfftfreq(width, dx, dtype=like.dtype, device=like.device)
    return fy[:, None], fx[None]


def _blurred(image: Tensor, sigma: Tensor, canvas: Canvas) -> Tensor:
    """Return an image (H, W) averaged by a Gaussian spot whose standard deviation (H, W) differs from place to place.

    The spot that stands over a place collects around it. Between images of a few variances it is linear in the
    variance, as diffusion is for short times. Those few stand on a ladder of their own, so that slopes by heights and
    by the beam are those of the image.
    """
    variance = sigma.to(image).square()
    low, high = float(variance.detach().amin()), float(variance.detach().amax())
    spectrum, squares = torch.fft.rfft2(image), _squares(canvas, image)

    def spread(one: Tensor | float) -> Tensor:
        return torch.fft.irfft2(spectrum * _gaussian(one, squares), s=image.shape)

    if high - low <= 1e-3 * high:
        return spread(variance.mean())
    ratio = next(one for one in _RATIOS if math.log(high / low) <= _RUNGS * math.log(one) or one == _RATIOS[-1])
    first, last = math.floor(math.log(low) / math.log(ratio)), math.ceil(math.log(high) / math.log(ratio))
    levels = [ratio**number for number in range(first, max(last, first + 1) + 1)]
    rungs = variance.new_tensor(levels)
    below = (torch.bucketize(variance.detach(), rungs) - 1).clamp(0, len(levels) - 2)
    place = below + (variance - rungs[below]) / (rungs[below + 1] - rungs[below])
    blurred = torch.zeros_like(image)
    for number, level in enumerate(levels):
        blurred = blurred + (1 - (place - number).abs()).clamp(min=0.0) * spread(level)
    return blurred
