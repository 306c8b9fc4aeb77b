"""Fields: what travels between the stages of a microscope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from exitwave.fourier import Band
from exitwave.grid import Grid


@dataclass(frozen=True)
class Canvas:
    """Where a scene is computed: the image's grid with a margin around it.

    The margin is the reach of the optics. What lies there is physically present, it lights the image's border; the
    wrap-around of the Fourier transforms falls into the margin and is cut away with it.
    """

    grid: Grid
    corner: tuple[int, int]
    shape: tuple[int, int]

    @property
    def image(self) -> tuple[slice, slice]:
        """The slices that cut the image out of an array on the canvas."""
        (top, left), (height, width) = self.corner, self.shape
        return slice(top, top + height), slice(left, left + width)

    @property
    def origin(self) -> tuple[int, int]:
        """The sample of the canvas at which the image's origin lies."""
        return self.corner[0] + self.shape[0] // 2, self.corner[1] + self.shape[1] // 2


@dataclass(frozen=True)
class Slabs:
    """Equidistant planes z = first + k step, k = 0 ... count - 1, in micrometres, that stand for a deep specimen."""

    first: float
    step: float
    count: int

    @property
    def last(self) -> float:
        """The height of the last plane in micrometres."""
        return self.first + (self.count - 1) * self.step


@dataclass(frozen=True)
class Source:
    """The light that reaches the specimen: an incoherent sum of plane waves in a few colours.

    `direction` (S, 2) holds index times sine of the incidence angles along (y, x), that is spatial frequency times
    vacuum wavelength; `weight` (S,) sums to 1. `wavelength` (L,) is in micrometres; `spectrum` (L,) sums to 1.
    Without `kernels` every plane wave is imaged (Abbe); otherwise that many coherent modes stand for all of them.
    """

    direction: Tensor
    weight: Tensor
    wavelength: Tensor
    spectrum: Tensor
    kernels: int | None = None

    def to(self, like: Tensor) -> Source:
        """Return the source with the dtype and device of a tensor."""
        given = (self.direction, self.weight, self.wavelength, self.spectrum)
        return Source(*(tensor.to(like) for tensor in given), kernels=self.kernels)


class Wave(Protocol):
    """The light that leaves a specimen, relative to the light that reached it.

    `medium` (L,) is the medium's index at each wavelength and `plane` the height z in micrometres that the wave
    is given at. A `thin` wave is the same for every direction of incidence.
    """

    @property
    def canvas(self) -> Canvas: ...

    @property
    def wavelength(self) -> Tensor: ...

    @property
    def medium(self) -> Tensor: ...

    @property
    def plane(self) -> Tensor: ...

    @property
    def thin(self) -> bool: ...

    def spectrum(self, colour: int, direction: Tensor, band: Band) -> Tensor:
        """Return the Fourier transform (K, n, m) of the wave divided by its incident plane wave, on a band.

        K is 1 where polarisation stays as it is. Otherwise the four numbers are the wave's Jones matrix in the basis
        of the identity and of i times Pauli's matrices (1 0, 0 -1), (0 1, 1 0), (0 -i, i 0), in the frame (x, y).
        """
        ...


@dataclass(frozen=True)
class Light:
    """The light on a detector, (L, H, W): complex amplitudes or real irradiances relative to the empty field.

    Of emitted light it is photons, in volumes (L, Z, H, W).
    `spectrum` (L,) is the strength of each wavelength; `grid` is the image's.
    """

    data: Tensor
    spectrum: Tensor
    grid: Grid
