"""Stages, unknowns with knowledge of their own, several images at once, and fits of many particles."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import exitwave as ew
from exitwave.fit.coordinates import coordinates
from exitwave.fit.problem import Problem
from exitwave.fit.unknown import unknowns

P = "specimen.parts.0."


def beads(count: int = 4, sensor: ew.Camera | ew.Ideal | None = None) -> ew.Scene:
    """Return a row of beads, a little out of focus."""
    center = torch.zeros(count, 3, dtype=torch.float64)
    center[:, 2] = 3.0 * (torch.arange(count) - (count - 1) / 2)
    center[:, 1] = 0.2 * torch.arange(count) - 0.3
    size = torch.linspace(0.6, 0.9, count, dtype=torch.float64)[:, None]
    parts = ew.Particles(ew.Sphere(), center, size, torch.full((count,), 1.40, dtype=torch.float64))
    microscope = ew.brightfield(na=0.6, condenser_na=0.2, defocus=2.0, rings=1, sensor=sensor or ew.Ideal())
    return ew.Scene(ew.Specimen((parts,), medium=1.33), microscope, ew.Grid((40, 80), 0.17)).to(torch.float64)


def worst(result: ew.FitResult | ew.Scene, truth: ew.Scene, *paths: str) -> float:
    scene = result if isinstance(result, ew.Scene) else result.scene
    return max(float((ew.get(scene, path) - ew.get(truth, path)).abs().max()) for path in paths)


def camera(**given: float) -> ew.Camera:
    return ew.Camera(dose=1000.0, quantum_efficiency=1.0, gain=1.0, read_noise=1.0, bits=16, **given)


def test_tied_numbers_are_one_and_free_columns_leave_the_others() -> None:
    truth = beads()
    start = ew.substitute(
        truth,
        {
            P + "index": [1.38, 1.39, 1.41, 1.38],
            P + "center": truth.specimen.parts[0].center + torch.tensor([0, 0.1, 0.1]),
        },
    )
    free = [ew.Unknown(P + "index", tied=True), ew.Unknown(P + "center", columns=(1, 2))]
    result = ew.fit(start, ew.render(truth), free)
    assert result.values[P + "index"].shape == ()
    assert result.values[P + "center"].shape == (4, 2)
    assert result.names[:2] == [P + "index", P + "center[0, 1]"]
    assert worst(result, truth, P + "index", P + "center") < 1e-6
    assert torch.equal(result.scene.specimen.parts[0].center[:, 0], start.specimen.parts[0].center[:, 0])


def test_a_prior_moves_the_answer_as_far_as_normal_theory_says() -> None:
    truth = beads(1, camera())
    image = ew.render(truth)
    free = [P + "size"]
    plain = ew.fit(truth, image, free)
    error = float(plain.stderr[P + "size"])
    # As certain as the data, two standard errors away: the answer is half way.
    prior = ew.Normal(0.6 + 2 * error, error)
    result = ew.fit(truth, image, [ew.Unknown(P + "size", prior=prior)])
    assert abs(float(result.values[P + "size"]) - (0.6 + error)) < 0.02 * error
    assert abs(float(result.stderr[P + "size"]) / error - 0.5**0.5) < 0.01


def test_focus_series_shares_its_numbers_and_keeps_its_steps() -> None:
    truth = beads()
    heights = (-2.0, 1.0, 4.0)
    series = [ew.substitute(truth, {"microscope.optics.defocus": z}) for z in heights]
    wrong = {"microscope.optics.na": 0.52, P + "size": 1.15 * truth.specimen.parts[0].size}
    starts = [
        ew.substitute(s, {**wrong, "microscope.optics.defocus": z + 0.7}) for s, z in zip(series, heights, strict=True)
    ]
    free = ["microscope.optics.na", "microscope.optics.defocus", P + "size"]
    result = ew.fit(starts, [ew.render(s) for s in series], free)
    assert result.values["microscope.optics.defocus"].shape == ()
    for found, scene in zip(result.scenes, series, strict=True):
        assert worst(found, scene, *free) < 1e-6


def test_a_number_of_one_scene_alone() -> None:
    truth = beads(2, camera())
    scenes = [truth, ew.substitute(truth, {"microscope.sensor.dose": 1500.0})]
    images = [ew.render(scene) for scene in scenes]
    result = ew.fit([truth, truth], images, ["1.microscope.sensor.dose", P + "size"])
    assert abs(float(result.values["1.microscope.sensor.dose"]) - 1500) < 1e-3
    assert float(result.scenes[0].microscope.sensor.dose) == 1000.0


def test_curriculum_reaches_what_a_single_stage_misses() -> None:
    truth = beads(1)
    # A diameter and more beside its image.
    start = ew.substitute(truth, {P + "center": [[0.0, 1.0, 1.2]]})
    free = [ew.Unknown(P + "center", columns=(1, 2), scale=1.5)]
    single = ew.fit(start, ew.render(truth), free)
    assert worst(single, truth, P + "center") > 0.1
    for stages in (ew.coarse_to_fine(1.5), ew.multi_start(12)):
        assert worst(ew.fit(start, ew.render(truth), free, stages), truth, P + "center") < 1e-6


def test_staggered_stages_free_their_own_numbers() -> None:
    truth = beads()
    free = ["microscope.optics.defocus", P + "size"]
    start = ew.substitute(truth, {"microscope.optics.defocus": 2.5, P + "size": 1.1 * truth.specimen.parts[0].size})
    seen: list[tuple[int, float, float]] = []

    def watch(step: ew.Step) -> None:
        scene = step.scenes[0]
        seen.append((step.stage, float(scene.microscope.optics.defocus), float(scene.specimen.parts[0].size[0, 0])))

    result = ew.fit(start, ew.render(truth), free, ew.optics_then_particles(free, rounds=1), watch=(watch,))
    assert {size for stage, _, size in seen if stage == 0} == {float(start.specimen.parts[0].size[0, 0])}
    assert len({focus for stage, focus, _ in seen if stage == 1}) == 1
    assert worst(result, truth, *free) < 1e-6


@pytest.mark.parametrize("loss", ["huber", "cauchy"])
def test_robust_losses_are_not_led_astray_by_dirt(loss: str) -> None:
    truth = beads(1, camera())
    image = ew.render(truth, torch.Generator().manual_seed(0))
    # A speck on one side of the bead pulls it over.
    image[16:19, 43:47] += 250.0
    free = [P + "center.0.2"]
    plain = ew.fit(truth, image, free)
    robust = ew.fit(truth, image, free, (ew.Stage(loss=loss),))
    error = float(ew.design(truth, free).stderr[free[0]])
    miss = [abs(float(result.values[free[0]])) / error for result in (plain, robust)]
    assert miss[0] > 5
    assert miss[1] < 0.5 * miss[0]
    assert miss[1] < 4


def test_pixels_without_a_value_do_not_count_and_are_told() -> None:
    truth = beads(1, camera())
    image = ew.render(truth)
    image[:3, :5] = torch.nan
    image[3, :4] = 65535.0
    mask = np.zeros((40, 80), dtype=bool)
    mask[10:12, 10:20] = True
    image[10:12, 10:20] = 1e4
    start = ew.substitute(truth, {P + "size": [[0.7]]})
    result = ew.fit(start, image, [P + "size"], mask=mask)
    assert worst(result, truth, P + "size") < 1e-6
    assert [note.split(" ")[0] for note in result.notes] == ["15", "4", "20"]


def test_a_step_out_of_the_model_costs_everything_and_names_its_number() -> None:
    truth = beads(1)
    found = coordinates((truth,), unknowns([P + "size", "microscope.optics.na"]))
    image = ew.render(truth)
    problem = Problem(found, (image,), (torch.ones_like(image),))
    vector, step = found.vector(), torch.tensor([0.1, 4.0], dtype=torch.float64)
    total, _, why = problem.cost(vector + step)
    assert total == float("inf")
    assert "pixel must be at most" in why
    # The grid carries no such aperture; the size alone is fine.
    assert problem.offender(vector, step).startswith("microscope.optics.na led out of the model (the pixel must")
    assert problem.cost(vector)[0] < 1e-20


def test_an_interrupted_fit_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    truth = beads(2)
    free = [P + "size", "microscope.optics.defocus"]
    start = ew.substitute(truth, {P + "size": [[0.7], [1.1]], "microscope.optics.defocus": 3.0})
    whole = ew.fit(start, ew.render(truth), free)

    class StoppedError(Exception):
        pass

    def interrupt(step: ew.Step) -> None:
        if step.number == 3:
            raise StoppedError

    path = tmp_path / "fit.json"
    with pytest.raises(StoppedError):
        ew.fit(start, ew.render(truth), free, watch=(interrupt,), checkpoint=path)
    done = len(json.loads(path.read_text())["history"])
    assert 2 <= done <= 4
    again = ew.fit(start, ew.render(truth), free, checkpoint=path)
    assert worst(again, truth, *free) < 1e-8
    assert worst(again, whole.scene, *free) < 1e-8
    with pytest.raises(ValueError, match="checkpoint of another fit"):
        ew.fit(start, ew.render(truth), free[:1], checkpoint=path)
    path.write_text("{}")
    with pytest.raises(ValueError, match="got another file"):
        ew.fit(start, ew.render(truth), free, checkpoint=path)


def test_design_is_the_spread_of_repeated_fits() -> None:
    truth = beads(1, camera())
    free = [P + "size", P + "index", ew.Unknown(P + "center", columns=(1, 2))]
    bound = ew.design(truth, free)
    scores: list[Tensor] = []
    for seed in range(25):
        result = ew.fit(truth, ew.render(truth, torch.Generator().manual_seed(seed)), free)
        miss = [(result.values[n] - bound.values[n]) / bound.stderr[n] for n in bound.values]
        scores.append(torch.cat([m.flatten() for m in miss]))
    # 100 scores: their standard deviation is known to 7 %.
    assert 0.8 < float(torch.stack(scores).std()) < 1.2


def test_thin_plate_shows_the_product_of_index_step_and_thickness_only() -> None:
    plate = ew.Particles(ew.Disk(), center=[[0.0, 0.0, 0.0]], size=[[1.0, 0.1]], index=[1.40])
    microscope = ew.brightfield(na=0.5, condenser_na=0.2, defocus=2.0, rings=1, sensor=camera())
    scene = ew.Scene(ew.Specimen((plate,), medium=1.33), microscope, ew.Grid((48, 48), 0.15))
    found = ew.design(scene, [P + "index", P + "size"])
    assert found.condition == float("inf")
    assert torch.isinf(found.stderr[P + "index"])
    # dn T stays: d(half thickness) / d(index) = - .1 / .07.
    assert f"{P}index[0] by +0.01 together with {P}size[0, 1] by -0.0143" in found.notes[0]
    assert "a medium of index 1.35 would tell" in found.notes[1]
    fitted = ew.fit(scene, ew.render(scene), [P + "index", P + "size"])
    assert fitted.notes[0] == found.notes[0]
    media = [scene, ew.substitute(scene, {"specimen.medium": 1.35})]
    assert ew.design(media, [P + "index", P + "size"]).condition < 100


def test_many_particles_are_fitted_side_by_side() -> None:
    generator = torch.Generator().manual_seed(0)
    grid = torch.stack(torch.meshgrid(torch.arange(6.0), torch.arange(6.0), indexing="ij"), -1).reshape(-1, 2).double()
    center = torch.cat([torch.zeros(36, 1, dtype=torch.float64), (grid - 2.5) * 3.6], 1)
    parts = ew.Particles(ew.Sphere(), center, torch.full((36, 1), 0.6).double(), torch.full((36,), 1.38).double())
    microscope = ew.brightfield(na=0.7, condenser_na=0.2, defocus=1.0, rings=1, sensor=camera())
    truth = ew.Scene(ew.Specimen((parts,), medium=1.33), microscope, ew.Grid((128, 128), 0.17)).to(torch.float64)
    moved = center + 0.1 * torch.randn(36, 3, generator=generator).double() * torch.tensor([0.0, 1.0, 1.0]).double()
    start = ew.substitute(truth, {P + "center": moved, P + "size": 1.15 * parts.size, P + "index": parts.index - 0.008})
    free = [ew.Unknown(P + "center", columns=(1, 2)), P + "size", P + "index"]
    result = ew.fit(start, ew.render(truth, generator), free)
    scores = torch.cat([((result.values[n] - t) / result.stderr[n]).flatten() for n, t in (
        (P + "center", center[:, 1:]), (P + "size", parts.size), (P + "index", parts.index))])  # fmt: skip
    # 144 scores.
    assert 0.8 < float(scores.std()) < 1.25
    assert float(scores.abs().max()) < 5
    assert result.covariance.shape == (144, 144)


def test_movie_has_a_frame_for_every_step(tmp_path: Path) -> None:
    from PIL import Image

    truth = beads(1)
    path = tmp_path / "films" / "fit.gif"
    result = ew.fit(
        ew.substitute(truth, {P + "size": [[0.8]]}), ew.render(truth), [P + "size"], watch=(ew.Movie(path),)
    )
    with Image.open(path) as movie:
        # Frames that look alike are one.
        assert 4 <= getattr(movie, "n_frames", 0) <= len(result.history) + 1
    with pytest.raises(ValueError, match=r"written as \.gif or \.webp"):
        ew.Movie("fit.mp4")


def test_detection_starts_a_fit() -> None:
    truth = beads(4, camera())
    image = ew.render(truth, torch.Generator().manual_seed(0))
    one = ew.Particles(ew.Sphere(), center=[[0, 0, 0]], size=[[0.7]], index=[1.40])
    blank = ew.Scene(ew.Specimen((one,), medium=1.33), truth.microscope, truth.grid)
    result = ew.fit(blank, image, [ew.Unknown(P + "center", columns=(1, 2)), P + "size"], init="detect")
    found = result.scene.specimen.parts[0]
    order = found.center[:, 2].argsort()
    assert found.count == 4
    assert float((found.center[order] - truth.specimen.parts[0].center)[:, 1:].abs().max()) < 0.02
    assert 0.8 < result.chi2 < 1.2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": "l1"}, "loss must be one of"),
        ({"method": "newton"}, "method must be one of"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"blur": -1.0}, "blur must be zero or more"),
        ({"free": "x"}, "must be a tuple of paths"),
    ],
)
def test_stages_refuse_nonsense(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ew.Stage(**change)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("unknown", "message"),
    [
        ({"path": ("a", "b")}, "set tied=True"),
        ({"path": ""}, "needs a dotted path"),
        ({"path": "a", "scale": -1.0}, "scale must be a positive number"),
        ({"path": "a", "columns": ()}, "columns must be different numbers"),
        ({"path": "a", "prior": 3.0}, "prior must be a prior"),
    ],
)
def test_unknowns_refuse_nonsense(unknown: dict[str, object], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        ew.Unknown(**unknown)  # pyright: ignore[reportArgumentType]


def test_design_needs_a_noise_model() -> None:
    with pytest.raises(ValueError, match="needs a sensor with noise, got Ideal"):
        ew.design(beads(1), [P + "size"])
