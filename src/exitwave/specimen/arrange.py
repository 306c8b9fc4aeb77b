"""Arrangements: where N particles lie in a region, from an explicit generator.

An arrangement is a value with one method, `place(radii, extent, generator, heights=None)`, which returns the centres
(N, 3) in micrometres (z, y, x), double precision, with the origin in the middle of the region:

- `radii` (N,): radii of the particles' bounding circles in the (y, x) plane, micrometres;
- `extent`: full size (z, y, x) of the region in micrometres; z may be zero, for one plane;
- `generator`: every random number comes from it, so that equal generators give equal centres;
- `heights` (N,): half-extents along z, for arrangements in which particles rest on something; `radii` by default.

Overlap is controlled in projection, between bounding circles: what the microscope sees, whatever the depth. A number of
particles that does not fit is a ValueError, never a smaller number.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from exitwave.model import Value
from exitwave.quantity import Quantity, param
from exitwave.specimen.packing import Floats, Integers, Occupied, first_come, overlaps, pack

# Relative; spheres in contact are at their distance only to rounding.
_TOUCH = 1e-9
# Attempts in vain after which a sphere counts as surrounded (Bridson's k, SIGGRAPH sketches 2007).
_ATTEMPTS = 10


Extent = tuple[float, float, float]
"""Full size (z, y, x) of a region in micrometres."""


class Arrangement(Protocol):
    """Anything that places particles; see the module for the meaning of the arguments."""

    def place(
        self, radii: Tensor, extent: Extent, generator: torch.Generator, heights: Tensor | None = None
    ) -> Tensor: ...


class Scattered(Value):
    """Particles scattered uniformly over the field and the depth, with as much overlap as allowed.

    Centres of two particles are at least (1 - `overlap`) (r_i + r_j) apart in projection: 1 leaves them independent (a
    Poisson process of given number), 0 keeps their bounding circles apart. Below 1 this is random sequential adsorption
    with the biggest first, which fills about half of the field at most (54.7 % for equal discs: E. L. Hinrichsen, J.
    Feder and T. Jossang, J. Stat. Phys. 44, 793, 1986). Centres lie up to `margin` radii outside the field: -1 keeps
    every particle whole, 0 every centre inside, 1 lets particles touch the field from outside. Depths are uniform.

    >>> centers = Scattered(overlap=0.0).place(torch.ones(3), (2.0, 20.0, 20.0), torch.Generator().manual_seed(1))
    >>> centers.shape, bool(torch.pdist(centers[:, 1:]).min() >= 2.0)
    (torch.Size([3, 3]), True)
    """

    overlap: Quantity = param("1", low=0.0, high=1.0, default=1.0, doc="allowed overlap of two bounding circles")
    margin: Quantity = param("1", low=-1.0, high=100.0, default=0.0, doc="reach of centres outside the field, in radii")

    def place(self, radii: Tensor, extent: Extent, generator: torch.Generator, heights: Tensor | None = None) -> Tensor:
        """Return the centres (N, 3) in micrometres."""
        return _apart(1.0 - float(self.overlap), float(self.margin), radii, extent, generator, heights, "more overlap")


class PoissonDisk(Value):
    """Particles spread evenly at random: a Poisson-disk sample, whose spectrum is blue noise.

    Centres of two particles are at least `spacing` (r_i + r_j) apart in projection (dart throwing: R. L. Cook, ACM
    Trans. Graphics 5, 51, 1986), up to saturation if so many are asked for. `margin` as for `Scattered`. Depths are
    uniform.

    >>> centers = PoissonDisk(spacing=1.5).place(torch.ones(9), (0.0, 20.0, 20.0), torch.Generator().manual_seed(1))
    >>> bool(torch.pdist(centers).min() >= 3.0)
    True
    """

    spacing: Quantity = param("1", low=0.0, high=1e3, exclusive=True, default=1.5, doc="least distance over r_i + r_j")
    margin: Quantity = param("1", low=-1.0, high=100.0, default=0.0, doc="reach of centres outside the field, in radii")

    def place(self, radii: Tensor, extent: Extent, generator: torch.Generator, heights: Tensor | None = None) -> Tensor:
        """Return the centres (N, 3) in micrometres."""
        return _apart(float(self.spacing), float(self.margin), radii, extent, generator, heights, "a smaller spacing")


class Agglomerates(Value):
    """Spheres in touching clusters, each sphere in contact with one that came before it, scattered without overlap.

    The number of spheres in a cluster is geometric with mean `aggregation_number`, the distribution of coagulation with
    a constant rate (M. von Smoluchowski, Z. Phys. Chem. 92, 129, 1917). A cluster grows from one of its spheres: the
    next one is put against a random sphere of the cluster, from a random direction, at distance r_i + r_j + `gap`, and
    stays if it comes to no other nearer than that (the Eden model off the lattice: M. Eden, Proc. 4th Berkeley Symp.
    Math. Stat. Prob. 4, 223, 1961). With `planar` all centres of a cluster have one depth; otherwise they fill the
    depth of the region and no more. Clusters are then placed as rigid bodies, the biggest first, such that no bounding
    circle of one overlaps any of another in projection; `margin` as for `Scattered`, for every sphere.

    >>> pairs = Agglomerates(aggregation_number=5.0, planar=True)
    >>> centers = pairs.place(torch.ones(5), (0.0, 30.0, 30.0), torch.Generator().manual_seed(3))
    >>> float(torch.pdist(centers).min().round(decimals=9))
    2.0
    """

    aggregation_number: Quantity = param("1", low=1.0, high=1e6, default=10.0, doc="mean spheres per cluster")
    gap: Quantity = param("um", low=0.0, default=0.0, doc="distance between the surfaces of spheres in contact")
    planar: bool = False
    margin: Quantity = param("1", low=-1.0, high=100.0, default=0.0, doc="reach of centres outside the field, in radii")

    def place(self, radii: Tensor, extent: Extent, generator: torch.Generator, heights: Tensor | None = None) -> Tensor:
        """Return the centres (N, 3) in micrometres."""
        given, _ = checked_inputs(radii, extent, heights)
        random = numpy_generator(generator)
        if not len(given):
            return torch.zeros((0, 3), dtype=torch.float64)
        counts = cluster_counts(len(given), float(self.aggregation_number), random)
        member = random.permutation(len(given))
        grown = _grow(given[member], counts, float(self.gap), 0.0 if self.planar else extent[0], random)
        if self.planar:
            grown[:, 0] = np.repeat(extent[0] * (random.random(len(counts)) - 0.5), counts)
        lateral = place_groups(given[member], grown[:, 1:], counts, float(self.margin), extent, random)
        centers = np.empty((len(given), 3))
        centers[member] = np.column_stack((grown[:, 0], lateral))
        return torch.from_numpy(centers)


class Sedimented(Value):
    """Particles resting on the slide: the lowest point of each touches the plane z = `slide`.

    Depths are `slide` + `heights`; the places in the field are those of the arrangement `lateral`. Spheres of several
    sizes that touch in projection then lie side by side with a small gap, as on a real slide.

    >>> centers = Sedimented(slide=-4.0).place(torch.ones(2), (8.0, 9.0, 9.0), torch.Generator().manual_seed(1))
    >>> centers[:, 0]
    tensor([-3., -3.], dtype=torch.float64)
    """

    slide: Quantity = param("um", default=0.0, doc="z of the slide's surface")
    lateral: Arrangement = Scattered(overlap=0.0)

    def place(self, radii: Tensor, extent: Extent, generator: torch.Generator, heights: Tensor | None = None) -> Tensor:
        """Return the centres (N, 3) in micrometres."""
        _, half = checked_inputs(radii, extent, heights)
        centers = self.lateral.place(radii, extent, generator, heights).clone()
        centers[:, 0] = float(self.slide) + torch.from_numpy(half)
        return centers


class Centred(Value):
    """Particles about the middle of the field, normally distributed with standard deviation `spread` along y and x.

    They overlap freely: for what there is one of, a drop or a well, and for pipetted spots.

    >>> Centred(spread=0.0).place(torch.ones(1), (0.0, 9.0, 9.0), torch.Generator().manual_seed(1))
    tensor([[0., 0., 0.]], dtype=torch.float64)
    """

    spread: Quantity = param("um", low=0.0, default=0.0, doc="standard deviation of the centres along y and x")

    def place(self, radii: Tensor, extent: Extent, generator: torch.Generator, heights: Tensor | None = None) -> Tensor:
        """Return the centres (N, 3) in micrometres."""
        checked_inputs(radii, extent, heights)
        lateral = float(self.spread) * torch.randn(len(radii), 2, generator=generator, dtype=torch.float64)
        return torch.cat([torch.zeros(len(radii), 1, dtype=torch.float64), lateral], 1)


def checked_inputs(radii: Tensor, extent: Extent, heights: Tensor | None) -> tuple[Floats, Floats]:
    """Return radii and half-extents along z as double arrays (N,); a one-line error where a number makes no sense."""
    given = []
    for name, tensor in (("radii", radii), ("heights", radii if heights is None else heights)):
        if tensor.ndim != 1 or len(tensor) != len(radii):
            raise ValueError(f"expected {name} of shape ({len(radii)},), got {tuple(tensor.shape)}; pass one each")
        array = tensor.detach().cpu().to(torch.float64).numpy()
        bad = np.flatnonzero(~(np.isfinite(array) & (array > 0.0)))
        if len(bad):
            raise ValueError(
                f"expected {name} to be positive and finite, got {array[bad[0]]:g} for particle {bad[0]}; correct it"
            )
        given.append(array)
    if len(extent) != 3:
        raise ValueError(f"expected an extent (z, y, x), got {len(extent)} numbers; pass three, in micrometres")
    if not all(math.isfinite(side) for side in extent) or extent[0] < 0.0 or min(extent[1:]) <= 0.0:
        raise ValueError(
            f"expected an extent with z >= 0, y > 0 and x > 0, got {tuple(extent)}; pass the full size in micrometres"
        )
    return given[0], given[1]


def numpy_generator(generator: torch.Generator) -> np.random.Generator:
    """Return a generator of NumPy whose seed is drawn from one of torch."""
    # torch takes None for its global generator, whose state belongs to somebody else.
    if not isinstance(generator, torch.Generator) or generator.device.type != "cpu":
        raise TypeError(f"expected a torch.Generator on the CPU, got {generator!r}; make one with a seed")
    return np.random.default_rng(int(torch.randint(0, 2**62, (), generator=generator)))


def _apart(
    factor: float,
    margin: float,
    radii: Tensor,
    extent: Extent,
    generator: torch.Generator,
    heights: Tensor | None,
    remedy: str,
) -> Tensor:
    """Return centres (N, 3) at least `factor` (r_i + r_j) apart in projection and uniform in depth."""
    given, _ = checked_inputs(radii, extent, heights)
    random = numpy_generator(generator)
    depth = extent[0] * (random.random(len(given)) - 0.5)
    single = np.ones(len(given), dtype=np.int64)
    lateral = place_groups(given, np.zeros((len(given), 2)), single, margin, extent, random, factor, remedy)
    return torch.from_numpy(np.column_stack((depth, lateral)))


def place_groups(
    radii: Floats,
    offsets: Floats,
    counts: Integers,
    margin: float,
    extent: Extent,
    random: np.random.Generator,
    factor: float = 1.0,
    remedy: str = "a smaller aggregation_number",
) -> Floats:
    """Return the places (N, 2) in the field of the members of rigid groups; their discs keep `factor` apart."""
    if not len(radii):
        return np.zeros((0, 2))
    half = 0.5 * np.asarray(extent[1:])
    starts = np.cumsum(counts) - counts
    reach = half + margin * radii[:, None]
    low = np.maximum.reduceat(-reach - offsets, starts)
    high = np.minimum.reduceat(reach - offsets, starts)
    wide = np.flatnonzero((low > high).any(axis=1))
    if len(wide):
        kind = "particles" if counts.max() == 1 else "clusters"
        raise ValueError(
            f"expected {kind} that fit in a field of {extent[1]:g} x {extent[2]:g} um with margin {margin:g}, got "
            f"{len(wide)} that do not; use smaller {kind}, a larger field or a larger margin"
        )
    if factor == 0.0:
        places = low + (high - low) * random.random((len(counts), 2))
    else:
        places, done = pack(factor * radii, offsets, counts, low, high, random)
        if not done.all():
            member = np.repeat(done, counts)
            field = extent[1] * extent[2]
            raise ValueError(
                f"expected room for {len(radii)} particles in {extent[1]:g} x {extent[2]:g} um, got {member.sum()} "
                f"placed (covering {(np.pi * radii[member] ** 2).sum() / field:.0%} of the field; all need "
                f"{(np.pi * radii**2).sum() / field:.0%}); use fewer or smaller particles, a larger field or {remedy}"
            )
    return np.repeat(places, counts, axis=0) + offsets


def cluster_counts(total: int, mean: float, random: np.random.Generator) -> Integers:
    """Return the numbers of spheres of clusters that hold `total` together; the last one takes what is left."""
    counts = random.geometric(1.0 / mean, size=total)
    ends = np.cumsum(counts)
    last = int(np.searchsorted(ends, total))
    counts[last] -= ends[last] - total
    return counts[: last + 1].astype(np.int64)


def _grow(radii: Floats, counts: Integers, gap: float, depth: float, random: np.random.Generator) -> Floats:
    """Return the centres (N, 3) of spheres in contact, each cluster around its first sphere, z in +-`depth`/2.

    All clusters grow at once, by up to a quarter in a round. A fourth coordinate, far apart for each cluster, keeps
    them from seeing one another.
    """
    owner = np.repeat(np.arange(len(counts)), counts)
    starts = np.cumsum(counts) - counts
    reach = (radii + 0.5 * gap) * (1.0 - _TOUCH)
    centers = np.zeros((len(radii), 4))
    centers[:, 3] = owner * (8.0 * reach.max())
    failures = np.zeros(len(radii), dtype=np.int64)
    # What a sphere is to its cluster: 0 open to contact, 1 surrounded, 2 not yet there.
    state = np.full(len(radii), 2, dtype=np.int64)
    state[starts] = 0
    centers[starts, 0] = depth * (random.random(len(starts)) - 0.5)
    grown = Occupied()
    grown.add(centers[starts], reach[starts])
    while (state == 2).any():
        present = np.bincount(owner[state < 2], minlength=len(counts))
        open_ = np.bincount(owner[state == 0], minlength=len(counts))
        revived = (open_ == 0)[owner] & (state == 1)
        state[revived], failures[revived] = 0, 0
        open_ = np.where(open_ == 0, present, open_)
        order = np.lexsort((np.arange(len(radii)), state, owner))
        news = np.minimum(counts - present, np.maximum(1, present // 4))
        cluster = np.repeat(np.arange(len(counts)), news)
        within = np.arange(len(cluster)) - np.repeat(np.cumsum(news) - news, news)
        new = order[(starts + present)[cluster] + within]
        parent = order[starts[cluster] + random.integers(open_[cluster])]
        distance = radii[new] + radii[parent] + gap
        # By Archimedes the height of a point on a sphere is uniform, so limits on it cost no rejected draws.
        bottom = np.maximum(-distance, -0.5 * depth - centers[parent, 0])
        top = np.minimum(distance, 0.5 * depth - centers[parent, 0])
        rise = bottom + (top - bottom) * random.random(len(new))
        angle = 2.0 * np.pi * random.random(len(new))
        run = np.sqrt(np.maximum(distance**2 - rise**2, 0.0))
        step = np.stack((rise, run * np.sin(angle), run * np.cos(angle), np.zeros(len(new))), axis=-1)
        points = centers[parent] + step
        free = np.flatnonzero(~grown.hit(points, reach[new]))
        free = free[first_come(*overlaps(points[free], reach[new[free]]), len(free))]
        centers[new[free]] = points[free]
        state[new[free]] = 0
        grown.add(points[free], reach[new[free]])
        failed = np.ones(len(new), dtype=np.bool_)
        failed[free] = False
        np.add.at(failures, parent[failed], 1)
        state[(state == 0) & (failures >= _ATTEMPTS)] = 1
    return centers[:, :3]
