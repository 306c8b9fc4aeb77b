"""Nuclei: filled bodies, one by one inside cells, or as a population that stands apart or touches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.spatial import KDTree

from exitwave.model import Value
from exitwave.quantity import Quantity, param, per_particle
from exitwave.specimen.assembly import Assembly
from exitwave.specimen.draws import (
    Floats,
    Generators,
    Integers,
    check_radii,
    drawn,
    drawn_radii,
    numpy_random,
    require_depth,
    unit,
)
from exitwave.specimen.mesh import Mesh
from exitwave.specimen.meshes.solids import blob, icosphere
from exitwave.specimen.points import Points

_ROUNDS = 2000
# A nucleus has 642 vertices: between them it is as smooth as any objective can tell.
_SUBDIVISIONS = 3
# How much of the room in a cell a nucleus takes at most, and of the way to the plane between two that touch.
_SNUG, _CLOSE = 0.9, 0.995


class Nucleus(Value):
    """What nuclei are like; every one draws its own numbers.

    A nucleus is a ball of `radius`, stretched along random axes by exp(`elongation` z), z normal, with a surface whose
    radius varies by the share `roughness` (see `exitwave.specimen.meshes.solids.blob`). `brightness` is its emission
    per volume; the share `texture` of it comes from `grains` bright specks, as chromatin has them, instead of from
    everywhere alike.
    """

    radius: Any = per_particle("um", low=0.0, exclusive=True, default=3.0, doc="radius of a ball of the same volume")
    brightness: Any = per_particle("photon/um^3", low=0.0, high=1e12, default=1.0, doc="emission per volume")
    elongation: Quantity = param("1", low=0.0, high=1.0, default=0.15, doc="spread of the logarithm of the axes")
    roughness: Quantity = param("1", low=0.0, high=0.5, default=0.06, doc="spread of the radius over the surface")
    texture: Quantity = param("1", low=0.0, high=1.0, default=0.0, doc="share of the light that comes from specks")
    grains: Quantity = param("1", low=1.0, high=1e5, default=150.0, doc="specks of a nucleus")
    label: str = "nucleus"


@dataclass(frozen=True, eq=False)
class Bodies:
    """N bodies around their centres: places of vertices (N, V, 3) seen from there in um, and the faces (F, 3) of each.

    `radius` and `brightness` (N,) are those that were drawn.
    """

    center: Floats
    rays: Floats
    faces: Integers
    radius: Floats
    brightness: Floats

    @property
    def reach(self) -> Floats:
        """The distance (N,) of the farthest vertex of each from its centre."""
        return np.linalg.norm(self.rays, axis=-1).max(-1, initial=0.0)


class Nuclei(Value):
    """Nuclei yet to be drawn, without cells around them; `sample` turns them into an `Assembly`.

    `count` nuclei, each like `nucleus`, lie in an ellipsoid with the semi-axes `radii` about the middle, or anywhere in
    the field. Two balls of their radii keep `spacing` times the sum of these apart: from 1.3 on nuclei are separate;
    below 1 they press on one another and are flat where they touch, but do not overlap.
    """

    count: Quantity = param("1", low=0.0, high=1e5, doc="number of nuclei")
    nucleus: Nucleus = Nucleus()
    spacing: Quantity = param("1", low=0.6, high=10.0, default=1.0, doc="least distance, in sums of radii")
    radii: tuple[Any, ...] = per_particle(
        "um", low=0.0, exclusive=True, default=(), doc="semi-axes (z, y, x) of the region; () is the field"
    )

    def check(self) -> None:
        check_radii("Nuclei", self.radii)

    def realise(self, generator: Generators, extent: tuple[float, ...]) -> Assembly:
        """Return the nuclei drawn for a volume of `extent` (z, y, x) micrometres."""
        require_depth("Nuclei", extent)
        random = numpy_random(generator("places"))
        count = round(float(self.count))
        radius = drawn(self.nucleus.radius, count, generator("radius"))
        region = drawn_radii(self.radii, generator)
        center = _apart(radius * float(self.spacing), region, extent, random)
        return Assembly(filled(self.nucleus, shaped(self.nucleus, center, radius, generator), generator))


def shaped(
    nucleus: Nucleus, center: Floats, radius: Floats, generator: Generators, room: Floats | None = None
) -> Bodies:
    """Return nuclei of given radii (N,) around centres (N, 3): none reaches beyond its `room` (N,), or into another."""
    ball = icosphere(1.0, subdivisions=_SUBDIVISIONS)
    source, count = generator("shape"), len(center)
    rays = np.empty((count, len(ball.vertices), 3))
    for number in range(count):
        own = blob(1.0, nucleus.roughness, source, subdivisions=_SUBDIVISIONS).vertices.double().numpy()
        axes = np.linalg.qr(torch.randn(3, 3, generator=source, dtype=torch.float64).numpy())[0]
        stretch = float(nucleus.elongation) * torch.randn(3, generator=source, dtype=torch.float64).numpy()
        rays[number] = radius[number] * own @ (axes * np.exp(stretch - stretch.mean())) @ axes.T
    brightness = drawn(nucleus.brightness, count, generator("brightness"))
    bodies = Bodies(center, rays, ball.faces.numpy(), radius, brightness)
    if room is not None:
        scale = np.minimum(1.0, _SNUG * room / np.maximum(bodies.reach, 1e-12))
        return Bodies(center, rays * scale[:, None, None], bodies.faces, radius * scale, brightness)
    return _parted(bodies)


def filled(nucleus: Nucleus, bodies: Bodies, generator: Generators) -> tuple[Mesh | Points, ...]:
    """Return bodies as one mesh with a region for each, and the specks inside them if there are any."""
    count, each = bodies.rays.shape[:2]
    if not count:
        return ()
    vertices = (bodies.center[:, None] + bodies.rays).reshape(-1, 3)
    faces = (bodies.faces + each * np.arange(count)[:, None, None]).reshape(-1, 3)
    number = np.repeat(np.arange(1, count + 1), len(bodies.faces))
    texture, grains = float(nucleus.texture), round(float(nucleus.grains))
    mesh = Mesh(
        vertices.astype(np.float32),
        faces,
        regions=np.stack([number, np.zeros_like(number)], -1),
        fill_density=(bodies.brightness * (1 - texture)).astype(np.float32),
        density=np.zeros(len(faces), dtype=np.float32),
        label=nucleus.label,
    )
    if not texture:
        return (mesh,)
    random = numpy_random(generator("grains"))
    ray = np.take_along_axis(bodies.rays, random.integers(each, size=(count, grains))[:, :, None], 1)
    # The cube root fills a ball evenly.
    place = bodies.center[:, None] + ray * random.random((count, grains, 1)) ** (1 / 3)
    share = random.exponential(size=(count, grains))
    light = 4 / 3 * np.pi * bodies.radius**3 * bodies.brightness * texture
    emission = light[:, None] * share / share.sum(1, keepdims=True)
    return mesh, Points(place.reshape(-1, 3).astype(np.float32), emission.ravel().astype(np.float32), label="")


def _apart(radius: Floats, region: Floats | None, extent: tuple[float, ...], random: np.random.Generator) -> Floats:
    """Return centres (N, 3) of balls that push one another away until none overlaps; a one-line error without room."""
    half = np.array(extent) / 2 if region is None else region
    start = random.uniform(-1, 1, (len(radius), 3))
    if region is not None:
        start = unit(random.standard_normal(start.shape)) * random.random((len(radius), 1)) ** (1 / 3)
    place = start * half
    for _ in range(_ROUNDS if len(radius) > 1 else 0):
        pairs = KDTree(place).query_pairs(2 * float(radius.max()), output_type="ndarray")
        first, second = pairs.T
        apart = place[second] - place[first]
        distance = np.linalg.norm(apart, axis=1)
        deep = radius[first] + radius[second] - distance
        met = deep > 0
        if not met.any() or deep.max() < 0.01 * radius.min():
            break
        # Centres that coincide have no direction to part in: any will do.
        apart = np.where(distance[:, None] > 1e-9, apart, random.standard_normal(apart.shape))[met]
        push = 0.5 * deep[met, None] * unit(apart)
        np.add.at(place, second[met], push)
        np.subtract.at(place, first[met], push)
        if region is None:
            place = np.clip(place, -half, half)
        else:
            place /= np.maximum(np.linalg.norm(place / half, axis=1, keepdims=True), 1.0)
    else:
        if len(radius) > 1:
            raise ValueError(
                f"expected room for {len(radius)} nuclei, got none left after {_ROUNDS} rounds of pushing; ask for "
                "fewer, smaller or closer ones (count, radius, spacing)"
            )
    return place


def _parted(bodies: Bodies) -> Bodies:
    """Return bodies cut off where they would reach into their neighbours.

    Between two of them lies a plane that divides the way from one to the other as their radii do: what is cut at it
    does not overlap, and nuclei that press on one another are flat there.
    """
    reach, rays = bodies.reach, bodies.rays.copy()
    if len(reach) < 2:
        return bodies
    pairs = KDTree(bodies.center).query_pairs(2 * float(reach.max()), output_type="ndarray")
    pairs = np.concatenate([pairs, pairs[:, ::-1]])
    for own, other in pairs:
        apart = bodies.center[other] - bodies.center[own]
        distance = float(np.linalg.norm(apart))
        if distance < reach[own] + reach[other]:
            plane = distance * bodies.radius[own] / (bodies.radius[own] + bodies.radius[other])
            along = rays[own] @ (apart / distance)
            rays[own] *= np.minimum(1.0, _CLOSE * plane / np.maximum(along, 1e-12))[:, None]
    return Bodies(bodies.center, rays, bodies.faces, bodies.radius, bodies.brightness)
