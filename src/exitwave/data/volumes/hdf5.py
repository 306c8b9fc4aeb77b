"""HDF5: datasets by name, and what their attributes tell of the size of a voxel."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from exitwave.data.volumes.files import explained

HDF5 = re.compile(r"(?P<file>.*\.(?:h5|hdf5|hdf|nc))(?::(?P<dataset>.+))?", re.IGNORECASE)
"""A file, or a file and the name of a dataset in it."""

# Names that programs give to the same quantity, in lower case with spaces for "_".
_SIZES = ("element size um", "voxel size", "voxelsize", "pixel size", "pixelsize", "pixel", "spacing")
# Below it a length is in metres, above in micrometres: no light's wavelength and no pixel lies near.
_METRES = 1e-3


@contextmanager
def dataset_of(source: Path, dimensions: int) -> Iterator[tuple[str, Any]]:
    """Yield the name and the dataset of "FILE.h5:/dataset", or of "FILE.h5" its only one of so many dimensions."""
    try:
        import h5py
    except ImportError:
        raise ImportError(f"cannot read {source} without h5py; install exitwave[hdf5]") from None
    match = HDF5.fullmatch(str(source))
    assert match is not None  # the caller has looked
    path = Path(match["file"])
    with explained(path), h5py.File(path) as file:
        known = {f"/{each.name.strip('/')}": each for each in _datasets(file)}
        dataset = _chosen(path, known, match["dataset"], dimensions)
        yield f"{path}:{dataset.name}", dataset


def attributes(dataset: Any) -> dict[str, Any]:
    """Return the attributes of a dataset, their names in lower case with spaces for "_"."""
    return {re.sub(r"[_ ]+", " ", key).lower(): value for key, value in dataset.attrs.items()}


def axes_of(dataset: Any) -> str | None:
    """Return a letter for every axis by the tags that ilastik and vigra write; None without them."""
    try:
        axes = "".join(str(axis["key"]) for axis in json.loads(dataset.attrs["axistags"])["axes"]).upper()
    except (KeyError, ValueError, TypeError):
        return None
    return axes if len(axes) == len(dataset.shape) else None


def sizes_of(dataset: Any) -> tuple[float | None, ...]:
    """Return the distance of samples along every axis in micrometres, None where it is not told.

    By attributes, whose numbers are those of the last axes, or by the scales that the file gives to its axes.
    """
    told, count = attributes(dataset), len(dataset.shape)
    for key in _SIZES:
        sizes = numbers(told[key])[-count:] if key in told else []
        if len(sizes) == 1:
            sizes *= 2  # of a pixel, which is square
        if sizes and min(sizes) > 0:
            return (*(None,) * (count - len(sizes)), *(micrometres(size) for size in sizes))
    return tuple(_step(dimension) for dimension in tuple(dataset.dims))


def micrometres(length: float) -> float:
    """Return a length in micrometres that is so already, or in metres where it is very small."""
    return length * 1e6 if 0 < length < _METRES else length


def numbers(value: Any) -> list[float]:
    """Return the numbers of an attribute: numbers, or text that begins with one, as some programs write."""
    if isinstance(value, bytes | str):
        text = value.decode(errors="replace") if isinstance(value, bytes) else value
        match = re.match(r"\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)", text)
        try:
            return [float(match[1])] if match else []
        except ValueError:
            return []
    array = np.asarray(value)
    return [float(number) for number in array.ravel()] if array.dtype.kind in "uif" else []


def _step(dimension: Any) -> float | None:
    for scale in dimension.values():
        along = np.asarray(scale[()], dtype=float).ravel()
        steps = np.diff(along)
        if len(steps) and steps[0] > 0 and np.allclose(steps, steps[0], rtol=1e-3):
            return micrometres(float(along[-1] - along[0]) / len(steps))
    return None


def _datasets(group: Any) -> Iterator[Any]:
    """Yield the datasets of a file at any depth, in order; links to other files are not followed."""
    for name in group:
        if group.get(name, getlink=True).__class__.__name__ == "ExternalLink":
            continue
        item = group[name]
        if "shape" in dir(item):
            yield item
        else:
            yield from _datasets(item)


def _chosen(path: Path, known: dict[str, Any], name: str | None, dimensions: int) -> Any:
    listed = ", ".join(f"{key} {_shape(item.shape)}" for key, item in known.items())
    if name is not None:
        wanted = f"/{name.strip('/')}"
        if wanted not in known:
            raise ValueError(f"no dataset '{name}' in {path}; it holds {listed or 'none'}")
        return known[wanted]
    fitting = [item for item in known.values() if sum(n > 1 for n in item.shape) == dimensions]
    if len(fitting) != 1:
        what = {2: "image", 3: "volume"}[dimensions]
        raise ValueError(
            f"expected one {what} in {path}, got {len(fitting)}; name one as {path}:/NAME; it holds "
            f"{listed or 'nothing'}"
        )
    return fitting[0]


def _shape(shape: Sequence[int] | None) -> str:
    return " x ".join(map(str, shape or ())) or "one number"
