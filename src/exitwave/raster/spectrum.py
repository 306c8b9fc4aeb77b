"""Spectra of emission: from points to the frequencies that a microscope passes, and from those to a volume.

Points are spread onto a grid that is made for the band, not for the image, and the grid is transformed axis by axis,
keeping only the frequencies of the band after each: a non-uniform Fourier transform of type 1 (Dutt and Rokhlin, SIAM
J. Sci. Comput. 14, 1368, 1993). Volumes come back the same way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from exitwave.lattice import Lattice
from exitwave.raster.quadrature import Emitters
from exitwave.raster.spread import plan, spread
from exitwave.raster.stencil import FLAT, Envelope

# Samples that are transformed at a time: memory that no cache holds costs more than transforms.
_BLOCK = 1 << 18
# How near to its faces solids are cut off, as a share of the box: rounding must not push their surface outside.
_RIM = 1e-6

Factors = tuple[Tensor, Tensor, Tensor]


def spectrum(emitters: Emitters, lattice: Lattice, rtol: float = 1e-4, envelope: Envelope = FLAT) -> Tensor:
    """Return the spectrum of emitters, complex numbers of `lattice.bands` in units of emission.

    S(f) = sum_q w_q exp(-2 pi i f.(x_q - origin)), and for solids sum_q i f.flux_q / (2 pi f^2) exp(...), which is the
    integral of exp(...) over what the fluxes enclose, by the divergence theorem. An image of points is off by `rtol`,
    derivatives by ten times that; where an `envelope` tells how little of high frequencies is seen, those may be off
    by more. Emitters outside the box are left out, and solids are cut off at its faces.

    >>> here = Lattice((8, 8, 8), (0.1, 0.1, 0.1), (2, 2, 2), (0, 0, 0), (8, 8, 8), (0.0, 0.0, 0.0))
    >>> one = Emitters(torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([3.0]))
    >>> spectrum(one, here)[0, 0, :2].real
    tensor([ 3.00, -3.00])
    """
    planned = plan(lattice, emitters.position, rtol, envelope)
    cells = _Cells(planned.shape, (0, 0, 0), planned.shape, lattice.order)
    position, weight = emitters.position, emitters.weight
    columns = []
    if emitters.flux is not None:
        inside = planned.inside(position)
        position, flux = _cut(position, emitters.flux, lattice)
        columns = list(flux.unbind(-1))
        # What lies outside has come to lie on the faces.
        weight = None if weight is None else weight * inside
    if weight is not None:
        columns.append(weight)
    if not columns:
        dark = position.new_zeros(lattice.bands)
        return torch.complex(dark, dark)
    grids = spread(position, torch.stack(columns, -1), planned)
    undo = _factors(planned.undo, position)
    found = [_Spectrum.apply(grid, cells, undo) for grid in grids]
    if emitters.flux is None:
        return found[0]
    solid = _solid(found[:3], position, torch.stack(columns[:3], -1), lattice)
    return solid + found[3] if len(found) > 3 else solid


def volume(spectrum: Tensor, lattice: Lattice) -> Tensor:
    """Return the volume (Z, H, W) of a spectrum of `lattice.bands`, real, in its unit per cubic micrometre.

    v(x) = sum_f S(f) exp(2 pi i f.(x - origin)) / V at the samples x of the lattice's window, V the box's volume.
    Frequencies beyond what the samples can tell are aliased, as in any sampling of that function.

    >>> here = Lattice((8, 8, 8), (0.5, 0.5, 0.5), (1, 1, 1), (2, 2, 2), (4, 4, 4), (0.0, 0.0, 0.0))
    >>> still = torch.zeros(here.bands, dtype=torch.complex64)
    >>> still[0, 0, 0] = 64.0
    >>> volume(still, here)[0, 0]
    tensor([1., 1., 1., 1.])
    """
    if spectrum.shape != lattice.bands:
        raise ValueError(f"a spectrum must have the lattice's bands {lattice.bands}, got {tuple(spectrum.shape)}")
    cells = _Cells(lattice.shape, lattice.corner, lattice.window, lattice.order)
    z, y, x = (np.ones(count) for count in lattice.bands)
    # Frequencies along x stand for their opposites too.
    x[1:] = 2
    return _Volume.apply(spectrum, cells, _factors((z / math.prod(lattice.period), y, x), spectrum.real))


def _factors(given: tuple[np.ndarray, np.ndarray, np.ndarray], like: Tensor) -> Factors:
    """Return factors along z (n, 1, 1), y (m, 1) and x (k,)."""
    z, y, x = (torch.as_tensor(one, dtype=like.dtype, device=like.device) for one in given)
    return z[:, None, None], y[:, None], x


def _cut(position: Tensor, flux: Tensor, lattice: Lattice) -> tuple[Tensor, Tensor]:
    """Return a surface whose part outside the box is pressed onto its faces, where it closes what is cut off.

    Pressed along one axis, an area keeps its normal along that axis; pressed along two, none.
    """
    origin, period = position.new_tensor(lattice.origin), position.new_tensor(lattice.period)
    low, high = origin + _RIM * period, origin + (1 - _RIM) * period
    kept = ((position >= low) & (position <= high)).to(position)
    z, y, x = kept.unbind(-1)
    pressed = torch.minimum(torch.maximum(position, low), high)
    return pressed, flux * torch.stack([y * x, z * x, z * y], -1)


def _solid(found: list[Tensor], position: Tensor, flux: Tensor, lattice: Lattice) -> Tensor:
    """Return the spectrum of what is enclosed by a surface whose flux has the spectra `found`."""
    fz, fy, fx = lattice.frequencies(position)
    square = fz.square() + fy.square() + fx.square()
    still = square == 0
    scale = 1 / (2 * math.pi * torch.where(still, torch.ones_like(square), square))
    along = (fz * found[0] + fy * found[1] + fx * found[2]) * scale
    # The closed surface's volume; about the middle of the box, where rounding is least.
    middle = position.new_tensor(lattice.origin) + 0.5 * position.new_tensor(lattice.period)
    whole = ((position - middle) * flux).sum() / 3
    return torch.complex(torch.where(still, whole, -along.imag), along.real)


@dataclass(frozen=True)
class _Cells:
    """A periodic grid of `shape`, its known part of `window` samples from `first` on, and the frequencies kept."""

    shape: tuple[int, int, int]
    first: tuple[int, int, int]
    window: tuple[int, int, int]
    order: tuple[int, int, int]

    def part(self, axis: int) -> slice:
        """Return the window along an axis."""
        return slice(self.first[axis], self.first[axis] + self.window[axis])

    def around(self, axis: int) -> tuple[int, int]:
        """Return how many samples of an axis lie before and after the window."""
        return self.first[axis], self.shape[axis] - self.window[axis] - self.first[axis]

    @property
    def bands(self) -> tuple[int, int, int]:
        """The shape of a spectrum, as that of a lattice."""
        return 2 * self.order[0] + 1, 2 * self.order[1] + 1, self.order[2] + 1


class _Spectrum(torch.autograd.Function):
    """The transform of a grid's window, sum_n g_n exp(-2 pi i j.n / N) times factors."""

    generate_vmap_rule = True

    @staticmethod
    def forward(grid: Tensor, cells: _Cells, factors: Factors) -> Tensor:
        return _to_bands(grid, cells, factors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, _Cells, Factors], output: Tensor) -> None:
        _, ctx.cells, ctx.factors = inputs

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return _to_bands(tangents[0], ctx.cells, ctx.factors)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _Volume.apply(gradients[0], ctx.cells, ctx.factors), None, None


