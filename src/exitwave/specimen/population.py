"""Populations: what a recipe says of its particles before they are drawn."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from exitwave.model import Value
from exitwave.quantity import Prior, Quantity, param, per_particle
from exitwave.specimen.particles import Particles
from exitwave.specimen.shapes import axes_of


class Population(Value):
    """Particles yet to be drawn; `sample` turns it into `Particles`.

    Every particle draws its lengths (one entry of `size` per degree of freedom of the shape, multiplied by its draw of
    `scale`), material and pose. `disorder` is the standard deviation of the logarithm by which every single length
    departs on its own; a crystal's faces then grow unequally. `birefringence` makes particles uniaxial crystals, whose
    `optic_axis` is the same in the axes of every body. `arrangement` places the bounding circles in the field, or with
    `contact` below 1 smaller ones, as bodies that are no spheres touch nearer than those; `height` is added to the z
    that it gives. Without `tilt` orientations are isotropic; with it body z leans from the optical axis by that angle,
    towards a random azimuth, after a turn by `azimuth` about body z. Particles beyond `within` of the field's middle
    are left out: they would lie outside the drop.
    """

    shape: Any
    arrangement: Any
    count: Quantity = param("1", low=0.0, high=1e7, doc="number of particles")
    size: tuple[Any, ...] = per_particle("um", low=0.0, doc="lengths, one per degree of freedom")
    index: Any = per_particle("1", low=0.5, high=5.0, default=1.5, doc="refractive index at 0.5893 um")
    scale: Any = per_particle("1", low=0.0, default=1.0, doc="factor on all lengths of a particle")
    absorption: Any = per_particle("1/um", low=0.0, default=0.0, doc="absorption of the irradiance")
    dispersion: Any = per_particle("um^2", low=-1.0, high=1.0, default=0.0, doc="Cauchy coefficient B")
    height: Any = per_particle("um", default=0.0, doc="z of the centres")
    tilt: Any = per_particle("rad", default=(), doc="lean of body z from the optical axis; () is isotropic")
    azimuth: Any = per_particle("rad", default=(), doc="turn about body z; () is uniform")
    birefringence: Any = per_particle("1", low=-1.0, high=1.0, default=0.0, doc="n_e - n_o of a uniaxial crystal")
    secondary: Any = per_particle("1", low=0.0, high=100.0, default=1.0, doc="electron yield; support = 1")
    backscatter: Any = per_particle("1", low=0.0, high=100.0, default=0.0, doc="yield by backscattering")
    optic_axis: Quantity = param(
        "1", low=-1e3, high=1e3, dims=(3,), default=(1.0, 0.0, 0.0), doc="optic axis in body axes (z, y, x)"
    )
    depth: Quantity = param("um", low=0.0, default=0.0, doc="extent in z of the region that is filled")
    contact: Quantity = param("1", low=0.05, high=1.0, default=1.0, doc="radii that touch, over bounding circles'")
    disorder: Quantity = param("1", low=0.0, high=2.0, default=0.0, doc="spread of the logarithm of every length")
    within: Quantity = param("um", low=0.0, exclusive=True, default=None, doc="radius of the drop about the middle")
    label: str = "particle"

    def check(self) -> None:
        names = self.shape.lengths
        if not isinstance(self.size, tuple) or len(self.size) != len(names):
            got = len(self.size) if isinstance(self.size, tuple) else 1
            raise ValueError(
                f"Population.size needs {len(names)} entries for {type(self.shape).__name__} ({', '.join(names)}), "
                f"got {got}; list one prior or number each"
            )

    def realise(self, generator: Callable[[str], torch.Generator], extent: tuple[float, ...]) -> Particles:
        """Return the particles drawn for a field of `extent` (y, x) micrometres."""
        count = round(float(self.count))

        def draw(name: str, item: Any) -> Tensor:
            if isinstance(item, Prior):
                return item.draw((count,), generator(name))
            return torch.full((count,), float(item), dtype=torch.float64)

        size = torch.stack([draw(f"size.{number}", item) for number, item in enumerate(self.size)], -1)
        scale, shape = draw("scale", self.scale)[:, None], self.shape
        size = torch.where(_ratios(shape), size, size * scale)
        if float(self.disorder) > 0:
            shape, size = shape.unconstrained(size)
            noise = torch.randn(size.shape, generator=generator("disorder"), dtype=torch.float64)
            size = torch.where(_ratios(shape), size, size * torch.exp(self.disorder * noise))
        if self.tilt == ():
            rotation = torch.randn(count, 4, generator=generator("rotation"), dtype=torch.float64)
        else:
            full_turn = 2 * math.pi
            lean = full_turn * torch.rand(count, generator=generator("lean"), dtype=torch.float64)
            turn = (
                full_turn * torch.rand(count, generator=generator("azimuth"), dtype=torch.float64)
                if self.azimuth == ()
                else draw("azimuth", self.azimuth)
            )
            rotation = leaning(turn, draw("tilt", self.tilt), lean)
        radii = shape.radius(size) * float(self.contact)
        upright = shape.reach(size, axes_of(rotation))[:, 0]
        region = (float(self.depth), extent[-2], extent[-1])
        center = self.arrangement.place(radii, region, generator("arrangement"), upright)
        center = torch.stack([center[:, 0] + draw("height", self.height), center[:, 1], center[:, 2]], -1)
        kept = torch.ones(count, dtype=torch.bool)
        if self.within is not None:
            kept = torch.hypot(center[:, 1], center[:, 2]) + radii <= self.within
        columns = [center, size, draw("index", self.index), rotation]
        columns += [draw(name, getattr(self, name)) for name in ("absorption", "dispersion", "birefringence")]
        columns += [self.optic_axis.expand(count, 3)]
        columns += [draw(name, getattr(self, name)) for name in ("secondary", "backscatter")]
        return Particles(shape, *(column[kept].to(torch.float32) for column in columns), label=self.label)


def _ratios(shape: Any) -> Tensor:
    """Return which columns of a shape's size are no lengths (k,)."""
    return torch.tensor([name in shape.ratios for name in shape.lengths])


def leaning(turn: Tensor, tilt: Tensor, lean: Tensor) -> Tensor:
    """Return quaternions (N, 4): a turn about z, then a tilt towards azimuth `lean`; radians.

    >>> leaning(torch.zeros(1), torch.zeros(1), torch.zeros(1))
    tensor([[1., 0., 0., 0.]])
    """
    zero = torch.zeros_like(turn)
    first = torch.stack([torch.cos(turn / 2), zero, zero, torch.sin(turn / 2)], -1)
    # Body z moves towards (cos lean, sin lean): the tilt turns about the axis at right angles to it.
    sine = torch.sin(tilt / 2)
    second = torch.stack([torch.cos(tilt / 2), -sine * torch.sin(lean), sine * torch.cos(lean), zero], -1)
    return multiply(second, first)


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """Return quaternion products (N, 4): rotation b, then rotation a."""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    return torch.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        -1,
    )
