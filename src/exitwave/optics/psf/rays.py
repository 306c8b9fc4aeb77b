"""Rays: the light of an emitter on its way through the layers between specimen and lens."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from exitwave.model import Value
from exitwave.optics.psf.quadrature import legendre, nodes_for
from exitwave.optics.psf.sampling import AIRY, RANGE, Focus, airy_reach
from exitwave.quantity import Quantity, param

# Light along the surface between two media belongs to no pupil; so near to it the cosine loses its digits.
_GRAZING = 1 - 1e-6
_STEEPEST = 0.99


class Coverslip(Value):
    """A coverslip, and the immersion under it, that differ from those the objective was made for.

    The objective is free of aberrations for the surface of a coverslip of `design_thickness` and `design_index`, under
    `working_distance` micrometres of an immersion of `design_immersion`. Without one, that is the immersion in use.

    >>> Coverslip(thickness=180.0).design_thickness
    tensor(170., dtype=torch.float64)
    """

    thickness: Quantity = param("um", low=0.0, high=5e3, default=170.0, doc="thickness of the coverslip in use")
    index: Quantity = param("1", low=1.0, high=2.5, default=1.5225, doc="its refractive index")
    design_thickness: Quantity = param("um", low=0.0, high=5e3, default=170.0, doc="thickness designed for")
    design_index: Quantity = param("1", low=1.0, high=2.5, default=1.5225, doc="index of the coverslip designed for")
    working_distance: Quantity = param("um", low=0.0, high=1e5, default=150.0, doc="immersion designed for")
    design_immersion: Quantity = param(
        "1", low=1.0, high=2.5, default=None, doc="index of the immersion designed for; None for that in use"
    )


def check_aperture(name: str, na: Tensor, index: Tensor) -> None:
    """Raise a one-line error where a lens would take in more than its immersion holds."""
    aperture, immersion = float(na.detach()), float(index.detach())
    if aperture >= immersion:
        raise ValueError(
            f"{name}.na must be below the immersion index {immersion:g}, got {aperture:g}; use a water (index=1.33) "
            "or an oil objective (index=1.515)"
        )


def check_coverslip(name: str, coverslip: object) -> None:
    """Raise a one-line error where something else stands in a coverslip's place."""
    if coverslip is not None and not isinstance(coverslip, Coverslip):
        raise TypeError(f"{name}.coverslip must be a Coverslip, got {type(coverslip).__name__}; or leave it out")


@dataclass(frozen=True)
class Layers:
    """The layers between an emitter and a lens: signed thicknesses (um) by index, beside the immersion that z moves.

    `na` is what light from the specimen can fill of the lens, `lowest` the smallest index on the way.
    """

    na: Tensor
    wavelength: Tensor
    immersion: Tensor
    medium: Tensor
    glass: Tensor | None
    lowest: Tensor
    fixed: tuple[tuple[Tensor, Tensor], ...]

    def cosine(self, index: Tensor, frequency: Tensor) -> Tensor:
        """Return the cosine of a ray's angle in a layer, from its lateral frequency in 1/um."""
        square = (frequency * self.wavelength / index).square()
        return torch.sqrt((1 - square).clamp(min=1 - _GRAZING**2))

    def turn(self, index: Tensor, frequency: Tensor) -> Tensor:
        """Return the phase in radians per micrometre of a layer, relative to that of a ray along the axis.

        k_z(f) - k_z(0) without the cancellation of two large numbers.
        """
        square = frequency.square() * self.wavelength / index
        return (-2 * math.pi) * square / (1 + self.cosine(index, frequency))

    def aberration(self, frequency: Tensor) -> Tensor:
        """Return the phase in radians that does not change with z."""
        found = torch.zeros_like(frequency)
        for index, thickness in self.fixed:
            found = found + thickness * self.turn(index, frequency)
        return found

    def aside(self, depth: float) -> float:
        """Return how far in micrometres rays land from the axis in planes within `depth` of the focus."""
        with torch.no_grad():
            edge = float(torch.minimum(self.na, _STEEPEST * self.lowest) / self.wavelength)
            frequency = torch.linspace(0.0, edge, 65, dtype=torch.float64, device=self.na.device)
            sine = frequency * self.wavelength
            landing = torch.zeros_like(frequency)
            for index, thickness in self.fixed:
                landing = landing + thickness * sine / index / self.cosine(index, frequency)
            cone = depth * sine / self.immersion / self.cosine(self.immersion, frequency)
            return float((cone + landing.abs()).amax())


def layers_of(
    na: Tensor, wavelength: Tensor, index: Tensor, medium: Tensor | None, depth: Tensor, coverslip: Coverslip | None
) -> Layers:
    """Return the layers between an emitter `depth` micrometres behind a coverslip and a lens, in double precision.

    Gibson and Lanni, J. Opt. Soc. Am. A 9, 154 (1992): a ray's phase is that of all layers in use less that of the
    design. Moving the plane in focus by z changes the immersion by z, whatever the specimen's index. With another
    coverslip or immersion, the lens is brought to where the coverslip's surface is in focus along the axis.
    """
    immersion, deep = index.double(), depth.double()
    specimen = immersion if medium is None else medium.double()
    fixed = [(specimen, deep), (immersion, -deep)]
    lowest, glass = torch.minimum(immersion, specimen), None
    if coverslip is not None:
        glass, made_for = coverslip.index.double(), coverslip.design_index.double()
        thick, made_thick = coverslip.thickness.double(), coverslip.design_thickness.double()
        distance, given = coverslip.working_distance.double(), coverslip.design_immersion
        liquid = immersion if given is None else given.double()
        room = immersion * (distance / liquid + made_thick / made_for - thick / glass)
        fixed += [(glass, thick), (made_for, -made_thick), (immersion, room), (liquid, -distance)]
        for layer in (glass, made_for, liquid):
            lowest = torch.minimum(lowest, layer)
    aperture = torch.minimum(na.double(), lowest)
    return Layers(aperture, wavelength.double(), immersion, specimen, glass, lowest, tuple(fixed))


