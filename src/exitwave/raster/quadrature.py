"""Quadrature: segments, triangles and tetrahedra as few points, as many as the microscope can tell from the whole.

A plane wave is the finest pattern of emission that a microscope sees. How well a rule sums plane waves over a simplex
is tabulated once from the closed form, against the number of waves along its longest edge; the finest frequencies of
the band, weighed by how little of them is seen, then tell how many points each element needs.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import roots_jacobi
from torch import Tensor

from exitwave.lattice import Lattice
from exitwave.raster.simplex import elements, wave
from exitwave.raster.stencil import FARTHEST, FLAT, SLOPE, Envelope

# Nodes along an edge, for points, segments, triangles and tetrahedra.
_NODES = (range(1, 2), range(1, 17), range(1, 11), range(1, 8))
# Waves along the longest edge at which rules are judged.
_WAVES = np.geomspace(0.01, 6.0, 28)
_BINS = 64
# Points that a part may need: two gigabytes in single precision.
_MOST = 1 << 27


@dataclass(frozen=True)
class Emitters:
    """Points that emit: `position` (Q, 3) in micrometres and `weight` (Q,) in units of emission.

    The surface of a solid has a `flux` (Q, 3) instead or besides: at every point area times normal times the emission
    per cubic micrometre behind it more than in front of it. None stands for nothing.
    """

    position: Tensor
    weight: Tensor | None
    flux: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Rule:
    """Points in a simplex, by their shares (n, k) in its corners, and `weight` (n,), which sums to 1."""

    share: np.ndarray
    weight: np.ndarray

    def split(self, parts: int) -> Rule:
        """Return the rule used on each of `parts`^(k - 1) alike pieces of the simplex."""
        corners = _pieces(self.share.shape[1] - 1, parts)
        share = np.einsum("nk,pkc->pnc", self.share, corners).reshape(-1, self.share.shape[1])
        return Rule(share, np.tile(self.weight, len(corners)) / len(corners))


def emitters(part: object, lattice: Lattice, rtol: float = 1e-4, envelope: Envelope = FLAT) -> Emitters:
    """Return the points that stand for a fluorescent part of a specimen in the frequencies of a lattice.

    Plane waves are summed over every element to `rtol`, once weighed by an `envelope` that says how much of them is
    seen; their derivatives to ten times that. Elements without area have points of weight zero. Differentiable by
    whatever the part holds.

    >>> from exitwave.specimen import Mesh
    >>> here = Lattice((64, 64, 64), (0.1, 0.1, 0.1), (9, 9, 9), (0, 0, 0), (64, 64, 64), (0.0, 0.0, 0.0))
    >>> corner = Mesh(vertices=[[0, 0, 0], [0, 0, 0.3], [0, 0.4, 0]], faces=[[0, 1, 2]])
    >>> len(emitters(corner, here, 1e-1).weight), len(emitters(corner, here, 1e-4).weight)
    (7, 25)
    """
    one = elements(part)
    order = len(one.corners) - 1
    if order == 0:
        return Emitters(one.corners[0], one.amount, one.flux)
    length = _lengths(one.corners.detach(), lattice)
    longest = float(length.max())
    if not math.isfinite(longest):
        raise ValueError(f"{type(part).__name__}.vertices must be finite, got NaN or infinity; drop those elements")
    limits, rules = _ladder(order, rtol, envelope, 2.0 ** math.ceil(math.log2(max(longest, 1.0))))
    number = torch.searchsorted(torch.tensor(limits[:-1], dtype=length.dtype, device=length.device), length)
    groups, counts = (one.tolist() for one in number.unique(return_counts=True))
    points = sum(_size(order, *rules[used]) * count for used, count in zip(groups, counts, strict=True))
    if points > _MOST:
        raise ValueError(
            f"the quadrature of {type(part).__name__} must do with {_MOST:,} points, got {points:,} for elements of up "
            f"to {longest:.3g} of the shortest waves; raise rtol, or fill a closed Mesh in place of Tetrahedra"
        )
    found: list[tuple[Tensor, Tensor | None, Tensor | None]] = []
    for used in groups:
        rule = _rule(order, *rules[used])
        some = torch.nonzero(number == used)[:, 0]
        share = torch.as_tensor(rule.share, dtype=length.dtype, device=length.device)
        weight = torch.as_tensor(rule.weight, dtype=length.dtype, device=length.device)
        corners = one.corners.index_select(1, some)
        position = (share @ corners.flatten(1)).reshape(-1, 3)
        amount = None if one.amount is None else torch.outer(weight, one.amount.index_select(0, some)).reshape(-1)
        flux = None
        if one.flux is not None:
            flux = (weight[:, None, None] * one.flux.index_select(0, some)).reshape(-1, 3)
        found.append((position, amount, flux))
    positions, amounts, fluxes = zip(*found, strict=True)
    return Emitters(
        torch.cat(positions),
        None if one.amount is None else torch.cat(amounts),
        None if one.flux is None else torch.cat(fluxes),
    )


def envelope_of(transfer: Tensor, lattice: Lattice) -> Envelope:
    """Return the envelope of a transfer function of `lattice.bands`: its largest share from each frequency on.

    Rounded up to powers of sqrt 2, so that a microscope that changes a little keeps its quadrature.
    """
    # A few dozen frequencies along each axis tell a smooth function.
    steps = [max(1, order // 24) for order in lattice.order]
    some = transfer.detach()[tuple(slice(None, None, step) for step in steps)].abs()
    ratios = [
        frequency / max(order / period, 1e-30)
        for frequency, order, period in zip(lattice.frequencies(some), lattice.order, lattice.period, strict=True)
    ]
    z, y, x = ratios
    place = (z[:: steps[0]].square() + y[:: steps[1]].square() + x[:: steps[2]].square()).sqrt() / FARTHEST
    bins = (place * (_BINS - 1)).long().clamp(max=_BINS - 1).reshape(-1)
    most = some.new_zeros(_BINS).scatter_reduce(0, bins, some.reshape(-1), "amax").cpu().double().numpy()
    rest = np.maximum.accumulate(most[::-1])[::-1]
    # A bin's start may see as much as the bin before it.
    share = np.maximum(np.concatenate([rest[:1], rest[:-1]]) / max(rest[0], 1e-300), 1e-30)
    return tuple(2.0 ** (np.ceil(2 * np.log2(share)) / 2))


def _lengths(corners: Tensor, lattice: Lattice) -> Tensor:
    """Return the longest edge (E,) of every element in waves of the highest frequency kept along each axis."""
    finest = corners.new_tensor([n / period for n, period in zip(lattice.order, lattice.period, strict=True)])
    scaled = corners * finest
    pairs = [(i, j) for i in range(len(corners)) for j in range(i)]
    return torch.stack([(scaled[i] - scaled[j]).square().sum(-1) for i, j in pairs]).amax(0).sqrt()


@functools.lru_cache(64)
def _ladder(order: int, rtol: float, envelope: Envelope, longest: float) -> tuple[list[float], list[tuple[int, int]]]:
    """Return the rules worth using, from few points to many, and the longest edge in waves that each one serves.

    A rule is its number and the parts that every edge is cut into.
    """
    share = np.linspace(0, FARTHEST, 2 * _BINS)
    weight = np.interp(share, np.linspace(0, FARTHEST, len(envelope)), envelope)
    lengths = np.geomspace(_WAVES[0], _WAVES[-1], 128)
    # An edge of l waves of the highest frequency has share l of them at that share of it.
    waves = np.log(np.maximum(np.outer(lengths, share), _WAVES[0]))
    steps = []
    for number, (count, errors) in enumerate(_table(order)):
        fits = (weight * np.exp(np.interp(waves, np.log(_WAVES), np.log(errors), right=0.0))).max(-1) <= rtol
        limit = float(lengths[np.nonzero(fits)[0][-1]]) if fits.any() else 0.0
        parts = 1
        while limit > 0:
            steps.append((count * parts**order, -limit * parts, number, parts))
            if limit * parts >= longest:
                break
            parts += max(1, parts // 2)
    if not steps:
        raise ValueError(f"rtol must be one that quadrature can reach, got {rtol:g}; 1e-12 is, in double precision")
    limits, rules = [0.0], []
    for _, limit, number, parts in sorted(steps):
        if limits[-1] < longest and -limit > limits[-1]:
            limits.append(-limit)
            rules.append((number, parts))
    return limits[1:], rules


def _size(order: int, number: int, parts: int) -> int:
    """Return the number of points of a rule."""
    return len(_rules(order)[number].weight) * parts**order


@functools.lru_cache(256)
def _rule(order: int, number: int, parts: int) -> Rule:
    return _rules(order)[number].split(parts)


@functools.cache
@torch.enable_grad()
def _table(order: int) -> list[tuple[int, np.ndarray]]:
    """Return for every rule its number of points and its worst error at `_WAVES` waves along the longest edge."""
    phases = _phases(order)
    phases.requires_grad_()
    exact = wave(phases)
    slopes = [torch.autograd.grad(part.sum(), phases, retain_graph=True)[0] for part in (exact.real, exact.imag)]
    value = exact.detach().numpy()
    slope = torch.complex(slopes[0], slopes[1]).numpy()
    corner = phases.detach().numpy()
    found = []
    for rule in _rules(order):
        waves = np.exp(-1j * corner @ rule.share.T) * rule.weight
        error = abs(waves.sum(-1) - value)
        # Relative to its value where the phases are equal, 1 / (order + 1).
        error_of_slope = (order + 1) * abs(-1j * waves @ rule.share - slope).max(-1)
        worst = np.maximum(error, SLOPE * error_of_slope).max(-1)
        found.append((len(rule.weight), np.maximum(np.maximum.accumulate(worst), 1e-17)))
    return found


def _phases(order: int) -> Tensor:
    """Return phases (waves, n, order + 1) at the corners of elements of several shapes, seen from many sides."""
    generator = np.random.default_rng(0)
    places = []
    for shape in (np.eye(order + 1), *generator.standard_normal((2, order + 1, order + 1))):
        edges = np.stack([shape[i] - shape[j] for i in range(order + 1) for j in range(i)])
        # Along every edge, and along mixtures of them.
        sides = np.concatenate([edges, generator.standard_normal((6, len(edges))) @ edges])
        sides /= np.linalg.norm(sides, axis=1, keepdims=True) * np.linalg.norm(edges, axis=1).max()
        places.append(sides @ shape.T)
    return torch.from_numpy(2 * np.pi * _WAVES[:, None, None] * np.concatenate(places))


@functools.cache
def _rules(order: int) -> list[Rule]:
    """Return rules of rising degree for segments, triangles or tetrahedra."""
    return [_product(order, nodes) for nodes in _NODES[order]] + ([_three(), _seven()] if order == 2 else [])


def _product(order: int, nodes: int) -> Rule:
    """Return Gauss's rule on a simplex as a collapsed cube (Stroud, Approximate calculation of multiple integrals)."""
    shares, weight = [np.ones(1)], np.ones(1)
    for axis in range(order):
        root, mass = roots_jacobi(nodes, order - 1 - axis, 0)
        root, mass = (root + 1) / 2, mass / mass.sum()
        rest = shares.pop()
        shares = [np.repeat(share, nodes) for share in shares]
        shares += [np.outer(rest, root).ravel(), np.outer(rest, 1 - root).ravel()]
        weight = np.outer(weight, mass).ravel()
    return Rule(np.stack(shares, -1), weight)


