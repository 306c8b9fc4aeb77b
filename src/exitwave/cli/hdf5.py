"""HDF5: an image and what its attributes tell of it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from exitwave.cli.images import LARGEST
from exitwave.data.volumes.files import explained

HDF5 = re.compile(r"(?P<file>.*\.(?:h5|hdf5|hdf|nc))(?::(?P<dataset>.+))?", re.IGNORECASE)
"""A file, or a file and the name of a dataset in it."""

# Names that programs give to the same quantity, in lower case with spaces for "_".
_PIXELS = ("pixel size", "pixelsize", "pixel", "spacing", "element size um")
_FACTS = {"wavelength": ("wavelength", "illum wavelen"), "medium": ("medium index",)}
# Below it a length is in metres, above in micrometres: no light's wavelength and no pixel lies near.
_METRES = 1e-3


def read_hdf5(source: Path) -> tuple[tuple[np.ndarray, ...], tuple[float, float] | None, dict[str, float]]:
    """Return the images (H, W) of "FILE.h5" or "FILE.h5:/dataset", their pixel (dy, dx) in um, and other facts."""
    try:
        import h5py
    except ImportError:
        raise ImportError(f"cannot read {source} without h5py; install exitwave[hdf5]") from None
    match = HDF5.fullmatch(str(source))
    assert match is not None  # the caller has looked
    path = Path(match["file"])
    with explained(path), h5py.File(path) as file:
        dataset = _chosen(path, {f"/{each.name.strip('/')}": each for each in _datasets(file)}, match["dataset"])
        shape = tuple(n for n in dataset.shape if n > 1)
        name = f"{path}:{dataset.name}"
        if dataset.dtype.kind not in "uif" or len(shape) not in (2, 3):
            raise ValueError(f"expected an image of numbers in {name}, got {dataset.shape} of {dataset.dtype}")
        if math.prod(shape) > LARGEST:
            raise ValueError(f"expected an image of at most {LARGEST:,} samples, got {shape} in {name}; crop it")
        array = np.asarray(dataset[()]).reshape(shape)
        told = {re.sub(r"[_ ]+", " ", key).lower(): value for key, value in dataset.attrs.items()}
        facts = {fact: number for fact, keys in _FACTS.items() if (number := _first(told, keys)) is not None}
        if "wavelength" in facts:
            facts["wavelength"] = _micrometres(facts["wavelength"])
        return tuple(array) if array.ndim == 3 else (array,), _pixel(dataset, told), facts


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


def _chosen(path: Path, known: dict[str, Any], name: str | None) -> Any:
    listed = ", ".join(f"{key} {' x '.join(map(str, item.shape)) or 'one number'}" for key, item in known.items())
    if name is not None:
        wanted = f"/{name.strip('/')}"
        if wanted not in known:
            raise ValueError(f"no dataset '{name}' in {path}; it holds {listed or 'none'}")
        return known[wanted]
    flat = [item for item in known.values() if sum(n > 1 for n in item.shape) == 2]
    if len(flat) != 1:
        raise ValueError(
            f"expected one image in {path}, got {len(flat)}; name one as {path}:/NAME; it holds {listed or 'nothing'}"
        )
    return flat[0]


def _pixel(dataset: Any, told: dict[str, Any]) -> tuple[float, float] | None:
    """Return the pixel by the attributes, or by the axes that the file gives to the last two dimensions."""
    for key in _PIXELS:
        sizes = _numbers(told[key]) if key in told else []
        if sizes and min(sizes) > 0:
            y, x = sizes[-2:] if len(sizes) > 1 else sizes * 2
            return _micrometres(y), _micrometres(x)
    sizes = []
    for dimension in tuple(dataset.dims)[-2:]:
        for scale in dimension.values():
            along = np.asarray(scale[()], dtype=float).ravel()
            steps = np.diff(along)
            if len(steps) and steps[0] > 0 and np.allclose(steps, steps[0], rtol=1e-3):
                sizes.append(_micrometres(float(along[-1] - along[0]) / len(steps)))
                break
    return (sizes[0], sizes[1]) if len(sizes) == 2 else None


def _micrometres(length: float) -> float:
    return length * 1e6 if length < _METRES else length


def _first(told: dict[str, Any], keys: tuple[str, ...]) -> float | None:
    found = [number for key in keys if key in told for number in _numbers(told[key])[:1]]
    return found[0] if found else None


def _numbers(value: Any) -> list[float]:
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
