"""The picture of a fit: data, model, residual."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from exitwave.fit.layout import fitted_layout
from exitwave.fit.plots import figure_of, outlined, saved, show
from exitwave.fit.views import meshes_of, middle_of_light, most, orthogonal_views, projection_views

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from exitwave.fit.result import FitResult
    from exitwave.scene import Scene

# Numbers, lines and characters a line that the picture has room for.
_NUMBERS, _LINES, _WIDTH = 14, 22, 62
# Pixels across the three views of a volume.
_SIDE = 700


def draw(result: FitResult, path: Path) -> Path:
    """Write the picture of a fit and return its path."""
    figure = figure_of(13.5, 7.2)
    data, model = (
        np.asarray(image.detach().cpu()).reshape(-1, *image.shape[-len(result.scene.grid.shape) :]).mean(0)
        for image in (result.target, result.image)
    )
    axes = figure.subplots(2, 3, height_ratios=(3, 1.4))
    if data.ndim == 3:
        figure.set_size_inches(13.5, 8.2)
        _volumes(figure, axes[0], data, model, result.scene)
    else:
        _images(figure, axes[0], data, model, result.scene.grid.spacing)
    _profiles(axes[1, 0], data, model, result.scene.grid.spacing)
    axes[1, 1].semilogy(result.history, marker=".")
    axes[1, 1].set(title="loss", xlabel="step")
    axes[1, 2].axis("off")
    text = axes[1, 2].text(
        0, 1, _told(result), family="monospace", fontsize=7, va="top", transform=axes[1, 2].transAxes
    )
    text.set_in_layout(False)
    return saved(figure, path)


def _images(figure: Figure, axes: Any, data: np.ndarray, model: np.ndarray, pixel: tuple[float, ...]) -> None:
    """Draw images (H, W) and their difference."""
    residual = data - model
    dy, dx = pixel
    height, width = data.shape
    extent = (-(width // 2) * dx, (width - width // 2) * dx, (height - height // 2) * dy, -(height // 2) * dy)
    low, high = np.percentile(np.stack([data, model]), [0.1, 99.9])
    swing = max(float(np.percentile(np.abs(residual), 99.5)), 1e-12)
    for axis, (title, image, colours, limits) in zip(
        axes,
        (
            ("data", data, "gray", (low, high)),
            ("model", model, "gray", (low, high)),
            (f"data - model, rms {residual.std():.3g}", residual, "RdBu_r", (-swing, swing)),
        ),
        strict=True,
    ):
        shown = axis.imshow(image, cmap=colours, vmin=limits[0], vmax=limits[1], extent=extent)
        axis.set(title=title, xlabel="x (µm)", ylabel="y (µm)")
        figure.colorbar(shown, ax=axis, shrink=0.85)


def _volumes(figure: Figure, axes: Any, data: np.ndarray, model: np.ndarray, scene: Scene) -> None:
    """Draw the maximum projections of volumes (Z, H, W), and slices of their difference where it is greatest.

    A projection of the difference would show the extremes of noise; slices show what the model misses. Shells seem
    full in projections: where the scene has meshes, there are slices of everything, with the outlines of the meshes.
    """
    voxel, residual, meshes = scene.grid.spacing, data - model, meshes_of(scene)
    layout = fitted_layout(data, voxel, _SIDE)
    at = middle_of_light(data, voxel) if meshes else most(residual, voxel)
    seen, expected = (
        orthogonal_views(volume, voxel, at, layout.step) if meshes else projection_views(volume, voxel, layout.step)
        for volume in (data, model)
    )
    missed = orthogonal_views(residual, voxel, at, layout.step)
    low, high = np.nanpercentile(np.stack([seen, expected]), [0.1, 99.9])
    swing = max(float(np.nanpercentile(np.abs(missed), 99.5)), 1e-12)
    where = "slices at " + ", ".join(f"{name} = {place:.3g}" for name, place in zip("zyx", at, strict=True)) + " µm"
    what = where if meshes else "maximum projections"
    for axis, (title, image, colours, limits) in zip(
        axes,
        (
            (f"data\n{what}", seen, "gray", (low, high)),
            (f"model\n{what}", expected, "gray", (low, high)),
            (f"data - model, rms {residual.std():.3g}\n{where}", missed, "RdBu_r", (-swing, swing)),
        ),
        strict=True,
    ):
        shown = show(axis, layout, image, colours, limits)
        if colours == "gray":
            outlined(figure, axis, layout, meshes, at, 0.7)
        axis.set_title(title, fontsize=10)
        figure.colorbar(shown, ax=axis, shrink=0.85)


def _profiles(axis: Any, data: np.ndarray, model: np.ndarray, spacing: tuple[float, ...]) -> None:
    """Draw data and model along x through the strongest contrast, in volumes along z too."""
    place = np.unravel_index(np.abs(model - np.median(model)).argmax(), model.shape)
    lines = ((-1, "x"), (0, "z")) if data.ndim == 3 else ((-1, "x"),)
    for (along, name), style in zip(lines, ("-", "--"), strict=False):
        n = data.shape[along]
        line = tuple(slice(None) if number == along % data.ndim else place[number] for number in range(data.ndim))
        coordinates = (np.arange(n) - n // 2) * spacing[along]
        suffix = f" along {name}" if data.ndim == 3 else ""
        axis.plot(coordinates, data[line], style, lw=1, color="C0", label=f"data{suffix}")
        axis.plot(coordinates, model[line], style, lw=1, color="C1", label=f"model{suffix}")
    title = "lines through the strongest contrast" if data.ndim == 3 else "row through the strongest contrast"
    axis.set(title=title, xlabel="x, z (µm)" if data.ndim == 3 else "x (µm)")
    axis.legend(frameon=False, fontsize=8 if data.ndim == 3 else None)


def _told(result: FitResult) -> str:
    """Return the summary as lines that fit into the picture."""
    lines = result.summary().replace("specimen.parts.", "part ").replace("microscope.", "").splitlines()
    numbers, rest = lines[: -1 - len(result.notes)], lines[-1 - len(result.notes) :]
    if len(numbers) > _NUMBERS:
        numbers = [*numbers[:_NUMBERS], f"and {len(numbers) - _NUMBERS:,} more"]
    wrapped = [part for line in rest for part in textwrap.wrap(line, _WIDTH)]
    return "\n".join([*numbers, *wrapped][:_LINES])
