"""Particles: many bodies of one shape, as a structure of arrays."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from exitwave.model import Value
from exitwave.quantity import Quantity, param
from exitwave.specimen.shapes import Shape, axes_of


class Particles(Value):
    """N bodies of one shape: (N, ...) arrays of poses, sizes and materials.

    `index` is the refractive index at the sodium D line, 0.5893 um; `dispersion` the Cauchy coefficient B in
    n(lambda) = index + B (1/lambda^2 - 1/0.5893^2). `absorption` is the natural absorption coefficient of the
    irradiance. `birefringence` makes a particle a uniaxial crystal: light polarised across its `optic_axis` (a vector
    in body axes, of any length) has `index`, light along it index + birefringence. Under electrons `secondary` is the
    yield of a flat, thick piece relative to the flat support, and `backscatter` what electrons scattered back from the
    depth add to it. `label` names the class in annotations; particles without one ("") are seen but not annotated.

    >>> from exitwave.specimen import Sphere
    >>> Particles(Sphere(), center=[[0, 0, 0], [0, 2, 1]], size=[[0.5], [0.7]], index=[1.59, 1.59]).count
    2
    """

    shape: Shape
    center: Quantity = param("um", dims=("N", 3), doc="centres (z, y, x)")
    size: Quantity = param("um", low=0.0, exclusive=True, dims=("N", "k"), doc="lengths, one per degree of freedom")
    index: Quantity = param("1", low=0.5, high=5.0, dims=("N",), doc="refractive index at 0.5893 um")
    rotation: Quantity = param("1", low=-1e3, high=1e3, dims=("N", 4), default=None, doc="quaternions (w, x, y, z)")
    absorption: Quantity = param("1/um", low=0.0, dims=("N",), default=None, doc="absorption of the irradiance")
    dispersion: Quantity = param("um^2", low=-1.0, high=1.0, dims=("N",), default=None, doc="Cauchy coefficient B")
    birefringence: Quantity = param("1", low=-1.0, high=1.0, dims=("N",), default=None, doc="n_e - n_o of a crystal")
    optic_axis: Quantity = param("1", low=-1e3, high=1e3, dims=("N", 3), default=None, doc="in body axes (z, y, x)")
    secondary: Quantity = param("1", low=0.0, high=100.0, dims=("N",), default=None, doc="electron yield; support = 1")
    backscatter: Quantity = param("1", low=0.0, high=100.0, dims=("N",), default=None, doc="yield by backscattering")
    label: str = "particle"

    def fill(self) -> dict[str, Any]:
        rotation = torch.zeros_like(self.center[:, :1]).repeat(1, 4)
        rotation[:, 0] = 1.0
        zero = torch.zeros_like(self.center[:, 0])
        axis = torch.zeros_like(self.center)
        axis[:, 0] = 1.0
        return {
            "rotation": rotation,
            "absorption": zero,
            "dispersion": zero,
            "birefringence": zero,
            "optic_axis": axis,
            "secondary": torch.ones_like(zero),
            "backscatter": zero,
        }

    def check(self) -> None:
        if not isinstance(self.shape, Value) or not isinstance(self.label, str):
            raise TypeError(
                f"Particles.shape must be a shape such as Sphere() and label a text, got {self.shape!r:.40} and "
                f"{self.label!r:.40}; write Particles(Sphere(), ...)"
            )
        names = self.shape.lengths
        if self.size.shape[1] != len(names):
            raise ValueError(
                f"size of a {type(self.shape).__name__} must have {len(names)} columns ({', '.join(names)}), got "
                f"{self.size.shape[1]}; pass shape (N, {len(names)})"
            )
        self.shape.check_size(self.size.detach())
        if self.count and float(torch.linalg.vector_norm(self.rotation.detach(), dim=-1).min()) < 1e-6:
            raise ValueError("rotation must hold quaternions of non-zero length, got a zero; use (1, 0, 0, 0) for none")
        extraordinary = (self.index + self.birefringence).detach()
        if self.count and float(extraordinary.min()) < 0.5:
            raise ValueError(
                f"index + birefringence must be at least 0.5, got {float(extraordinary.min()):g}; birefringence is the "
                "extraordinary index less the ordinary one"
            )
        if self.count and float(torch.linalg.vector_norm(self.optic_axis.detach(), dim=-1).min()) < 1e-6:
            raise ValueError("optic_axis must hold vectors of non-zero length, got a zero; use (1, 0, 0) for body z")

    @property
    def count(self) -> int:
        """The number of particles."""
        return self.center.shape[0]

    @property
    def axes(self) -> Tensor:
        """The body axes in the lab, (N, 3, 3), columns in (z, y, x)."""
        return axes_of(self.rotation)

    def reach(self) -> Tensor:
        """Return the half-extents (N, 3) of the rotated bodies along z, y, x in micrometres."""
        return self.shape.reach(self.size, self.axes)

    def retardance(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return n_e(theta) - n_o (N,) for light along z, and that times cos and sin of twice the axis's azimuth.

        theta is the angle between the optic axis and z, 1 / n_e(theta)^2 = cos^2 / n_o^2 + sin^2 / n_e^2 (Born and
        Wolf, 15.3.2); the azimuth is counted from x towards y. Both stay smooth where the axis stands upright.
        """
        axis = self.optic_axis / torch.linalg.vector_norm(self.optic_axis, dim=-1, keepdim=True)
        _, y, x = torch.einsum("nij,nj->ni", self.axes, axis).unbind(-1)
        ordinary, extraordinary = self.index, self.index + self.birefringence
        square = x * x + y * y
        gap = (extraordinary - ordinary) * (extraordinary + ordinary)
        slowness = torch.sqrt(extraordinary**2 - gap * square)
        steepness = ordinary * gap / (slowness * (extraordinary + slowness))
        return steepness * square, steepness * (x * x - y * y), steepness * 2 * x * y
