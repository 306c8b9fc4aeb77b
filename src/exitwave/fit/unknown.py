"""Unknowns: what a fit is to find, and what was known of it before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from exitwave.quantity import Prior


@dataclass(frozen=True)
class Unknown:
    """Numbers of a scene that a fit is to find: those at a dotted path, or at several.

    A plain path in a list of unknowns stands for `Unknown(path)`. `low` and `high` narrow the declared range. A `prior`
    (`Normal`, `LogNormal`, `TruncatedNormal`: a soft constraint; `Uniform`, `LogUniform`: a range) makes the fit find
    the most probable numbers instead of the most likely ones. `tied` makes one number of all entries of all paths; they
    start from their mean. `scale` is a typical change, in the parameter's unit, by which `multi_start` scatters its
    starts and first-order methods choose their step; they find one themselves where it is not given. `columns` frees
    some columns of a table only: (1, 2) of "specimen.parts.0.center" are y and x of all particles.

    >>> Unknown("specimen.parts.0.index", low=1.4, high=1.7, tied=True).paths
    ('specimen.parts.0.index',)
    """

    path: str | tuple[str, ...]
    low: float = -math.inf
    high: float = math.inf
    prior: Prior | None = None
    scale: float | None = None
    tied: bool = False
    columns: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not self.paths or not all(isinstance(path, str) and path for path in self.paths):
            raise ValueError(f"an unknown needs a dotted path or several, got {self.path!r}; see exitwave info")
        if len(self.paths) > 1 and not self.tied:
            raise ValueError(
                f"an unknown with {len(self.paths)} paths is one number for all of them, got tied=False; set "
                "tied=True, or list the paths one by one"
            )
        if self.columns is not None and (self.tied or not self.columns or len(set(self.columns)) < len(self.columns)):
            raise ValueError(
                f"columns must be different numbers of columns that are not tied, got {self.columns} of {self.name}"
            )
        if self.scale is not None and not 0 < self.scale < math.inf:
            raise ValueError(f"scale must be a positive number in the unit of {self.name}, got {self.scale}")
        if self.prior is not None and not isinstance(self.prior, Prior):
            raise TypeError(f"prior must be a prior such as Normal(1.58, 0.01), got {self.prior!r:.40}")

    @property
    def paths(self) -> tuple[str, ...]:
        """The dotted paths."""
        return (self.path,) if isinstance(self.path, str) else tuple(self.path)

    @property
    def name(self) -> str:
        """What results call it: its first path."""
        return self.paths[0]


def unknowns(free: Sequence[str | Unknown]) -> tuple[Unknown, ...]:
    """Return a list of paths and unknowns as unknowns; the same path twice is an error."""
    if isinstance(free, str) or not free:
        raise ValueError(f"free must list at least one dotted path, got {free!r}; see exitwave info for the paths")
    found = tuple(Unknown(item) if isinstance(item, str) else item for item in free)
    seen: set[str] = set()
    for path in (path for unknown in found for path in unknown.paths):
        clash = next(
            (old for old in seen if f"{path}.".startswith(f"{old}.") or f"{old}.".startswith(f"{path}.")), None
        )
        if clash is not None:
            raise ValueError(f"'{path}' is free twice, beside '{clash}'; list it once")
        seen.add(path)
    return found
