"""Detection: what collects the light that fluorophores emit, in a camera or behind a pinhole."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from exitwave.lattice import Lattice
from exitwave.model import Value
from exitwave.optics.psf.memory import plain, remembered
from exitwave.optics.psf.pinhole import jinc_at, through
from exitwave.optics.psf.quadrature import legendre, nodes_for
from exitwave.optics.psf.sampling import sampled_transfer
from exitwave.optics.psf.tiled import Share, parts
from exitwave.quantity import Quantity, param
from exitwave.stages import Excitation

# Light below this share of the focus in every factor, and frequencies below that, have no part in an integral.
_RTOL = 1e-4
_FINE = 1e-7
# Periods of the highest axial frequency on either side of the focus that show how far the transfer goes.
_NEAR = 2.0
# Of what is integrated along z alone nothing is left out.
_DARK = 1e-14


class Detection(Value):
    """A lens of a given `psf`, and what stands before its detector.

    The image of a point is h(z, y, x) = detected share x excitation, by the distance of the point from the focus. With
    a camera the first is the PSF; scanned light (`ScannedSpot`) is counted by one detector behind a pinhole, whose
    disk blurs the PSF laterally, and without a pinhole all emission counts, wherever it comes from. `pinhole` is the
    pinhole's radius over that of the Airy disc: in the usual Airy units, its diameter. Whatever the excitation, h
    integrates to 1 (see `PSF`): pinhole and excitation change its shape, not the image's brightness. `sweep` is how
    far the specimen moves along z during one exposure.

    >>> from exitwave.illumination.excitation import ScannedSpot
    >>> from exitwave.optics.psf.gaussian import GaussianPSF
    >>> emission, excitation = GaussianPSF(sigma=(0.6, 0.2, 0.2)), ScannedSpot(GaussianPSF(sigma=(0.6, 0.2, 0.2)))
    >>> point = Detection(emission, pinhole=0.0)
    >>> lags = torch.tensor([0.0, 0.2])
    >>> h = point.at(lags[:1], lags[:1], lags, excitation)[0, 0]
    >>> round(float(h[1] / h[0]), 3)  # exp(-1/2) squared: a Gaussian narrower by the root of 2
    0.368
    """

    psf: Any
    pinhole: Quantity = param(
        "1", low=0.0, high=100.0, default=None, doc="radius over that of the Airy disc; None collects everything"
    )
    sweep: Quantity = param("um", low=0.0, high=1e3, default=0.0, doc="axial motion during one exposure")

    def check(self) -> None:
        if not isinstance(self.psf, Value):
            raise TypeError(f"Detection.psf must be a PSF, got {type(self.psf).__name__}; pass for example GaussianPSF")

    def spreads(self) -> tuple[Detection | Tile, ...]:
        """Return the ways in which light spreads, each with its share of it: one, or one for every tile of the PSF."""
        found = parts(self.psf)
        if len(found) == 1 and found[0][1] is None:
            return (self,)
        return tuple(Tile(dataclasses.replace(self, psf=psf), share) for psf, share in found if share is not None)

    def share(self, position: Tensor) -> Tensor | None:
        """Return None: light from everywhere spreads alike."""
        return None

    def at(self, z: Tensor, y: Tensor, x: Tensor, excitation: Excitation) -> Tensor:
        """Return h (Z, H, W) in 1/um^3 at distances z (Z,), y (H,), x (W,) in micrometres.

        Behind a pinhole the distances must be evenly spaced. The motion of one exposure is averaged by Gauss's rule.
        """
        sweep = float(self.sweep.detach())
        if sweep == 0:
            return self._still(z, y, x, excitation)
        count = nodes_for(2 * math.pi * sweep * self._cutoff(_FINE, excitation)[0])
        nodes, weights = legendre(count, z)
        moved = z[:, None] + 0.5 * self.sweep.to(z) * nodes.to(z)
        found = self._still(moved.flatten(), y, x, excitation).reshape(len(z), count, len(y), len(x))
        return torch.einsum("q,zqyx->zyx", 0.5 * weights.to(z), found)

    def _still(self, z: Tensor, y: Tensor, x: Tensor, excitation: Excitation) -> Tensor:
        """Return h of a specimen at rest."""
        shape = self._shape(z, y, x, excitation)
        return shape if self._flooded(excitation) else shape / self._total(excitation).to(z)

    def _shape(self, z: Tensor, y: Tensor, x: Tensor, excitation: Excitation) -> Tensor:
        """Return detected share x excitation, without h's factor."""
        factors = [self._detected(z, y, x, excitation), excitation.relative(z, y, x)]
        found = [factor for factor in factors if factor is not None]
        return found[0] if len(found) == 1 else found[0] * found[1]

    def _flooded(self, excitation: Excitation) -> bool:
        """Return whether the excitation is the same everywhere, so that h is what is detected."""
        middle = torch.zeros(1, dtype=torch.float64)
        return not excitation.scanned and excitation.relative(middle, middle, middle) is None

    def _detected(self, z: Tensor, y: Tensor, x: Tensor, excitation: Excitation) -> Tensor | None:
        """Return what the detector sees (Z, H, W) in 1/um^3 of a point; None where it sees all alike."""
        if self.pinhole is None:
            return None if excitation.scanned else self.psf.at(z, y, x)
        return through(self.psf, self._radius(), z, y, x)

    def _radius(self) -> Tensor:
        """Return the pinhole's radius in micrometres."""
        return self.pinhole * self.psf.focus().radius.to(self.pinhole)

    def _total(self, excitation: Excitation) -> Tensor:
        """Return the integral of detected share x excitation over the range in which light is counted.

        What reaches whole planes alike asks for the light of each plane only.
        """
        if excitation.scanned and self.pinhole is None:
            return _known(excitation.volume())
        if excitation.scanned:
            z, y, x = self._grid(excitation)
            return self._shape(z, y, x, excitation).sum() * _step(z) * _step(y) * _step(x)
        span = self.psf.focus().span.double().clamp(max=excitation.reach(_DARK, math.inf)[0])
        nodes, weights = legendre(256, span)
        z = span * nodes
        light = _known(excitation.relative(z, z.new_zeros(1), z.new_zeros(1)))[:, 0, 0]
        return (self.psf.lateral(z) * light * weights).sum() * span

    def _grid(self, excitation: Excitation, deep: float = math.inf, finer: int = 1) -> tuple[Tensor, Tensor, Tensor]:
        """Return distances z, y, x about the focus, up to a depth, fine enough for the sum of a product over them.

        The zero of its frequencies then stays clear of the others; for the others they must be twice finer.
        """
        far = self._follow(_RTOL, deep, excitation)
        ends = (min(far[0], deep), far[1], far[2])
        like = self.psf.focus().span
        z, y, x = (
            torch.arange(-math.ceil(end * rate), math.ceil(end * rate) + 1, dtype=torch.float64, device=like.device)
            / rate
            for end, rate in (
                (end, finer * top) for end, top in zip(ends, self._cutoff(_FINE, excitation), strict=True)
            )
        )
        return z, y, x

    def _cutoff(self, rtol: float, excitation: Excitation) -> tuple[float, float, float]:
        """Return the frequencies that a product holds at most: those of its factors together."""
        excited = excitation.band(rtol)
        if excitation.scanned and self.pinhole is None:
            return excited
        z, y, x = (one + other for one, other in zip(self.psf.band(rtol), excited, strict=True))
        return z, y, x

    def band(self, rtol: float, excitation: Any) -> tuple[float, float, float]:
        """Return the frequencies along z, y, x in 1/um beyond which the transfer is below `rtol`.

        A scanned spot's transfer fades long before its cut-off: there they are those of its samples.
        """
        if not excitation.scanned or math.isinf(self._follow(rtol, math.inf, excitation)[0]):
            return self._cutoff(rtol, excitation)
        fixed, lit = plain(self), plain(excitation)
        found = remembered((fixed, lit), ("band", rtol), lambda: fixed._faded(rtol, lit))
        z, y, x = found.tolist()
        return z, y, x

    def _faded(self, rtol: float, excitation: Any) -> Tensor:
        """Return the highest frequencies (3,) of a product at which its transfer is not below `rtol`.

        Those of the light near the focus, faded out towards its edges, which widens them a little.
        """
        cutoff = self._cutoff(rtol, excitation)
        places = self._grid(excitation, _NEAR / cutoff[0], finer=2)
        light = self._shape(*places, excitation)
        for axis, lags in enumerate(places):
            window = torch.cos(0.5 * math.pi * lags / (lags[-1] + _step(lags))) ** 4
            light = light * window.reshape([-1 if other == axis else 1 for other in range(3)])
        size = torch.fft.rfftn(light).abs()
        bright = size >= rtol * size[0, 0, 0]
        found = []
        for axis, lags in enumerate(places):
            held = bright.any(2).any(1) if axis == 0 else bright.any(0).any(2 - axis)
            index = held.nonzero().flatten()
            highest = torch.minimum(index, len(lags) - index).amax()
            found.append((highest + 1.0) / (len(lags) * _step(lags)))
        return torch.minimum(torch.stack(found), torch.tensor(cutoff).to(light))

    def reach(self, rtol: float, depth: float, excitation: Excitation) -> tuple[float, float, float]:
        """Return the distances along z, y, x in micrometres beyond which h may be left out.

        Behind a pinhole light is followed as far as it is counted.
        """
        z, y, x = self._follow(rtol, depth, excitation)
        return z + 0.5 * float(self.sweep.detach()), y, x

    def _follow(self, rtol: float, depth: float, excitation: Excitation) -> tuple[float, float, float]:
        """Return how far light is followed from a specimen at rest."""
        if excitation.scanned and self.pinhole is None:
            return excitation.reach(rtol, depth)
        edge, far = 0.0, math.inf
        if excitation.scanned:
            edge, far = float(self._radius().detach()), float(self.psf.focus().span.detach())
            depth = min(depth, far)
        excited, seen = excitation.reach(rtol, depth), self.psf.reach(rtol, depth)
        widened = (min(seen[0], far), seen[1] + edge, seen[2] + edge)
        z, y, x = (min(one, other) for one, other in zip(widened, excited, strict=True))
        return z, y, x

    def transfer(self, lattice: Lattice, like: Tensor, excitation: Any) -> Tensor:
        """Return the Fourier transform of h (of `lattice.bands`), from memory while its numbers stay as they were."""
        place = (lattice, like.dtype, like.device)
        return remembered((self, excitation), place, lambda: self._transfer(lattice, like, excitation))

    def _transfer(self, lattice: Lattice, like: Tensor, excitation: Excitation) -> Tensor:
        fz, fy, fx = lattice.frequencies(like)
        if self._flooded(excitation):
            found = self.psf.transfer(lattice, like)
            if self.pinhole is not None:
                found = found * jinc_at(self._radius(), fy, fx)
        else:
            found = sampled_transfer(lambda z, y, x: self._still(z, y, x, excitation), lattice, like)
        return found * torch.sinc(fz * self.sweep.to(like))


