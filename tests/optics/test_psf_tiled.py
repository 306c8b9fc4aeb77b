"""PSFs that differ from place to place, and spectra that are kept."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from exitwave.illumination.excitation import LightSheet, ScannedSpot
from exitwave.lattice import Lattice
from exitwave.model import substitute
from exitwave.optics.psf.detection import Detection
from exitwave.optics.psf.gaussian import GaussianPSF
from exitwave.optics.psf.scalar import ScalarPSF
from exitwave.optics.psf.tiled import TiledPSF, parts

DOUBLE = torch.float64
ZERO = torch.zeros(1, dtype=DOUBLE)
SPOT = GaussianPSF(sigma=(0.6, 0.24, 0.3))
LENS = ScalarPSF(na=0.8, wavelength=0.52, index=1.0)
FLAT = Lattice((4, 4, 4), (0.8, 0.4, 0.4), (1, 2, 2), (0, 0, 0), (4, 4, 4), (-1.6, -0.8, -0.8))
LAGS = (torch.linspace(-1.0, 1.0, 7, dtype=DOUBLE),) * 3


# Memory


def test_a_transfer_is_remembered_while_its_numbers_stay() -> None:
    detection, excitation = Detection(LENS), LightSheet(thickness=1.3)
    first = detection.transfer(FLAT, ZERO, excitation)
    assert detection.transfer(FLAT, ZERO, LightSheet(thickness=1.3)) is first
    assert detection.transfer(FLAT, torch.zeros(1), excitation).dtype is torch.complex64
    other = substitute(detection, {"psf.na": torch.tensor(0.7, dtype=DOUBLE)})
    assert other.transfer(FLAT, ZERO, excitation) is not first
    free = substitute(detection, {"psf.na": torch.tensor(0.8, dtype=DOUBLE, requires_grad=True)})
    assert free.transfer(FLAT, ZERO, excitation).requires_grad
    with torch.no_grad():
        assert not free.transfer(FLAT, ZERO, excitation).requires_grad


def test_numbers_changed_where_they_lie_are_noticed() -> None:
    thickness = torch.tensor(1.7, dtype=DOUBLE)
    sheet = LightSheet(thickness=thickness)
    first = Detection(LENS).transfer(FLAT, ZERO, sheet)
    thickness.mul_(2.0)
    assert float((Detection(LENS).transfer(FLAT, ZERO, sheet) - first).abs().amax()) > 0.01


# Tiles


def tiled() -> TiledPSF:
    psfs = tuple(GaussianPSF(sigma=(0.6, 0.2 + 0.02 * number, 0.3)) for number in range(6))
    return TiledPSF(psfs, tiles=(1, 2, 3), extent=(5.0, 8.0, 12.0))


def test_shares_of_every_place_add_up_to_one() -> None:
    generator = torch.Generator().manual_seed(0)
    places = 20 * torch.rand(200, 3, generator=generator, dtype=DOUBLE) - 10
    weights = tiled().weights(places)
    assert torch.allclose(weights.sum(0), torch.ones(200, dtype=DOUBLE))
    assert float(weights.amin()) == 0.0


def test_the_middle_of_a_tile_and_the_corners_have_one_psf() -> None:
    places = torch.tensor([[0.0, -2.0, 0.0], [3.0, 2.0, 4.0], [0.0, -50.0, -50.0], [0.0, 0.0, 2.0]], dtype=DOUBLE)
    found = tiled().weights(places).T
    assert found[0].tolist() == pytest.approx([0, 1, 0, 0, 0, 0])
    assert found[1].tolist() == pytest.approx([0, 0, 0, 0, 0, 1])
    assert found[2].tolist() == pytest.approx([1, 0, 0, 0, 0, 0])
    assert found[3].tolist() == pytest.approx([0, 0.25, 0.25, 0, 0.25, 0.25])
    inside = torch.tensor([[0.0, 0.7, 1.3]], dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(lambda place: tiled().weights(place), inside, check_forward_ad=True)


def test_every_tile_is_a_spread_of_its_own() -> None:
    detection = Detection(tiled(), pinhole=0.5)
    spreads = detection.spreads()
    places = torch.tensor([[0.0, 0.5, 1.0]], dtype=DOUBLE)
    shares = torch.stack([spread.share(places) for spread in spreads])  # pyright: ignore[reportArgumentType]
    assert torch.allclose(shares, tiled().weights(places))
    alone = Detection(tiled().psfs[3], pinhole=0.5)
    excitation = ScannedSpot(SPOT)
    assert torch.equal(spreads[3].transfer(FLAT, ZERO, excitation), alone.transfer(FLAT, ZERO, excitation))
    assert spreads[3].band(1e-3, excitation) == alone.band(1e-3, excitation)
    assert spreads[3].reach(1e-3, 1.0, excitation) == alone.reach(1e-3, 1.0, excitation)
    assert torch.equal(spreads[3].at(ZERO, ZERO, ZERO, excitation), alone.at(ZERO, ZERO, ZERO, excitation))
    # At the origin the whole is the mean of the tiles about it.
    whole = tiled()
    mean = 0.5 * (whole.psfs[1].at(*LAGS) + whole.psfs[4].at(*LAGS))
    assert torch.allclose(whole.at(*LAGS), mean)
    assert whole.band(1e-3)[1] == max(psf.band(1e-3)[1] for psf in whole.psfs)
    assert Detection(whole).share(places) is None


def test_an_ordinary_psf_is_one_spread_for_all_places() -> None:
    detection = Detection(LENS)
    assert detection.spreads() == (detection,)
    assert detection.share(torch.zeros(1, 3)) is None
    assert parts(LENS) == ((LENS, None),)


@pytest.mark.parametrize(
    ("psfs", "tiles", "extent", "message"),
    [
        ((LENS,), (1, 2, 1), (1.0, 1.0, 1.0), "must have 2 entries"),
        ((LENS,), (1, 1), (1.0, 1.0, 1.0), "three counts"),
        ((LENS,), (1, 0, 1), (1.0, 1.0, 1.0), "three counts"),
        ((LENS,), (1, 1, 1), (1.0, 0.0, 1.0), "three sizes"),
    ],
)
def test_tiles_that_do_not_fit_are_refused(psfs: Any, tiles: Any, extent: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TiledPSF(psfs, tiles, extent)
