"""Tries: frames drawn anew until their labels can be read in them."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from exitwave.data.frame import Exposure, expose
from exitwave.data.images import stored
from exitwave.data.readable import ROSE, readable_share, visibility
from exitwave.model import get, leaves
from exitwave.quantity import is_prior
from exitwave.random import Key
from exitwave.sample import sample
from exitwave.scene import Scene

TRIES = 20
"""How often a frame is drawn before the recipe is refused."""

# Rank correlations of 20 pairs that chance exceeds once in two hundred times: there are many priors to try.
_CORRELATED = 0.6


class Drawn(NamedTuple):
    """A frame that was kept: the exposure, and how many before it could not be read.

    The exposure's seconds are those of all tries.
    """

    exposure: Exposure
    rejected: int


def drawn(recipe: Scene, key: Key, readable: float | None = None) -> Drawn:
    """Return what `key` draws, or what the first further key draws in which labels can be read.

    An image can be read if at least the share `readable` of the objects that `visibility` judges is seen; one without
    such objects can. None keeps every image. Further keys depend on `key` alone.
    """
    if readable is None:
        return Drawn(expose(recipe, key), 0)
    seconds: dict[str, float] = {}
    shares: list[float] = []
    strengths: list[float] = []
    for number in range(TRIES):
        exposure = expose(recipe, further(key, number))
        start = time.perf_counter()
        found = visibility(stored(exposure.image, exposure.bits), exposure.truth)
        share = readable_share(found)
        for stage, spent in {**exposure.seconds, "judge": time.perf_counter() - start}.items():
            seconds[stage] = seconds.get(stage, 0.0) + spent
        if share >= readable:
            return Drawn(replace(exposure, seconds=seconds), number)
        shares.append(share)
        strengths.append(float(np.nanmedian(found)))
    raise ValueError(
        f"expected {readable:.0%} of the outlines to be seen, with contrast sqrt(A) of {ROSE:g} or more, got "
        f"{min(shares):.0%} to {max(shares):.0%} in {TRIES} images, with {min(strengths):.2g} to {max(strengths):.2g} "
        f"for the middle object; narrow {_blamed(recipe, key, strengths)}, or ask for a smaller share"
    )


def further(key: Key, number: int) -> Key:
    """Return the key of another try of the same frame; that of number 0 is `key` itself.

    >>> further(Key(3, 7), 0)
    Key(seed=3, index=7)
    """
    return Key(key.integer(f"try {number}"), key.index) if number else key


def checked(readable: float | None, dimensions: int) -> float | None:
    """Return the share of objects that have to be seen in frames of `dimensions`; an error where it is none."""
    if readable is None:
        return None
    if isinstance(readable, bool) or not isinstance(readable, int | float) or not 0 < readable <= 1:
        raise ValueError(
            f"expected readable to be a share of the objects above 0 and up to 1, got {readable!r}; pass for example "
            "0.9, or None to keep every image"
        )
    if dimensions != 2:
        raise ValueError("expected images to judge by the contrast of outlines, got volumes; leave readable out")
    return float(readable)


def _blamed(recipe: Scene, key: Key, strengths: list[float]) -> str:
    """Return the priors of the microscope that contrast followed from try to try, with what they drew, in words."""
    paths = [path for path, _, item in leaves(recipe) if path.startswith("microscope.") and is_prior(item)]
    scenes = [sample(recipe, further(key, number)) for number in range(len(strengths))]
    blame: list[tuple[float, str]] = []
    for path in paths:
        values = [get(scene, path) for scene in scenes]
        if any(value.numel() != 1 for value in values):
            continue
        numbers = np.array([float(value) for value in values])
        # Of a focus its distance matters, on whichever side.
        strength = max(abs(_correlation(number, np.array(strengths))) for number in (numbers, np.abs(numbers)))
        blame.append((strength, f"{path} (drawn from {numbers.min():.3g} to {numbers.max():.3g})"))
    worst = [words for strength, words in sorted(blame, reverse=True)[:2] if strength >= _CORRELATED]
    return " and ".join(worst) or "the priors of dose, focus and contrast"


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return the correlation of ranks, 0 where one of the two is constant."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    first, second = (rankdata(values) for values in (one, other))
    return float(np.corrcoef(first, second)[0, 1])
