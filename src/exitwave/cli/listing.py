"""Listings: every field of a scene with its path, unit, range and meaning."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from exitwave.model import Value, draws, fields, params
from exitwave.quantity import Param, Prior


@dataclass(frozen=True)
class Entry:
    """One field: where it stands, what it holds, and its declaration; structure (sizes, names, parts) has none."""

    path: str
    value: Any
    spec: Param | None = None
    meaning: str = ""

    @property
    def unit(self) -> str:
        """The unit; empty for structure."""
        return self.spec.unit if self.spec is not None else ""

    @property
    def range(self) -> str:
        """The allowed range, such as "(0, 1.7)"; empty for structure."""
        return dataclasses.replace(self.spec, unit="1").interval() if self.spec is not None else ""


def listed(value: Value, prefix: str = "") -> Iterator[Entry]:
    """Yield the fields of `value` at any depth, in order, those that every particle draws for itself included.

    >>> from exitwave.optics import Objective
    >>> [(entry.path, entry.range) for entry in listed(Objective())][:2]
    [('na', '(0, 1.7)'), ('defocus', '[-10000, 10000]')]
    """
    single, drawn = params(type(value)), draws(type(value))
    names = fields(type(value))
    for name in names:
        item, path = getattr(value, name), f"{prefix}{name}"
        if name in single:
            yield Entry(path, item, single[name], single[name].doc + _columns(value, name, names))
        elif name in drawn:
            parts = item if isinstance(item, tuple) and item else None
            steps = [(path, item)] if parts is None else [(f"{path}.{k}", part) for k, part in enumerate(parts)]
            for step, part in steps:
                meaning = f"{drawn[name].doc}{_columns(value, name, names)}, per particle"
                yield Entry(step, part, drawn[name], meaning)
        elif isinstance(item, tuple) and any(isinstance(part, Value) for part in item):
            for number, part in enumerate(item):
                yield from _part(part, f"{path}.{number}")
        else:
            yield from _part(item, path)


def _part(item: Any, path: str) -> Iterator[Entry]:
    yield Entry(path, item)
    if isinstance(item, Value):
        yield from listed(item, f"{path}.")


def _columns(value: Any, name: str, names: tuple[str, ...]) -> str:
    """Return the names of the columns of a body's `size`."""
    return f" ({', '.join(value.shape.lengths)})" if name == "size" and "shape" in names else ""


def shown(value: Any) -> str:
    """Return a value as short text: numbers, priors with their own numbers, the name of the class of a part.

    >>> import torch
    >>> shown(torch.tensor([0.5, 1.0])), shown(torch.arange(100.0))
    ('[0.5, 1]', '100 numbers from 0 to 99')
    """
    if isinstance(value, Tensor):
        if value.numel() > 6:
            size = " x ".join(str(n) for n in value.shape)
            return f"{size} numbers from {float(value.min()):.6g} to {float(value.max()):.6g}"
        return _nested(value.tolist())
    if isinstance(value, Value):
        # Parts are listed field by field; a prior is one line.
        inside = fields(type(value)) if isinstance(value, Prior) else ()
        held = ", ".join(f"{name}={shown(getattr(value, name))}" for name in inside)
        return f"{type(value).__name__}({held})" if held else type(value).__name__
    if isinstance(value, tuple):
        return _nested([shown(part) for part in value])
    return "not set" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _nested(item: Any) -> str:
    if isinstance(item, list):
        return "[" + ", ".join(_nested(part) for part in item) + "]"
    return f"{item:.6g}" if isinstance(item, float) else str(item)
