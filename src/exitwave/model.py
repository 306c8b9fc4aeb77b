"""Values: frozen dataclasses whose numbers are tensors, declared once and named by dotted paths.

An optimiser, a random prior, a curriculum, a TOML recipe and a command-line override are the same thing here: a
source of numbers for dotted paths such as "microscope.optics.na", consumed by `substitute`.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, dataclass_transform

import torch
from torch import Tensor

from exitwave.quantity import ANY_SHAPE, Param, indices, is_prior, param, per_particle


@dataclass_transform(
    frozen_default=True, eq_default=False, field_specifiers=(param, per_particle, indices, dataclasses.field)
)
class Value:
    """Base of every physics object: a frozen dataclass, checked when built, compared by content.

    Fields declared with `param` hold tensors; other fields hold structure (integers, strings, other values, tuples
    of values). Python numbers are held in double precision, per-particle lists in single; the arithmetic of a
    rendering follows the specimen.
    """

    if TYPE_CHECKING:
        __dataclass_fields__: ClassVar[dict[str, Any]]  # every subclass becomes a dataclass below

    def __init_subclass__(cls) -> None:
        dataclass(frozen=True, eq=False, repr=False)(cls)
        _CLASSES.setdefault(cls.__name__, cls)

    def __post_init__(self) -> None:
        specs = params(type(self))
        for name, spec in specs.items():
            object.__setattr__(self, name, spec.convert(self._name(name), getattr(self, name)))
        tables = _declared(type(self), "indices")
        for name, table in tables.items():
            if getattr(self, name) is not None:
                object.__setattr__(self, name, table.convert(self._name(name), getattr(self, name)))
        for name, value in self.fill().items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        for name, spec in draws(type(self)).items():
            item = getattr(self, name)
            for part in item if isinstance(item, tuple) else (item,):
                number = spec.convert(self._name(name), part)
                if isinstance(number, Tensor):
                    spec.check(self._name(name), number)
        letters: dict[str, tuple[str, int]] = {}
        for name, table in tables.items():
            self._match_dims(name, table.dims, getattr(self, name), letters)
        for name, spec in specs.items():
            value = getattr(self, name)
            if isinstance(value, Tensor):
                self._match_dims(name, spec.dims, value, letters)
                spec.check(self._name(name), value)
        if not any(is_prior(getattr(self, name)) for name in specs):
            self.check()

    def _name(self, field: str) -> str:
        return f"{type(self).__name__}.{field}"

    def _match_dims(
        self, name: str, dims: tuple[str | int, ...], value: Tensor, letters: dict[str, tuple[str, int]]
    ) -> None:
        if dims == ANY_SHAPE:
            return
        for size, declared in zip(value.shape, dims, strict=True):
            if isinstance(declared, str):
                first, expected = letters.setdefault(declared, (name, size))
                if size != expected:
                    raise ValueError(
                        f"{self._name(name)} must have {declared} = {expected} entries like {first}, got {size}; "
                        "pass arrays of one length"
                    )
            elif size != declared:
                shape = ", ".join(str(one) for one in dims)
                raise ValueError(f"{self._name(name)} must have shape ({shape}), got {tuple(value.shape)}; reshape it")

    def fill(self) -> dict[str, Any]:
        """Return what stands in for optional fields that were not given; overridden where there are any."""
        return {}

    def check(self) -> None:
        """Raise a one-line error where fields contradict one another; overridden where they can."""

    def realise(self, generator: Callable[[str], torch.Generator], extent: tuple[float, ...]) -> Value:
        """Return this value with its own randomness drawn for a field of `extent` micrometres; itself if it has none.

        `sample` asks every value of a scene once, after its priors are drawn. `generator(purpose)` gives independent
        generators, so that drawing one thing differently leaves the others as they were.
        """
        return self

    def to(self, target: torch.dtype | torch.device | str) -> Any:
        """Return the same value with every tensor moved to a device, or converted to a floating dtype if it floats."""
        dtype = isinstance(target, torch.dtype)
        return map_tensors(self, lambda tensor: tensor if dtype and tensor.dtype == torch.int64 else tensor.to(target))

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(_same(getattr(self, name), getattr(other, name)) for name in fields(type(self)))

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        given = {name: getattr(self, name) for name in fields(type(self))}
        inside = ", ".join(f"{name}={_short(item)}" for name, item in given.items() if item is not None)
        return f"{type(self).__name__}({inside})"


T = TypeVar("T", bound=Value)
_CLASSES: dict[str, type[Value]] = {}


def classes() -> Mapping[str, type[Value]]:
    """Return every value class by its name, for readers of recipes."""
    return _CLASSES


@cache
def fields(cls: type[Value]) -> tuple[str, ...]:
    """Return the names of all fields of a value class, in order."""
    return tuple(field.name for field in dataclasses.fields(cls))


def params(cls: type[Value]) -> dict[str, Param]:
    """Return the declared parameters of a value class by name."""
    return _declared(cls, "param")


def draws(cls: type[Value]) -> dict[str, Param]:
    """Return the declarations of the fields that particles draw from, by name."""
    return _declared(cls, "draws")


@cache
def _declared(cls: type[Value], kind: str) -> dict[str, Any]:
    return {field.name: field.metadata[kind] for field in dataclasses.fields(cls) if kind in field.metadata}


def map_tensors(value: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """Return `value` with `function` applied to every tensor in it, at any depth."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, tuple):
        return tuple(map_tensors(item, function) for item in value)
    if isinstance(value, Value):
        return _rebuild(value, {name: map_tensors(getattr(value, name), function) for name in fields(type(value))})
    return value