class _Volume(torch.autograd.Function):
    """The adjoint: the window of the real part of sum_j S_j exp(2 pi i j.n / N) times factors."""

    generate_vmap_rule = True

    @staticmethod
    def forward(bands: Tensor, cells: _Cells, factors: Factors) -> Tensor:
        return _to_grid(bands, cells, factors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, _Cells, Factors], output: Tensor) -> None:
        _, ctx.cells, ctx.factors = inputs

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return _to_grid(tangents[0], ctx.cells, ctx.factors)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _Spectrum.apply(gradients[0], ctx.cells, ctx.factors), None, None


def _to_bands(grid: Tensor, cells: _Cells, factors: Factors) -> Tensor:
    (depth, height, width), order = cells.shape, cells.order
    across = factors[1] * factors[2]
    thin = grid.new_empty(cells.window[0], *cells.bands[1:], dtype=grid.dtype.to_complex())
    for some in _blocks(cells.window[0], height * width, grid):
        lines = torch.fft.rfft(_padded(grid[some], (*cells.around(2), *cells.around(1))))
        _choose(torch.fft.fft(_half(lines, order[2], width), dim=1), 1, order[1], across, thin[some])
    bands = thin.new_empty(cells.bands)
    for some in _blocks(cells.bands[1], 2 * depth * cells.bands[2], grid):
        lines = torch.fft.fft(_padded(thin[:, some], (0, 0, 0, 0, *cells.around(0))), dim=0)
        _choose(lines, 0, order[0], factors[0], bands[:, some])
    return bands


