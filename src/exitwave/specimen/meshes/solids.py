"""Bodies to start from: spheres, tori and random smooth blobs as meshes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from exitwave.specimen.mesh import Mesh
from exitwave.specimen.meshes.surface import Floats, Integers
from exitwave.specimen.meshes.topology import edges

Place = Tensor | Sequence[float]
_CENTRE = (0.0, 0.0, 0.0)
# Degrees of the spherical harmonics of a blob: degree 1 would only move it.
_DEGREES = range(2, 9)
# Waves of every degree: so many that their sum is normal.
_WAVES = 16


def icosphere(radius: float | Tensor, center: Place = _CENTRE, subdivisions: int = 3) -> Mesh:
    """Return a sphere as a mesh: an icosahedron whose faces are cut in four `subdivisions` times.

    Vertices lie on the sphere, 10 * 4^subdivisions + 2 of them; `radius` and `center` (z, y, x) are in micrometres.

    >>> sphere = icosphere(radius=2.0, subdivisions=2)
    >>> len(sphere.vertices), len(sphere.faces)
    (162, 320)
    """
    points, faces = _sphere(subdivisions)
    return _around(torch.as_tensor(radius), center, points, faces)


def torus(
    major: float | Tensor, minor: float | Tensor, center: Place = _CENTRE, segments: tuple[int, int] = (64, 32)
) -> Mesh:
    """Return a torus about the z axis as a mesh: a tube of radius `minor` around a circle of radius `major`, in um.

    `segments` are the numbers of vertices around the axis and around the tube.

    >>> torus(major=3.0, minor=1.0, segments=(8, 6)).faces.shape
    torch.Size([96, 3])
    """
    around, across = segments
    if min(segments) < 3:
        raise ValueError(f"a torus needs at least 3 segments each way, got {around} and {across}; raise them")
    wide, narrow = torch.as_tensor(major), torch.as_tensor(minor)
    if not 0 < float(narrow.detach()) < float(wide.detach()):
        raise ValueError(
            f"minor must lie between 0 and the major radius {float(wide.detach()):g}, got {float(narrow.detach()):g}; "
            "the tube would meet itself"
        )
    dtype = torch.promote_types(_dtype(wide, center), _dtype(narrow, center))
    turn = torch.arange(around, dtype=torch.float64)[:, None] * (2 * torch.pi / around)
    roll = torch.arange(across, dtype=torch.float64)[None] * (2 * torch.pi / across)
    flat, up, cosine, sine = (part.to(dtype) for part in (roll.cos(), roll.sin(), turn.cos(), turn.sin()))
    reach = wide.to(dtype) + narrow.to(dtype) * flat
    points = torch.stack([(narrow.to(dtype) * up).expand(around, across), reach * sine, reach * cosine], -1)
    i, j = np.meshgrid(np.arange(around), np.arange(across), indexing="ij")
    here, up_, next_, both = (
        ((i + a) % around * across + (j + b) % across).ravel() for a, b in ((0, 0), (0, 1), (1, 0), (1, 1))
    )
    faces = np.concatenate([np.stack([here, next_, both], -1), np.stack([here, both, up_], -1)])
    return Mesh(points.reshape(-1, 3) + torch.as_tensor(center).to(points), torch.from_numpy(faces))


def blob(
    radius: float | Tensor,
    roughness: float | Tensor,
    generator: torch.Generator,
    center: Place = _CENTRE,
    subdivisions: int = 4,
) -> Mesh:
    """Return a random smooth body as a mesh: a sphere whose radius varies by about the share `roughness`.

    The logarithm of the radius is a normal field on the sphere with standard deviation `roughness`. Harmonics of
    degree l = 2 ... 8 have the variance l^-3 each, as sums of Legendre polynomials P_l(d . u) about random axes u: for
    one axis they have the variance 1 / (2 l + 1) over all directions d (addition theorem).

    >>> egg = blob(5.0, 0.1, torch.Generator().manual_seed(1), subdivisions=2)
    >>> bool(egg.closed().all())
    True
    """
    points, faces = _sphere(subdivisions)
    dtype = torch.promote_types(_dtype(torch.as_tensor(radius), center), _dtype(torch.as_tensor(roughness), center))
    shape = (len(_DEGREES), _WAVES)
    axes = torch.randn(*shape, 3, generator=generator, dtype=torch.float64, device=generator.device).cpu()
    heights = torch.randn(*shape, generator=generator, dtype=torch.float64, device=generator.device).cpu()
    axes = axes / axes.square().sum(-1, keepdim=True).sqrt()
    power = torch.tensor([degree**-3.0 for degree in _DEGREES], dtype=torch.float64)
    power = power / power.sum()
    field = torch.zeros(len(points), dtype=torch.float64)
    for number, degree in enumerate(_DEGREES):
        waves = _legendre(degree, torch.from_numpy(points) @ axes[number].T)
        field = field + (power[number] * (2 * degree + 1) / _WAVES).sqrt() * (waves @ heights[number])
    reach = torch.as_tensor(radius).to(dtype) * torch.exp(torch.as_tensor(roughness).to(dtype) * field.to(dtype))
    return _around(reach[:, None], center, points, faces)


def _legendre(degree: int, cosine: Tensor) -> Tensor:
    before, now = torch.ones_like(cosine), cosine
    for k in range(1, degree):
        before, now = now, ((2 * k + 1) * cosine * now - k * before) / (k + 1)
    return now


def _dtype(number: Tensor, center: Place) -> torch.dtype:
    """Return double precision where a tensor of it was given, single otherwise."""
    given = [item.dtype for item in (number, center) if isinstance(item, Tensor) and item.is_floating_point()]
    return torch.float64 if torch.float64 in given else torch.float32


def _around(radius: Tensor, center: Place, points: Floats, faces: Integers) -> Mesh:
    if float(radius.detach().min()) <= 0:
        raise ValueError(f"radius must be positive, in um, got {float(radius.detach().min()):g}; pass a length")
    dtype = _dtype(radius, center)
    where = torch.as_tensor(center).to(dtype)
    return Mesh(where + radius.to(dtype) * torch.from_numpy(points).to(where), torch.from_numpy(faces))


def _sphere(subdivisions: int) -> tuple[Floats, Integers]:
    """Return the vertices (V, 3) of an icosphere of radius 1, and its faces (F, 3) that turn outward."""
    if not 0 <= subdivisions <= 9:
        raise ValueError(f"subdivisions must lie from 0 to 9, got {subdivisions}; 4 give 5,120 faces")
    golden = (1 + 5**0.5) / 2
    corner = np.array([[0, s, t * golden] for s in (1, -1) for t in (1, -1)])
    points = np.concatenate([np.roll(corner, axis, 1) for axis in range(3)])
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    near = np.isclose(distance, 2.0)
    faces = np.array(
        [(a, b, c) for a in range(12) for b in range(a) for c in range(b) if near[a, b] and near[b, c] and near[a, c]]
    )
    a, b, c = (points[faces[:, corner]] for corner in range(3))
    # The right-hand rule in (x, y, z) is the left-hand rule in (z, y, x).
    inward = (np.cross(b - a, c - a) * a).sum(-1) > 0
    faces = np.where(inward[:, None], faces[:, ::-1], faces).astype(np.int64)
    for _ in range(subdivisions):
        net = edges(faces)
        middle = len(points) + net.of
        points = np.concatenate([points, points[net.ends].mean(1)])
        points /= np.linalg.norm(points, axis=-1, keepdims=True)
        parts = [np.stack([faces[:, k], middle[:, k], middle[:, k - 1]], -1) for k in range(3)]
        faces = np.concatenate([*parts, middle])
    return points / np.linalg.norm(points, axis=-1, keepdims=True), faces
