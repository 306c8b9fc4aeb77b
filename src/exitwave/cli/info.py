"""`exitwave info` and `exitwave recipes`: what there is, and what can be set."""

from __future__ import annotations

import difflib
import importlib.metadata
import inspect
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from exitwave.model import Value


def info(
    recipe: Annotated[
        str | None,
        typer.Argument(help="A recipe's name, the path of a TOML file, or a preset such as brightfield."),
    ] = None,
) -> None:
    """List every field of a recipe or preset: path, value or prior, unit, allowed range, meaning.

    The paths are those of --set and --free. Without a name: what this installation computes with.
    """
    from exitwave.cli.listing import listed, shown
    from exitwave.cli.report import table

    if recipe is None:
        table(("what", "here"), _installation())
        return
    value, prefix = _named(recipe)
    rows = [(entry.path, shown(entry.value), entry.unit, entry.range, entry.meaning) for entry in listed(value, prefix)]
    table(("path", "value", "unit", "range", "meaning"), rows + _slabs(value))


def recipes() -> None:
    """List the recipes of the package."""
    from exitwave.cli.report import table
    from exitwave.data import recipes as known

    table(("recipe", "description"), list(known().items()))


def _installation() -> list[tuple[str, str]]:
    """Return what decides how fast this installation is, and which results it can be compared with."""
    import torch

    from exitwave import native

    devices = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append("mps")
    return [
        ("exitwave", importlib.metadata.version("exitwave")),
        ("torch", torch.__version__),
        ("kernels", native.level()),
        ("threads", str(torch.get_num_threads())),
        ("accelerators", ", ".join(devices) or "none"),
    ]


def _slabs(value: Value) -> list[tuple[str, str, str, str, str]]:
    """Return the row that tells which slabs a deep specimen is cut into, where there are any."""
    from exitwave.interaction import Multislice
    from exitwave.random import Key
    from exitwave.sample import sample
    from exitwave.scene import Scene

    if not isinstance(value, Scene) or not isinstance(value.microscope.interaction, Multislice):
        return []
    scene = sample(value, Key(0))  # itself, if it is drawn already
    microscope = scene.microscope
    slabs = microscope.interaction.planes(
        scene.specimen, microscope.illumination.source().wavelength, microscope.optics.na
    )
    layout = f"{slabs.count} planes from {slabs.first:.4g} to {slabs.last:.4g} um"
    return [("microscope.interaction", layout, "", "", "slabs of this specimen, or of its first draw")]


def _named(name: str) -> tuple[Value, str]:
    """Return the recipe or preset of that name, and what its paths begin with."""
    from exitwave import data, presets

    microscopes = {
        key: function
        for key, function in inspect.getmembers(presets, inspect.isfunction)
        if function.__module__ == presets.__name__ and not key.startswith("_")
    }
    if name in microscopes:
        return microscopes[name](), "microscope."
    known = (*data.recipes(), *microscopes)
    if not name.endswith(".toml") and name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        remedy = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}; or pass the path of a TOML file"
        raise ValueError(f"unknown recipe or preset '{name}'; {remedy}")
    return data.recipe(name), ""
