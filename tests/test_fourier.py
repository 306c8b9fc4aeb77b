"""Pruned transforms against full ones."""

from __future__ import annotations

import pytest
import torch

from exitwave.fourier import Band, image, spectrum, union
from exitwave.grid import fast_length
from exitwave.interaction.exit_spectrum import exit_spectrum

DOUBLE = torch.float64
BANDS = [
    Band((-3, -4), (7, 9)),
    Band((-2, 0), (5, 4)),  # no negative column
    Band((1, 2), (3, 3)),
    Band((-5, -6), (4, 3)),  # no positive one
    Band((-1, -4), (2, 5)),
    Band((-8, -2), (15, 3)),  # rows that repeat
    Band((-6, -9), (12, 20)),  # columns that repeat
]


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(12, 15), (16, 16), (9, 20)])
@pytest.mark.parametrize("band", BANDS)
def test_pruned_spectrum_is_a_part_of_the_full_one(shape: tuple[int, int], band: Band) -> None:
    planes = random(2, 3, *shape)
    full = torch.fft.fft2(torch.complex(planes[0], planes[1]))
    rows, columns = (
        torch.arange(first, first + count) % n for first, count, n in zip(band.first, band.shape, shape, strict=True)
    )
    assert torch.allclose(spectrum(planes, band), full[:, rows][:, :, columns], atol=1e-12)


@pytest.mark.parametrize("band", BANDS)
def test_derivatives_of_the_pruned_spectrum(band: Band) -> None:
    planes = random(2, 9, 15).requires_grad_()
    assert torch.autograd.gradcheck(lambda given: spectrum(given, band), planes, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(lambda given: spectrum(given, band).abs().square(), planes)


def test_union_holds_every_band() -> None:
    whole = union(BANDS)
    grid = random(*whole.shape)
    for band in BANDS:
        assert grid[band.inside(whole)].shape == band.shape


@pytest.mark.parametrize("shape", [(24, 30), (25, 31), (7, 9)])
def test_band_limited_image_is_interpolated_exactly(shape: tuple[int, int]) -> None:
    """Waves sampled coarsely come back as the same waves on the fine grid, cut and filtered."""

    def waves(rows: int, columns: int) -> torch.Tensor:
        y, x = torch.arange(rows, dtype=DOUBLE)[:, None] / rows, torch.arange(columns, dtype=DOUBLE) / columns
        return 1 + torch.cos(2 * torch.pi * (2 * y + 3 * x) + 0.3) + torch.sin(2 * torch.pi * (3 * y - x))

    window = (slice(1, shape[0] - 2), slice(2, shape[1]))
    found = image(waves(10, 12), shape, (0.1, 0.2), window, lambda fy, fx: None)
    assert torch.allclose(found, waves(*shape)[window], atol=1e-12)
    # A response of fy^2 + fx^2 in units of the spacings.
    square = (torch.tensor([2 / (0.1 * shape[0]), 3 / (0.2 * shape[1])]) ** 2).sum()
    plain = image(
        waves(10, 12), shape, (0.1, 0.2), window, lambda fy, fx: 1.0 * ((fy**2 + fx**2 - square).abs() < 1e-3)
    )
    y, x = torch.arange(shape[0], dtype=DOUBLE)[:, None] / shape[0], torch.arange(shape[1], dtype=DOUBLE) / shape[1]
    assert torch.allclose(plain, torch.cos(2 * torch.pi * (2 * y + 3 * x) + 0.3)[window], atol=1e-12)


@pytest.mark.parametrize("height", [5, 128, 300])
def test_blocks_of_rows_make_the_spectrum_of_the_whole_wave(height: int) -> None:
    """Values and derivatives, with a wave that depends on the rows beside its own."""

    def planes(number: torch.Tensor, first: torch.Tensor, second: torch.Tensor | None) -> torch.Tensor:
        slope = torch.nn.functional.pad((first[2:] - first[:-2]).abs(), (0, 0, 1, 1))
        assert second is None
        return torch.stack([torch.cos(number * first), slope])[:, None]

    band = Band((-2, -3), (5, 7))
    number, given = torch.tensor(1.3, dtype=DOUBLE, requires_grad=True), random(height, 16).requires_grad_()
    found = exit_spectrum(planes, number, (given, None), band)
    expected = spectrum(planes(number, given, None), band)
    assert torch.allclose(found, expected, atol=1e-11)
    weight = torch.complex(random(1, 5, 7, seed=1), random(1, 5, 7, seed=2))
    gradients = [torch.autograd.grad((s * weight).real.sum(), (number, given)) for s in (found, expected)]
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-10)


def test_lengths_have_small_factors() -> None:
    for n in (1, 11, 13, 97, 825, 1188, 2047):
        length = fast_length(n)
        assert length >= n
        for prime in (2, 3, 5, 7):
            while length % prime == 0:
                length //= prime
        assert length == 1
