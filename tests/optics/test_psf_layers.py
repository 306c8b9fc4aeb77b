"""Lenses that look through layers: deep emitters, coverslips, refraction."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from exitwave.model import get, substitute
from exitwave.optics.psf.rays import Coverslip, layers_of, pencil
from exitwave.optics.psf.scalar import ScalarPSF
from exitwave.optics.psf.vectorial import VectorialPSF

DOUBLE = torch.float64
LENSES = (ScalarPSF, VectorialPSF)
ZERO = torch.zeros(1, dtype=DOUBLE)


def double(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=DOUBLE)


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("kind", LENSES)
def test_a_deep_emitter_in_water_comes_into_focus_below_itself(kind: Any) -> None:
    # Along the axis the focus lies at depth x medium / index.
    psf = kind(na=0.2, wavelength=0.5, index=1.515, medium=1.33, depth=50.0)
    z = torch.linspace(-30.0, 30.0, 2401, dtype=DOUBLE)
    line = psf.at(z, ZERO, ZERO)[:, 0, 0]
    assert float(z[line.argmax()]) == pytest.approx(50 * (1 - 1.515 / 1.33), abs=0.15)
    # At high aperture the marginal rays come from farther below still, and the peak falls.
    high, clear = (
        kind(na=1.2, wavelength=0.5, index=1.515, medium=1.33, depth=depth).at(z, ZERO, ZERO)[:, 0, 0]
        for depth in (20.0, 0.0)
    )
    assert float(z[high.argmax()]) < 20 * (1 - 1.515 / 1.33)
    assert float(high.amax()) < 0.5 * float(clear.amax())
    assert float(z[clear.argmax()]) == pytest.approx(0.0, abs=0.03)
    # Rays meet the axis from there down to where the steepest do, at depth (1 - tan / tan) by Snell's law.
    lowest = 20 * (1 - math.tan(math.asin(1.2 / 1.33)) / math.tan(math.asin(1.2 / 1.515)))
    lit = (z > lowest - 1) & (z < 20 * (1 - 1.515 / 1.33) + 1)
    assert float(high[lit].sum() / high.sum()) > 0.95


def test_glass_in_front_of_the_emitter_is_glass_of_the_coverslip() -> None:
    deep = VectorialPSF(na=1.2, wavelength=0.5, index=1.33, medium=1.52, depth=6.0)
    slip = Coverslip(thickness=176.0, index=1.52, design_index=1.52)
    thick = VectorialPSF(na=1.2, wavelength=0.5, index=1.33, medium=1.52, coverslip=slip)
    z, x = torch.linspace(-3.0, 3.0, 25, dtype=DOUBLE), double(0.0, 0.3, 0.8)
    # One is focused on the emitter's height, the other along the axis.
    assert relative(thick.at(z - 6 + 6 * 1.33 / 1.52, ZERO, x), deep.at(z, ZERO, x)) < 1e-9


def test_a_coverslip_and_an_immersion_as_designed_change_nothing() -> None:
    z, x = torch.linspace(-3.0, 3.0, 13, dtype=DOUBLE), torch.linspace(0.0, 1.0, 6, dtype=DOUBLE)
    clear = ScalarPSF(na=1.3, wavelength=0.5, index=1.515)
    slip = Coverslip(design_immersion=1.515)
    assert relative(substitute(clear, {"coverslip": slip}).at(z, ZERO, x), clear.at(z, ZERO, x)) < 1e-12
    warm = substitute(clear, {"coverslip": substitute(slip, {"design_immersion": 1.512})})
    assert relative(warm.at(z, ZERO, x), clear.at(z, ZERO, x)) > 0.1


def test_refraction_neither_makes_nor_loses_light() -> None:
    layers = layers_of(double(1.2)[0], double(0.5)[0], double(1.33)[0], double(1.5)[0], ZERO[0], None)
    rays = pencil(layers, ZERO, 1.0)
    across, along = rays.transmission()
    first, last = (layers.cosine(index, rays.frequency) for index in (layers.immersion, layers.medium))
    through = 1.5 * last / (1.33 * first)
    back = ((1.33 * first - 1.5 * last) / (1.33 * first + 1.5 * last)).square()
    assert torch.allclose(through * across.square() + back, torch.ones_like(back), atol=1e-12)
    back = ((1.5 * first - 1.33 * last) / (1.5 * first + 1.33 * last)).square()
    assert torch.allclose(through * along.square() + back, torch.ones_like(back), atol=1e-12)


def test_an_aperture_beyond_the_medium_is_the_mediums() -> None:
    psf = VectorialPSF(na=1.45, wavelength=0.5, index=1.515, medium=1.33, depth=1.0)
    assert psf.band(1e-3)[1] == pytest.approx(2 * 1.33 / 0.5)
    moving = substitute(psf, {name: getattr(psf, name).clone().requires_grad_() for name in ("na", "medium", "depth")})
    found = moving.at(double(-1.0, 0.0), double(0.0, 0.2), double(0.0))
    assert bool(found.isfinite().all())
    by_na, by_medium, by_depth = torch.autograd.grad(found.sum(), (moving.na, get(moving, "medium"), moving.depth))
    assert float(by_na) == 0.0
    assert math.isfinite(float(by_medium))
    assert math.isfinite(float(by_depth))


@pytest.mark.parametrize("kind", LENSES)
def test_something_else_than_a_coverslip_is_refused(kind: Any) -> None:
    with pytest.raises(TypeError, match="coverslip must be a Coverslip, got float"):
        kind(na=1.0, coverslip=170.0)
