"""Gaussian point spread functions."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from exitwave.lattice import Lattice
from exitwave.model import Value
from exitwave.optics.psf.sampling import AIRY, Focus
from exitwave.quantity import Quantity, param

# Standard deviations within which all light is counted.
_SPAN = 8.0
# The Gaussian that is curved as an Airy disc is at its peak has sigma = sqrt(2) lambda / (2 pi NA).
_AIRY = AIRY * 2 * math.pi / math.sqrt(2)


class GaussianPSF(Value):
    """A Gaussian of standard deviations `sigma` in micrometres along (z, y, x), with any covariance.

    `correlation` holds the correlation of z and y, that of z and x, and that of y and x at a fixed z: any three
    numbers between -1 and 1 make a covariance, and every covariance has its own three (Joe, J. Multivar. Anal. 97,
    2177, 2006). Without them the axes are those of the image. h integrates to 1.

    >>> psf = GaussianPSF(sigma=(0.6, 0.2, 0.2))
    >>> round(psf.reach(1e-3, depth=10.0)[1], 3)
    0.743
    """

    sigma: Quantity = param("um", low=0.0, high=1e3, exclusive=True, dims=(3,), doc="standard deviations (z, y, x)")
    correlation: Quantity = param(
        "1", low=-1.0, high=1.0, exclusive=True, dims=(3,), default=None, doc="of z and y, z and x, y and x at fixed z"
    )

    def at(self, z: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """Return h (Z, H, W) in 1/um^3 at distances z (Z,), y (H,), x (W,) in micrometres."""
        sigma = self.sigma.to(z)
        depth, down, along = z[:, None, None] / sigma[0], y[:, None] / sigma[1], x / sigma[2]
        volume = (2 * math.pi) ** 1.5 * sigma.prod()
        if self.correlation is None:
            flat = torch.exp(-0.5 * down.square()) * torch.exp(-0.5 * along.square())
            return torch.exp(-0.5 * depth.square()) / volume * flat
        # Forward substitution: the Cholesky factor L of the correlations turns distances into independent ones.
        factor = self._factor(z)
        down = (down - factor[1][0] * depth) / factor[1][1]
        along = (along - factor[2][0] * depth - factor[2][1] * down) / factor[2][2]
        square = depth.square() + down.square() + along.square()
        return torch.exp(-0.5 * square) / (volume * factor[1][1] * factor[2][2])

    def _factor(self, like: Tensor) -> tuple[tuple[Tensor, ...], ...]:
        """Return the rows of the Cholesky factor of the correlation matrix."""
        first, second, partial = self.correlation.to(like)
        rest = torch.sqrt(1 - second.square())
        return (
            (torch.ones_like(first),),
            (first, torch.sqrt(1 - first.square())),
            (second, partial * rest, rest * torch.sqrt(1 - partial.square())),
        )

    def covariance(self) -> Tensor:
        """Return the covariance (3, 3) in um^2 along (z, y, x)."""
        if self.correlation is None:
            return torch.diag(self.sigma.square())
        rows = self._factor(self.sigma)
        zero = torch.zeros_like(rows[0][0])
        factor = torch.stack([torch.stack([*row, *[zero] * (3 - len(row))]) for row in rows])
        factor = self.sigma[:, None] * factor
        return factor @ factor.T

    def lateral(self, z: Tensor) -> Tensor:
        """Return the integral of h over each plane (Z,), in 1/um."""
        sigma = self.sigma[0].to(z)
        return torch.exp(-0.5 * (z / sigma).square()) / (math.sqrt(2 * math.pi) * sigma)

    def focus(self) -> Focus:
        """Return the sizes of the focus; its Airy disc is that of the lens with such a peak."""
        middle = self.sigma.new_zeros(1)
        radius = _AIRY * torch.sqrt(self.sigma[1] * self.sigma[2])
        return Focus(self.at(middle, middle, middle)[0, 0, 0], radius, _SPAN * self.sigma[0])

    def band(self, rtol: float) -> tuple[float, float, float]:
        """Return the frequencies along z, y, x in 1/um beyond which the transfer is below `rtol`."""
        inverse = torch.linalg.inv(self.covariance().detach()).diagonal()
        scale = math.sqrt(0.5 * math.log(1 / rtol)) / math.pi
        z, y, x = (scale * torch.sqrt(inverse)).tolist()
        return z, y, x

    def reach(self, rtol: float, depth: float) -> tuple[float, float, float]:
        """Return the distances along z, y, x in micrometres beyond which h is below `rtol` of its peak."""
        z, y, x = (self.sigma.detach() * math.sqrt(2 * math.log(1 / rtol))).tolist()
        return z, y, x

    def transfer(self, lattice: Lattice, like: Tensor) -> Tensor:
        """Return exp(-2 pi^2 f . Sigma f) (of `lattice.bands`), the Fourier transform of h."""
        fz, fy, fx = lattice.frequencies(like)
        if self.correlation is None:
            z, y, x = (
                torch.exp((-2 * math.pi**2) * (sigma * frequency).square())
                for sigma, frequency in zip(self.sigma.to(like), (fz, fy, fx), strict=True)
            )
            return z * (y * x)
        total = self.covariance().to(like)
        square = total[0, 0] * fz.square() + total[1, 1] * fy.square() + total[2, 2] * fx.square()
        cross = fz * (total[0, 1] * fy + total[0, 2] * fx) + total[1, 2] * fy * fx
        return torch.exp((-2 * math.pi**2) * (square + 2 * cross))
