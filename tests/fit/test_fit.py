"""Fits recover what was rendered, with standard errors that mean what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from torch import Tensor

import exitwave as ew
from exitwave.fit.linear import Linear, jacobian
from exitwave.fit.solvers import Costs, Limits, levenberg_marquardt

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def bead(radius: float = 1.0, index: float = 1.36, noise: float = 0.01) -> ew.Scene:
    particles = ew.Particles(
        ew.Sphere(), center=torch.tensor([[0.0, 0.13, -0.21]], dtype=torch.float64), size=[[radius]], index=[index]
    )
    sensor = ew.Interferometer(offset=0.02, tilt=(0.004, -0.003), noise=noise)
    microscope = ew.quantitative_phase(na=0.8, wavelength=0.55, sensor=sensor)
    return ew.Scene(ew.Specimen((particles,), medium=1.33), microscope, ew.Grid((48, 48), 0.1)).to(torch.float64)


FREE = (
    "specimen.parts.0.size",
    "specimen.parts.0.index",
    "specimen.parts.0.center.0.1",
    "specimen.parts.0.center.0.2",
    "microscope.sensor.offset",
    "microscope.sensor.tilt",
)


def far(scene: ew.Scene) -> ew.Scene:
    """A start 20 % off in radius, 50 % off in index difference, without background."""
    return ew.substitute(
        scene,
        {
            "specimen.parts.0.size": [[1.2]],
            "specimen.parts.0.index": [1.345],
            "specimen.parts.0.center": [[0.0, 0.0, 0.0]],
            "microscope.sensor.offset": 0.0,
            "microscope.sensor.tilt": (0.0, 0.0),
        },
    )


def test_noiseless_bead_is_recovered_exactly() -> None:
    truth = bead()
    result = ew.fit(far(truth), ew.render(truth), free=FREE)
    assert result.converged
    for path in FREE:
        expected = ew.get(truth, path)
        assert torch.allclose(result.values[path], expected.to(torch.float64), rtol=1e-6, atol=1e-8), path
    assert result.history[-1] < 1e-12 * result.history[0]


def test_optics_are_recovered_jointly_with_the_bead() -> None:
    truth = ew.Scene(
        bead().specimen, ew.brightfield(na=0.6, condenser_na=0.2, defocus=2.0, rings=1), ew.Grid((48, 48), 0.1)
    ).to(torch.float64)
    free = ["microscope.optics.na", "microscope.optics.defocus", "specimen.parts.0.size"]
    start = ew.substitute(
        truth, {"microscope.optics.na": 0.52, "microscope.optics.defocus": 2.3, "specimen.parts.0.size": [[1.1]]}
    )
    result = ew.fit(start, ew.render(truth), free=free)
    for path in free:
        assert torch.allclose(result.values[path], ew.get(truth, path).to(torch.float64), rtol=1e-5), path


def test_standard_errors_are_those_of_repeated_noise() -> None:
    truth = bead(noise=0.03)
    start = ew.substitute(truth, {"specimen.parts.0.size": [[1.02]], "specimen.parts.0.index": [1.359]})
    scores = []
    for seed in range(12):
        image = ew.render(truth, torch.Generator().manual_seed(seed))
        result = ew.fit(start, image, free=FREE[:4], stages=(ew.Stage(steps=20),))
        assert 0.9 < result.chi2 < 1.1
        for path in FREE[:4]:
            miss = result.values[path] - ew.get(truth, path).to(torch.float64)
            scores += (miss / result.stderr[path]).flatten().tolist()
    # 48 scores: the standard error of their standard deviation is 0.1.
    assert 0.7 < float(np.std(scores)) < 1.3
    assert abs(float(np.mean(scores))) < 0.45


def test_jacobian_agrees_with_finite_differences() -> None:
    def residual(pieces: list[Tensor]) -> Tensor:
        return torch.cat([pieces[0].exp(), pieces[0] * pieces[1].sum(), pieces[1] ** 3])

    pieces = [torch.tensor([0.3, -0.2], dtype=torch.float64), torch.tensor([1.5], dtype=torch.float64)]
    value, slope = jacobian(residual, pieces)
    assert torch.equal(value, residual(pieces))
    step = 1e-6
    for column, (piece, number) in enumerate([(0, 0), (0, 1), (1, 0)]):
        ahead, behind = [p.clone() for p in pieces], [p.clone() for p in pieces]
        ahead[piece][number] += step
        behind[piece][number] -= step
        assert torch.allclose(slope[:, column], (residual(ahead) - residual(behind)) / (2 * step), atol=1e-8)


def test_levenberg_marquardt_solves_rosenbrock_and_backs_off_from_nan() -> None:
    def residual(pieces: list[Tensor]) -> Tensor:
        x, y = pieces[0]
        # Beyond x = 2 the model is not defined.
        return torch.stack([10 * (y - x * x), 1 - x + torch.where(x > 2, torch.nan, 0.0)])

    def linearise(vector: Tensor) -> Linear:
        value, slope = jacobian(residual, [vector])
        return Linear(float(value @ value) / 2, (slope.T @ value).numpy(), (slope.T @ slope).numpy())

    def costs(vector: Tensor) -> Costs:
        found = float(residual([vector]).square().sum()) / 2
        return (
            Costs(found, np.array([found])) if np.isfinite(found) else Costs(np.inf, np.array([np.inf]), "not defined")
        )

    losses: list[float] = []
    solution = levenberg_marquardt(
        linearise, costs, lambda vector, step: "x", torch.tensor([-1.2, 1.0], dtype=torch.float64),
        np.zeros(2, dtype=np.int64), 2, Limits(200, 1e-12, np.full(2, np.inf)),
        lambda vector, loss, damping: losses.append(loss),
    )  # fmt: skip
    assert solution.converged
    assert losses == solution.history
    assert torch.allclose(solution.vector, torch.ones(2, dtype=torch.float64), atol=1e-6)


@pytest.mark.parametrize("method", ["lbfgs", "adam"])
def test_first_order_methods_reach_the_same_bead(method: str) -> None:
    truth = bead()
    start = ew.substitute(truth, {"specimen.parts.0.size": [[1.05]], "specimen.parts.0.index": [1.358]})
    result = ew.fit(
        start, ew.render(truth), free=FREE[:2], stages=(ew.Stage(method=method, steps=400, tolerance=1e-10),)
    )
    assert result.history[-1] < 1e-3 * result.history[0]
    assert abs(float(result.values["specimen.parts.0.size"]) - 1.0) < 0.01
    reference = ew.fit(start, ew.render(truth), free=FREE[:2])
    assert torch.allclose(result.stderr[FREE[0]], reference.stderr[FREE[0]], rtol=1e-2)


def test_many_particles_are_fitted_without_a_jacobian() -> None:
    generator = torch.Generator().manual_seed(0)
    grid = torch.stack(torch.meshgrid(torch.arange(6.0), torch.arange(6.0), indexing="ij"), -1).reshape(-1, 2)
    center = torch.cat([torch.zeros(36, 1), (grid - 2.5) * 2.0], 1).double()
    particles = ew.Particles(ew.Sphere(), center, torch.full((36, 1), 0.6).double(), torch.full((36,), 1.36).double())
    scene = ew.Scene(ew.Specimen((particles,), medium=1.33), ew.quantitative_phase(), ew.Grid((96, 96), 0.14))
    moved = center + 0.1 * torch.randn(36, 3, generator=generator).double() * torch.tensor([0.0, 1.0, 1.0]).double()
    start = ew.substitute(scene, {"specimen.parts.0.center": moved})
    stages = (ew.Stage(method="lbfgs", steps=60),)
    result = ew.fit(start, ew.render(scene), free=["specimen.parts.0.center"], stages=stages)
    assert float((result.values["specimen.parts.0.center"] - center)[:, 1:].abs().max()) < 0.02


def test_a_parameter_without_effect_is_named() -> None:
    truth = bead()
    result = ew.fit(truth, ew.render(truth), free=["specimen.parts.0.size", "microscope.sensor.noise"])
    assert "the image does not depend on microscope.sensor.noise" in result.notes
    assert torch.isinf(result.stderr["microscope.sensor.noise"])


def test_ranges_are_kept() -> None:
    truth = bead()
    start = ew.substitute(truth, {"specimen.parts.0.size": [[1.15]]})
    result = ew.fit(start, ew.render(truth), free=[ew.Unknown("specimen.parts.0.size", low=1.1, high=1.3)])
    assert 1.1 <= float(result.values["specimen.parts.0.size"]) < 1.12
    assert "at the end of its range: specimen.parts.0.size" in result.summary()


def test_the_picture_is_written(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    truth = bead()
    result = ew.fit(far(truth), ew.render(truth), free=FREE, stages=(ew.Stage(steps=5),))
    assert result.picture(tmp_path / "sub" / "fit.png").stat().st_size > 10_000
    assert "specimen.parts.0.size" in result.summary()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": torch.zeros(3, 3)}, "the target must be a real image of the scene's shape"),
        ({"target": torch.full((48, 48), torch.nan)}, "at least 16 pixels that are finite"),
        ({"target": torch.ones(48, 48)}, "must show something"),
        ({"free": []}, "at least one dotted path"),
        ({"free": ["specimen.parts.0.sise"]}, "did you mean 'size'"),
        ({"free": ["specimen.parts.0"]}, "expected a parameter"),
        ({"free": ["microscope.optics.zernike"]}, "holds no numbers"),
        ({"free": ["specimen.parts.0.absorption"]}, "must start inside"),
        ({"free": [ew.Unknown("specimen.parts.0.size", low=2.0, high=1.0)]}, "low < high"),
        ({"free": ["specimen.parts.0.size", "specimen.parts.0.size.0"]}, "is free twice"),
        ({"free": ["specimen.parts.0.size"], "stages": ()}, "at least one stage"),
        ({"stages": (ew.Stage(free=("microscope.optics.na",)),)}, "a stage frees 'microscope.optics.na'"),
        ({"stages": ew.multi_start()}, "needs unknowns with a scale"),
        ({"mask": np.ones((3, 3))}, "the mask must be of the image's shape"),
        ({"free": ["1.specimen.parts.0.size"]}, "asks for scene 1"),
    ],
)
def test_bad_input_is_refused_in_one_line(change: dict[str, object], message: str) -> None:
    truth = bead()
    given: dict[str, object] = {"target": ew.render(truth), "free": ["specimen.parts.0.size"], **change}
    with pytest.raises((ValueError, KeyError, TypeError)) as error:
        ew.fit(truth, **given)  # pyright: ignore[reportArgumentType]
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.skipif(not DATA.is_dir(), reason="real images are not here")
def test_real_bead_gives_its_radius_and_index() -> None:
    phase = tifffile.imread(DATA / "bead_qlsi" / "bead_phase.tif")
    binned = phase.reshape(120, 6, 120, 6).mean((1, 3))
    particles = ew.Particles(ew.Sphere(), center=[[0.0, 0.0, 0.0]], size=[[1.2 * 13.45]], index=[1.335 + 0.5 * 0.0031])
    microscope = ew.quantitative_phase(na=0.6, wavelength=0.55)
    scene = ew.Scene(ew.Specimen((particles,), medium=1.335), microscope, ew.Grid((120, 120), 6 * 0.06575))
    result = ew.fit(scene, binned, free=FREE)
    assert abs(float(result.values["specimen.parts.0.size"]) - 13.45) < 0.15
    assert abs(float(result.values["specimen.parts.0.index"]) - 1.3381) < 2e-4
