"""Assemblies: parts of a specimen that belong together."""

from __future__ import annotations

from typing import Any

from exitwave.model import Value


class Assembly(Value):
    """Several parts as one: the membranes, nuclei and filaments of a tissue, drawn together by a recipe.

    It stands wherever a part of a specimen may stand, and its parts have paths such as
    "specimen.parts.0.parts.1.vertices".

    >>> from exitwave.specimen.points import Points
    >>> pair = Assembly((Points(center=[[0, 0, 0]]), Points(center=[[1.0, 0, 0]], label="bead")))
    >>> [part.label for part in pair.parts]
    ['point', 'bead']
    """

    parts: tuple[Any, ...]

    def check(self) -> None:
        if not isinstance(self.parts, tuple):
            raise TypeError(f"Assembly.parts must be a tuple, got {type(self.parts).__name__}; write (mesh, points)")
        for part in self.parts:
            if not isinstance(part, Value):
                raise TypeError(f"Assembly.parts must hold values such as Mesh, got {type(part).__name__}")


def unpacked(parts: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the parts of a specimen with assemblies opened, at any depth.

    >>> from exitwave.specimen.points import Points
    >>> point = Points(center=[[0, 0, 0]])
    >>> len(unpacked((point, Assembly((point, Assembly((point,)))))))
    3
    """
    found: list[Any] = []
    for part in parts:
        found += unpacked(part.parts) if type(part) is Assembly else (part,)
    return tuple(found)