def _to_grid(bands: Tensor, cells: _Cells, factors: Factors) -> Tensor:
    (depth, height, width), order = cells.shape, cells.order
    across = factors[1] * factors[2] * _share(order[2], width, factors[2])
    thin = bands.new_empty(cells.window[0], *cells.bands[1:])
    for some in _blocks(cells.bands[1], 2 * depth * cells.bands[2], bands):
        lines = _placed(bands[:, some], 0, order[0], factors[0], depth)
        thin[:, some] = torch.fft.ifft(lines, dim=0, norm="forward")[cells.part(0)]
    grid = bands.new_empty(cells.window, dtype=bands.dtype.to_real())
    for some in _blocks(cells.window[0], height * width, bands):
        lines = _placed(thin[some], 1, order[1], across, height)
        lines = torch.fft.ifft(lines, dim=1, norm="forward")[:, cells.part(1)]
        planes = torch.fft.irfft(_halved(lines, order[2], width), n=width, norm="forward")
        grid[some] = planes[..., cells.part(2)]
    return grid


def _blocks(count: int, samples: int, like: Tensor) -> list[slice]:
    """Return slices of `count` planes of `samples` each that caches hold; other devices do best with all at once."""
    step = max(1, _BLOCK // samples) if like.device.type == "cpu" else count
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def _wrapped(order: int, count: int, like: Tensor) -> Tensor:
    """Return where frequencies 0 ... order, -order ... -1 are found among `count` samples' frequencies."""
    numbers = torch.cat([torch.arange(order + 1), torch.arange(-order, 0)])
    return (numbers % count).to(like.device)


def _padded(lines: Tensor, around: tuple[int, ...]) -> Tensor:
    return torch.nn.functional.pad(lines, around) if any(around) else lines


def _choose(lines: Tensor, axis: int, order: int, factor: Tensor, into: Tensor) -> None:
    """Write the frequencies up to `order` of a transform along an axis, repeated where they are more than it has.

    The first axis of `factor` is that one.
    """
    count = lines.shape[axis]
    if 2 * order + 1 > count:
        into.copy_(lines.index_select(axis, _wrapped(order, count, lines)) * factor)
        return
    into.narrow(axis, 0, order + 1).copy_(lines.narrow(axis, 0, order + 1) * factor[: order + 1])
    into.narrow(axis, order + 1, order).copy_(lines.narrow(axis, count - order, order) * factor[order + 1 :])


def _placed(bands: Tensor, axis: int, order: int, factor: Tensor, count: int) -> Tensor:
    """Return the adjoint of `_choose`: frequencies in their places among `count`, added up where they meet."""
    places = bands.new_zeros([count if place == axis else size for place, size in enumerate(bands.shape)])
    if 2 * order + 1 > count:
        return places.index_add(axis, _wrapped(order, count, bands), bands * factor)
    low, high = bands.narrow(axis, 0, order + 1), bands.narrow(axis, order + 1, order)
    places.narrow(axis, 0, order + 1).copy_(low * factor[: order + 1])
    places.narrow(axis, count - order, order).copy_(high * factor[order + 1 :])
    return places


def _half(lines: Tensor, order: int, count: int) -> Tensor:
    """Return the frequencies 0 ... order along x from the half that a real transform of `count` samples gives."""
    if order <= count // 2:
        return lines[..., : order + 1]
    place, turned = _mirrored(order, count, lines)
    found = lines.index_select(-1, place)
    return torch.where(turned, found.conj(), found)


def _halved(lines: Tensor, order: int, count: int) -> Tensor:
    """Return the adjoint of `_half`, but for its share: the half of a transform that a real one back takes."""
    if order <= count // 2:
        return lines
    place, turned = _mirrored(order, count, lines)
    halves = lines.new_zeros(*lines.shape[:-1], count // 2 + 1)
    return halves.index_add(-1, place, torch.where(turned, lines.conj(), lines))


def _share(order: int, count: int, like: Tensor) -> Tensor:
    """Return a half for the frequencies along x whose opposites a real transform back adds itself, else 1."""
    place, _ = _mirrored(order, count, like)
    return torch.where((place == 0) | (2 * place == count), 1.0, 0.5).to(like)


def _mirrored(order: int, count: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return where frequencies 0 ... order are found in a real transform of `count`, and which there are conjugate."""
    place = torch.arange(order + 1, device=like.device) % count
    turned = 2 * place > count
    return torch.where(turned, count - place, place), turned
