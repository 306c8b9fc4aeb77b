"""Tissues: cells side by side, with all that is in them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

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
)
from exitwave.specimen.mesh import Mesh
from exitwave.specimen.meshes.geometry import centroids
from exitwave.specimen.microtubules import Microtubules
from exitwave.specimen.nuclei import Nucleus, filled, shaped
from exitwave.specimen.ripples import Ripples
from exitwave.specimen.voronoi import Foam, spread, strayed

# Cells beyond the border of a field that is filled, in cells.
_MARGIN = 0.6
# Waves that bend walls, in cells; shorter ones would fold them.
_WAVE = 2.5


class Tissue(Value):
    """Cells yet to be drawn, side by side without gaps; `sample` turns them into an `Assembly`.

    `count` cells share an ellipsoid with the semi-axes `radii`, turned by `azimuth` about z, as those of an embryo do;
    without `radii` they fill the field and go on beyond it, and `count` is how many of them the field has room for.
    Cells are the Voronoi regions of seeds that are spread evenly (Lloyd, IEEE Trans. Inf. Theory 28, 129, 1982) and
    then moved by up to `irregularity` times a third of the way to their neighbours. `bend` curves the walls by about
    that share of a cell, and `bulge` arches the cells outward where they are free.

    Every cell draws the brightness of its own `membrane`, so that a wall between two has the sum of theirs, and of its
    `cytoplasm`. `mottle` is the spread of the logarithm of the walls' brightness along them, over lengths of about
    `grain`. There may be a `nucleus` in every cell, and `filaments` around it.
    """

    count: Quantity = param("1", low=1.0, high=1e4, default=30.0, doc="number of cells")
    radii: tuple[Any, ...] = per_particle(
        "um", low=0.0, exclusive=True, default=(), doc="semi-axes (z, y, x) of the ellipsoid; () fills the field"
    )
    azimuth: Quantity = param("rad", default=0.0, doc="turn of the ellipsoid about z, from x to y")
    irregularity: Quantity = param("1", low=0.0, high=1.0, default=0.5, doc="0: cells alike, 1: large and small ones")
    bend: Quantity = param("1", low=0.0, high=0.3, default=0.06, doc="curvature of the walls, in cells")
    bulge: Quantity = param("1", low=0.0, high=1.0, default=0.3, doc="arch of the cells where they are free")
    membrane: Any = per_particle("photon/um^2", low=0.0, high=1e12, default=1.0, doc="emission of a cell's membrane")
    cytoplasm: Any = per_particle("photon/um^3", low=0.0, high=1e12, default=0.0, doc="emission inside a cell")
    mottle: Quantity = param("1", low=0.0, high=2.0, default=0.0, doc="spread of the brightness along the walls")
    grain: Quantity = param("um", low=0.0, exclusive=True, default=4.0, doc="length over which that changes")
    nucleus: Nucleus | None = None
    filaments: Microtubules | None = None
    label: str = "cell"

    def check(self) -> None:
        check_radii("Tissue", self.radii)

    def realise(self, generator: Generators, extent: tuple[float, ...]) -> Assembly:
        """Return the cells drawn for a volume of `extent` (z, y, x) micrometres."""
        require_depth("Tissue", extent)
        radii = drawn_radii(self.radii, generator)
        foam = self._foam(radii, np.array(extent), numpy_random(generator("cells")))
        mesh, cells = foam.mesh()
        membrane = np.append(drawn(self.membrane, len(foam.seeds), generator("membrane")), 0.0)
        cytoplasm = drawn(self.cytoplasm, len(foam.seeds), generator("cytoplasm"))
        # Region 0, the outside, has the last entry: no membrane.
        sides = np.append(-1, cells)[mesh.regions.numpy()]
        light = membrane[sides].sum(1)
        if radii is None:
            # Beyond the field the cells are cut, not bounded.
            light = np.where((sides < 0).any(1), 0.0, light)
        if float(self.mottle):
            ripples = Ripples.drawn(float(self.grain), 1, numpy_random(generator("mottle")))
            light = light * np.exp(float(self.mottle) * ripples.at(mesh.corners().double().numpy().mean(1))[:, 0])
        light, inside = light.astype(np.float32), cytoplasm[cells].astype(np.float32)
        walls = Mesh(mesh.vertices, mesh.faces, light, mesh.regions, inside, self.label)
        return Assembly((walls, *self._inside(mesh, foam.cell_of, generator)))

    def _foam(self, radii: Floats | None, extent: Floats, random: np.random.Generator) -> Foam:
        """Return the cells as seeds in a region of space."""
        count = round(float(self.count))
        room = 4 / 3 * np.pi * radii.prod() if radii is not None else extent.prod()
        size = float((room / count) ** (1 / 3))
        half, turn, bulge = radii, float(self.azimuth), float(self.bulge)
        if half is None:
            half, turn, bulge = extent / 2 + _MARGIN * size, 0.0, None
            count = max(1, round(count * float(np.prod(2 * half)) / room))
        seeds = strayed(spread(count, half, bulge is not None, random), float(self.irregularity), random)
        return Foam(seeds, half, size, turn, Ripples.drawn(_WAVE * size, 3, random), float(self.bend), bulge)

    def _inside(self, mesh: Mesh, cell_of: Callable[[Floats], Integers], generator: Generators) -> list[Value]:
        """Return what is in the cells: nuclei with their specks, and filaments."""
        if self.nucleus is None and self.filaments is None:
            return []
        middle = centroids(mesh.to(torch.float64)).numpy()
        room = _room(mesh, middle)
        found: list[Value] = []
        # Without nuclei filaments start in the middle of the cells.
        clearance = 0.05 * room
        if self.nucleus is not None:
            source = partial(_below, generator, "nucleus.")
            radius = np.minimum(drawn(self.nucleus.radius, len(room), source("radius")), room)
            bodies = shaped(self.nucleus, middle, radius, source, room)
            found += filled(self.nucleus, bodies, source)
            clearance = bodies.reach
        if self.filaments is not None:
            grown = self.filaments.grown(middle, clearance, cell_of, partial(_below, generator, "filaments."))
            found += [] if grown is None else [grown]
        return found


def _room(mesh: Mesh, middle: Floats) -> Floats:
    """Return the distance (R,) from the middle of every region to the closest vertex of its walls, less an edge's."""
    sides = mesh.regions.numpy().repeat(3, 0)
    corner = mesh.faces.numpy().ravel()
    points = mesh.vertices.double().numpy()
    room = np.full(len(middle) + 1, np.inf)
    for side in (0, 1):
        region = sides[:, side]
        known = region > 0
        gap = np.linalg.norm(points[corner[known]] - middle[region[known] - 1], axis=1)
        np.minimum.at(room, region[known], gap)
    # Between vertices a wall may be closer.
    return 0.97 * room[1:]


def _below(generator: Generators, prefix: str, purpose: str) -> torch.Generator:
    return generator(prefix + purpose)
