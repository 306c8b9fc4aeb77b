"""Quantities: the declaration of a parameter, its unit, range and dimensions, and what may stand in its place."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeGuard, overload, runtime_checkable

import numpy as np
import torch
from torch import Tensor


@runtime_checkable
class Prior(Protocol):
    """Anything that can draw numbers for a parameter: it may stand wherever a number may.

    `deviation` tells a fit how far numbers are from what was expected: half its square is minus the logarithm of the
    density, up to a constant. It is empty where all numbers of the support are alike. Nothing lies outside the support
    of a `bounded` prior; that of another is where nearly everything lies.
    """

    bounded: ClassVar[bool]

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor: ...

    def support(self) -> tuple[float, float]: ...

    def deviation(self, value: Tensor) -> Tensor: ...


def is_prior(item: object) -> TypeGuard[Prior]:
    """Return whether something stands for numbers yet to be drawn; asking a tensor or number costs nothing."""
    return not isinstance(item, Tensor | float | int) and isinstance(item, Prior)


Numeric = Tensor | float | np.ndarray | Sequence[Any] | Prior

if TYPE_CHECKING:

    class Quantity:
        """The static type of a parameter: numbers go in, a tensor comes out."""

        @overload
        def __get__(self, instance: None, owner: Any) -> Any: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> Tensor: ...
        def __get__(self, instance: Any, owner: Any) -> Any: ...
        def __set__(self, instance: Any, value: Numeric | None) -> None: ...

    class Table:
        """The static type of a table of whole numbers: integers go in, an int64 tensor comes out."""

        @overload
        def __get__(self, instance: None, owner: Any) -> Any: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> Tensor: ...
        def __get__(self, instance: Any, owner: Any) -> Any: ...
        def __set__(self, instance: Any, value: Tensor | np.ndarray | Sequence[Any] | None) -> None: ...

else:
    Quantity = Table = Tensor


ANY_SHAPE = ("...",)
"""Dimensions of a parameter that may be one number or a map over the image."""

MANY = frozenset("NVFST")
"""Letters of the dimensions that count particles, vertices, faces, segments and tetrahedra."""


@dataclass(frozen=True)
class Param:
    """The declaration of a parameter: unit, closed range (open where `exclusive`), dimensions and meaning."""

    unit: str
    low: float = -math.inf
    high: float = math.inf
    exclusive: bool = False
    dims: tuple[str | int, ...] = ()
    doc: str = ""
    optional: bool = False

    @property
    def dtype(self) -> torch.dtype:
        """The dtype that plain Python numbers get: arrays over particles or meshes float32, everything else double."""
        return torch.float32 if self.many else torch.float64

    @property
    def many(self) -> bool:
        """Whether it holds one row per particle, vertex, face, segment or tetrahedron."""
        return self.dims[:1] != () and self.dims[0] in MANY

    def interval(self) -> str:
        """Return the allowed range as text, such as "(0, 1.7]"."""
        left = "(" if self.exclusive or math.isinf(self.low) else "["
        right = ")" if self.exclusive or math.isinf(self.high) else "]"
        unit = "" if self.unit in ("1", "any") else f" {self.unit}"
        return f"{left}{self.low:g}, {self.high:g}{right}{unit}"

    def convert(self, name: str, value: Any) -> Any:
        """Return `value` as a tensor (or as the prior that it is); a one-line error where it cannot be one."""
        if value is None and self.optional:
            return None
        if is_prior(value):
            low, high = value.support()
            if low < self.low or high > self.high:
                raise ValueError(
                    f"{name} must lie in {self.interval()}, got a prior over [{low:g}, {high:g}]; narrow it"
                )
            return value
        if isinstance(value, str | bytes | bool) or value is None:
            raise TypeError(
                f"{name} must be a number in {self.unit}, got {value!r}; unit strings are read in TOML and on the "
                "command line only"
            )
        if isinstance(value, Tensor):
            tensor = value
        elif isinstance(value, np.ndarray | np.generic):
            tensor = torch.as_tensor(np.ascontiguousarray(value) if np.ndim(value) else np.asarray(value))
        else:
            tensor = _from_python(name, value, self)
        if not tensor.is_floating_point():
            if tensor.is_complex() or tensor.dtype == torch.bool:
                raise TypeError(f"{name} must be a real number in {self.unit}, got {tensor.dtype}; pass floats")
            tensor = tensor.to(self.dtype)
        if len(self.dims) == 1 and self.dims != ANY_SHAPE and tensor.ndim == 0:
            tensor = tensor[None]  # a bare number is a list of one
        if self.dims != ANY_SHAPE and len(self.dims) != tensor.ndim:
            raise ValueError(
                f"{name} must have {len(self.dims)} dimensions {self.dimensions()}, got shape {tuple(tensor.shape)}; "
                "reshape it"
            )
        return tensor

    def check(self, name: str, value: Tensor) -> None:
        """Raise a one-line error where `value` is not finite or leaves the declared range."""
        if value.numel() == 0:
            return
        low, high = (float(bound) for bound in torch.aminmax(value.detach()))
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError(f"{name} must be finite, got NaN or infinity; check where the number comes from")
        inside = (low > self.low and high < self.high) if self.exclusive else (low >= self.low and high <= self.high)
        if not inside:
            got = f"{low:g}" if low == high else f"values from {low:g} to {high:g}"
            raise ValueError(f"{name} must lie in {self.interval()}, got {got}; pass a value inside")

    def dimensions(self) -> str:
        """Return the declared dimensions as text, such as "(N, 3)"."""
        return "(" + ", ".join(str(size) for size in self.dims) + ("," if len(self.dims) == 1 else "") + ")"


def _from_python(name: str, value: Any, spec: Param) -> Tensor:
    try:
        return torch.tensor(value, dtype=spec.dtype)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(
            f"{name} must be a number or nested lists of numbers in {spec.unit}, got {value!r:.60}"
        ) from None


def param(
    unit: str,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    exclusive: bool = False,
    dims: tuple[str | int, ...] = (),
    default: Any = dataclasses.MISSING,
    doc: str = "",
) -> Any:
    """Return the declaration of a tensor field: its unit, range, dimensions (letters are matched), and default.

    `default=None` makes the field optional; the value's `fill` method then supplies it.

    >>> from exitwave.model import Value
    >>> class Lens(Value):
    ...     na: Quantity = param("1", low=0.0, high=1.7, exclusive=True, default=0.5, doc="numerical aperture")
    >>> Lens(na=0.8).na
    tensor(0.8000, dtype=torch.float64)
    >>> Lens(na=2.0)
    Traceback (most recent call last):
    ValueError: Lens.na must lie in (0, 1.7), got 2; pass a value inside
    """
    spec = Param(unit, low, high, exclusive, dims, doc, optional=default is None)
    return dataclasses.field(default=default, metadata={"param": spec})


@dataclass(frozen=True)
class Indices:
    """The declaration of a table of whole numbers that says what belongs together: faces, segments, regions."""

    dims: tuple[str | int, ...]
    doc: str = ""

    def convert(self, name: str, value: Any) -> Tensor:
        """Return `value` as an int64 tensor; a one-line error where it is not a table of whole numbers."""
        try:
            tensor = torch.as_tensor(np.asarray(value) if not isinstance(value, Tensor) else value)
        except (TypeError, ValueError, RuntimeError):
            raise TypeError(f"{name} must be nested lists of integers, got {value!r:.60}") from None
        if tensor.numel() == 0:
            tensor = tensor.reshape(0, *(int(size) for size in self.dims[1:])).long()
        if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
            raise TypeError(f"{name} must hold integers, got {tensor.dtype}; they count vertices or regions")
        want = self.dims[1:]
        if tensor.ndim != len(self.dims) or tuple(tensor.shape[1:]) != want:
            shape = ", ".join(str(size) for size in self.dims)
            raise ValueError(f"{name} must have shape ({shape}), got {tuple(tensor.shape)}; reshape it")
        return tensor.long()


def indices(*dims: str | int, default: Any = dataclasses.MISSING, doc: str = "") -> Any:
    """Return the declaration of a field of whole numbers such as faces: structure, which no fit moves.

    `default=None` makes the field optional; the value's `fill` method then supplies it.
    """
    return dataclasses.field(default=default, metadata={"indices": Indices(dims, doc)})


def per_particle(
    unit: str,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    exclusive: bool = False,
    default: Any = dataclasses.MISSING,
    doc: str = "",
) -> Any:
    """Return the declaration of a field of a recipe from which every particle draws a number of its own.

    It holds a number, a prior, or a tuple of them, one per column. Unlike a `param`, it is not drawn once per scene.
    """
    return dataclasses.field(default=default, metadata={"draws": Param(unit, low, high, exclusive, (), doc)})
