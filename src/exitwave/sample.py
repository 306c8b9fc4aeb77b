"""Sampling: from a recipe, a scene with priors, to a scene with numbers."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any, TypeVar

from exitwave.model import Value, fields, params
from exitwave.quantity import is_prior
from exitwave.random import Key
from exitwave.scene import Scene

T = TypeVar("T", bound=Value)


def sample(recipe: Scene, key: Key) -> Scene:
    """Return `recipe` with every prior replaced by a draw and every population by its particles.

    What stands at one dotted path draws from a generator of its own, keyed by (seed, index, path): changing one prior
    leaves all other draws as they were.

    >>> import exitwave as ew
    >>> microscope = ew.brightfield(na=ew.Uniform(0.4, 0.6))
    >>> recipe = ew.Scene(ew.Specimen((), medium=1.33), microscope, ew.Grid((32, 32), 0.1))
    >>> ew.sample(recipe, ew.Key(seed=0, index=0)).microscope.optics.na
    tensor(0.4488, dtype=torch.float64)
    """
    return _sample(recipe, "", key, recipe.grid.extent)


def _sample(value: T, path: str, key: Key, extent: tuple[float, ...]) -> T:
    changed: dict[str, Any] = {}
    specs = params(type(value))
    for name in fields(type(value)):
        item = getattr(value, name)
        place = f"{path}{name}"
        if name in specs and is_prior(item):
            assert isinstance(item, Value)
            prior: Any = _sample(item, f"{place}.", key, extent)
            shape = () if not specs[name].dims else (1,) * len(specs[name].dims)
            changed[name] = prior.draw(shape, key.generator(place))
        elif isinstance(item, Value):
            changed[name] = _sample(item, f"{place}.", key, extent)
        elif isinstance(item, tuple) and any(isinstance(part, Value) for part in item):
            changed[name] = tuple(
                _sample(part, f"{place}.{number}.", key, extent) if isinstance(part, Value) else part
                for number, part in enumerate(item)
            )
    drawn = dataclasses.replace(value, **changed) if changed else value
    # A dataset draws the same whatever the rest of the recipe asks of the generator: a purpose is part of the path.
    realised: Any = drawn.realise(partial(_generator, key, path), extent)
    return realised


def _generator(key: Key, path: str, purpose: str) -> Any:
    return key.generator(path + purpose)
