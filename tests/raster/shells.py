"""Lattices and bodies for the tests of spectra; in a module of their own, so that other processes can make them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from exitwave.lattice import Lattice
from exitwave.raster.quadrature import Emitters, emitters
from exitwave.raster.spectrum import spectrum, volume
from exitwave.specimen import Mesh

# Unequal axes throughout, odd and even; the window is a part of the box.
SMALL = Lattice((12, 15, 14), (0.2, 0.15, 0.1), (4, 3, 5), (2, 3, 1), (8, 9, 11), (0.0, 0.0, 0.0))
# More frequencies than samples along all axes.
FOLDED = Lattice((6, 7, 8), (0.2, 0.15, 0.1), (4, 9, 12), (1, 0, 2), (4, 6, 5), (0.0, 0.0, 0.0))
STILL = Lattice((12, 15, 14), (0.2, 0.15, 0.1), (0, 0, 0), (2, 3, 1), (8, 9, 11), (0.0, 0.0, 0.0))


def relative(found: Tensor, expected: Tensor) -> float:
    """Return the root mean square difference over the root mean square."""
    apart = (found.detach() - expected.detach().to(found.dtype)).abs().square().sum()
    return float((apart / expected.detach().abs().square().sum()).sqrt())


def middle(lattice: Lattice) -> Tensor:
    """Return the middle (3,) of a lattice's box."""
    return torch.tensor(lattice.origin).double() + 0.5 * torch.tensor(lattice.period).double()


def scattered(lattice: Lattice, count: int, dtype: torch.dtype, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return positions all over a lattice's box, and weights."""
    generator = torch.Generator().manual_seed(seed)
    place = torch.rand(count, 3, generator=generator, dtype=torch.float64)
    weight = torch.rand(count, generator=generator, dtype=torch.float64) + 0.5
    position = torch.tensor(lattice.origin).double() + place * torch.tensor(lattice.period).double()
    return position.to(dtype), weight.to(dtype)


def sphere(radius: float, parts: int) -> tuple[Tensor, Tensor]:
    """Return vertices and outward faces of an octahedron whose edges are cut into `parts`, blown up to a sphere."""
    numbers: dict[tuple[int, ...], int] = {}
    faces = []
    for signs in [(i, j, k) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)]:

        def corner(i: int, j: int, signs: tuple[int, int, int] = signs) -> int:
            place = (signs[0] * i, signs[1] * j, signs[2] * (parts - i - j))
            return numbers.setdefault(place, len(numbers))

        for i in range(parts):
            for j in range(parts - i):
                found = [[corner(i, j), corner(i + 1, j), corner(i, j + 1)]]
                if j + i + 2 <= parts:
                    found.append([corner(i + 1, j), corner(i + 1, j + 1), corner(i, j + 1)])
                # Faces turn the other way in every other octant.
                faces += [face if math.prod(signs) < 0 else face[::-1] for face in found]
    vertices = torch.tensor(list(numbers), dtype=torch.float64)
    return radius * vertices / vertices.norm(dim=1, keepdim=True), torch.tensor(faces)


def ball(radius: float, parts: int, fill: float | None = None) -> Mesh:
    """Return a mesh of a sphere, filled where `fill` says how brightly, else with bright faces."""
    vertices, faces = sphere(radius, parts)
    return Mesh(vertices, faces, fill_density=None if fill is None else torch.tensor([fill], dtype=torch.float64))


def cloud(lattice: Lattice, dtype: torch.dtype, threads: int) -> list[Tensor]:
    """Return the volume of a few thousand scattered points and its gradients, by so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        position, weight = (tensor.requires_grad_() for tensor in scattered(lattice, 3000, dtype))
        found = spectrum(Emitters(position, weight), lattice, 1e-5)
        image = volume(found, lattice)
        pull = torch.randn(image.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
        return [found.detach(), image.detach(), *torch.autograd.grad((image * pull).sum(), (position, weight))]
    finally:
        torch.set_num_threads(before)


def rendered(part: object, lattice: Lattice, rtol: float) -> Tensor:
    """Return the spectrum of a part by quadrature and spreading."""
    return spectrum(emitters(part, lattice, rtol), lattice, rtol)
