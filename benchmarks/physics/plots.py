"""The pictures of the report."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import exitwave as ew
from physics.koehler import DEPTH_OF_FIELD as DEPTH
from physics.koehler import abbe, deviation, kernels
from physics.mie import Image, automatic_slabs, error, rendered
from physics.transfer import (
    Lens,
    amplitude_transfer,
    disk_nodes,
    phase_transfer,
    waveorders,
    waveorders_source,
)
from physics.transfer import rendered as rendered_transfer

STYLE: dict[Any, Any] = {
    "figure.constrained_layout.use": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "font.size": 9,
    # The same picture is the same file.
    "svg.hashsalt": "exitwave",
}


def draw(folder: Path) -> list[Path]:
    """Write all pictures to a folder and return their paths."""
    written = []
    plots: dict[str, Callable[[], Figure]] = {
        "spheres": slabs_of_spheres,
        "profiles": profiles_of_a_sphere,
        "coherence": points_and_kernels,
        "transfer": transfer_functions,
    }
    with plt.rc_context(STYLE):
        for name, plot in plots.items():
            figure = plot()
            path = folder / f"physics-{name}.svg"
            figure.savefig(path, metadata={"Date": None, "Creator": None})
            plt.close(figure)
            written.append(path)
    return written


def _panels(count: int, width: float = 3.6, height: float = 2.9) -> tuple[Figure, list[Axes]]:
    figure, axes = plt.subplots(1, count, figsize=(width * count, height), squeeze=False)
    return figure, list(axes[0])


def slabs_of_spheres() -> Figure:
    """Return the error of the field against Mie theory by the number of slabs."""
    figure, (panel,) = _panels(1, 5.2, 3.4)
    counts = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
    for radius, step, samples in ((1.0, 0.05, 96), (2.5, 0.1, 128), (5.0, 0.05, 192), (5.0, 0.1, 192)):
        errors = [100 * error(radius, step, 0.0, 0.1, samples, ew.Multislice(slabs=count)) for count in counts]
        (line,) = panel.loglog(counts, errors, ".-", lw=1, label=f"radius {radius:g} µm, step {step:g}")
        chosen = automatic_slabs(radius, step)
        there = 100 * error(radius, step, 0.0, 0.1, samples, ew.Multislice())
        panel.plot(chosen, there, "o", ms=9, mfc="none", color=line.get_color())
    panel.set(xlabel="slabs (1 is the thin specimen; ring: chosen automatically)", ylabel="error of the field (%)")
    panel.set_xticks([1, 2, 4, 8, 16, 32], ["1", "2", "4", "8", "16", "32"])
    panel.set_yticks([1, 3, 10, 30], ["1", "3", "10", "30"])
    panel.minorticks_off()
    panel.legend()
    return figure


def profiles_of_a_sphere() -> Figure:
    """Return real and imaginary profiles through the image of a sphere: Mie, thin, multislice."""
    radius, step, defocus, samples, pixel = 2.5, 0.1, DEPTH, 160, 0.1
    grid = ew.Grid((samples, samples), pixel)
    x = grid.axis(1, torch.zeros((), dtype=torch.float64)).numpy()
    exact = Image(radius, step, defocus).field(np.zeros(1), x)[0]
    thin, deep = (
        rendered(radius, step, defocus, grid, way)[samples // 2] for way in (ew.Transmission(), ew.Multislice())
    )
    figure, panels = _panels(2)
    parts = (np.abs, lambda field: np.unwrap(np.angle(field)))
    for panel, name, part in zip(panels, ("amplitude", "phase (rad)"), parts, strict=True):
        panel.plot(x, part(exact), color="0.7", lw=4, label="Mie")
        panel.plot(x, part(thin), color="C1", lw=1, label="thin")
        panel.plot(x, part(deep), color="C0", lw=1, label="multislice")
        panel.set(xlabel="x (µm)", ylabel=name, xlim=(-6, 6))
    panels[1].legend()
    return figure


def points_and_kernels() -> Figure:
    """Return the error of the image by the number of source points and of kernels, in focus and out of it."""
    figure, panels = _panels(2)
    titles = {"in focus": 0.0, "a depth of field out of focus": DEPTH}
    for panel, (title, defocus) in zip(panels, titles.items(), strict=True):
        rings = (1, 2, 3, 4, 5, 6)
        points = [1 + 3 * ring * (ring + 1) for ring in rings]
        panel.loglog(points, [100 * deviation(abbe(ring), defocus) for ring in rings], ".-", label="points (Abbe)")
        counts = (4, 8, 12, 16, 24, 32, 48, 64)
        with_kernels = [100 * deviation(kernels(count), defocus) for count in counts]
        panel.loglog(counts, with_kernels, ".-", label="kernels (SOCS) of 469 points")
        panel.axhline(2, color="0.6", lw=0.8, ls="--")
        panel.set(xlabel="coherent images per exposure", title=title)
        panel.set_xticks([4, 16, 64], ["4", "16", "64"])
        panel.set_yticks([0.1, 1, 10], ["0.1", "1", "10"])
        panel.minorticks_off()
    panels[0].set_ylabel("error (% of the contrast)")
    panels[0].legend(loc="lower left", fontsize=8)
    return figure


def transfer_functions() -> Figure:
    """Return the transfer of weak phase and amplitude: the engine, the integral and the outside code."""
    samples, pixel, condenser_na = 128, 0.2, 0.3
    lens = Lens(defocus=2.0)
    frequency = np.linspace(0.01, 2.0, 200)
    nodes = disk_nodes(condenser_na, lens.wavelength)
    lamp = ew.Koehler(condenser_na, wavelength=lens.wavelength, rings=12)
    count = math.floor(2.0 * samples * pixel)
    sampled = np.arange(1, count) / (samples * pixel)
    theirs = waveorders(lens, condenser_na, samples) if importlib.util.find_spec("waveorder") else None
    figure, panels = _panels(2)
    for number, (panel, transfer) in enumerate(zip(panels, (amplitude_transfer, phase_transfer), strict=True)):
        panel.plot(frequency, np.real(transfer(lens, nodes, frequency)), color="0.7", lw=4, label="integral")
        if theirs is not None:
            soft = rendered_transfer(lens, waveorders_source(lens, condenser_na, samples), number == 1, samples)
            panel.plot(sampled, theirs[number][0, 1:count].real, "x", ms=4, color="C1", label="waveorder")
            panel.plot(sampled, soft[0, 1:count].real, color="C1", lw=0.8, label="engine, waveorder's source")
        found = rendered_transfer(lens, lamp, number == 1, samples, pixel)
        panel.plot(sampled, found[0, 1:count].real, ".", ms=4, color="C0", label="engine")
        panel.set(xlabel="spatial frequency (1/µm)", title=("amplitude", "phase")[number])
    panels[0].set_ylabel("transfer")
    panels[0].legend()
    return figure
