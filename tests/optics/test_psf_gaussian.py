"""Gaussian PSFs: moments, transforms and every covariance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from torch import Tensor

from exitwave.lattice import Lattice
from exitwave.optics.psf.gaussian import GaussianPSF
from exitwave.optics.psf.sampling import sampled_transfer

DOUBLE = torch.float64
SKEW = GaussianPSF(sigma=(0.6, 0.3, 0.2), correlation=(0.4, -0.5, 0.3))
STRAIGHT = GaussianPSF(sigma=(0.6, 0.3, 0.2))
LATTICE = Lattice((24, 20, 18), (0.4, 0.25, 0.22), (20, 22, 26), (0, 0, 0), (24, 20, 18), (-4.7, -2.6, -1.9))


def lags() -> tuple[Tensor, Tensor, Tensor]:
    z, y, x = (torch.linspace(-end, end, count, dtype=DOUBLE) for end, count in ((4.8, 61), (2.4, 61), (1.6, 61)))
    return z, y, x


@pytest.mark.parametrize("psf", [STRAIGHT, SKEW])
def test_density_is_the_normal_distributions(psf: GaussianPSF) -> None:
    z, y, x = (part[::10] for part in lags())
    places = np.stack(np.meshgrid(z, y, x, indexing="ij"), -1)
    normal: Any = multivariate_normal
    expected = normal.pdf(places, np.zeros(3), psf.covariance().numpy())
    assert torch.allclose(psf.at(z, y, x), torch.from_numpy(expected), rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("psf", [STRAIGHT, SKEW])
def test_it_holds_one_photon_and_its_second_moments_are_its_covariance(psf: GaussianPSF) -> None:
    z, y, x = lags()
    light = psf.at(z, y, x) * float((z[1] - z[0]) * (y[1] - y[0]) * (x[1] - x[0]))
    assert float(light.sum()) == pytest.approx(1.0, abs=1e-9)
    assert float(light.sum((1, 2))[20] / (z[1] - z[0])) == pytest.approx(float(psf.lateral(z[20:21])), rel=1e-9)
    found = [[float((light * a * b).sum()) for b in (z[:, None, None], y[:, None], x)] for a in (z[:, None, None],)]
    assert found[0] == pytest.approx(psf.covariance()[0].tolist(), abs=1e-9)


@pytest.mark.parametrize("psf", [STRAIGHT, SKEW])
def test_closed_transfer_is_that_of_the_samples(psf: GaussianPSF) -> None:
    found = psf.transfer(LATTICE, torch.zeros(1, dtype=DOUBLE))
    sampled = sampled_transfer(psf.at, LATTICE, torch.zeros(1, dtype=DOUBLE))
    assert found.shape == LATTICE.bands
    assert float((sampled - found).abs().amax()) < 1e-6


@pytest.mark.parametrize("psf", [STRAIGHT, SKEW])
def test_band_and_reach_leave_out_what_they_say(psf: GaussianPSF) -> None:
    band, reach = psf.band(1e-3), psf.reach(1e-3, depth=1.0)
    z, y, x = (torch.linspace(-3 * end, 3 * end, 41, dtype=DOUBLE) for end in reach)
    h = psf.at(z, y, x) / psf.focus().peak
    outside = (z.abs() > reach[0])[:, None, None] | (y.abs() > reach[1])[:, None] | (x.abs() > reach[2])
    assert float(h[outside].amax()) <= 1e-3
    assert float(h[outside].amax()) > 1e-4
    inverse = torch.linalg.inv(psf.covariance())
    fz, fy, fx = torch.meshgrid(*(torch.linspace(-3 * end, 3 * end, 41, dtype=DOUBLE) for end in band), indexing="ij")
    f = torch.stack([fz, fy, fx], -1)
    transfer = torch.exp(-2 * np.pi**2 * torch.einsum("...i,ij,...j", f, psf.covariance(), f))
    outside = (f.abs() > torch.tensor(band, dtype=DOUBLE)).any(-1)
    assert 1e-4 < float(transfer[outside].amax()) <= 1e-3
    assert bool((inverse.diagonal() > 0).all())


def test_any_three_correlations_make_a_covariance() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        correlation = 1.98 * torch.rand(3, generator=generator, dtype=DOUBLE) - 0.99
        psf = GaussianPSF(sigma=(1.0, 2.0, 0.5), correlation=correlation)
        found = psf.covariance()
        assert float(torch.linalg.eigvalsh(found).amin()) > 0
        assert torch.allclose(found.diagonal().sqrt(), psf.sigma)
        # Back from the covariance: every one has its own three numbers.
        a, b, c = (float(found[i, j] / (psf.sigma[i] * psf.sigma[j])) for i, j in ((0, 1), (0, 2), (1, 2)))
        partial = (c - a * b) / ((1 - a * a) * (1 - b * b)) ** 0.5
        assert [a, b, partial] == pytest.approx(correlation.tolist(), abs=1e-9)


def test_derivatives_by_sigma_and_correlation() -> None:
    z, y, x = (part[::25] * 0.3 for part in lags())
    small = Lattice((4, 4, 4), (0.5, 0.4, 0.4), (1, 1, 2), (0, 0, 0), (4, 4, 4), (-1.0, -0.8, -0.8))

    def image(sigma: Tensor, correlation: Tensor) -> tuple[Tensor, Tensor]:
        psf = GaussianPSF(sigma=sigma, correlation=correlation)
        return psf.at(z, y, x), psf.transfer(small, z)

    given = [SKEW.sigma.clone().requires_grad_(), SKEW.correlation.clone().requires_grad_()]
    assert torch.autograd.gradcheck(image, given, check_forward_ad=True)
    assert torch.autograd.gradcheck(
        lambda sigma: GaussianPSF(sigma=sigma).transfer(small, z), given[0], check_forward_ad=True
    )


@pytest.mark.parametrize(
    "bad", [{"sigma": (0.5, 0.0, 0.2)}, {"sigma": (1.0, 1.0, 1.0), "correlation": (0.0, 1.0, 0.0)}]
)
def test_flat_gaussians_are_refused(bad: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(ValueError, match="must lie in"):
        GaussianPSF(**bad)
