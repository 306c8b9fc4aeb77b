"""PSFs from stacks of a bead: between the samples, about the emitter, without the background."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from exitwave.optics.psf.gaussian import GaussianPSF
from exitwave.optics.psf.measured import MeasuredPSF, from_bead

DOUBLE = torch.float64
TRUE = GaussianPSF(sigma=(0.6, 0.25, 0.3))
SPACING = (0.4, 0.15, 0.15)
BEAD = Path(__file__).parents[3] / "shared" / "data" / "psf_bead" / "psf_wl520nm_z300nm_x130nm_na0.85_n1.0.tif"


def stack(shift: tuple[float, float, float] = (0.0, 0.0, 0.0), scale: float = 1.0) -> Tensor:
    """Return samples (17, 24, 25) of the true PSF about a place off the middle."""
    z, y, x = (
        (torch.arange(count, dtype=DOUBLE) - count // 2) * step - moved
        for count, step, moved in zip((17, 24, 25), SPACING, shift, strict=True)
    )
    return scale * TRUE.at(z, y, x)


def lags(step: float) -> tuple[Tensor, Tensor, Tensor]:
    z, y, x = (torch.arange(-4, 5, dtype=DOUBLE) * step * size for size in (2.0, 1.0, 1.0))
    return z, y, x


@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.0), (0.13, -0.21, 0.34)])
@pytest.mark.parametrize("step", [0.15, 0.067])
def test_between_the_samples_lies_what_was_sampled(shift: tuple[float, float, float], step: float) -> None:
    psf = MeasuredPSF(stack(shift, scale=700.0), SPACING, center=shift)
    found, expected = psf.at(*lags(step)), TRUE.at(*lags(step))
    assert float((found - expected).abs().amax() / expected.amax()) < 2e-3


def test_the_emitter_is_found_at_the_centroid() -> None:
    psf = MeasuredPSF(stack((0.13, -0.21, 0.34)), SPACING)
    assert psf.center.tolist() == pytest.approx([0.13, -0.21, 0.34], abs=0.06)


def test_samples_come_back_and_nothing_lies_outside() -> None:
    generator = torch.Generator().manual_seed(1)
    given = torch.rand(5, 6, 7, generator=generator, dtype=DOUBLE)
    psf = MeasuredPSF(given, SPACING, center=(0.0, 0.0, 0.0))
    z, y, x = (
        (torch.arange(count, dtype=DOUBLE) - count // 2) * step
        for count, step in zip(given.shape, SPACING, strict=True)
    )
    volume = 0.4 * 0.15 * 0.15
    assert torch.allclose(psf.at(z, y, x), given / (given.sum() * volume), rtol=1e-10)
    assert float(psf.at(z, y, x).sum() * volume) == pytest.approx(1.0)
    assert float((psf.lateral(z) * 0.4).sum()) == pytest.approx(1.0)
    assert float(psf.at(z + 10.0, y, x).abs().amax()) == 0.0
    assert psf.reach(1e-3, 100.0) == pytest.approx((1.0, 0.525, 0.525))


def test_band_is_that_of_the_samples() -> None:
    psf = MeasuredPSF(stack(), SPACING)
    found, exact = psf.band(1e-2), TRUE.band(1e-2)
    assert found == pytest.approx(exact, abs=0.3)
    assert psf.band(1e-12) == pytest.approx([0.5 / step for step in SPACING], rel=0.05)


def test_the_airy_disc_is_that_of_a_lens_of_the_same_width() -> None:
    found, expected = MeasuredPSF(stack(), SPACING).focus(), TRUE.focus()
    assert float(found.radius) == pytest.approx(float(expected.radius), rel=0.1)
    assert float(found.peak) == pytest.approx(float(expected.peak), rel=0.01)


def test_background_is_taken_off_each_plane() -> None:
    level = torch.linspace(90.0, 110.0, 17, dtype=DOUBLE)[:, None, None]
    psf = from_bead((stack(scale=1e4) + level).numpy(), SPACING)
    clean = MeasuredPSF(stack(), SPACING)
    assert float((psf.at(*lags(0.1)) - clean.at(*lags(0.1))).abs().amax() / clean.focus().peak) < 2e-2
    assert psf.samples.dtype is DOUBLE
    counts = from_bead(np.round((stack(scale=1e4) + level).numpy()).astype(np.uint16), SPACING)
    assert float((counts.samples - psf.samples).abs().amax()) <= 1.0


def test_derivatives_by_samples_and_center() -> None:
    given = stack()[6:10, 9:13, 10:14].clone().requires_grad_()
    center = torch.tensor([0.05, 0.02, -0.03], dtype=DOUBLE, requires_grad=True)
    some = tuple(part[3:6] for part in lags(0.07))

    def image(samples: Tensor, center: Tensor) -> Tensor:
        return MeasuredPSF(samples, SPACING, center=center).at(*some)

    assert torch.autograd.gradcheck(image, (given, center), check_forward_ad=True)


@pytest.mark.parametrize(
    ("samples", "spacing", "message"),
    [
        (torch.zeros(4, 5, 5), SPACING, "must hold light"),
        (torch.ones(5, 5), SPACING, "must have 3 dimensions"),
        (torch.full((4, 5, 5), float("nan")), SPACING, "must be finite"),
        (torch.ones(1, 5, 5), SPACING, "must be a stack"),
        (torch.ones(4, 5, 5), 0.1, "three positive numbers"),
        (torch.ones(4, 5, 5), (0.3, 0.1), "three positive numbers"),
        (torch.ones(4, 5, 5), (0.3, 0.1, -0.1), "three positive numbers"),
    ],
)
def test_stacks_that_are_none_are_refused(samples: Tensor, spacing: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MeasuredPSF(samples, spacing)


def test_a_picture_is_no_bead_stack() -> None:
    with pytest.raises(ValueError, match="expected a stack"):
        from_bead(np.zeros((64, 64)), SPACING)


@pytest.mark.skipif(not BEAD.exists(), reason="needs the measured bead stack beside the repository")
def test_a_real_bead() -> None:
    tifffile = pytest.importorskip("tifffile")
    psf = from_bead(tifffile.imread(BEAD), (0.3, 0.13, 0.13))
    z, x = torch.linspace(-2.0, 2.0, 9), torch.linspace(-3.0, 3.0, 47)
    found = psf.at(z, x, x)
    assert bool(found.isfinite().all())
    # Most of the light is in the middle, and the focus is about as wide as its aperture of .85 says.
    assert 0.1 < float(psf.at(z, x, x).sum() * 0.5 * 0.13043**2) < 1.2
    assert 0.2 < float(psf.focus().radius) < 0.8
