"""Point spread functions: how precise they are, and in what time."""

from __future__ import annotations

import importlib.util
import math

import torch
from scipy.special import jv, roots_legendre
from torch import Tensor

from benchmarks.fluorescence.measure import apart, median
from exitwave.optics import PupilPSF, ScalarPSF, VectorialPSF

_NODES = 2000


def psf() -> None:
    """Print the error of a vectorial point spread function, its time, those of others, and that of psf_generator."""
    z, x = (torch.arange(64) - 32) * 0.2, (torch.arange(128) - 64) * 0.05
    lens = VectorialPSF(na=1.4, wavelength=0.52, index=1.515)
    exact = dense(lens, z, x)
    found = lens.at(z, x, x).double()
    exact *= found.sum() / exact.sum()
    worst = float((found - exact).abs().amax() / exact.amax())
    ours, spent = median(lambda: lens.at(z, x, x))
    print(f"psf: vectorial, 128 x 128 x 64: {_ms(ours)}, {1e3 * spent:.1f} CPU ms; error {apart(found, exact):.1e} of "
          f"the norm, {worst:.1e} of the peak, against {_NODES:,} nodes")  # fmt: skip
    free = VectorialPSF(na=torch.tensor(1.4, requires_grad=True), wavelength=0.52, index=1.515)
    deep = VectorialPSF(na=1.4, wavelength=0.52, index=1.515, medium=1.33, depth=10.0)
    scalar = ScalarPSF(na=1.4, wavelength=0.52, index=1.515)
    pupil = PupilPSF(na=1.4, wavelength=0.52, index=1.515, zernike=(0.0, 0.05))
    others = {
        "with its slope by NA": lambda: torch.autograd.grad(free.at(z, x, x).square().sum(), free.na),
        "10 um deep in water": lambda: deep.at(z, x, x),
        "scalar": lambda: scalar.at(z, x, x),
        "Zernike pupil": lambda: pupil.at(z, x, x),
    }
    print("psf: " + ", ".join(f"{name} {_ms(median(run)[0])}" for name, run in others.items()))
    if importlib.util.find_spec("psf_generator") is None:
        print("psf: psf_generator is not installed, no ratio: pip install psf-generator -c constraints.txt")
        return
    import psf_generator.propagators.vectorial_spherical_propagator as peer  # pyright: ignore[reportMissingImports]

    def theirs() -> Tensor:
        propagator = peer.VectorialSphericalPropagator(
            n_pix_pupil=128, n_pix_psf=128, wavelength=520, na=1.4, pix_size=50, defocus_step=200, n_defocus=64,
            n_i=1.515, n_i0=1.515, apod_factor=True,
        )  # fmt: skip
        return propagator.compute_focus_field()

    other, _ = median(theirs, 3)
    print(f"psf: psf_generator's spherical vectorial, of one polarisation: {_ms(other)}, {other / ours:.0f} times ours")


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.1f} ms"


def dense(psf: VectorialPSF, z: Tensor, x: Tensor) -> Tensor:
    """Return the image (Z, X, X) of an emitter by many nodes over the aperture's angle, up to a factor."""
    n, wavelength = float(psf.index), float(psf.wavelength)
    nodes, weights = (torch.from_numpy(part) for part in roots_legendre(_NODES))
    theta = 0.5 * math.asin(float(psf.na) / n) * (nodes + 1)
    k = 2 * math.pi * n / wavelength
    amplitude = weights * torch.sqrt(torch.cos(theta)) * torch.sin(theta)
    phase = torch.exp(1j * k * z.double()[:, None] * torch.cos(theta))
    squares = x.double().square()[:, None] + x.double().square()
    distance, place = torch.unique(torch.round(squares.flatten() * 1e9), return_inverse=True)
    argument = k * torch.sin(theta)[:, None] * torch.sqrt(distance * 1e-9)
    total = torch.zeros(len(z), len(distance), dtype=torch.float64)
    # Richards and Wolf, Proc. R. Soc. A 253, 358, 1959: the three integrals, for emitters of all directions.
    for order, factor, share in ((0, 1 + torch.cos(theta), 1), (1, torch.sin(theta), 2), (2, 1 - torch.cos(theta), 1)):
        wave = torch.from_numpy(jv(order, argument.numpy()))
        total += share * ((phase * amplitude * factor) @ wave.to(torch.complex128)).abs().square()
    return total[:, place].reshape(len(z), len(x), len(x))
