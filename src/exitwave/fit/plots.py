"""Plots of volumes: their views with scale bar, names and outlines. Needs the extra `plot`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from exitwave.fit.layout import SEEN, Layout
from exitwave.fit.views import COLOURS, contours, round_length
from exitwave.specimen import Mesh

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage


def figure_of(width: float, height: float) -> Figure:
    """Return an empty figure of some inches."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("pictures need matplotlib; install exitwave[plot]") from None
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def saved(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": "exitwave"})
    return path


def show(axis: Axes, layout: Layout, picture: np.ndarray, colours: str, limits: tuple[float, float]) -> AxesImage:
    """Draw the composed views of a volume with their names, and a scale bar below."""
    import matplotlib

    colour_map = matplotlib.colormaps[colours].with_extremes(bad="white")
    shown = axis.imshow(picture, cmap=colour_map, vmin=limits[0], vmax=limits[1], interpolation="nearest")
    for number, name in enumerate(("xy", "xz", "yz")):
        top, left = layout.corner(number)
        _name(axis, name, left, top, dark=colours != "gray")
    height, width = picture.shape
    length = round_length(0.4 * layout.sizes[2] * layout.step)
    row = height + 0.03 * height
    axis.plot([0, length / layout.step], [row, row], color="black", lw=2.5, solid_capstyle="butt", clip_on=False)
    told = f"{length:g} µm" if length >= 1 else f"{1000 * length:g} nm"
    axis.text(length / layout.step + 0.015 * width, row, told, fontsize=8, va="center", clip_on=False)
    axis.set_xlim(-0.5, width - 0.5)
    axis.set_ylim(1.055 * height, -0.5)
    axis.axis("off")
    return shown


def outlined(
    figure: Figure, axis: Axes, layout: Layout, meshes: Sequence[Mesh], at: Sequence[float], width: float
) -> None:
    """Draw where meshes cut the slices through `at`, in lines of `width` points."""
    from matplotlib.collections import LineCollection

    # Lines of the two sides of a wall touch: as many pixels of the picture apart as they are wide.
    figure.draw_without_rendering()
    corners = axis.transData.transform([(0.0, 0.0), (1.0, 0.0)])
    apart = width * figure.dpi / 72 / max(abs(corners[1, 0] - corners[0, 0]), 1e-6)
    segments, owners = contours(layout, meshes, at, apart)
    colours: Any = np.array(COLOURS)[owners % len(COLOURS)] / 255
    axis.add_collection(
        LineCollection(list(segments[:, :, ::-1]), colors=colours, linewidths=width, capstyle="round"),
        autolim=False,
    )


def crossed(axis: Axes, layout: Layout, at: Sequence[float]) -> None:
    """Draw faintly in every slice where the two others through `at` cut it."""
    for number, seen in enumerate(SEEN):
        row, column = layout.pixels(np.array([at[seen[0]], at[seen[1]]]), number)
        top, left = layout.corner(number)
        down, across = (layout.sizes[each] for each in (seen if number != 2 else seen[::-1]))
        for x, y in (([left, left + across - 1], [row, row]), ([column, column], [top, top + down - 1])):
            axis.plot(x, y, color="white", lw=0.6, ls=(0, (2, 6)), alpha=0.5)


def _name(axis: Axes, name: str, left: float, top: float, dark: bool) -> None:
    """Write the names of the axes into the corner of a view, on whatever lies there."""
    from matplotlib.patheffects import withStroke

    ink, rim = ("black", "white") if dark else ("white", "black")
    axis.annotate(
        name, (left - 0.5, top - 0.5), (3, -3), textcoords="offset points", fontsize=8, color=ink, va="top",
        path_effects=[withStroke(linewidth=1.5, foreground=rim)],
    )  # fmt: skip
