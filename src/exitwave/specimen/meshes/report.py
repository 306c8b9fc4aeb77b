"""Reports on meshes: what a renderer or a fit would stumble over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exitwave.specimen.mesh import Mesh
from exitwave.specimen.meshes.collisions import crossing
from exitwave.specimen.meshes.surface import Mask, Surface, enclosed, normals, surface
from exitwave.specimen.meshes.topology import edges, junctions, oriented

# Of the longest side squared: faces of less area have none, in single precision.
_EMPTY = 1e-7


@dataclass(frozen=True)
class MeshReport:
    """What was found about a mesh; `faults` says in words what is wrong, and print shows everything.

    `closed` and `oriented` say for every region whether faces enclose it, and whether all of them turn one way;
    `consistent` whether some order of the two regions at every face would make that so for all. `edges` counts
    those of faces, `border_edges` those at which a wall ends, `junction_edges` those at which three or more faces
    meet. `euler` is vertices - edges + faces: 2 for a sphere, 0 for a torus, one more for every wall within.
    """

    vertices: int
    faces: int
    edges: int
    closed: tuple[bool, ...]
    oriented: tuple[bool, ...]
    consistent: bool
    border_edges: int
    junction_edges: int
    turned_edges: int
    empty_faces: int
    duplicate_vertices: int
    duplicate_faces: int
    unreferenced_vertices: int
    intersections: int
    euler: int
    volumes: tuple[float, ...]

    @property
    def manifold(self) -> bool:
        """Whether no more than two faces meet at any edge: one surface without walls inside."""
        return self.junction_edges == 0

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong, a line each; none in a sound mesh."""
        inside_out = tuple(number for number, volume in enumerate(self.volumes, 1) if volume < 0)
        found = (
            (_regions(self.closed), "open: their boundaries end somewhere"),
            (
                _regions(tuple(not c or o for c, o in zip(self.closed, self.oriented, strict=True))),
                "with faces that turn both ways",
            ),
            (inside_out, "inside out: their volumes are negative"),
        )
        lines = [f"region {', '.join(map(str, rows[:8]))} {what}" for rows, what in found if rows]
        counts = (
            (self.empty_faces, "faces without area"),
            (self.duplicate_vertices, "vertices at the place of another"),
            (self.duplicate_faces, "faces on the vertices of another"),
            (self.unreferenced_vertices, "vertices of no face"),
            (self.intersections, "pairs of faces that pass through one another"),
        )
        lines += [f"{count} {what}" for count, what in counts if count]
        if not self.consistent:
            lines.append("no order of the regions at the faces makes all of them turn one way")
        return tuple(lines)

    def __str__(self) -> str:
        kind = "manifold" if self.manifold else f"{self.junction_edges} edges where walls meet"
        many = len(self.volumes)
        shown = ", ".join(f"{volume:.4g}" for volume in self.volumes[:8]) + (", ..." if many > 8 else "")
        lines = [
            f"{self.vertices} vertices, {self.faces} faces, {self.edges} edges "
            f"(Euler characteristic {self.euler}); {kind}",
            f"{many} region{'s' if many != 1 else ''}, {sum(self.closed)} closed, {sum(self.oriented)} oriented",
            f"volumes {shown} um^3",
            *(f"fault: {line}" for line in self.faults or ()),
        ]
        return "\n".join([*lines] if self.faults else [*lines, "no faults"])


def _regions(good: tuple[bool, ...]) -> tuple[int, ...]:
    return tuple(number for number, one in enumerate(good, 1) if not one)


def report(mesh: Mesh) -> MeshReport:
    """Return what there is to say about a mesh: closed, oriented, its volumes, and what is wrong with it.

    >>> from exitwave.specimen.meshes.solids import icosphere
    >>> print(report(icosphere(radius=1.0, subdivisions=3)))
    642 vertices, 1280 faces, 1920 edges (Euler characteristic 2); manifold
    1 region, 1 closed, 1 oriented
    volumes 4.153 um^3
    no faults
    """
    body = surface(mesh)
    net, count = edges(body.faces), len(mesh.fill_density)
    forth = mesh.closed().tolist()
    turned = (net.count == 2) & (net.balance != 0) & junctions(net, body.regions)
    sorted_ = np.sort(body.faces, 1)
    used = np.unique(body.faces)
    return MeshReport(
        vertices=len(body.points),
        faces=len(body.faces),
        edges=len(net.ends),
        closed=tuple(even(body, count)),
        oriented=tuple(forth),
        consistent=oriented(body.points, body.faces, body.regions)[1] == 0,
        border_edges=int((net.count == 1).sum()),
        junction_edges=int((net.count > 2).sum()),
        turned_edges=int(turned.sum()),
        empty_faces=int(empty(body).sum()),
        duplicate_vertices=len(body.points) - len(np.unique(body.points, axis=0)),
        duplicate_faces=len(sorted_) - len(np.unique(sorted_, axis=0)),
        unreferenced_vertices=len(body.points) - len(used),
        intersections=len(crossing(body.points, body.faces)),
        euler=len(used) - len(net.ends) + len(body.faces),
        volumes=tuple(enclosed(body.points, body.faces, body.regions, count).tolist()),
    )


def empty(body: Surface) -> Mask:
    """Return which faces (F,) have no area."""
    corners = body.points[body.faces]
    longest = np.square(corners - np.roll(corners, 1, 1)).sum(-1).max(1)
    return np.linalg.norm(normals(body.points, body.faces), axis=-1) <= _EMPTY * longest


def even(body: Surface, count: int) -> list[bool]:
    """Return for every region whether the number of its faces is even at each of their edges."""
    net = edges(body.faces)
    stride = len(net.ends)
    # A face with one region on both sides bounds it twice.
    keys = np.concatenate([(body.regions[:, side, None] * stride + net.of).ravel() for side in (0, 1)])
    places, number = np.unique(keys, return_counts=True)
    torn = set((places[number % 2 == 1] // stride).tolist())
    return [region not in torn for region in range(1, count + 1)]
