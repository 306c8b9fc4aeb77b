"""The compiled noise of cameras against the plain one, pixel by pixel from the same draws."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

import exitwave as ew
from exitwave import native
from exitwave.field import Light
from exitwave.sensor.camera import FEW

compiled = pytest.mark.skipif(native.KERNELS is None, reason="installed without the compiled kernels")
TESTS = Path(__file__).parent
# Two blocks of rows, and columns that fill no whole number of vectors.
HEIGHT, WIDTH = 150, 77
RESPONSE = [[0.1, 0.9], [0.5, 0.5], [0.8, 0.2]]


def spread(*size: int) -> Tensor:
    """Return numbers from 0.5 to 1.5."""
    return 0.5 + torch.rand(size, generator=torch.Generator().manual_seed(1))


def light(dtype: torch.dtype = torch.float32) -> Light:
    """Return irradiances from a little below zero to 1.4."""
    data = 1.45 * torch.rand(2, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(2)) - 0.05
    return Light(data.to(dtype), torch.tensor([0.4, 0.6], dtype=dtype), ew.Grid((HEIGHT, WIDTH), 0.1))


def cameras() -> dict[str, ew.Camera]:
    maps = [scale * spread(HEIGHT, WIDTH) for scale in (0.5, 90.0, 4.0)]
    cube = spread(3, HEIGHT, WIDTH)
    return {
        "grey": ew.Camera(),
        "colour": ew.Camera(response=RESPONSE, gain=0.8, offset=12.0, bits=16),
        "maps": ew.Camera(gain=maps[0], offset=maps[1], read_noise=maps[2], bits=16),
        "channels": ew.Camera(response=RESPONSE, gain=spread(3, 1, 1), offset=cube, read_noise=2 * cube, bits=14),
        "lines": ew.Camera(gain=spread(HEIGHT, 1), offset=10 * spread(1, WIDTH), read_noise=spread(1), bits=14),
        "turned": ew.Camera(gain=spread(WIDTH, HEIGHT).mT, offset=5.0, bits=14),
        "vignette": ew.Camera(vignette=0.9, gain=1.0, bits=16),
        "dim": ew.Camera(dose=500.0, quantum_efficiency=1.0, gain=2.0, offset=50.0, read_noise=6.0, bits=12),
        "saturated": ew.Camera(gain=0.1, full_well=5000.0, offset=-100.0, bits=8),
        "register": ew.Camera(dose=50.0, em_gain=200.0, offset=20.0, gain=0.1, bits=16),
        "huge": ew.Camera(dose=9e8, full_well=1e9, gain=4.0, bits=32),
    }


def read(name: str) -> Tensor:
    return cameras()[name].read(light(), torch.Generator().manual_seed(3))


@compiled
@pytest.mark.parametrize("name", cameras())
def test_image_of_a_seed_is_the_plain_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(name)
    monkeypatch.setattr(native, "KERNELS", None)
    plain = read(name)
    assert found.dtype is torch.float32
    assert found.shape == plain.shape
    # Roots may differ in the last bit, which decides ties: an electron more or less.
    apart = (found - plain).abs()
    step = max(1.0, float(cameras()[name].gain.max()), 2**-22 * float(plain.max()))
    assert float(apart.max()) <= 1.0001 * step
    assert float((apart > 0).double().mean()) <= 1e-4


@compiled
def test_generator_goes_on_from_the_same_state(monkeypatch: pytest.MonkeyPatch) -> None:
    states = []
    for kernels in (native.KERNELS, None):
        monkeypatch.setattr(native, "KERNELS", kernels)
        generator = torch.Generator().manual_seed(4)
        cameras()["dim"].read(light(), generator)
        states.append(generator.get_state())
    assert torch.equal(*states)


@compiled
def test_electrons_are_those_of_the_expansion_in_double_precision() -> None:
    image, z = 0.1 + spread(40, 33), torch.randn(40, 33, generator=torch.Generator().manual_seed(5))
    down, across = spread(40), spread(33)
    drawn = z.clone()
    few = native.KERNELS.shot_noise(image, down, across, 3000.0, 0.3, FEW, drawn)  # pyright: ignore[reportOptionalMemberAccess]
    mean = 3000 * (1 - 0.3 * np.add.outer(down.double().numpy(), across.double().numpy()) / 2) * image.double().numpy()
    x = z.double().numpy()
    expected = mean + mean**0.5 * x + (x**2 - 1) / 6 + (x - x**3) / (72 * mean**0.5)
    assert not few
    assert torch.equal(drawn, drawn.round())
    # Half an electron, and the last bits of thousands of them.
    assert np.abs(drawn.numpy() - expected).max() < 0.5 + 2e-3


@compiled
def test_a_single_dark_pixel_is_told() -> None:
    for place in (0, 15, 16, 32):
        image = torch.ones(2, 33)
        image[1, place] = 0.19
        zeros = torch.zeros(33)
        told = native.KERNELS.shot_noise(image, zeros[:2], zeros, 1000.0, 0.0, FEW, torch.zeros(2, 33))  # pyright: ignore[reportOptionalMemberAccess]
        assert told is True


@compiled
def test_what_is_not_a_number_stays_so() -> None:
    given = light()
    given.data[:, 3, 5] = float("nan")
    image = ew.Camera().read(given, torch.Generator().manual_seed(3))
    assert torch.nonzero(image.isnan()).tolist() == [[3, 5]]


@compiled
def test_oldest_processors_read_the_same_counts(tmp_path: Path) -> None:
    path = tmp_path / "baseline.pt"
    code = (
        "import torch; from test_camera_native import cameras, read; "
        f"torch.save([read(name) for name in cameras()], {str(path)!r})"
    )
    environment = os.environ | {"EXITWAVE_SIMD": "baseline", "PYTHONPATH": str(TESTS)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)
    for found, name in zip(torch.load(path), cameras(), strict=True):
        assert torch.equal(found, read(name)), name


@compiled
def test_double_precision_is_read_without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "KERNELS", SimpleNamespace())
    image = cameras()["maps"].read(light(torch.float64), torch.Generator().manual_seed(3))
    assert image.dtype is torch.float64


@compiled
def test_free_camera_reads_the_same_noise_without_a_gradient() -> None:
    plain = cameras()["maps"]
    free = ew.Camera(
        gain=plain.gain.clone().requires_grad_(), offset=plain.offset.clone().requires_grad_(),
        read_noise=plain.read_noise, dose=torch.tensor(1e4, requires_grad=True), bits=16,
    )  # fmt: skip
    given = light()
    given.data.requires_grad_()
    image = free.read(given, torch.Generator().manual_seed(3))
    assert not image.requires_grad
    assert torch.equal(image, read("maps"))


@compiled
def test_counts_do_not_change_along_a_tangent(monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.no_grad(), forward_ad.dual_level():
        gain = forward_ad.make_dual(torch.tensor(0.5), torch.tensor(1.0))
        monkeypatch.setattr(native, "KERNELS", SimpleNamespace())
        image, tangent = forward_ad.unpack_dual(ew.Camera(gain=gain).read(light(), torch.Generator().manual_seed(3)))
    assert tangent is None or not tangent.any()
    assert image.shape == (HEIGHT, WIDTH)


@compiled
def test_blocks_of_other_shapes_are_refused() -> None:
    block, line = torch.ones(4, 5), torch.ones(5)
    with pytest.raises(ValueError, match="down and across must have n and m numbers"):
        native.KERNELS.shot_noise(block, line, line, 1.0, 0.0, FEW, block.clone())  # pyright: ignore[reportOptionalMemberAccess]
    with pytest.raises(ValueError, match=r"must be \(1, m\) or \(n, m\)"):
        native.KERNELS.convert(block, block, block[:2], block, block, 1.0, 1.0, block.clone())  # pyright: ignore[reportOptionalMemberAccess]
