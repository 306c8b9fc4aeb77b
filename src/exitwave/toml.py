"""TOML: values to text and back, without loss.

Every value is a table with a `type`: the name of one of the library's classes, or "package.module:Name" for a class
of somebody else's. Numbers may carry units ("10 nm"). A number's own precision is kept: arrays that are not of their
parameter's usual dtype are written as {dtype, data}.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import tomllib
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
import torch
from torch import Tensor

from exitwave import units
from exitwave.model import Value, classes, draws, fields, params
from exitwave.quantity import Param

_DTYPES = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
    "float64": torch.float64,
}


def dump(value: Value) -> str:
    """Return `value` as TOML text; `load` of it gives an equal value.

    >>> from exitwave.grid import Grid
    >>> load(dump(Grid((4, 4), 0.1))) == Grid((4, 4), 0.1)
    True
    """
    return tomli_w.dumps(_table(value))


def load(source: str | Path) -> Any:
    """Return the value written in `source`: TOML text, or the path of a TOML file."""
    if isinstance(source, Path):
        try:
            text = source.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"cannot read the recipe {source}: {error}; pass a TOML file") from None
        where = str(source)
    else:
        text, where = source, "the recipe"
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{where} is not valid TOML: {error}") from None
    return _value(table, where, None)


def _table(value: Value) -> dict[str, Any]:
    specs = params(type(value))
    table: dict[str, Any] = {"type": _type_name(type(value))}
    for name in fields(type(value)):
        item = getattr(value, name)
        if item is not None:
            table[name] = _plain(item, specs.get(name))
    return table


def _plain(item: Any, spec: Param | None) -> Any:
    if isinstance(item, Tensor) and item.dtype == torch.int64:
        return item.tolist()
    if isinstance(item, Tensor):
        usual = spec.dtype if spec is not None else torch.float64
        data = _numbers(item)
        if item.dtype == usual and (item.numel() or item.ndim == 1):
            return data
        # An empty list has lost its shape.
        return {"dtype": str(item.dtype).removeprefix("torch."), "shape": list(item.shape), "data": data}
    if isinstance(item, Value):
        return _table(item)
    if isinstance(item, tuple):
        return [_plain(part, None) for part in item]
    return item


def _numbers(tensor: Tensor) -> Any:
    array = tensor.detach().cpu()
    if array.dtype == torch.float64:
        return array.tolist()
    # The shortest decimal that reads back as the same number, not the double beside it.
    single = array.float().numpy()
    text = np.array([float(str(number)) for number in single.ravel()], dtype=np.float64)
    return text.reshape(single.shape).tolist()


def _type_name(cls: type[Value]) -> str:
    return cls.__name__ if classes().get(cls.__name__) is cls else f"{cls.__module__}:{cls.__qualname__}"


def _value(table: Any, where: str, expected: type | None) -> Any:
    if not isinstance(table, dict):
        raise TypeError(f"expected a table at {where}, got {table!r:.60}; write a [{where}] section")
    table = dict(table)
    name = table.pop("type", None)
    maker = _resolve(name, where) if name is not None else expected
    if maker is None:
        raise ValueError(f'the table at {where} needs a type, got none; add for example type = "Scene"')
    if isinstance(maker, type) and issubclass(maker, Value):
        known = fields(maker)
        for key in table:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
                remedy = f"did you mean '{near[0]}'?" if near else "valid names: " + ", ".join(known)
                raise ValueError(f"{maker.__name__} has no field '{key}' (in {where}); {remedy}")
        given = {key: _field(maker, key, item, f"{where}.{key}") for key, item in table.items()}
    else:
        given = {key: _loose(item, f"{where}.{key}", None) for key, item in table.items()}
    try:
        return maker(**given)
    except TypeError as error:
        raise ValueError(f"cannot build {name or maker.__name__} at {where}: {error}") from None


def _resolve(name: Any, where: str) -> Callable[..., Any]:
    if not isinstance(name, str):
        raise ValueError(f'expected a type such as "Uniform" at {where}, got {name!r:.40}; write type = "..."')
    if ":" in name:
        module, _, attribute = name.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise ValueError(f"cannot import the type '{name}' at {where}: {error}; install or correct it") from None
    if name not in classes():
        near = difflib.get_close_matches(name, classes(), n=1)
        remedy = f"did you mean '{near[0]}'?" if near else "write 'package.module:Name' for a class of your own"
        raise ValueError(f"unknown type '{name}' at {where}; {remedy}")
    return classes()[name]


def _field(cls: type[Value], name: str, item: Any, where: str) -> Any:
    spec = params(cls).get(name)
    if spec is not None:
        return _numeric(item, spec, where)
    if name in draws(cls):
        return _loose(item, where, draws(cls)[name].unit)
    metadata = {field.name: field.metadata for field in dataclasses.fields(cls)}
    if "unit" in metadata[name]:
        return _loose(item, where, metadata[name]["unit"])
    if isinstance(item, dict):
        return _value(item, where, _declared(cls, name))
    return _loose(item, where, None)


def _declared(cls: type[Value], name: str) -> type | None:
    hint = typing.get_type_hints(cls).get(name)
    return hint if isinstance(hint, type) and issubclass(hint, Value) and dataclasses.fields(hint) else None


def _loose(item: Any, where: str, unit: str | None) -> Any:
    if isinstance(item, dict):
        return _prior(item, where, unit) if unit is not None else _value(item, where, None)
    if isinstance(item, list):
        return tuple(_loose(part, f"{where}.{number}", unit) for number, part in enumerate(item))
    return item if unit is None else _strings(item, unit, where)


def _numeric(item: Any, spec: Param, where: str) -> Any:
    if isinstance(item, dict) and "data" in item and "type" not in item:
        dtype = _DTYPES.get(str(item.get("dtype")))
        if dtype is None:
            raise ValueError(f"expected dtype {', '.join(_DTYPES)} at {where}, got {item.get('dtype')!r}; use float32")
        data = _strings(item["data"], spec.unit, where)
        try:
            numbers = torch.tensor(data, dtype=dtype)
            return numbers.reshape(item.get("shape", numbers.shape))
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(f"expected nested lists of numbers that fill the shape at {where}, got {error}") from None
    if isinstance(item, dict):
        return _prior(item, where, spec.unit)
    return _strings(item, spec.unit, where)


def _strings(item: Any, unit: str, where: str) -> Any:
    """Return `item` with every unit string in it replaced by its number."""
    if isinstance(item, list):
        return [_strings(part, unit, where) for part in item]
    if isinstance(item, str):
        if unit == "any":
            raise ValueError(f"expected a plain number at {where}, got '{item}'; its unit is not known here")
        try:
            return units.parse(item, unit)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
    return item


def _prior(table: dict[str, Any], where: str, unit: str) -> Any:
    """Return the prior written in `table`; its numbers are in the unit of the parameter it stands for."""
    table = dict(table)
    maker = _resolve(table.pop("type", None), where)
    specs = params(maker) if isinstance(maker, type) and issubclass(maker, Value) else {}
    hints = typing.get_type_hints(maker) if isinstance(maker, type) else {}
    given: dict[str, Any] = {}
    for key, item in table.items():
        place = f"{where}.{key}"
        if hints.get(key) is str:
            given[key] = item
        elif key in specs:
            own = specs[key].unit
            given[key] = _numeric(item, dataclasses.replace(specs[key], unit=unit if own == "any" else own), place)
        else:
            given[key] = _loose(item, place, unit)
    try:
        return maker(**given)
    except TypeError as error:
        raise ValueError(f"cannot build the prior at {where}: {error}") from None
