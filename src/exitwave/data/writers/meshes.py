"""Meshes: the surfaces in a volume."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

from exitwave.annotate import VolumeTruth
from exitwave.data.frame import Frame
from exitwave.data.stacks import folder_of, ply
from exitwave.data.writers import Entry


class Writer:
    """meshes/CLASS/{train,val}/000000.ply: the surfaces of a class with the regions on both sides of every face.

    Coordinates x, y, z are in micrometres, with the origin in the middle of the volume. The face properties `behind`
    and `front` are the `id` of the objects there in the truth table, 0 outside. Where a class has several surfaces in
    one volume, those after the first are 000000-1.ply and so on. Filaments and points have none, and a surface around
    one object with the id 1 needs no regions.
    """

    dimensions: ClassVar[tuple[int, ...]] = (3,)
    owns: ClassVar[tuple[str, ...]] = ("meshes",)

    def frame(self, frame: Frame[VolumeTruth]) -> tuple[Mapping[str, bytes], Any]:
        files: dict[str, bytes] = {}
        count: dict[str, int] = {}
        for mesh in frame.truth.surfaces:
            number = count.get(mesh.label, 0)
            count[mesh.label] = number + 1
            name = f"{frame.name}-{number}" if number else frame.name
            files[f"meshes/{folder_of(mesh.label)}/{frame.split}/{name}.ply"] = ply(mesh)
        return files, None

    def finish(self, classes: tuple[str, ...], entries: Callable[[], Iterator[Entry]]) -> Mapping[str, Iterable[bytes]]:
        return {}
