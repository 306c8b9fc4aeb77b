"""Films: random sheets of phase and absorption, for dirt, gel and support."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from exitwave.fourier import BLOCK
from exitwave.model import Value
from exitwave.quantity import Quantity, param
from exitwave.random import Key
from exitwave.specimen.shapes import root

# Plane waves that the surface behind a relief is the sum of; so many show no pattern.
_WAVES = 128
# Exponent of the share of waves beyond a frequency, at twice that. With 2 single waves corrugate long outlines.
_TAIL = 4.0
# The narrowest edge, as a share of a step of that surface: its flat tops and saddles have none.
_NARROW = 1e-3


class Film(Value):
    """A thin random sheet with a power-law spectrum, in the plane of a thin specimen or at `height` in a deep one.

    `opd` is the standard deviation of its optical path difference in micrometres and `absorbance` that of its
    absorbance about `absorbance` itself, so that it never amplifies light (a lognormal texture). The power spectral
    density falls as 1 / (1 + (f scale)^2)^(exponent / 2): white on scales above `scale`, a power law below.
    Under electrons it is the support's own texture: its yield is lognormal with the relative spread `secondary`, and it
    has steps `step_height` high between flat terraces, which a straight line crosses once per `terrace` on average;
    `levels` is the spread of the terraces' heights in steps: islands below 0.5, staircases up and down above 2.
    `seed` names the realisation, which does not depend on the field's size beyond its corner.
    """

    opd: Quantity = param("um", low=0.0, default=0.0, doc="standard deviation of the optical path difference")
    absorbance: Quantity = param("1", low=0.0, high=20.0, default=0.0, doc="mean absorbance; its spread is as large")
    scale: Quantity = param("um", low=0.0, exclusive=True, default=20.0, doc="outer scale of the texture")
    exponent: Quantity = param("1", low=0.0, high=10.0, default=3.0, doc="exponent of the power spectral density")
    height: Quantity = param("um", default=0.0, doc="z of the sheet in a deep specimen")
    secondary: Quantity = param("1", low=0.0, high=10.0, default=0.0, doc="relative spread of the support's yield")
    step_height: Quantity = param("um", low=0.0, default=0.0, doc="height of the support's steps; 0 is none")
    terrace: Quantity = param("um", low=0.0, exclusive=True, default=0.5, doc="mean distance of steps along a line")
    levels: Quantity = param("1", low=0.25, high=20.0, default=0.5, doc="standard deviation of heights in steps")
    seed: int = 0

    def check(self) -> None:
        if not isinstance(self.seed, int) or isinstance(self.seed, bool) or not 0 <= self.seed < 2**63:
            raise ValueError(f"Film.seed must be an integer from 0 to 2^63 - 1, got {self.seed!r}; pick another")

    def realise(self, generator: Callable[[str], torch.Generator], extent: tuple[float, ...]) -> Film:
        """Return the film with a realisation of its own."""
        return replace(self, seed=int(torch.randint(2**62, (), generator=generator("texture"))))

    def texture(self, shape: tuple[int, int], spacing: tuple[float, float], like: Tensor) -> Tensor:
        """Return two independent unit-variance textures (2, H, W), for phase and for absorption.

        The noise is drawn, frequency by frequency, on a tile rounded up to a multiple of 128 samples and centred, so
        that a margin that grows a little (a fit that moves the focus) shows the same film.
        """
        tile = tuple(-(-n // 128) * 128 for n in shape)
        generator = torch.Generator().manual_seed(self.seed)
        noise = torch.randn((2, tile[0], tile[1] // 2 + 1, 2), generator=generator).to(like)
        fy = torch.fft.fftfreq(tile[0], spacing[0], dtype=like.dtype, device=like.device)[:, None]
        fx = torch.fft.rfftfreq(tile[1], spacing[1], dtype=like.dtype, device=like.device)[None]
        density = (1.0 + (fy**2 + fx**2) * (self.scale * self.scale)) ** (-0.5 * self.exponent)
        density = density.clone()
        density[0, 0] = 0.0
        # Parseval: the variance is the sum of the power spectral density over all frequencies of the tile. Those of
        # the outer columns stand for themselves, the others for their negatives too.
        twice = torch.full_like(fx, 2.0)
        twice[0, 0] = twice[0, -1] = 1.0
        amplitude = torch.sqrt(density.clamp(min=1e-30) / (density * twice).sum())
        # A real sheet keeps one part in two of what is drawn in the outer columns.
        amplitude = amplitude * torch.sqrt(1.0 / twice)
        spectrum = torch.view_as_complex(noise) * amplitude
        top, left = (tile[0] - shape[0]) // 2, (tile[1] - shape[1]) // 2
        lines = torch.fft.ifft(spectrum, dim=1, norm="forward")[:, top : top + shape[0]]
        parts = [
            torch.fft.irfft(part, n=tile[1], dim=2, norm="forward")[..., left : left + shape[1]]
            for part in lines.split(BLOCK, 1)
        ]
        return torch.cat(parts, 1)

    def yields(self, shape: tuple[int, int], spacing: tuple[float, float], like: Tensor) -> Tensor:
        """Return the yield of electrons relative to the mean (H, W)."""
        texture, _ = self.texture(shape, spacing, like)
        width = torch.log1p(self.secondary.to(like).square())
        return torch.exp(root(width) * texture - width / 2)

    def relief(
        self,
        shape: tuple[int, int],
        spacing: tuple[float, float],
        like: Tensor,
        origin: tuple[int, int] | None = None,
    ) -> Tensor:
        """Return the heights of the support's terraces (H, W) in micrometres, whole steps up and down from z = 0.

        `origin` is the sample at y = x = 0, that in the middle without it.

        Terraces lie between the level lines of a random surface g of unit variance, a sum of plane waves. If its slopes
        along a line have the standard deviation 1 / L, the line crosses the level u

            exp(-u^2 / 2) / (pi L)

        times per length (S. O. Rice, Bell Syst. Tech. J. 24, 46, 1945); the sum over all levels, which are 1 / `levels`
        apart, is set to 1 / `terrace`. An edge is a ramp over one sample; where steps crowd closer than that, the
        relief is the slope that they are on average.

        >>> heights = Film(step_height=2.0, terrace=0.1, seed=1).relief((64, 64), (0.01, 0.01), torch.zeros(()))
        >>> heights.median().item(), heights.max().item()
        (0.0, 4.0)
        """
        if float(self.step_height.detach()) == 0 and not self.step_height.requires_grad:
            return like.new_zeros(shape)
        origin = (shape[0] // 2, shape[1] // 2) if origin is None else origin
        rise, slope_y, slope_x = self._surface(shape, spacing, like, origin)
        steepness = (slope_y * spacing[0]).square() + (slope_x * spacing[1]).square()
        width = root(steepness).clamp(_NARROW, 1.0)
        terrace = torch.round(rise.detach())
        # Half a step above and below a terrace its edges begin.
        beyond = rise - terrace
        up = ((beyond - 0.5) / width + 0.5).clamp(min=0.0)
        down = ((-beyond - 0.5) / width + 0.5).clamp(min=0.0)
        return self.step_height.to(like) * (terrace + up - down)

    def _surface(
        self, shape: tuple[int, int], spacing: tuple[float, float], like: Tensor, origin: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the surface that steps approximate, in steps (H, W), and its slopes along y and x in steps per um."""
        draws = torch.rand(3, _WAVES, generator=Key(self.seed).generator("relief"), dtype=torch.float64)
        number = torch.arange(_WAVES, dtype=torch.float64)
        # Lengths of the waves and, a golden section of the half turn apart, their directions are spread evenly, so that
        # few waves give the spectrum. It falls as a power of the frequency: outlines have detail of many sizes.
        radius = torch.sqrt((1 - (number + draws[0]) / _WAVES) ** (-1 / _TAIL) - 1)
        radius = radius * torch.sqrt(2 / radius.square().mean())
        azimuth = math.pi * (draws[1, 0] + number * (math.sqrt(5) - 1) / 2)
        levels = self.levels.to(like)
        half = torch.arange(0.5, 6 * float(levels.detach()) + 1).to(like) / levels
        length = 2 / math.pi * torch.exp(-half.square() / 2).sum() * self.terrace.to(like)
        ky, kx = (radius * torch.sin(azimuth)).to(like) / length, (radius * torch.cos(azimuth)).to(like) / length
        counts = zip(shape, spacing, origin, strict=True)
        y, x = ((torch.arange(n).to(like) - middle) * step for n, step, middle in counts)
        rows, columns = y[:, None] * ky + (2 * math.pi * draws[2]).to(like), x[:, None] * kx
        amplitude = levels * math.sqrt(2 / _WAVES)
        cosine, sine = amplitude * torch.cos(rows), amplitude * torch.sin(rows)
        # Products of matrices sum the waves, as cosines and sines of rows times those of columns.
        across = torch.cat([torch.cos(columns), torch.sin(columns)], 1).T
        tilted = torch.cat([-kx * torch.sin(columns), kx * torch.cos(columns)], 1).T
        down = torch.cat([cosine, -sine], 1)
        return down @ across, torch.cat([-ky * sine, -ky * cosine], 1) @ across, down @ tilted

    def maps(self, shape: tuple[int, int], spacing: tuple[float, float], like: Tensor) -> tuple[Tensor, Tensor]:
        """Return the optical path difference in micrometres and the absorbance, each (H, W)."""
        phase, stain = self.texture(shape, spacing, like)
        return self.opd * phase, self.absorbance * torch.exp(stain - 0.5)
