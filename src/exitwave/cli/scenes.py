"""Scenes: the recipe that a command is given, with its overrides."""

from __future__ import annotations

from collections.abc import Sequence

from exitwave.cli.override import overridden
from exitwave.data import recipe
from exitwave.scene import Scene


def scene_of(source: str, assignments: Sequence[str] | None) -> Scene:
    """Return the recipe of that name or file, with "PATH=VALUE" texts put in."""
    return overridden(recipe(source), assignments or ())
