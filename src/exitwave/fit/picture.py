"""The picture of a fit: data, model, residual."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from exitwave.fit.result import FitResult

# Numbers, lines and characters a line that the picture has room for.
_NUMBERS, _LINES, _WIDTH = 14, 22, 62


def draw(result: FitResult, path: Path) -> Path:
    """Write the picture of a fit and return its path."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("pictures need matplotlib; install exitwave[plot]") from None
    data, model = (
        np.asarray(image.detach().cpu()).reshape(-1, *image.shape[-2:]).mean(0)
        for image in (result.target, result.image)
    )
    residual = data - model
    dy, dx = result.scene.grid.spacing
    height, width = data.shape
    extent = (-(width // 2) * dx, (width - width // 2) * dx, (height - height // 2) * dy, -(height // 2) * dy)
    low, high = np.percentile(np.stack([data, model]), [0.1, 99.9])
    swing = max(float(np.percentile(np.abs(residual), 99.5)), 1e-12)
    figure = Figure(figsize=(13.5, 7.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 3, height_ratios=(3, 1.4))
    for axis, (title, image, colours, limits) in zip(
        axes[0],
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
    row = int(np.unravel_index(np.abs(model - np.median(model)).argmax(), model.shape)[0])
    x = (np.arange(width) - width // 2) * dx
    axes[1, 0].plot(x, data[row], lw=1, label="data")
    axes[1, 0].plot(x, model[row], lw=1, label="model")
    axes[1, 0].set(title="row through the strongest contrast", xlabel="x (µm)")
    axes[1, 0].legend(frameon=False)
    axes[1, 1].semilogy(result.history, marker=".")
    axes[1, 1].set(title="loss", xlabel="step")
    axes[1, 2].axis("off")
    text = axes[1, 2].text(
        0, 1, _told(result), family="monospace", fontsize=7, va="top", transform=axes[1, 2].transAxes
    )
    text.set_in_layout(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": "exitwave"})
    return path


def _told(result: FitResult) -> str:
    """Return the summary as lines that fit into the picture."""
    lines = result.summary().replace("specimen.parts.", "part ").replace("microscope.", "").splitlines()
    numbers, rest = lines[: -1 - len(result.notes)], lines[-1 - len(result.notes) :]
    if len(numbers) > _NUMBERS:
        numbers = [*numbers[:_NUMBERS], f"and {len(numbers) - _NUMBERS:,} more"]
    wrapped = [part for line in rest for part in textwrap.wrap(line, _WIDTH)]
    return "\n".join([*numbers, *wrapped][:_LINES])
