"""Sources: what stands for a condenser's aperture, and coherent kernels in place of its points."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from physics.koehler import WAVELENGTH, picture

import exitwave as ew

DOUBLE = torch.float64


def second_moments(lamp: ew.Annulus | ew.HalfDisk | ew.SourcePoints) -> np.ndarray:
    source = lamp.source()
    return torch.einsum("s,si,sj->ij", source.weight, source.direction, source.direction).numpy()


# Points


@pytest.mark.parametrize(("inner", "outer", "rings"), [(0.0, 0.3, 8), (0.25, 0.35, 1), (0.6, 0.9, 3)])
def test_annulus_stands_for_equal_areas(inner: float, outer: float, rings: int) -> None:
    """Mean of |s|^2 over a ring is (inner^2 + outer^2) / 2, and no direction is preferred."""
    lamp = ew.Annulus(inner, outer, points=30, rings=rings)
    source = lamp.source()
    assert float(source.weight.sum()) == pytest.approx(1)
    assert (source.weight @ source.direction).numpy() == pytest.approx(0, abs=1e-12)
    assert second_moments(lamp) == pytest.approx(np.eye(2) * (inner**2 + outer**2) / 4, rel=1e-9, abs=1e-12)
    radius = torch.linalg.vector_norm(source.direction, dim=-1)
    assert inner < float(radius.min())
    assert float(radius.max()) < outer
    # As many points in the inner half of the area as in the outer one.
    middle = math.sqrt((inner**2 + outer**2) / 2)
    assert float((radius < middle * (1 - 1e-9)).sum() - (radius > middle * (1 + 1e-9)).sum()) == 0


@pytest.mark.parametrize("azimuth", [0.0, 1.1, -2.5])
def test_half_disk_leans_towards_its_azimuth(azimuth: float) -> None:
    """The centroid of a half disk of radius R lies 4 R / (3 pi) from its middle; azimuths count from x towards y."""
    lamp = ew.HalfDisk(0.4, azimuth=azimuth, points=40, rings=40)
    source = lamp.source()
    assert float(source.weight.sum()) == pytest.approx(1)
    centroid = 4 * 0.4 / (3 * math.pi) * np.array([math.sin(azimuth), math.cos(azimuth)])
    assert (source.weight @ source.direction).numpy() == pytest.approx(centroid, abs=2e-4)
    assert second_moments(lamp) == pytest.approx(np.eye(2) * 0.4**2 / 4, rel=1e-3, abs=1e-4)
    towards = source.direction @ torch.tensor([math.sin(azimuth), math.cos(azimuth)], dtype=DOUBLE)
    assert float(towards.min()) > 0


def test_two_half_disks_are_the_disk_without_overlap() -> None:
    first, second = (ew.HalfDisk(0.4, inner_na=0.1, azimuth=a).source().direction for a in (0.3, 0.3 + math.pi))
    assert first.numpy() == pytest.approx(-second.numpy(), abs=1e-12)


def test_image_under_an_led_array_is_the_sum_of_its_lamps() -> None:
    direction = [(y, x) for y, x in itertools.product((-0.2, 0.0, 0.15), (-0.1, 0.25))]
    weight = [1.0, 0.5, 2.0, 0.0, 0.3, 1.2]
    together = picture(ew.SourcePoints(direction, weight, WAVELENGTH), 2.0)
    alone = [picture(ew.Coherent(WAVELENGTH, direction=one), 2.0) for one in direction]
    mean = sum(w * image for w, image in zip(weight, alone, strict=True)) / sum(weight)
    # The canvas is the same for all: its margin follows from the objective alone.
    assert together.numpy() == pytest.approx(torch.as_tensor(mean).numpy(), abs=1e-5)


def test_measured_source_of_ring_points_is_the_annulus() -> None:
    ring = ew.Annulus(0.2, 0.3, wavelength=WAVELENGTH)
    points = ew.SourcePoints(ring.source().direction, wavelength=WAVELENGTH)
    assert picture(points, 1.0).numpy() == pytest.approx(picture(ring, 1.0).numpy(), abs=1e-9)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ew.Annulus(0.3, 1.7), "outer_na"),
        (lambda: ew.Annulus(-0.1, 0.3), "inner_na"),
        (lambda: ew.Annulus(0.4, 0.4), "inner edge below its outer one"),
        (lambda: ew.Annulus(0.5, 0.4), "inner edge below its outer one"),
        (lambda: ew.HalfDisk(0.3, inner_na=0.3), "inner edge below its outer one"),
        (lambda: ew.SourcePoints([[0.0, 0.1], [0.1, 0.0]], [0.0, 0.0]), "weights that sum to zero"),
        (lambda: ew.SourcePoints([[0.0, 0.1], [0.1, 0.0]], [1.0, -1.0]), "weight"),
        (lambda: ew.SourcePoints([[0.0, 1.7]]), "direction"),
        (lambda: ew.Koehler(0.3, spectrum=0.0), "spectrum that sums to zero"),
        (lambda: ew.Koehler(0.3, method="sum"), "method must be one of abbe, socs"),
        (lambda: ew.Annulus(0.3, 0.4, method="Abbe"), "method must be one of abbe, socs"),
        (lambda: ew.Koehler(0.3, method="socs", kernels=0), "kernels must be an integer"),
    ],
)
def test_impossible_sources_are_refused(build: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        build()  # pyright: ignore[reportCallIssue]
    assert "\n" not in str(caught.value)
