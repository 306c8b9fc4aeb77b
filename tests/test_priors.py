"""Priors: their draws against their distributions, and the ranges that they claim."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

import exitwave as ew

COUNT = 20_000


def wrong(value: Any) -> Any:
    """Return `value`, hidden from the type checker."""
    return value


def draw(prior: Any, count: int = COUNT, seed: int = 0) -> np.ndarray:
    return prior.draw((count,), torch.Generator().manual_seed(seed)).numpy()


CONTINUOUS: dict[str, tuple[Any, Any]] = {
    "uniform": (ew.Uniform(-2.0, 3.0), stats.uniform(-2, 5)),
    "log-uniform": (ew.LogUniform(0.01, 10.0), stats.loguniform(0.01, 10)),
    "normal": (ew.Normal(5.0, 0.7), stats.norm(5, 0.7)),
    "log-normal": (ew.LogNormal(2.0, 0.4), stats.lognorm(0.4, scale=2)),
    "truncated": (ew.TruncatedNormal(1.0, 2.0, 0.5, 2.5), stats.truncnorm(-0.25, 0.75, 1, 2)),
    "far tail": (ew.TruncatedNormal(0.0, 1.0, 3.0, 4.0), stats.truncnorm(3, 4)),
    "farther tail": (ew.TruncatedNormal(0.0, 1.0, 9.0, 11.0), stats.truncnorm(9, 11)),
    "low tail": (ew.TruncatedNormal(0.0, 1.0, -5.0, -3.0), stats.truncnorm(-5, -3)),
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_draws_follow_the_distribution(name: str) -> None:
    """Kolmogorov and Smirnov against scipy's distribution, and the first two moments."""
    prior, distribution = CONTINUOUS[name]
    found = draw(prior)
    assert stats.kstest(found, distribution.cdf).pvalue > 0.01
    spread = distribution.std()
    assert found.mean() == pytest.approx(distribution.mean(), abs=5 * spread / math.sqrt(COUNT))
    assert found.std() == pytest.approx(spread, rel=0.05)


def test_choice_draws_in_proportion_to_its_weights() -> None:
    found = draw(ew.Choice((1.0, 2.0, 5.0), weights=(1.0, 0.0, 3.0)))
    values, counts = np.unique(found, return_counts=True)
    assert values.tolist() == [1, 5]
    assert counts[0] / COUNT == pytest.approx(0.25, abs=0.015)
    _, even = np.unique(draw(ew.Choice((1.0, 2.0, 5.0))), return_counts=True)
    assert even / COUNT == pytest.approx([1 / 3] * 3, abs=0.02)


def test_mixture_draws_from_each_part_in_proportion() -> None:
    parts = (ew.Normal(0.0, 0.1), ew.Uniform(5.0, 6.0))
    found = draw(ew.Mixture(parts, weights=(3.0, 1.0)))
    high = found > 2
    assert high.mean() == pytest.approx(0.25, abs=0.015)
    assert stats.kstest(found[~high], stats.norm(0, 0.1).cdf).pvalue > 0.01
    assert stats.kstest(found[high], stats.uniform(5, 1).cdf).pvalue > 0.01


@pytest.mark.parametrize("name", CONTINUOUS)
def test_draws_are_the_generators_and_of_the_asked_shape(name: str) -> None:
    prior, _ = CONTINUOUS[name]
    assert np.array_equal(draw(prior, 50), draw(prior, 50))
    assert not np.array_equal(draw(prior, 50), draw(prior, 50, seed=1))
    assert prior.draw((), torch.Generator().manual_seed(0)).shape == ()
    assert prior.draw((2, 3), torch.Generator().manual_seed(0)).shape == (2, 3)


@pytest.mark.parametrize(
    "prior",
    [
        ew.Uniform(1.0, 2.0),
        ew.LogUniform(1e-3, 2.0),
        ew.TruncatedNormal(0.0, 5.0, -1.0, 1.0),
        ew.TruncatedNormal(0.0, 1.0, 6.0, 7.0),
        ew.Choice((4.0, 2.0)),
        ew.Mixture((ew.Uniform(0.0, 1.0), ew.Choice((9.0, 8.0))), (1.0, 1.0)),
    ],
)
def test_draws_stay_within_the_support(prior: Any) -> None:
    low, high = prior.support()
    found = draw(prior)
    assert low <= found.min()
    assert found.max() <= high


def test_support_of_unbounded_priors_is_four_sigma() -> None:
    assert ew.Normal(5.0, 0.5).support() == (3.0, 7.0)
    assert ew.LogNormal(2.0, 0.1).support() == pytest.approx((2 * math.exp(-0.4), 2 * math.exp(0.4)))


def test_support_of_nested_priors_is_that_of_all_their_draws() -> None:
    assert ew.Uniform(ew.Uniform(0.0, 1.0), ew.Uniform(2.0, 3.0)).support() == (0.0, 3.0)
    assert ew.Normal(ew.Uniform(5.0, 10.0), 0.5).support() == (3.0, 12.0)


def test_degenerate_priors_are_constants() -> None:
    assert np.unique(draw(ew.Uniform(2.0, 2.0), 9)).tolist() == [2]
    assert np.unique(draw(ew.Normal(2.0, 0.0), 9)).tolist() == [2]
    assert np.unique(draw(ew.Choice(3.0), 9)).tolist() == [3]


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: ew.Uniform(2.0, 1.0), ValueError, "Uniform needs low <= high, got low 2 and high 1; swap them"),
        (lambda: ew.LogUniform(0.0, 1.0), ValueError, "LogUniform.low must lie in (0, inf), got 0"),
        (lambda: ew.LogUniform(2.0, 1.0), ValueError, "LogUniform needs low <= high, got low 2 and high 1"),
        (lambda: ew.Normal(0.0, -1.0), ValueError, "Normal.sigma must lie in [0, inf), got -1"),
        (lambda: ew.LogNormal(-1.0, 1.0), ValueError, "LogNormal.median must lie in (0, inf), got -1"),
        (
            lambda: ew.TruncatedNormal(0.0, 0.0, 0.0, 1.0),
            ValueError,
            "TruncatedNormal.sigma must lie in (0, inf), got 0",
        ),
        (lambda: ew.TruncatedNormal(0.0, 1.0, 2.0, 1.0), ValueError, "TruncatedNormal needs low <= high"),
        (lambda: ew.Choice(()), ValueError, "Choice needs at least one value with a positive weight, got none"),
        (
            lambda: ew.Choice((1.0, 2.0), (0.0, 0.0)),
            ValueError,
            "Choice needs at least one value with a positive weight",
        ),
        (
            lambda: ew.Choice((1.0, 2.0), (1.0,)),
            ValueError,
            "Choice.weights must have K = 2 entries like values, got 1",
        ),
        (
            lambda: ew.Mixture((ew.Uniform(0, 1),), (0.5, 0.5)),
            ValueError,
            "Mixture needs one weight per part and a positive sum, got 1 parts and 2 weights; match them",
        ),
        (lambda: ew.Mixture(wrong((3.0,)), (1.0,)), TypeError, "Mixture.parts must be a tuple of priors, got (3.0,)"),
        (lambda: ew.Uniform("a", "b"), TypeError, "Uniform.low must be a number"),
        (lambda: ew.Uniform(0.0, float("nan")), ValueError, "Uniform.high must be finite"),
    ],
)
def test_priors_refuse_in_one_line(make: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        make()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