@dataclass(frozen=True)
class Tile:
    """A detection that the light of some places goes through, in part."""

    detection: Detection
    weight: Share

    def share(self, position: Tensor) -> Tensor | None:
        """Return how much (Q,) of the light from places (Q, 3) in um goes through it."""
        return self.weight(position)

    def at(self, z: Tensor, y: Tensor, x: Tensor, excitation: Excitation) -> Tensor:
        """Return h (Z, H, W) in 1/um^3 at distances z (Z,), y (H,), x (W,) in micrometres."""
        return self.detection.at(z, y, x, excitation)

    def band(self, rtol: float, excitation: Excitation) -> tuple[float, float, float]:
        """Return the frequencies along z, y, x in 1/um beyond which the transfer is below `rtol`."""
        return self.detection.band(rtol, excitation)

    def reach(self, rtol: float, depth: float, excitation: Excitation) -> tuple[float, float, float]:
        """Return the distances along z, y, x in micrometres beyond which h may be left out."""
        return self.detection.reach(rtol, depth, excitation)

    def transfer(self, lattice: Lattice, like: Tensor, excitation: Any) -> Tensor:
        """Return the Fourier transform of h (of `lattice.bands`)."""
        return self.detection.transfer(lattice, like, excitation)


def _step(lags: Tensor) -> float:
    """Return the distance between evenly spaced lags."""
    return float(lags[1] - lags[0])


def _known(light: Tensor | None) -> Tensor:
    """Return light that is there."""
    assert light is not None
    return light
