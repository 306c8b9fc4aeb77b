"""Films: random sheets of phase and absorption, for dirt, gel and support."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from exitwave.fourier import BLOCK
from exitwave.model import Value
from exitwave.quantity import Quantity, param
from exitwave.specimen.shapes import root


class Film(Value):
    """A thin random sheet with a power-law spectrum, in the plane of a thin specimen or at `height` in a deep one.

    `opd` is the standard deviation of its optical path difference in micrometres and `absorbance` that of its
    absorbance about `absorbance` itself, so that it never amplifies light (a lognormal texture). The power spectral
    density falls as 1 / (1 + (f scale)^2)^(exponent / 2): white on scales above `scale`, a power law below.
    Under electrons it is the support's own texture: its yield is lognormal with the relative spread `secondary`.
    `seed` names the realisation, which does not depend on the field's size beyond its corner.
    """

    opd: Quantity = param("um", low=0.0, default=0.0, doc="standard deviation of the optical path difference")
    absorbance: Quantity = param("1", low=0.0, high=20.0, default=0.0, doc="mean absorbance; its spread is as large")
    scale: Quantity = param("um", low=0.0, exclusive=True, default=20.0, doc="outer scale of the texture")
    exponent: Quantity = param("1", low=0.0, high=10.0, default=3.0, doc="exponent of the power spectral density")
    height: Quantity = param("um", default=0.0, doc="z of the sheet in a deep specimen")
    secondary: Quantity = param("1", low=0.0, high=10.0, default=0.0, doc="relative spread of the support's yield")
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

    def maps(self, shape: tuple[int, int], spacing: tuple[float, float], like: Tensor) -> tuple[Tensor, Tensor]:
        """Return the optical path difference in micrometres and the absorbance, each (H, W)."""
        phase, stain = self.texture(shape, spacing, like)
        return self.opd * phase, self.absorbance * torch.exp(stain - 0.5)