def paths(value: Value) -> dict[str, Param]:
    """Return every parameter of `value` that holds a number or a prior: dotted path -> declaration.

    >>> from exitwave.grid import Grid
    >>> paths(Grid((8, 8), 0.1))
    {}
    """
    return {path: params(type(owner))[name] for path, owner, name in _walk(value, "")}


def leaves(value: Value) -> Iterator[tuple[str, Param, Any]]:
    """Yield every parameter of `value` that holds a number or a prior: dotted path, declaration, and what it holds."""
    for path, owner, name in _walk(value, ""):
        yield path, params(type(owner))[name], getattr(owner, name)


def _walk(value: Value, prefix: str) -> Iterator[tuple[str, Value, str]]:
    specs = params(type(value))
    for name in fields(type(value)):
        item = getattr(value, name)
        if name in specs:
            if item is not None:
                yield prefix + name, value, name
        elif isinstance(item, Value):
            yield from _walk(item, f"{prefix}{name}.")
        elif isinstance(item, tuple):
            for number, part in enumerate(item):
                if isinstance(part, Value):
                    yield from _walk(part, f"{prefix}{name}.{number}.")


def get(value: Any, path: str) -> Any:
    """Return what stands at a dotted path such as "specimen.parts.0.size", or "specimen.parts.0.size.3" for a row."""
    for step in path.split("."):
        value = _step(value, step, path)
    return value


def _step(value: Any, step: str, path: str) -> Any:
    if isinstance(value, Tensor) and value.ndim:
        if not step.isdigit() or int(step) >= len(value):
            raise KeyError(f"expected a number below {len(value)} in '{path}', got '{step}'; count entries from 0")
        return value[int(step)]
    if isinstance(value, tuple):
        if not step.isdigit() or int(step) >= len(value):
            raise KeyError(f"expected a number below {len(value)} in '{path}', got '{step}'; count parts from 0")
        return value[int(step)]
    if not isinstance(value, Value):
        raise KeyError(f"nothing lies below a plain value in '{path}', got '{step}'; shorten the path")
    names = fields(type(value))
    if step not in names:
        near = difflib.get_close_matches(step, names, n=1, cutoff=0.5)
        remedy = f"did you mean '{near[0]}'?" if near else "valid names: " + (", ".join(names) or "none")
        raise KeyError(f"{type(value).__name__} has no field '{step}' (in '{path}'); {remedy}")
    return getattr(value, step)


def substitute(value: T, values: Mapping[str, Any]) -> T:
    """Return `value` with new contents at dotted paths.

    Tensors pass through untouched and unchecked apart from their shape, so that gradients, `vmap` and forward-mode
    derivatives go through; plain numbers and structure are checked as when the value was built.

    >>> from exitwave.optics import Objective
    >>> substitute(Objective(na=0.5), {"na": 0.25}).na
    tensor(0.2500, dtype=torch.float64)
    """
    groups: dict[str, dict[str, Any]] = {}
    for path, new in values.items():
        head, _, rest = path.partition(".")
        groups.setdefault(head, {})[rest] = new
    return _substitute(value, groups, ", ".join(values))


def _substitute(value: Any, groups: dict[str, dict[str, Any]], where: str) -> Any:
    changed: dict[str, Any] = {}
    checked = False
    for head, below in groups.items():
        old = _step(value, head, where)
        if "" in below:
            if len(below) > 1:
                raise KeyError(f"'{head}' and a path below it are both given in {where}; give one of them")
            changed[head] = below[""]
            spec = params(type(value)).get(head) if isinstance(value, Value) else None
            if spec is not None and isinstance(below[""], Tensor):
                changed[head] = _fitting(value, head, old, below[""])
            else:
                checked = True
        else:
            inner: dict[str, dict[str, Any]] = {}
            for path, new in below.items():
                first, _, rest = path.partition(".")
                inner.setdefault(first, {})[rest] = new
            changed[head] = _substitute(old, inner, where)
            checked = checked or not all(isinstance(new, Tensor) for new in below.values())
    if isinstance(value, Tensor):
        rows = [torch.as_tensor(changed.get(str(number), row)) for number, row in enumerate(value)]
        return torch.stack([row.to(value) for row in rows])
    if isinstance(value, tuple):
        return tuple(changed.get(str(number), item) for number, item in enumerate(value))
    return dataclasses.replace(value, **changed) if checked else _rebuild(value, changed)


def _fitting(value: Value, name: str, old: Any, new: Tensor) -> Tensor:
    if isinstance(old, Tensor) and old.shape != new.shape:
        raise ValueError(
            f"{value._name(name)} must keep shape {tuple(old.shape)}, got {tuple(new.shape)}; reshape the tensor"
        )
    return new


def _rebuild(value: T, changes: Mapping[str, Any]) -> T:
    """Return a copy with changed fields, unchecked: `substitute` and `to` run inside transforms."""
    new = object.__new__(type(value))
    new.__dict__.update(value.__dict__)
    new.__dict__.update(changes)
    return new


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return isinstance(a, Tensor) and isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and a == b


def _short(value: Any) -> str:
    if not isinstance(value, Tensor):
        return repr(value)
    if value.numel() > 6:
        return f"tensor{tuple(value.shape)}"
    return f"{value.detach().cpu().tolist()}"
