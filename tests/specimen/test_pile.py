"""Piles: contacts, rest and support against brute force; heaps of three and four against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist
from torch import Tensor

from exitwave import toml
from exitwave.specimen.pile import Pile

NEAR = 1e-6


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def lognormal(count: int, spread: float, seed: int = 5) -> Tensor:
    return torch.exp(spread * torch.randn(count, generator=seeded(seed), dtype=torch.float64))


def gaps(centers: Tensor, radii: Tensor) -> np.ndarray:
    """Return the distances (N, N) between surfaces; infinite from each to itself."""
    free = cdist(centers.numpy(), centers.numpy()) - (radii[:, None] + radii[None]).numpy()
    np.fill_diagonal(free, math.inf)
    return free


def clusters(free: np.ndarray) -> tuple[int, np.ndarray]:
    """Return how many clusters of touching spheres there are, and the one of each (N,)."""
    return connected_components(coo_array(free < NEAR), directed=False)


@pytest.mark.parametrize("sticking", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("spread", [0.0, 0.5])
@pytest.mark.parametrize("aggregation_number", [1.0, 8.0, 1e6])
def test_spheres_touch_and_rest_and_never_overlap(aggregation_number: float, spread: float, sticking: float) -> None:
    """Every sphere lies on the support or on one below it; clusters hang together and lie apart in projection."""
    count = 300
    radii = 0.05 * lognormal(count, spread)
    arrangement = Pile(aggregation_number=aggregation_number, sticking=sticking, margin=10.0)
    centers = arrangement.place(radii, (0.0, 8.0, 9.0), seeded(3))
    assert centers.shape == (count, 3)
    assert centers.dtype == torch.float64
    free = gaps(centers, radii)
    assert free.min() > -NEAR * 0.05
    height = centers[:, 0].numpy()
    assert (height >= radii.numpy() * (1 - 1e-12)).all()
    carried = ((free < NEAR * 0.05) & (height[None] < height[:, None])).sum(1)
    on_support = height <= radii.numpy() * (1 + 1e-9)
    assert (on_support | (carried > 0)).all()
    number, label = clusters(free)
    if aggregation_number == 1.0:
        assert number == count
        assert on_support.all()
    elif aggregation_number == 1e6:
        assert number == 1
        assert height.max() > 0.3
    else:
        flat = centers[:, 1:]
        apart = label[:, None] != label[None]
        assert gaps(flat, radii)[apart].min() > -1e-9
    if sticking == 0.0 and aggregation_number > 1.0:
        # Held between three, of which one may be higher up.
        assert ((free < NEAR * 0.05).sum(1)[~on_support] >= 3).all()
        assert (carried[~on_support] >= 3).mean() > 0.75


def test_a_sphere_rolls_off_another_one_to_the_support_beside_it() -> None:
    """Two spheres of radii r and R touch and both lie down: 2 sqrt(r R) apart in projection."""
    radii = torch.tensor([0.3, 1.1], dtype=torch.float64)
    for seed in range(30):
        centers = Pile(aggregation_number=1e6, sticking=0.0).place(radii, (0.0, 20.0, 20.0), seeded(seed))
        assert centers[:, 0].numpy() == pytest.approx(radii.numpy(), abs=1e-9)
        assert float((centers[0, 1:] - centers[1, 1:]).norm()) == pytest.approx(2 * math.sqrt(0.33), rel=1e-9)


def test_the_fourth_sphere_lies_beside_three_or_in_their_hollow() -> None:
    """Over three equal ones on the support, with a circumcircle of radius c, it lies at 1 + sqrt(4 - c^2)."""
    heaps = 0
    for seed in range(100):
        centers = Pile(aggregation_number=1e6, sticking=0.0).place(torch.ones(4), (0.0, 20.0, 20.0), seeded(seed))
        order = centers[:, 0].argsort()
        top = float(centers[order[3], 0])
        if top > 1.0 + 1e-9:
            heaps += 1
            first, second, third = centers[order[:3], 1:]
            a, b, c = (float((p - q).norm()) for p, q in ((first, second), (second, third), (third, first)))
            half = (a + b + c) / 2
            circle = a * b * c / (4 * math.sqrt(half * (half - a) * (half - b) * (half - c)))
            assert top == pytest.approx(1.0 + math.sqrt(4.0 - circle**2), rel=1e-9)
    assert heaps > 0


def test_sticking_spheres_stay_where_they_fall() -> None:
    """The second of two equal ones, dropped uniformly over the first, has sin^2 of its tilt uniform in [0, 1]."""
    tilt = []
    for seed in range(300):
        centers = Pile(aggregation_number=1e6, sticking=1.0).place(torch.ones(2), (0.0, 20.0, 20.0), seeded(seed))
        tilt.append(float((centers[0, 1:] - centers[1, 1:]).square().sum() / 4))
    assert np.mean(tilt) == pytest.approx(0.5, abs=0.05)
    assert np.std(tilt) == pytest.approx(math.sqrt(1 / 12), abs=0.03)


def test_rolling_makes_heaps_lower_than_sticking() -> None:
    tops = []
    for sticking in (0.0, 0.3, 1.0):
        centers = Pile(aggregation_number=1e6, sticking=sticking).place(torch.ones(200), (0.0, 90.0, 90.0), seeded(1))
        tops.append(float(centers[:, 0].mean()))
    assert tops[0] < tops[1] < tops[2]


def test_clusters_have_the_aggregation_number_on_average() -> None:
    """2,000 particles at a time; a mean of 2,000 / 8 = 250 clusters, of geometric sizes, +-15 (one sigma)."""
    numbers, singles = [], []
    for seed in range(2):
        radii = lognormal(2000, 0.3)
        centers = Pile(aggregation_number=8.0).place(radii, (0.0, 200.0, 200.0), seeded(seed))
        number, label = clusters(gaps(centers, radii))
        numbers.append(number)
        singles.append((np.bincount(label) == 1).mean())
    assert np.mean(numbers) == pytest.approx(250, abs=35)
    # The chance of a cluster of one is 1/8.
    assert np.mean(singles) == pytest.approx(1 / 8, abs=0.05)


def test_heights_are_where_flat_bodies_lie() -> None:
    """Bodies lower than their bounding sphere lie at their height; only these spheres keep apart."""
    radii = torch.ones(200, dtype=torch.float64)
    heights = torch.where(torch.arange(200) % 2 == 0, 0.2, 1.0).double()
    centers = Pile(aggregation_number=20.0).place(radii, (0.0, 90.0, 90.0), seeded(2), heights)
    assert bool((centers[:, 0] >= heights - 1e-12).all())
    assert int((centers[:, 0] == heights).sum()) > 80
    assert gaps(centers, radii).min() > -NEAR


def test_equal_generators_give_equal_piles() -> None:
    radii = lognormal(100, 0.3)
    first, again, other = (Pile().place(radii, (0.0, 60.0, 60.0), seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    # Single precision in, the same spheres out.
    assert Pile().place(radii.float(), (0.0, 60.0, 60.0), seeded(1)).dtype == torch.float64


def test_margin_keeps_particles_whole() -> None:
    radii = lognormal(200, 0.3)
    centers = Pile(aggregation_number=3.0, margin=-1.0).place(radii, (0.0, 60.0, 70.0), seeded(1))
    assert bool((centers[:, 1].abs() + radii <= 30.0 + 1e-9).all())
    assert bool((centers[:, 2].abs() + radii <= 35.0 + 1e-9).all())


def test_none_at_all_and_toml() -> None:
    assert Pile().place(torch.zeros(0), (0.0, 5.0, 5.0), seeded()).shape == (0, 3)
    pile = Pile(aggregation_number=5.0, sticking=0.5)
    assert toml.load(toml.dump(pile)) == pile


def test_mistakes_are_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match=r"expected room for 500 particles in 10 x 10 um, got \d+ placed") as error:
        Pile(aggregation_number=2.0, sticking=0.0).place(torch.ones(500), (0.0, 10.0, 10.0), seeded())
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="expected clusters that fit in a field of 9 x 9 um"):
        Pile(aggregation_number=1e6, sticking=0.0).place(torch.ones(300), (0.0, 9.0, 9.0), seeded())
    with pytest.raises(ValueError, match="expected radii to be positive and finite, got -1"):
        Pile().place(-torch.ones(3), (0.0, 9.0, 9.0), seeded())
    heights = torch.tensor([1.0, 50.0])
    with pytest.raises(ValueError, match="expected a place on a heap of 1 spheres for one of radius 1 um, got none"):
        Pile(aggregation_number=1e6).place(torch.ones(2), (0.0, 90.0, 90.0), seeded(), heights)
    with pytest.raises(TypeError, match=r"expected a torch.Generator on the CPU"):
        Pile().place(torch.ones(2), (0.0, 5.0, 5.0), None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"Pile.sticking must lie in \[0, 1\], got 2"):
        Pile(sticking=2.0)
