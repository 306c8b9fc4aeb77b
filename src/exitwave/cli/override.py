"""Overrides: texts such as "microscope.optics.na=0.8" put into a scene."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import Any

import tomli_w

from exitwave.cli.listing import listed
from exitwave.model import Value, get
from exitwave.scene import Scene
from exitwave.toml import dump, load


def overridden(scene: Scene, assignments: Sequence[str]) -> Scene:
    """Return `scene` with the VALUE of every "PATH=VALUE" at its path.

    A value is TOML: a number, a list, a prior as an inline table; a text that is no TOML stands for itself, so that
    units need no quotes of their own. All values are put in together and checked as when a recipe is read: what is
    wrong between two of them only, such as an aperture above the old index of immersion, may be set.

    >>> import exitwave as ew
    >>> scene = ew.Scene(ew.Specimen(()), ew.brightfield(), ew.Grid((32, 32), 0.1))
    >>> overridden(scene, ["microscope.optics.defocus=-300 nm"]).microscope.optics.defocus
    tensor(-0.3000, dtype=torch.float64)
    """
    if not assignments:
        return scene
    table = tomllib.loads(dump(scene))
    done: list[str] = []
    for text in assignments:
        path, _, value = text.partition("=")
        path = path.strip()
        # What an earlier override put in is not in the scene yet; reading the whole will tell.
        old = None if any(path.startswith(f"{earlier}.") for earlier in done) else located(scene, path)
        _put(table, path, _item(value.strip(), old))
        done.append(path)
    try:
        return load(tomli_w.dumps(table))
    except (ValueError, TypeError) as error:
        named = assignments[0] if len(assignments) == 1 else f"{assignments[0]} and others"
        # The text that is read here is nobody's file.
        raise type(error)(f"--set {named}: {str(error).replace('the recipe.', '')}") from None


def located(scene: Value, path: str) -> Any:
    """Return what stands at `path`; where there is nothing, an error with the valid path that is nearest."""
    try:
        return get(scene, path)
    except KeyError:
        # The model's own message knows the neighbours of one step; a path that lacks its beginning is found here.
        ends = [entry.path for entry in listed(scene) if entry.path.endswith(f".{path}")]
        if not ends:
            raise
        raise KeyError(f"no field at '{path}'; did you mean '{ends[0]}'?") from None


def _item(text: str, old: Any) -> Any:
    try:
        item = tomllib.loads(f"x = {text}")["x"] if "\n" not in text else text
    except tomllib.TOMLDecodeError as error:
        if text[:1] in ("{", "[", '"', "'"):
            raise ValueError(f"expected a number, a text, or a list or table of TOML, got '{text}': {error}") from None
        item = text
    # A label of digits is a text too.
    return text if isinstance(old, str) and not isinstance(item, str) else item


def _put(table: Any, path: str, item: Any) -> None:
    """Put `item` at a dotted path of nested tables and lists."""
    *steps, last = path.split(".")
    for step in steps:
        table = _inside(table)
        table = table[int(step)] if isinstance(table, list) else table[step]
    table = _inside(table)
    if isinstance(table, list):
        table[int(last)] = item
    elif isinstance(table, dict):
        table[last] = item
    else:
        raise KeyError(f"nothing lies below a plain value in '{path}', got '{last}'; shorten the path")


def _inside(table: Any) -> Any:
    # Numbers that are not of their parameter's usual precision are written as {dtype, shape, data}.
    return table["data"] if isinstance(table, dict) and "data" in table and "type" not in table else table
