"""Arrangements: distances, contacts, densities and refusals, against brute force and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist
from scipy.stats import chi2
from torch import Tensor

from exitwave import toml
from exitwave.specimen.arrange import Agglomerates, Arrangement, PoissonDisk, Scattered, Sedimented
from exitwave.specimen.packing import Occupied, first_come, overlaps

ALL = (
    Scattered(),
    Scattered(overlap=0.3, margin=1.0),
    PoissonDisk(spacing=1.1),
    Agglomerates(aggregation_number=4.0),
    Agglomerates(aggregation_number=4.0, planar=True),
    Sedimented(slide=-3.0),
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def lognormal(count: int, spread: float, seed: int = 5) -> Tensor:
    return torch.exp(spread * torch.randn(count, generator=seeded(seed), dtype=torch.float64))


def field(radii: Tensor, coverage: float) -> float:
    """Return the side of the square field of which the discs cover that fraction."""
    return math.sqrt(float((math.pi * radii**2).sum()) / coverage)


def clearance(centers: Tensor, radii: Tensor, factor: float = 1.0) -> np.ndarray:
    """Return |c_i - c_j| - factor (r_i + r_j) of all pairs i < j, in as many dimensions as given."""
    distance = cdist(centers.numpy(), centers.numpy())
    reach = factor * (radii[:, None] + radii[None]).numpy()
    return (distance - reach)[np.triu_indices(len(radii), 1)]


@pytest.mark.parametrize("spread", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("overlap", [0.0, 0.4])
def test_bounding_circles_overlap_no_more_than_allowed(overlap: float, spread: float) -> None:
    radii = lognormal(800, spread)
    side = field(radii, 0.35)
    centers = Scattered(overlap=overlap).place(radii, (5.0, side, side), seeded())
    assert clearance(centers[:, 1:], radii, 1.0 - overlap).min() >= -1e-12
    assert centers.dtype == torch.float64
    assert centers.shape == (800, 3)


def test_free_overlap_is_uniform_in_every_direction() -> None:
    extent = (4.0, 60.0, 30.0)
    centers = Scattered().place(torch.ones(20_000), extent, seeded(2)).numpy()
    counts, _ = np.histogramdd(centers, bins=(4, 10, 10), range=[(-side / 2, side / 2) for side in extent])
    assert counts.sum() == 20_000
    statistic = ((counts - 50.0) ** 2 / 50.0).sum()
    assert chi2.ppf(0.01, 399) < statistic < chi2.ppf(0.99, 399)


def test_particles_kept_apart_fill_the_field_evenly() -> None:
    radii = torch.ones(4000)
    side = field(radii, 0.3)
    counts = np.zeros((10, 10))
    for seed in range(5):
        centers = Scattered(overlap=0.0).place(radii, (0.0, side, side), seeded(seed)).numpy()
        counts += np.histogram2d(*centers[:, 1:].T, bins=10, range=[(-side / 2, side / 2)] * 2)[0]
    # Hard discs are more even than a Poisson process, but cells at the walls may hold somewhat more.
    inner = counts[1:-1, 1:-1]
    assert ((inner - inner.mean()) ** 2 / inner.mean()).sum() < chi2.ppf(0.99, inner.size - 1)
    assert abs(inner.mean() / 200.0 - 1.0) < 0.05


def test_random_sequential_adsorption_saturates_at_the_published_density() -> None:
    radii = torch.ones(6000)
    side = field(radii, 0.7)
    with pytest.raises(ValueError, match="expected room for 6000 particles") as error:
        Scattered(overlap=0.0).place(radii, (0.0, side, side), seeded())
    placed = int(str(error.value).split("got ")[1].split()[0])
    # Centres fill the square, so discs fill one that is wider by about a radius at each side.
    assert abs(placed * math.pi / (side + 2.0 * 0.5) ** 2 - 0.547) < 0.01


def test_poisson_disk_is_spaced_and_near_maximal() -> None:
    radii = torch.ones(2000)
    side = field(1.25 * radii, 0.53)
    centers = PoissonDisk(spacing=1.25).place(radii, (0.0, side, side), seeded(3))
    assert clearance(centers[:, 1:], radii, 1.25).min() >= -1e-12
    axis = np.linspace(-side / 2, side / 2, 400)
    probes = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    nearest = KDTree(centers[:, 1:].numpy()).query(probes)[0]
    # In a maximal sample no point is farther than the spacing from a centre; here few are, by little.
    assert (nearest > 2.5).mean() < 0.01
    assert nearest.max() < 1.5 * 2.5


def test_poisson_disk_spectrum_is_blue() -> None:
    radii = torch.ones(1500)
    side = field(radii, 0.4)
    waves = 2.0 * math.pi * np.stack(np.meshgrid(np.arange(1, 5), np.arange(1, 5)), -1).reshape(-1, 2) / side

    def power(arrangement: Arrangement) -> float:
        centers = arrangement.place(radii, (0.0, side, side), seeded(7)).numpy()
        return float((np.abs(np.exp(1j * centers[:, 1:] @ waves.T).sum(0)) ** 2).mean() / 1500)

    # Relative to a Poisson process, whose spectrum is white.
    assert 0.5 < power(Scattered()) < 2.0
    assert power(PoissonDisk(spacing=1.1)) < 0.2


@pytest.mark.parametrize("margin", [-1.0, 0.0, 2.0])
def test_margin_is_how_far_centres_lie_outside_in_radii(margin: float) -> None:
    radii = 0.5 + torch.rand(3000, generator=seeded(), dtype=torch.float64)
    for arrangement in (Scattered(margin=margin), PoissonDisk(spacing=0.5, margin=margin), Agglomerates(margin=margin)):
        centers = arrangement.place(radii, (0.0, 200.0, 300.0), seeded(1))
        outside = torch.maximum(centers[:, 1].abs() - 100.0, centers[:, 2].abs() - 150.0) / radii
        assert margin - 0.5 <= float(outside.max()) <= margin + 1e-9


@pytest.mark.parametrize("planar", [True, False])
@pytest.mark.parametrize(("spread", "gap"), [(0.0, 0.0), (0.5, 0.0), (0.3, 0.2)])
def test_agglomerates_touch_exactly_and_never_overlap(planar: bool, spread: float, gap: float) -> None:
    radii = lognormal(600, spread)
    arrangement = Agglomerates(aggregation_number=8.0, gap=gap, planar=planar)
    side = field(radii, 0.1)
    centers = arrangement.place(radii, (12.0, side, side), seeded(4))
    free = clearance(centers, radii)
    first, second = np.triu_indices(600, 1)
    touching = np.abs(free - gap) < 1e-9
    graph = coo_array((np.ones(touching.sum()), (first[touching], second[touching])), shape=(600, 600))
    number, label = connected_components(graph, directed=False)
    assert 50 < number < 110
    # Spheres of different clusters do not even overlap in projection.
    apart = label[first] != label[second]
    assert free[~apart].min() >= gap - 1e-8 * float(radii.max())
    assert clearance(centers[:, 1:], radii)[apart].min() >= -1e-9
    if planar:
        for cluster in range(number):
            assert np.ptp(centers[label == cluster, 0].numpy()) == 0.0
    assert float(centers[:, 0].abs().max()) <= 6.0 + 1e-12


def test_cluster_sizes_are_geometric() -> None:
    centers = Agglomerates(aggregation_number=3.0, planar=True).place(torch.ones(6000), (0.0, 600.0, 600.0), seeded(6))
    pairs = KDTree(centers.numpy()).query_pairs(2.0 + 1e-9, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(6000, 6000))
    number, label = connected_components(graph, directed=False)
    counts = np.bincount(label)
    assert abs(6000 / number - 3.0) < 0.2
    for size in (1, 2, 3, 4, 5):
        expected = number * (2 / 3) ** (size - 1) / 3
        assert abs((counts == size).sum() - expected) < 4.0 * math.sqrt(expected)


def test_an_agglomerate_in_a_thin_layer_stays_in_it() -> None:
    centers = Agglomerates(aggregation_number=1e6).place(torch.ones(500), (1.0, 200.0, 200.0), seeded())
    assert float(centers[:, 0].abs().max()) <= 0.5
    assert float(torch.pdist(centers).min()) >= 2.0 - 1e-8


def test_sedimented_particles_touch_the_slide() -> None:
    radii = lognormal(200, 0.4)
    heights = 0.5 * radii
    lateral = PoissonDisk(spacing=1.2)
    side = field(radii, 0.2)
    centers = Sedimented(slide=-7.0, lateral=lateral).place(radii, (20.0, side, side), seeded(9), heights)
    torch.testing.assert_close(centers[:, 0] - heights, torch.full((200,), -7.0, dtype=torch.float64))
    assert torch.equal(centers[:, 1:], lateral.place(radii, (20.0, side, side), seeded(9))[:, 1:])
    assert torch.equal(Sedimented().place(radii, (0.0, side, side), seeded())[:, 0], radii)


@pytest.mark.parametrize("arrangement", ALL, ids=repr)
def test_equal_generators_give_equal_centres(arrangement: Arrangement) -> None:
    radii = lognormal(150, 0.3)
    first, second, other = (arrangement.place(radii, (8.0, 90.0, 90.0), seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first[:, 1:], other[:, 1:])
    assert torch.isfinite(first).all()
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    arrangement.place(radii, (8.0, 90.0, 90.0), seeded(3))
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("arrangement", ALL, ids=repr)
def test_no_particles_and_one_particle(arrangement: Arrangement) -> None:
    assert arrangement.place(torch.zeros(0), (1.0, 5.0, 5.0), seeded()).shape == (0, 3)
    assert arrangement.place(torch.ones(1), (0.0, 5.0, 5.0), seeded()).shape == (1, 3)


@pytest.mark.parametrize("arrangement", ALL, ids=repr)
def test_an_arrangement_survives_toml(arrangement: Arrangement) -> None:
    assert toml.load(toml.dump(arrangement)) == arrangement  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(("spread", "coverage"), [(0.0, 0.4), (0.5, 0.4)])
def test_forty_thousand_particles_have_their_place(spread: float, coverage: float) -> None:
    radii = lognormal(40_000, spread)
    side = field(radii, coverage)
    centers = Scattered(overlap=0.0).place(radii, (10.0, side, side), seeded()).numpy()
    own = radii.numpy()
    pairs = KDTree(centers[:, 1:]).query_pairs(2.01 * float(np.quantile(own, 0.99)), output_type="ndarray")
    distance = np.linalg.norm(centers[pairs[:, 0], 1:] - centers[pairs[:, 1], 1:], axis=1)
    assert (distance - own[pairs[:, 0]] - own[pairs[:, 1]]).min() >= -1e-9


def test_one_giant_among_thousands() -> None:
    radii = torch.full((20_000,), 0.5, dtype=torch.float64)
    radii[7] = 100.0
    side = field(radii, 0.4)
    centers = Scattered(overlap=0.0).place(radii, (0.0, side, side), seeded())
    distance = torch.linalg.vector_norm(centers[:, 1:] - centers[7, 1:], dim=-1)
    distance[7] = math.inf
    assert float(distance.min()) >= 100.5


@pytest.mark.parametrize(
    ("arrangement", "remedy"),
    [
        (Scattered(overlap=0.0), "more overlap"),
        (PoissonDisk(spacing=1.2), "a smaller spacing"),
        (Agglomerates(aggregation_number=5.0), "a smaller aggregation_number"),
        (Sedimented(), "more overlap"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("coverage", [0.9, 2.0])
def test_a_number_that_does_not_fit_is_refused(arrangement: Arrangement, remedy: str, coverage: float) -> None:
    radii = lognormal(800, 0.3)
    # Even where all that fits is a few of the biggest.
    side = field(radii, coverage) if coverage < 1.0 else 30.0
    with pytest.raises(
        ValueError, match=rf"expected room for {len(radii)} particles.*got .* placed.*{remedy}"
    ) as error:
        arrangement.place(radii, (5.0, side, side), seeded())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0])
@pytest.mark.parametrize("arrangement", ALL, ids=repr)
def test_bad_radii_and_heights_are_refused(arrangement: Arrangement, bad: float) -> None:
    radii, broken = torch.ones(3), torch.tensor([1.0, bad, 1.0])
    with pytest.raises(ValueError, match=r"expected radii to be positive and finite, got .* for particle 1"):
        arrangement.place(broken, (1.0, 20.0, 20.0), seeded())
    with pytest.raises(ValueError, match=r"expected heights to be positive and finite, got .* for particle 1"):
        arrangement.place(radii, (1.0, 20.0, 20.0), seeded(), broken)
    with pytest.raises(ValueError, match=r"expected heights of shape \(3,\), got \(2,\)"):
        arrangement.place(radii, (1.0, 20.0, 20.0), seeded(), torch.ones(2))


@pytest.mark.parametrize("extent", [(1.0, 0.0, 5.0), (-1.0, 5.0, 5.0), (0.0, 5.0, math.nan), (0.0, math.inf, 5.0)])
def test_bad_extents_are_refused(extent: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="expected an extent with z >= 0"):
        Scattered().place(torch.ones(3), extent, seeded())


def test_other_mistakes_are_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match=r"expected radii of shape \(2,\), got \(2, 1\)"):
        Scattered().place(torch.ones(2, 1), (0.0, 5.0, 5.0), seeded())
    with pytest.raises(ValueError, match=r"expected an extent \(z, y, x\), got 2 numbers"):
        Scattered().place(torch.ones(2), (5.0, 5.0), seeded())  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"expected a torch.Generator on the CPU, got None"):
        Scattered().place(torch.ones(2), (0.0, 5.0, 5.0), None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="expected particles that fit in a field of 5 x 5 um"):
        Scattered(margin=-1.0).place(torch.tensor([1.0, 3.0]), (0.0, 5.0, 5.0), seeded())
    with pytest.raises(ValueError, match="expected clusters that fit in a field of 9 x 9 um"):
        Agglomerates(aggregation_number=1e6).place(torch.ones(100), (0.0, 9.0, 9.0), seeded())
    with pytest.raises(ValueError, match=r"Scattered.overlap must lie in \[0, 1\], got 2"):
        Scattered(overlap=2.0)
    with pytest.raises(ValueError, match=r"PoissonDisk.spacing must lie in \(0, 1000\), got 0"):
        PoissonDisk(spacing=0.0)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_neighbours_equal_brute_force_for_all_sizes(dimensions: int) -> None:
    random = np.random.default_rng(1)
    points, radii = random.random((400, dimensions)), 0.03 * np.exp(random.normal(0.0, 1.5, 400))
    meets = cdist(points, points) < radii[:, None] + radii[None]
    left, right = overlaps(points, radii)
    assert sorted(zip(left, right, strict=True)) == list(zip(*np.nonzero(np.triu(meets, 1)), strict=True))
    placed = Occupied()
    placed.add(points[:100], radii[:100])
    placed.add(points[100:200], radii[100:200])
    assert np.array_equal(placed.hit(points[200:], radii[200:]), meets[200:, :200].any(axis=1))


def test_a_round_of_darts_is_decided_as_if_they_came_one_by_one() -> None:
    random = np.random.default_rng(2)
    left, right = random.integers(300, size=(2, 900))
    left, right = left[left != right], right[left != right]
    stays = np.ones(300, dtype=bool)
    for later in range(300):
        excluded = {*left[right == later], *right[left == later]}
        stays[later] = not any(stays[earlier] for earlier in excluded if earlier < later)
    assert np.array_equal(first_come(left, right, 300), stays)
