"""The compiled building of coherent kernels against the plain one."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from physics.waves import plate
from physics.waves import source as source_of
from torch import Tensor

import exitwave as ew
from exitwave import native
from exitwave.fourier import union
from exitwave.optics.modes import Modes, _modes
from exitwave.optics.window import windows

pytestmark = pytest.mark.skipif(native.KERNELS is None, reason="installed without the compiled kernels")
TESTS = Path(__file__).parent
# Objective, lamp, kernels (as many as do not cut a pair of equal strength apart), samples and pixel of the canvas.
OPTICS = {
    "disk": (ew.Objective(0.5, 3.0), ew.Koehler(0.3, 0.5, rings=2), 3, (180, 150), 0.2),
    "all": (ew.Objective(0.5, 3.0), ew.Koehler(0.3, 0.5, rings=1), 99, (71, 150), 0.2),
    "deep": (ew.Objective(0.4, 80.0), ew.HalfDisk(0.35, azimuth=0.4, wavelength=0.5), 12, (201, 90), 0.25),
    "dark": (ew.Objective(0.5, -2.0), ew.Annulus(0.55, 0.7, wavelength=0.5, points=11, rings=2), 99, (90, 90), 0.18),
    "one": (ew.Objective(0.5, -2.0), ew.SourcePoints([[0.1, -0.2]], wavelength=0.5), 1, (90, 33), 0.18),
}


def built(name: str, dtype: torch.dtype) -> Modes:
    """Return the kernels of some optics; only those of single precision are compiled."""
    objective, lamp, count, shape, pixel = OPTICS[name]
    lamp = replace(lamp, method="socs", kernels=count)
    wave = plate(torch.ones(*shape, dtype=dtype.to_complex()), pixel)
    source = source_of(lamp, wave)
    places = windows(objective, wave, 0, source.direction.to(dtype))
    return _modes(objective, wave, 0, source, places, union([window.band for window in places]))


def coefficient(modes: Modes) -> Tensor:
    """Return the transmission cross coefficient between every seventh frequency along both axes."""
    some = modes.kernels[:, ::7, ::7].flatten(1).to(torch.complex128)
    return some.conj().T @ some


@pytest.mark.parametrize("name", OPTICS)
def test_kernels_are_those_of_double_precision(name: str) -> None:
    """Kernels of equal strength may be mixed; what they say of a source together may not."""
    found, reference = built(name, torch.float32), built(name, torch.float64)
    assert found.kernels.dtype is torch.complex64
    assert found.kernels.shape == reference.kernels.shape
    expected = coefficient(reference)
    assert float((coefficient(found) - expected).abs().max()) < 3e-5 * float(expected.abs().max())
    assert found.loss == pytest.approx(reference.loss, rel=1e-3, abs=3e-6)


@pytest.mark.parametrize("mixed", [False, True])
def test_threads_do_not_show(mixed: bool) -> None:
    """Torch's eigenvectors differ in their last bits; what is built of them does not."""
    generator = torch.Generator().manual_seed(1)
    mixing = torch.randn(4, 7, 2, generator=generator) if mixed else None
    tilt = 0.4 * torch.rand(7, 2, dtype=torch.float64, generator=generator) - 0.2
    results = []
    for number in (1, 2, 5):
        field = torch.full((4 if mixed else 7, 45, 130, 2), torch.nan)
        loss = native.KERNELS.modes(  # pyright: ignore[reportOptionalMemberAccess]
            rows=0.03 * (torch.arange(45.0) - 20), columns=0.02 * (torch.arange(130.0) - 61), tilt=tilt,
            amplitude=torch.linspace(0.2, 0.5, 7), na=0.3, wavelength=0.5, medium=1.33, height=20.0,
            step=(0.03, 0.02), mixing=mixing, field=field, threads=number,
        )  # fmt: skip
        results.append((field, loss))
    assert not results[0][0].isnan().any()
    for field, loss in results[1:]:
        assert torch.equal(field, results[0][0])
        assert loss == results[0][1]


def test_simd_levels_agree(tmp_path: Path) -> None:
    here = [coefficient(built(name, torch.float32)) for name in OPTICS]
    for level in ("baseline", "v3"):
        path = tmp_path / f"{level}.pt"
        code = (
            "import torch; from test_modes_native import OPTICS, built, coefficient; "
            f"torch.save([coefficient(built(name, torch.float32)) for name in OPTICS], {str(path)!r})"
        )
        environment = os.environ | {"EXITWAVE_SIMD": level, "PYTHONPATH": str(TESTS)}
        subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)
        for found, mine in zip(torch.load(path), here, strict=True):
            torch.testing.assert_close(found, mine, atol=1e-5 * float(mine.abs().max()), rtol=0)


@pytest.mark.parametrize("wrong", ["tilt", "mixing", "field"])
def test_wrong_shapes_are_refused(wrong: str) -> None:
    parts = {"tilt": torch.zeros(3, 2).double(), "mixing": torch.ones(2, 3, 2), "field": torch.zeros(2, 5, 4, 2)}
    build = native.KERNELS.modes  # pyright: ignore[reportOptionalMemberAccess]
    parts[wrong] = parts[wrong][:1]
    numbers = {"na": 0.5, "wavelength": 0.5, "medium": 1.0, "height": 0.0, "step": (0.1, 0.1), "threads": 1}
    with pytest.raises(ValueError, match=r"got (other shapes|another shape)"):
        build(rows=torch.arange(5.0), columns=torch.arange(4.0), amplitude=torch.ones(3), **parts, **numbers)
