"""Spectra: how precise images of meshes and their slopes are, in what time, and how time grows."""

from __future__ import annotations

import dataclasses
import math
import resource
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor

import exitwave as ew
from benchmarks.fluorescence.measure import SPOT, apart, median
from exitwave.data.slabs import save_volume
from exitwave.grid import fast_length
from exitwave.lattice import Lattice
from exitwave.raster.quadrature import emitters, envelope_of
from exitwave.raster.simplex import at, elements
from exitwave.raster.spectrum import spectrum as spectrum_of
from exitwave.raster.spectrum import volume
from exitwave.raster.spread import plan
from exitwave.specimen import Mesh
from exitwave.specimen.meshes import icosphere, load_mesh

# Voxels of one micrometre.
SIGMA = 1.5
RTOL = 1e-5
# Frequencies that the closed form is taken at: the lowest, and others from all over the narrow band.
LOWEST, OTHERS = 100, 500


@dataclasses.dataclass(frozen=True)
class Case:
    """A mesh, the frequencies that its image is made of, and what the microscope leaves of them."""

    mesh: Mesh
    lattice: Lattice
    transfer: Tensor

    def to(self, dtype: torch.dtype) -> Case:
        """Return the case in another precision."""
        vertices, density = self.mesh.vertices.detach().to(dtype), self.mesh.density.to(dtype)
        mesh = dataclasses.replace(self.mesh, vertices=vertices, density=density, fill_density=None)
        return Case(mesh, self.lattice, self.transfer.to(dtype))

    def spectrum(self, vertices: Tensor, rtol: float = RTOL) -> Tensor:
        """Return the spectrum of the image."""
        envelope = envelope_of(self.transfer, self.lattice)
        points = emitters(dataclasses.replace(self.mesh, vertices=vertices), self.lattice, rtol, envelope)
        return spectrum_of(points, self.lattice, rtol, envelope) * self.transfer

    def slope(self, pull: Tensor, rtol: float = RTOL) -> tuple[Tensor, Tensor]:
        """Return the image, and the slope by the vertices of the sum of it times `pull`."""
        vertices = self.mesh.vertices.detach().clone().requires_grad_()
        image = volume(self.spectrum(vertices, rtol), self.lattice)
        (slope,) = torch.autograd.grad((image * pull.to(image)).sum(), vertices)
        return image.detach(), slope


def case(mesh: Mesh, size: int) -> Case:
    """Return a mesh that fills nine tenths of `size` voxels each way, seen through a Gaussian point spread function."""
    low, high = mesh.vertices.amin(0), mesh.vertices.amax(0)
    vertices = (mesh.vertices - (low + high) / 2) * (0.9 * size / float((high - low).max()))
    steep = math.sqrt(2 * math.log(1 / RTOL))
    box = fast_length(size + 2 * math.ceil(SIGMA * steep))
    order = math.ceil(steep / (2 * math.pi * SIGMA) * box)
    first = (box - size) // 2
    lattice = Lattice(
        (box, box, box),
        (1.0, 1.0, 1.0),
        (order, order, order),
        (first, first, first),
        (size, size, size),
        (0.0, 0.0, 0.0),
    )
    fz, fy, fx = lattice.frequencies(vertices)
    transfer = torch.exp(-2 * (math.pi * SIGMA) ** 2 * (fz.square() + fy.square() + fx.square()))
    return Case(dataclasses.replace(mesh, vertices=vertices, fill_density=None), lattice, transfer)


def narrow(seen: Case) -> Tensor:
    """Return the indices of the frequencies that more than 1 % is left of, the lowest first."""
    share = seen.transfer.flatten()
    return torch.nonzero(share > 0.01)[:, 0][share[share > 0.01].argsort(descending=True)]


