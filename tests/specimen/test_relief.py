"""Steps of a film: how far apart they are, how high, and that they belong to the film and not to its sampling."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import exitwave as ew

LIKE = torch.zeros((), dtype=torch.float64)


def relief(film: ew.Film, side: int, spacing: float, like: Tensor = LIKE) -> Tensor:
    return film.relief((side, side), (spacing, spacing), like)


@pytest.mark.parametrize(("levels", "tolerance"), [(0.3, 0.05), (0.5, 0.03), (3.0, 0.03)])
def test_a_line_crosses_one_step_per_terrace(levels: float, tolerance: float) -> None:
    """Heights change by one step at every step, so that the way up and down along a line counts them."""
    length, steps = 0.0, torch.zeros(2, dtype=torch.float64)
    for seed in range(30):
        heights = relief(ew.Film(step_height=1.0, terrace=0.3, levels=levels, seed=seed), 400, 0.01)
        steps += torch.stack([heights.diff(dim=axis).abs().sum() for axis in (0, 1)])
        length += 400 * 400 * 0.01
    assert torch.allclose(length / steps, torch.full((2,), 0.3, dtype=torch.float64), rtol=tolerance)


@pytest.mark.parametrize(("levels", "terrace", "spacing"), [(0.3, 0.4, 0.01), (1.0, 0.2, 0.01), (4.0, 0.1, 0.02)])
def test_heights_spread_as_levels_say(levels: float, terrace: float, spacing: float) -> None:
    """Rounded to whole steps: far more than a step adds the variance 1/12, far less leaves what exceeds half a step."""
    films = [ew.Film(step_height=1.0, terrace=terrace, levels=levels, seed=seed) for seed in range(12)]
    heights = torch.stack([relief(film, 300, spacing) for film in films])
    edges = (torch.arange(-60.0, 61.0, dtype=torch.float64) + 0.5) / levels
    share = torch.special.ndtr(edges).diff()
    expected = (share * torch.arange(-59.0, 61.0, dtype=torch.float64).square()).sum().sqrt()
    assert float(heights.std()) == pytest.approx(float(expected), rel=0.06)
    assert abs(float(heights.mean())) < 0.15 * levels


def test_terraces_are_flat_and_edges_one_sample_wide() -> None:
    heights = relief(ew.Film(step_height=0.004, terrace=0.4, levels=2.0, seed=2), 300, 0.01) / 0.004
    flat = (heights - heights.round()).abs() < 1e-9
    # A line that crosses edges at all angles meets one of them every 40 samples.
    assert 0.94 < float(flat.double().mean()) < 0.98
    assert float(heights.diff(dim=0).abs().max()) < 1.5
    assert float(heights.diff(dim=1).abs().max()) < 1.5
    assert int(heights.round().unique().numel()) > 4


def test_crowded_steps_are_the_slope_that_they_are_on_average() -> None:
    fine, coarse = (relief(ew.Film(step_height=0.01, terrace=0.02, levels=8.0, seed=1), n, 0.4 / n) for n in (800, 20))
    assert float(coarse.std()) == pytest.approx(float(fine.std()), rel=0.2)
    there = fine[::40, ::40]
    assert float((coarse - there).abs().max()) < 0.01


def test_a_margin_and_a_finer_sampling_show_the_same_steps() -> None:
    film = ew.Film(step_height=0.01, terrace=0.2, seed=7)
    narrow = film.relief((60, 81), (0.01, 0.02), LIKE)
    wide = film.relief((92, 121), (0.01, 0.02), LIKE)
    assert torch.allclose(wide[16:-16, 20:-20], narrow, atol=1e-12)
    fine = film.relief((120, 162), (0.005, 0.01), LIKE)[::2, ::2]
    assert float(((fine - narrow).abs() < 1e-9).double().mean()) > 0.85
    assert float((fine - narrow).abs().max()) < 0.0101


def test_seeds_differ_and_texture_is_another_draw() -> None:
    films = [ew.Film(step_height=0.01, terrace=0.2, levels=1.0, scale=0.2, secondary=0.1, seed=k) for k in (1, 2)]
    one, other = (relief(film, 200, 0.01) for film in films)
    texture = films[0].yields((200, 200), (0.01, 0.01), LIKE)
    for unlike in (other, texture):
        assert abs(float(torch.corrcoef(torch.stack([one.flatten(), unlike.flatten()]))[0, 1])) < 0.3


def test_without_steps_nothing_changes() -> None:
    flat, stepped = ew.Film(secondary=0.1, seed=4), ew.Film(secondary=0.1, step_height=0.01, terrace=0.1, seed=4)
    assert torch.equal(relief(flat, 50, 0.01), torch.zeros(50, 50, dtype=torch.float64))
    shape, spacing = (50, 40), (0.01, 0.01)
    assert torch.equal(flat.yields(shape, spacing, LIKE), stepped.yields(shape, spacing, LIKE))
    assert torch.equal(flat.maps(shape, spacing, LIKE)[0], stepped.maps(shape, spacing, LIKE)[0])


def test_slopes_by_height_terrace_and_levels() -> None:
    def heights(step_height: Tensor, terrace: Tensor, levels: Tensor) -> Tensor:
        film = ew.Film(step_height=step_height, terrace=terrace, levels=levels, seed=3)
        return film.relief((24, 20), (0.02, 0.03), LIKE)

    numbers = [torch.tensor(number, dtype=torch.float64, requires_grad=True) for number in (0.8, 0.13, 1.2)]
    assert torch.autograd.gradcheck(heights, numbers, eps=1e-7, atol=1e-4, check_forward_ad=True)


@pytest.mark.parametrize("terrace", [1e-3, 0.1, 100.0])
def test_slopes_are_finite_and_dtypes_are_kept(terrace: float) -> None:
    numbers = [torch.tensor(number, requires_grad=True) for number in (0.0, terrace, 0.5)]
    film = ew.Film(step_height=numbers[0], terrace=numbers[1], levels=numbers[2], seed=1)
    heights = relief(film, 64, 0.01, torch.zeros(()))
    assert heights.dtype == torch.float32
    for slope in torch.autograd.grad(heights.square().sum() + heights.sum(), numbers):
        assert bool(slope.isfinite())


def test_bad_steps_are_refused() -> None:
    for build, words in (
        (lambda: ew.Film(step_height=-0.01), r"Film\.step_height must lie in \[0, inf\) um, got -0\.01"),
        (lambda: ew.Film(terrace=0.0), r"Film\.terrace must lie in \(0, inf\) um, got 0"),
        (lambda: ew.Film(levels=0.1), r"Film\.levels must lie in \[0\.25, 20\], got 0\.1"),
    ):
        with pytest.raises(ValueError, match=words):
            build()
