"""The files of fitted shapes: meshes, stacks, table, report and picture, whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from exitwave.cli.cells import surface_of, table_of
from exitwave.data.volumes import write_volume
from exitwave.fit import FitResult, Stage, Step
from exitwave.fit.cells import GAIN, OFFSET, psf_paths
from exitwave.fit.views import middle_of_light, overlay
from exitwave.model import get
from exitwave.scene import Scene
from exitwave.specimen.meshes import report, save_mesh


class Timed:
    """A watcher that notes when stages begin and end, and what they reach."""

    def __init__(self) -> None:
        self.stages: dict[int, tuple[float, int, float]] = {}
        self._now = time.monotonic()

    def __call__(self, step: Step) -> None:
        """Take a step in."""
        before, self._now = self._now, time.monotonic()
        seconds, steps, _ = self.stages.get(step.stage, (0.0, 0, 0.0))
        self.stages[step.stage] = (seconds + self._now - before, steps + (not step.last), step.loss)


@dataclass(frozen=True)
class Fitted:
    """A frame's fit: from which scene, by which stages, and the correlation of model and `data` before and after."""

    start: Scene
    result: FitResult
    stages: tuple[Stage, ...]
    timed: Timed
    data: Tensor
    shown: Tensor
    before: float
    after: float

    @property
    def scene(self) -> Scene:
        """The fitted scene."""
        return self.result.scene


def correlation(image: Tensor, data: Tensor, shown: Tensor) -> float:
    """Return Pearson's coefficient of two volumes over the voxels in `shown`."""
    return float(torch.corrcoef(torch.stack([image.double()[shown], data.double()[shown]]))[0, 1])


def write_frame(
    folder: Path, fitted: Fitted, names: Sequence[int], rows: Sequence[Sequence[object]], lines: Sequence[str]
) -> None:
    """Write everything about one frame into a folder."""
    mesh, voxel = fitted.scene.specimen.parts[0].to(torch.float32), fitted.scene.grid.spacing
    save_mesh(folder / "meshes.ply", mesh)
    (folder / "cells").mkdir()
    for region, name in enumerate(names, 1):
        save_mesh(folder / "cells" / f"{name:04d}.ply", surface_of(mesh, region))
    rendered = fitted.result.image.float()
    write_volume(folder / "rendered.ome.tif", rendered, voxel)
    write_volume(folder / "residual.ome.tif", torch.where(fitted.shown, fitted.data.float() - rendered, 0.0), voxel)
    (folder / "cells.csv").write_bytes(table_of(rows))
    (folder / "report.txt").write_text("\n".join([*lines, *_report(fitted, names)]) + "\n", encoding="utf-8")
    seen = torch.where(torch.isfinite(fitted.data), fitted.data, 0.0).numpy()
    try:
        overlay(seen, voxel, mesh, folder / "overlay.png", middle_of_light(seen, voxel))
    except ImportError as error:
        print(f"no picture: {error}")


def _report(fitted: Fitted, names: Sequence[int]) -> list[str]:
    """Return the lines of a report: quality, optics, stages and meshes."""
    result, scene = fitted.result, fitted.scene
    residual = (result.image.double() - fitted.data)[fitted.shown]
    spread = float(fitted.data[fitted.shown].std())
    found = report(scene.specimen.parts[0])
    lines = [
        f"cells        {len(names)}",
        f"result       {result.message}",
        f"correlation  {fitted.before:.4f} at the start, {fitted.after:.4f} fitted",
        f"residual     {float(residual.square().mean().sqrt()):.5g} RMS; the stack varies by {spread:.5g}",
        f"unexplained  {residual.square().mean() / spread**2:.4g} of the stack's variance",
    ]
    for name, path in (*((p.rpartition(".")[2], p) for p in psf_paths(scene)), ("gain", GAIN), ("offset", OFFSET)):
        values = [", ".join(f"{x:.5g}" for x in get(one, path).flatten().tolist()) for one in (fitted.start, scene)]
        lines.append(f"{name:12s} {values[0]} at the start, {values[1]} fitted")
    lines += [f"note         {note}" for note in result.notes]
    lines += ["", "stage  blur um  edge um  method  steps  seconds        loss"]
    for number, stage in enumerate(fitted.stages):
        seconds, steps, loss = fitted.timed.stages.get(number, (0.0, 0, float("nan")))
        edge = "-" if stage.edge is None else f"{stage.edge:.3g}"
        lines.append(
            f"{number:5d}  {stage.blur:7.3g}  {edge:>7s}  {stage.method:6s}  {steps:5d}  {seconds:7.1f}  {loss:10.4g}"
        )
    return [*lines, "", f"collisions   {found.intersections} pairs of faces pass through one another", str(found)]


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """Yield an empty folder whose files appear in `folder` when nothing went wrong, and are gone otherwise.

    Files of an earlier result are replaced; others that lie there stay.
    """
    place = folder.absolute()
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".partial-{place.name}-", dir=place.parent))
    try:
        yield partial
        partial.chmod(0o755)
        if not place.exists():
            os.replace(partial, place)
            return
        for file in sorted(partial.iterdir()):
            old = place / file.name
            if old.is_dir():
                shutil.rmtree(old)
            os.replace(file, old)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