def spectrum() -> None:
    """Print the errors of spot's image and slopes, their time, and how much longer a direct sum would take."""
    if not SPOT.exists():
        print(f"spectrum: left out, for there is no {SPOT.name} in {SPOT.parent}")
        return
    mesh = load_mesh(SPOT)
    print(f"spectrum: spot, {len(mesh.faces):,} triangles; Gaussian of {SIGMA} voxels, rtol {RTOL:g}")
    for size in (100, 200):
        double = case(dataclasses.replace(mesh, vertices=mesh.vertices.double(), density=mesh.density.double()), size)
        single = double.to(torch.float32)
        pull = torch.randn(single.lattice.window, generator=torch.Generator().manual_seed(0))
        seconds, spent = median(lambda single=single, pull=pull: single.slope(pull))
        errors = _errors(single, double, pull, size == 100)
        some = narrow(single)
        summed, _ = median(lambda single=single, some=some: _direct(single, some[:: len(some) // 64][:64]), 3)
        slower = summed / 64 * len(some) / seconds
        print(
            f"{size}^3: forward and backward {1e3 * seconds:.0f} ms with {torch.get_num_threads()} threads, "
            f"{1e3 * spent:.0f} CPU ms; {errors}; "
            f"a direct sum over the {len(some):,} frequencies above 1 %, timed on 64 of them: {slower:,.0f} times that"
        )


def _errors(single: Case, double: Case, pull: Tensor, judged: bool) -> str:
    """Return the errors in single precision in words, by the closed form where `judged`, else by a finer rendering."""
    image, slope = single.slope(pull)
    finest, steepest = double.slope(pull, 1e-10)
    errors = f"image {apart(image, finest):.1e}, slopes {apart(slope, steepest):.1e} off a rendering to 1e-10"
    residual = image - volume(single.spectrum(1.02 * single.mesh.vertices), single.lattice)
    followed, steered = single.slope(residual), double.slope(residual, 1e-10)
    errors += f", slopes of a residual {apart(followed[1], steered[1]):.1e}"
    if judged:
        threads = torch.get_num_threads()
        # Many small sums gain nothing by threads.
        torch.set_num_threads(1)
        errors += "; " + _judged(single, double)
        torch.set_num_threads(threads)
    return errors


def _judged(single: Case, double: Case) -> str:
    """Return in words how far spectra and slopes are off the closed form at some frequencies of the narrow band."""
    some = narrow(double)
    others = LOWEST + torch.randperm(len(some) - LOWEST, generator=torch.Generator().manual_seed(0))[:OTHERS]
    some = torch.cat([some[:LOWEST], some[others]])
    frequency = torch.stack(torch.broadcast_tensors(*double.lattice.frequencies(double.transfer)), -1)
    frequency = frequency.reshape(-1, 3)[some]
    share = double.transfer.flatten()[some]
    free = double.mesh.vertices.detach().clone().requires_grad_()
    pull = torch.randn(len(some), 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    exact, steep = [], torch.zeros_like(free)
    for part in torch.arange(len(some)).split(8):
        body = elements(dataclasses.replace(double.mesh, vertices=free))
        found = torch.view_as_real(at(body, frequency[part], double.lattice) * share[part])
        steep += torch.autograd.grad((found * pull[part]).sum(), free)[0]
        exact.append(found.detach())
    words = []
    for one, rtol in ((single, RTOL), (double, 1e-10)):
        free = one.mesh.vertices.detach().clone().requires_grad_()
        found = torch.view_as_real(one.spectrum(free, rtol).flatten()[some])
        (slope,) = torch.autograd.grad((found * pull.to(found)).sum(), free)
        name = "the finer" if one is double else "this"
        words.append(f"{name} {apart(found.detach(), torch.cat(exact)):.1e} and {apart(slope, steep):.1e}")
    return f"off the closed form at {len(some):,} frequencies: {', '.join(words)}"


def _direct(one: Case, some: Tensor) -> None:
    """Sum the plain closed form, which fails where phases are close, over all faces, forward and backward."""
    fz, fy, fx = one.lattice.frequencies(one.transfer)
    frequency = torch.stack(torch.broadcast_tensors(fz, fy, fx), -1).reshape(-1, 3)[some]
    free = one.mesh.vertices.detach().clone().requires_grad_()
    mesh = dataclasses.replace(one.mesh, vertices=free)
    phase = 2 * math.pi * frequency @ free.T
    wave = torch.complex(phase.cos(), -phase.sin())
    a, b, c = (phase[:, column] for column in mesh.faces.T)
    at_a, at_b, at_c = (wave[:, column] for column in mesh.faces.T)
    mean = -2 * (at_a / ((a - b) * (a - c)) + at_b / ((b - a) * (b - c)) + at_c / ((c - a) * (c - b)))
    found = mean @ mesh.areas().to(mean) * one.transfer.flatten()[some]
    torch.autograd.grad(torch.view_as_real(found).sum(), free)


def scaling() -> None:
    """Print how the time of an image and its slopes grows with the triangles and with the volume."""
    print("scaling: a sphere; forward and backward, ms")
    slabs(512, 1.5)
    for level in (2, 3, 4, 5, 6, 7, 8):
        _row(case(icosphere(1.0, subdivisions=level), 128), 128)
    for size in (32, 64, 128, 256, 512):
        _row(case(icosphere(1.0, subdivisions=5), size), size)


def slabs(size: int, memory: float) -> None:
    """Print the time of a volume that is written slab by slab, within some GiB, and the most that it took."""
    sphere = icosphere(0.45 * size, subdivisions=5)
    microscope = ew.widefield(ew.GaussianPSF(sigma=(SIGMA,) * 3))
    scene = ew.Scene(ew.Specimen((sphere,)), microscope, ew.Grid((size,) * 3, 1.0))
    with tempfile.TemporaryDirectory() as folder:
        before, clock = resident(), time.perf_counter()
        file = save_volume(scene, Path(folder) / "sphere.ome.tif", memory=memory)
        seconds = time.perf_counter() - clock
        print(
            f"{size}^3 into a file of {file.stat().st_size / 2**30:.2f} GiB with {memory:g} GiB allowed: {seconds:.1f} "
            f"s, {resident() - before:.2f} GiB more than before at the most"
        )


def resident() -> float:
    """Return the most memory that this process has had, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _row(one: Case, size: int) -> None:
    envelope = envelope_of(one.transfer, one.lattice)
    points = len(emitters(one.mesh, one.lattice, RTOL, envelope).position)
    planned = plan(one.lattice, one.transfer, RTOL, envelope)
    pull = torch.ones(one.lattice.window)
    seconds, spent = median(lambda: one.slope(pull), 1 if size > 256 else 3)
    print(
        f"{len(one.mesh.faces):9,} triangles, {size}^3: {points:9,} points, grid {planned.shape[0]}^3, "
        f"width {planned.stencil.width}: {1e3 * seconds:8.1f}, CPU {1e3 * spent:8.1f}"
    )