def reach(layers: Layers, rtol: float, depth: float) -> tuple[float, float, float]:
    """Return the distances along z, y, x beyond which the light of a lens may be left out: its cone and a few rings."""
    lateral = layers.aside(depth) + airy_reach(rtol) * float((layers.wavelength / layers.na).detach())
    return math.inf, lateral, lateral


def band(na: Tensor, wavelength: Tensor, index: Tensor) -> tuple[float, float, float]:
    """Return the cut-off frequencies of a lens along z, y, x in 1/um.

    2 NA / lambda, and (n - sqrt(n^2 - NA^2)) / lambda: no pair of rays interferes beyond them.
    """
    aperture, n, length = float(na.detach()), float(index.detach()), float(wavelength.detach())
    lateral = 2 * aperture / length
    return aperture**2 / (n + math.sqrt(max(n * n - aperture * aperture, 0.0))) / length, lateral, lateral


@dataclass(frozen=True)
class Pencil:
    """Rays of a pupil by their lateral `frequency` (n,) in 1/um; `weight` (n,) is 2 pi f df times their amplitude.

    `area` is 2 pi f df alone, `phase` (Z, n) that at every plane in radians.
    """

    layers: Layers
    frequency: Tensor
    area: Tensor
    weight: Tensor
    phase: Tensor

    def transmission(self) -> tuple[Tensor, Tensor]:
        """Return the rays' transmission (n,) into the specimen, for light polarised across and along their plane.

        Fresnel's formulas, once per surface. Light that leaves the specimen fares the same by reciprocity.
        """
        layers = self.layers
        between = [] if layers.glass is None else [layers.glass]
        across, along = torch.ones_like(self.frequency), torch.ones_like(self.frequency)
        for before, behind in pairwise([layers.immersion, *between, layers.medium]):
            first, last = layers.cosine(before, self.frequency), layers.cosine(behind, self.frequency)
            across = across * 2 * before * first / (before * first + behind * last)
            along = along * 2 * before * first / (behind * first + before * last)
        return across, along


def pencil(layers: Layers, z: Tensor, radius: float) -> Pencil:
    """Return the rays that give the image at heights z (Z,) and within `radius` micrometres of the axis.

    Gauss's rule over the angle in the thinnest medium, in which no layer's phase has a kink; as many nodes as the
    phase asks for. The amplitude is that of an aplanatic lens, sqrt(cos theta) per solid angle, which is
    1 / sqrt(cos theta) per area of the pupil.
    """
    z = z.double()
    sine = (layers.na / layers.lowest).clamp(max=_GRAZING)
    angle = torch.asin(sine)
    nodes, weights = legendre(_count(layers, z, radius), z)
    theta = 0.5 * angle * (nodes + 1)
    step = 0.5 * angle * weights
    scale = layers.lowest / layers.wavelength
    frequency = scale * torch.sin(theta)
    area = 2 * math.pi * frequency * scale * torch.cos(theta) * step
    phase = z[:, None] * layers.turn(layers.immersion, frequency) + layers.aberration(frequency)
    weight = area / torch.sqrt(layers.cosine(layers.immersion, frequency))
    return Pencil(layers, frequency, area, weight, phase)


def _count(layers: Layers, z: Tensor, radius: float) -> int:
    """Return how many nodes resolve the phase of all rays, from its steepest slope."""
    with torch.no_grad():
        angle = math.asin(min(float(layers.na / layers.lowest), _GRAZING))
        theta = torch.linspace(0.0, angle, 257, dtype=torch.float64, device=z.device)
        frequency = layers.lowest / layers.wavelength * torch.sin(theta)
        fixed, moving = layers.aberration(frequency), layers.turn(layers.immersion, frequency)
        ends = torch.stack([z.amin(), z.amax()])
        phase = fixed + ends[:, None] * moving
        slopes = phase.diff(dim=-1).abs() + 2 * math.pi * radius * frequency.diff()
        return nodes_for(256 * float(slopes.amax()))


def span_of(layers: Layers) -> Tensor:
    """Return how far from the focus in micrometres the light of a lens is counted: `RANGE` depths of field."""
    return RANGE * layers.immersion * layers.wavelength / layers.na.square()


def focus_of(layers: Layers, amplitude: Tensor, energy: Tensor) -> Focus:
    """Return the focus of a lens from the integrals of its amplitude over the pupil and of its squared amplitude.

    By Parseval the second is the light in every plane; without aberrations the first squared is that at the peak.
    """
    span = span_of(layers)
    return Focus(amplitude.square() / (2 * span * energy), AIRY * layers.wavelength / layers.na, span)
