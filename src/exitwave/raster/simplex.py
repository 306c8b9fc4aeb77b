"""Simplices: the exact Fourier transforms of points, segments, triangles and tetrahedra of uniform density.

They cost a sum over all elements for every frequency: the judge of faster ways, and a choice for tiny scenes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import singledispatch

import torch
from torch import Tensor
from torch.autograd import forward_ad

from exitwave import native
from exitwave.lattice import Lattice
from exitwave.specimen import Filaments, Mesh, Points, Tetrahedra

# Phases that differ by less, in radians, are summed as a Taylor series: each division by a difference of phases then
# loses less than a digit, and this many terms reach 1e-16.
_NEAR = 1.0
_TERMS = 17
# Phases that are worked on at a time, a second-level cache full.
_CHUNK = 1 << 18


@dataclass(frozen=True)
class Elements:
    """The simplices of a part: their `corners` (k, E, 3) in micrometres, k of them for every element.

    `amount` (E,) is what each of them emits in all. Faces of solids have a `flux` (E, 3) instead or besides: area times
    normal times what lies behind more than in front, in um^2 times emission per um^3. None stands for nothing.
    """

    corners: Tensor
    amount: Tensor | None
    flux: Tensor | None = None


@singledispatch
def elements(part: object) -> Elements:
    """Return the simplices that a fluorescent part of a specimen is made of.

    >>> corner = Mesh(vertices=[[0, 0, 0], [0, 0, 3.0], [0, 4.0, 0]], faces=[[0, 1, 2]])
    >>> elements(corner).amount.tolist()
    [6.0]
    """
    raise TypeError(
        f"a fluorescent part must be Points, Filaments, Mesh or Tetrahedra, got {type(part).__name__}; convert it"
    )


@elements.register
def _(part: Points) -> Elements:
    return Elements(part.center[None], part.emission.to(part.center))


@elements.register
def _(part: Filaments) -> Elements:
    return Elements(_corners(part.vertices, part.segments), part.density.to(part.vertices) * part.lengths())


@elements.register
def _(part: Tetrahedra) -> Elements:
    return Elements(_corners(part.vertices, part.cells), part.density.to(part.vertices) * part.volumes())


@elements.register
def _(part: Mesh) -> Elements:
    amount = part.density.to(part.vertices) * part.areas() if _matters(part.density) else None
    flux = None
    if _matters(part.fill_density):
        # Region 0 is the outside, and dark.
        inside = torch.cat([part.fill_density.new_zeros(1), part.fill_density]).to(part.vertices)
        behind, front = inside.index_select(0, part.regions[:, 0]), inside.index_select(0, part.regions[:, 1])
        flux = (behind - front)[:, None] * part.area_vectors()
    return Elements(_corners(part.vertices, part.faces), amount, flux)


def _corners(vertices: Tensor, table: Tensor) -> Tensor:
    """Return the corners (k, E, 3) that a table (E, k) names."""
    # Not by indexing, whose derivative is added up in any order.
    return vertices.index_select(0, table.T.reshape(-1)).reshape(table.shape[1], len(table), 3)


def _matters(density: Tensor) -> bool:
    """Return whether a density is other than zero, or might become so."""
    if density.requires_grad or native.transforming() or forward_ad.unpack_dual(density).tangent is not None:
        return True
    return bool(density.any())


def wave(phases: Tensor) -> Tensor:
    """Return the mean (...) of exp(-i phase) over simplices whose corners have `phases` (..., n + 1) in radians.

    This is n! i^n [a_0, ..., a_n] exp(-i a), a divided difference (the Hermite-Genocchi formula). Phases are sorted, so
    that each difference is divided by the largest one there is; where that is small, the Taylor series about the mean
    phase takes over, sum_p (-i)^p n!/(n+p)! h_p of complete homogeneous symmetric polynomials h_p.

    >>> complex(wave(torch.tensor([0.0, 0.0, 0.0])))
    (1+0j)
    """
    return _ordered(phases.sort(-1).values)


def _ordered(phases: Tensor) -> Tensor:
    """Return `wave` of phases in rising order."""
    n = phases.shape[-1] - 1
    if n == 0:
        return torch.complex(phases[..., 0].cos(), -phases[..., 0].sin())
    span = phases[..., -1] - phases[..., 0]
    near = span < _NEAR
    # Both branches stay finite everywhere, and so do their derivatives.
    mean = phases.mean(-1)
    series = _series(torch.where(near[..., None], phases - mean[..., None], torch.zeros_like(phases)))
    turned = series * torch.complex(mean.cos(), -mean.sin())
    rise = _ordered(phases[..., 1:]) - _ordered(phases[..., :-1])
    slope = n / torch.where(near, torch.ones_like(span), span)
    return torch.where(near, turned, torch.complex(-rise.imag * slope, rise.real * slope))


def _series(phases: Tensor) -> Tensor:
    """Return the Taylor series of `wave` about 0."""
    corners = phases.unbind(-1)
    n = len(corners) - 1
    # h_p(a_0 ... a_j) = h_p(a_0 ... a_{j-1}) + a_j h_{p-1}(a_0 ... a_j), for all j side by side.
    powers = [torch.ones_like(corners[0]) for _ in corners]
    parts = [powers[-1], torch.zeros_like(corners[0])]
    factor = 1.0
    for p in range(1, _TERMS):
        factor /= n + p
        powers[0] = powers[0] * corners[0]
        for j in range(1, n + 1):
            powers[j] = torch.addcmul(powers[j - 1], powers[j], corners[j])
        # (-i)^p is -i, -1, i, 1.
        sign = 1.0 if p % 4 in (0, 3) else -1.0
        parts[p % 2] = parts[p % 2] + sign * factor * powers[-1]
    return torch.complex(parts[0], parts[1])


def direct(part: object, lattice: Lattice) -> Tensor:
    """Return the exact spectrum of a part at all frequencies of a lattice, of `lattice.bands`, by its closed form.

    As `spectrum` has it, but that what lies outside the box is not left out.

    >>> here = Lattice((8, 8, 8), (0.1, 0.1, 0.1), (2, 2, 2), (0, 0, 0), (8, 8, 8), (0.0, 0.0, 0.0))
    >>> direct(Points([[0, 0, 0], [0.1, 0, 0]]), here)[0, 0, 0]
    tensor(2.+0.j)
    """
    one = elements(part)
    fz, fy, fx = lattice.frequencies(one.corners.detach())
    grid = torch.stack(torch.broadcast_tensors(fz, fy, fx), -1).reshape(-1, 3)
    return at(one, grid, lattice).reshape(lattice.bands)


def at(one: Elements, frequency: Tensor, lattice: Lattice) -> Tensor:
    """Return the exact spectrum (N,) of elements at frequencies (N, 3) in 1/um, phases from the lattice's origin."""
    center = _center(lattice, one.corners)
    some = max(1, _CHUNK // max(one.corners.shape[0] * one.corners.shape[1], 1))
    found = [_sum(one, center, chunk) for chunk in frequency.split(some)]
    # Phases from the middle of the box are the smallest ones.
    shift = 2 * math.pi * (frequency @ (center - center.new_tensor(lattice.origin)))
    return torch.cat(found) * torch.complex(shift.cos(), -shift.sin())


def _sum(one: Elements, center: Tensor, frequency: Tensor) -> Tensor:
    corners = one.corners - center
    waves = wave(2 * math.pi * torch.einsum("ked,nd->nek", corners, frequency))
    total = torch.zeros_like(waves[:, 0])
    if one.amount is not None:
        total = total + waves @ one.amount.to(waves)
    if one.flux is not None:
        # By the divergence theorem: i f exp(-2 pi i f.x) / (2 pi f^2) has the divergence exp(-2 pi i f.x).
        vector = torch.stack([waves @ axis.to(waves) for axis in one.flux.unbind(-1)], -1)
        square = frequency.square().sum(-1)
        still = square == 0
        through = (vector * frequency).sum(-1) * (1j / (2 * math.pi * torch.where(still, 1.0, square)))
        volume = (corners.mean(0) * one.flux).sum() / 3
        total = total + torch.where(still, volume.to(waves), through)
    return total


def _center(lattice: Lattice, like: Tensor) -> Tensor:
    """Return the middle (3,) of a lattice's box in micrometres."""
    sides = zip(lattice.origin, lattice.period, strict=True)
    return torch.tensor([first + size / 2 for first, size in sides], dtype=like.dtype, device=like.device)
