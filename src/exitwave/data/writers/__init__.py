"""Label formats: one file each, and the file's name is the name of the format.

A format is a class `Writer` that turns frames into bytes. To add one, copy a file of this folder; to use one from
elsewhere, pass `format="package.module:Name"`. Writers neither compute physics nor touch the disk.

Of a volume, every frame has a `VolumeTruth`, and its files are in voxels and micrometres.

Pixel coordinates of a `Truth` have their integers at pixel centres, (row, col). Files use the conventions of their
format, which all have the origin at the corner of the first pixel: x = col + 0.5, y = row + 0.5.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from exitwave.data.frame import Frame


@dataclass(frozen=True)
class Entry:
    """What is known of a finished frame: its number, its image and the shape of that, and the note of the writer."""

    index: int
    split: str
    image: str
    shape: tuple[int, ...]
    note: Any


class Writer(Protocol):
    """What a label format provides.

    `frame` returns the files of one frame, path in the dataset -> bytes, and a note of JSON types for the end.
    `finish` returns the files of the whole dataset in pieces; it may read the entries, in the order of their numbers,
    several times. `owns` lists the files and folders at the top of the dataset that belong to the format alone, and
    `dimensions` what it can write: 2 for images, 3 for volumes.
    """

    owns: ClassVar[tuple[str, ...]]
    dimensions: ClassVar[tuple[int, ...]]

    def frame(self, frame: Frame[Any]) -> tuple[Mapping[str, bytes], Any]: ...

    def finish(
        self, classes: tuple[str, ...], entries: Callable[[], Iterator[Entry]]
    ) -> Mapping[str, Iterable[bytes]]: ...


ALWAYS = ("images", "csv", "sheet")
"""What every dataset has: images, the truth table and the contact sheet."""

AUTO = "auto"
"""Stands for the formats that are usual for a dataset's images or volumes."""

_WORDS = {2: "images", 3: "volumes"}
_USUAL = {2: ("yolo-obb",), 3: ("masks", "membranes", "meshes")}


def formats() -> tuple[str, ...]:
    """Return the names of the label formats of the package.

    >>> "coco" in formats()
    True
    """
    names = (module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name for name in names if name not in ALWAYS))


def writers(names: tuple[str, ...], dimensions: int | None = None) -> dict[str, Writer]:
    """Return the writers of formats by name, what every dataset has first; an error where two share a file.

    With the `dimensions` of a dataset, 2 for images and 3 for volumes, formats that cannot write it are refused.
    """
    found = {name: _writer(name) for name in dict.fromkeys(ALWAYS + names)}
    owners: dict[str, str] = {}
    for name, writer in found.items():
        if dimensions is not None and dimensions not in writer.dimensions:
            able = [other for other in formats() if dimensions in _class(other).dimensions]
            raise ValueError(
                f"expected formats of {_WORDS[dimensions]}, got '{name}', which labels {_WORDS[5 - dimensions]}; use "
                f"{', '.join(able)}"
            )
        for owned in writer.owns:
            if owned in owners:
                raise ValueError(
                    f"expected formats that live side by side, got {owners[owned]} and {name}, which both write "
                    f"'{owned}'; write them into folders of their own"
                )
            owners[owned] = name
    return found


def parse(text: str) -> tuple[str, ...]:
    """Return the names in a comma-separated list of formats.

    >>> parse("yolo-obb, coco")
    ('yolo-obb', 'coco')
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if "" in names:
        raise ValueError(
            f"expected formats such as 'yolo-obb,coco', got '{text}'; known formats: {', '.join(formats())}"
        )
    return names


def usual(names: tuple[str, ...], dimensions: int) -> tuple[str, ...]:
    """Return names of formats with "auto" replaced by what is usual for images (2 dimensions) or volumes (3).

    >>> usual(("auto", "parquet"), 3)
    ('masks', 'membranes', 'meshes', 'parquet')
    """
    found = [_USUAL[dimensions] if name == AUTO else (name,) for name in names]
    return tuple(dict.fromkeys(name for group in found for name in group))


def _writer(name: str) -> Writer:
    if ":" in name:
        module, _, attribute = name.partition(":")
        try:
            maker = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise ValueError(f"cannot import the format '{name}': {error}; install or correct it") from None
        return maker()
    known = (*ALWAYS, *formats())
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        remedy = f"did you mean '{near[0]}'?" if near else "known formats: " + ", ".join(formats())
        raise ValueError(f"unknown format '{name}'; {remedy}")
    return _class(name)()


def _class(name: str) -> type[Writer]:
    """Return the class of a format of the package."""
    return importlib.import_module(f"{__name__}.{name.replace('-', '_')}").Writer
