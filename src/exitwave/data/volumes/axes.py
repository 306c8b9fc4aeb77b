"""Axes: which samples of an array with channels, frames or axes in another order are the volume (Z, H, W)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LARGEST = 1 << 31
"""The most voxels of a volume that is read."""

# Letters of tifffile for axes of which nothing is known.
_UNNAMED = "IQ"
# The samples of a colour are channels too.
_EXTRA = {"C": "channel", "S": "channel", "T": "frame"}


@dataclass(frozen=True)
class Choice:
    """Which channel and frame are wanted, and what the axes are where the file does not tell, or wrongly."""

    channel: int | None = None
    frame: int | None = None
    axes: str | None = None


@dataclass(frozen=True)
class Cut:
    """What to take along every axis of an array, and the order in which what is left is (Z, H, W)."""

    take: tuple[int | slice, ...]
    order: tuple[int, int, int]
    notes: tuple[str, ...] = ()

    def of(self, array: Any) -> np.ndarray:
        """Return the volume (Z, H, W) in an array of the shape that this was made for."""
        return np.asarray(array[self.take]).transpose(self.order)


def cut(name: str, shape: Sequence[int], axes: str | None, choice: Choice) -> Cut:
    """Return where the volume is in an array of some shape, whose file may name its axes; an error if that is unclear.

    >>> cut("cells.tif", (2, 30, 64, 48), "CZYX", Choice(channel=1)).take
    (1, slice(None, None, None), slice(None, None, None), slice(None, None, None))
    """
    letters, notes = _named(name, shape, axes, choice.axes)
    wanted = {"channel": choice.channel, "frame": choice.frame}
    take: list[int | slice] = []
    for letter, count in zip(letters, shape, strict=True):
        what = _EXTRA.get(letter)
        if letter in "ZYX":
            take.append(slice(None))
        elif what is not None and (count > 1 or wanted[what] is not None):
            take.append(_one(name, what, count, wanted[what]))
            wanted[what] = None  # of two axes of channels, the other one must be asked for too, which cannot be
        elif count == 1:
            take.append(0)
        else:
            raise ValueError(
                f"expected a volume (Z, H, W) in {name}, got axes {letters} of {_sizes(shape)}; save one of its "
                f"{count} along {letter} alone"
            )
    for what, number in wanted.items():
        if number:
            raise ValueError(f"expected {what}={number} of {name}, got one {what} alone; leave {what} out")
    voxels = math.prod(count for letter, count in zip(letters, shape, strict=True) if letter in "ZYX")
    if not 0 < voxels <= LARGEST:
        raise ValueError(
            f"expected a volume of 1 to {LARGEST:,} voxels in {name}, got {_sizes(shape)}; crop it or save it anew"
        )
    left = [letter for letter in letters if letter in "ZYX"]
    if left != list("ZYX"):
        notes = (*notes, f"axes {''.join(left)} of the file are turned into ZYX")
    return Cut(tuple(take), (left.index("Z"), left.index("Y"), left.index("X")), notes)


def _named(name: str, shape: Sequence[int], axes: str | None, given: str | None) -> tuple[str, tuple[str, ...]]:
    """Return a letter for every axis, with notes; an error where they are not those of a volume."""
    if given is not None:
        letters = given.upper()
        if len(set(letters)) < len(letters) or not set("ZYX") <= set(letters) <= set("TCZYXS"):
            raise ValueError(f"axes must be z, y and x, each once, with c and t where there are, got {given!r}")
        if len(letters) != len(shape):
            raise ValueError(
                f"axes must name the {len(shape)} axes of {name}, {_sizes(shape)}, got {given!r}; write one letter each"
            )
        known = axes is not None and not set(axes) & set(_UNNAMED)
        notes = (f"axes {letters} as given; the file says {axes}",) if known and axes != letters else ()
        return letters, notes
    if axes is None:
        lead = len(shape) - 3
        axes = "Q" * lead + "ZYX" if lead >= 0 and all(n == 1 for n in shape[:lead]) else "Q" * len(shape)
    unnamed = [place for place, letter in enumerate(axes) if letter in _UNNAMED]
    long = [place for place in unnamed if shape[place] > 1] or unnamed
    if "Z" not in axes and len(long) == 1 and len(axes) > 2:
        axes = axes[: long[0]] + "Z" + axes[long[0] + 1 :]
    if sorted(letter for letter in axes if letter in "ZYX") != ["X", "Y", "Z"]:
        example = {3: "ZYX", 4: "CZYX"}.get(len(shape), "TCZYX")
        remedy = f"say what they are, such as axes='{example}'" if len(shape) > 2 else "pass a stack of planes"
        raise ValueError(f"expected a volume (Z, H, W) in {name}, got {_told(axes)}{_sizes(shape)}; {remedy}")
    return axes, ()


def _told(axes: str) -> str:
    known = [letter for letter in axes if letter not in _UNNAMED]
    return f"axes {axes} of " if len(known) == len(axes) else "unnamed axes of "


def _one(name: str, what: str, count: int, wanted: int | None) -> int:
    if wanted is None:
        raise ValueError(f"expected one {what} in {name}, got {count}; choose one of them by {what}=0 to {count - 1}")
    if not 0 <= wanted < count:
        raise ValueError(f"{what} must be from 0 to {count - 1} in {name}, got {wanted}; count from 0")
    return wanted


def _sizes(shape: Sequence[int]) -> str:
    return " x ".join(f"{n:,}" for n in shape) + " samples"