def _three() -> Rule:
    """Return the rule of degree 2 on a triangle."""
    return Rule(np.full((3, 3), 1 / 6) + np.eye(3) / 2, np.full(3, 1 / 3))


def _seven() -> Rule:
    """Return Radon's rule of degree 5 on a triangle (Monatsh. Math. Phys. 52, 286, 1948)."""
    share, weight = [np.full((1, 3), 1 / 3)], [np.full(1, 9 / 40)]
    for sign in (-1, 1):
        near = (6 + sign * math.sqrt(15)) / 21
        share.append(np.full((3, 3), near) + np.eye(3) * (1 - 3 * near))
        weight.append(np.full(3, (155 + sign * math.sqrt(15)) / 1200))
    return Rule(np.concatenate(share), np.concatenate(weight))


def _pieces(order: int, parts: int) -> np.ndarray:
    """Return the corners (n, k, k) of parts^order pieces of a simplex, as shares in its corners.

    Kuhn's triangulation: a point of the simplex is 1 >= s_1 >= ... >= s_n >= 0, and cubes of side 1 / parts are cut
    into such simplices, one for every order of the axes.
    """
    lower = np.array(list(itertools.product(range(parts), repeat=order)))
    walks = [np.eye(order, dtype=int)[list(axes)].cumsum(0) for axes in itertools.permutations(range(order))]
    steps = np.stack([np.concatenate([np.zeros((1, order), dtype=int), walk]) for walk in walks])
    place = (lower[:, None, None] + steps).reshape(-1, order + 1, order)
    place = place[(np.diff(place, axis=-1) <= 0).all((-1, -2))] / parts
    ends = np.concatenate([np.ones_like(place[..., :1]), place, np.zeros_like(place[..., :1])], -1)
    return ends[..., :-1] - ends[..., 1:]
