"""Recipes: scenes with priors, from the package or from TOML files."""

from __future__ import annotations

import difflib
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from exitwave import toml
from exitwave.model import Value, fields
from exitwave.scene import Scene


def recipe(source: str | Path | Scene) -> Scene:
    """Return the recipe `source`: the name of one in the package, the path of a TOML file, or a scene as it is.

    A recipe is an ordinary `Scene` in which priors and populations stand for what is still to be drawn.

    >>> recipe("no-such-recipe")
    Traceback (most recent call last):
    ValueError: unknown recipe 'no-such-recipe'; ...
    """
    if isinstance(source, Scene):
        return source
    if isinstance(source, Path) or source.endswith(".toml"):
        path = Path(source)
        if not path.is_file():
            raise ValueError(f"expected a TOML file at {path}, got none; correct the path or name one of the recipes")
        return _scene(toml.load(path), str(path))
    shipped = _files()
    if source not in shipped:
        near = difflib.get_close_matches(source, shipped, n=1)
        known = ", ".join(shipped) or "none in this installation"
        remedy = f"did you mean '{near[0]}'?" if near else f"known recipes: {known}; or pass the path of a TOML file"
        raise ValueError(f"unknown recipe '{source}'; {remedy}")
    return _scene(toml.load(shipped[source].read_text(encoding="utf-8")), f"the recipe '{source}'")


def recipes() -> dict[str, str]:
    """Return the recipes of the package: name -> description, which is the first comment line of the file."""
    return {name: _description(file.read_text(encoding="utf-8")) for name, file in _files().items()}


def classes_of(recipe: Scene) -> tuple[str, ...]:
    """Return the names of all classes that scenes drawn from `recipe` can show, sorted.

    They come from the recipe and not from one scene: a class keeps its number in images that happen to lack another.

    >>> import exitwave as ew
    >>> bead = ew.Particles(ew.Sphere(), center=[[0, 0, 0]], size=[[1.0]], index=[1.59], label="bead")
    >>> classes_of(ew.Scene(ew.Specimen((bead,)), ew.brightfield(), ew.Grid((32, 32), 0.1)))
    ('bead',)
    """
    return tuple(sorted(_labels(recipe) - {""}))


def _labels(item: Any) -> set[str]:
    if isinstance(item, tuple):
        return set().union(*map(_labels, item))
    if not isinstance(item, Value):
        return set()
    found: set[str] = set()
    for name in fields(type(item)):
        part = getattr(item, name)
        found |= {part} if name == "label" and isinstance(part, str) else _labels(part)
    return found


def _files() -> dict[str, Traversable]:
    folder = files("exitwave.data") / "recipes"
    if not folder.is_dir():
        return {}
    found = {file.name.removesuffix(".toml"): file for file in folder.iterdir() if file.name.endswith(".toml")}
    return dict(sorted(found.items()))


def _description(text: str) -> str:
    first = text.lstrip().partition("\n")[0]
    return first.lstrip("# ").rstrip() if first.startswith("#") else ""


def _scene(value: Any, where: str) -> Scene:
    if not isinstance(value, Scene):
        raise ValueError(f'expected a Scene in {where}, got a {type(value).__name__}; begin it with type = "Scene"')
    return value
