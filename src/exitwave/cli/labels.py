"""Labels: what the usual label files say about one image."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from exitwave.cli.images import read


@dataclass(frozen=True)
class Labels:
    """Objects in an image of some (H, W): outlines, or a map of instances, or both.

    `names` are the classes of the objects, `outlines` their polygons (V, 2) in pixels, (row, col) with centres at
    integers; `ids` (H, W) holds object numbers from 1, 0 for background.
    """

    names: list[str]
    outlines: list[np.ndarray] = field(default_factory=list)
    ids: np.ndarray | None = None


def labels_of(path: Path, image: Path, shape: tuple[int, int]) -> Labels:
    """Return what the label file `path` says about the file `image` of (height, width) `shape`."""
    readers: dict[str, Callable[[Path, Path, tuple[int, int]], Labels]] = {
        ".txt": _yolo, ".json": _coco, ".tif": _mask, ".tiff": _mask, ".png": _mask,
    }  # fmt: skip
    if path.suffix.lower() not in readers:
        raise ValueError(f"expected a label file that ends in {', '.join(readers)}, got {path}; name another")
    return readers[path.suffix.lower()](path, image, shape)


def beside(image: Path) -> Path:
    """Return the label file of an image of a dataset, which lies in images/SPLIT."""
    split, root = image.parent.name, image.parent.parent.parent
    places = (
        root / "labels" / split / f"{image.stem}.txt",
        root / "annotations" / f"instances_{split}.json",
        root / "masks" / split / f"{image.stem}.tif",
        root / "masks-png" / split / f"{image.stem}.png",
    )
    for place in places if image.parent.parent.name == "images" else ():
        if place.is_file():
            return place
    raise ValueError(f"expected a label beside {image} as in a dataset, got none; name the label file")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise OSError(f"cannot read {path}: {error.strerror}; pass the path of a label file") from None
    except UnicodeDecodeError:
        raise ValueError(f"expected text in {path}, got bytes that are none; name another file") from None


def _yolo(path: Path, image: Path, shape: tuple[int, int]) -> Labels:
    """Read `class x y width height` or `class x1 y1 ... x4 y4` per line, divided by the image's size."""
    known = _yolo_names(path)
    names, outlines = [], []
    size = np.array([shape[1], shape[0]], dtype=np.float64)
    for number, line in enumerate(_text(path).splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        try:
            kind, numbers = int(words[0]), np.array([float(word) for word in words[1:]])
            if len(numbers) not in (4, 8) or not np.isfinite(numbers).all() or np.abs(numbers).max() > 10:
                raise ValueError
        except ValueError:
            raise ValueError(
                f"expected a class and 4 or 8 numbers from 0 to 1 in line {number} of {path}, got '{line:.60}'; "
                "correct it"
            ) from None
        if len(numbers) == 4:
            middle, half = numbers[:2], numbers[2:] / 2
            corners = middle + half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
        else:
            corners = numbers.reshape(4, 2)
        names.append(known.get(kind, f"class {kind}"))
        outlines.append((corners * size - 0.5)[:, ::-1])
    return Labels(names, outlines)


def _yolo_names(path: Path) -> dict[int, str]:
    """Return the names of the classes in the data.yaml of the dataset that a label file belongs to, if there is one."""
    sheet = path.parent.parent.parent / "data.yaml"
    if not sheet.is_file():
        return {}
    return {
        int(number): name for number, name in re.findall(r'^ +(\d+): *"?([^"\n]*)"? *$', _text(sheet), re.MULTILINE)
    }


def _mask(path: Path, image: Path, shape: tuple[int, int]) -> Labels:
    ids = read(path)
    if ids.shape != shape or ids.dtype.kind not in "ui":
        raise ValueError(
            f"expected a mask of integers of shape {shape} in {path}, got {ids.dtype} of shape {ids.shape}; "
            "name that of this image"
        )
    numbers = np.unique(ids[ids > 0])
    return Labels(["object"] * len(numbers), ids=ids)


def _coco(path: Path, image: Path, shape: tuple[int, int]) -> Labels:
    try:
        whole = json.loads(_text(path))
        entry = _entry(whole["images"], path, image)
        if (entry["height"], entry["width"]) != shape:
            raise ValueError(
                f"expected an image of {entry['height']} x {entry['width']} pixels as {path} says, got "
                f"{shape[0]} x {shape[1]}; name the label of this image"
            )
        names = {kind["id"]: str(kind["name"]) for kind in whole["categories"]}
        found = [note for note in whole["annotations"] if note["image_id"] == entry["id"]]
        return _annotated(found, names, shape)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from None
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"expected annotations in the COCO format in {path}, got none ({error!r:.60})") from None


def _entry(images: list[dict[str, Any]], path: Path, image: Path) -> dict[str, Any]:
    whole = image.resolve().as_posix()
    matching = [entry for entry in images if f"/{whole}".endswith(f"/{entry['file_name']}")]
    matching = matching or [entry for entry in images if Path(entry["file_name"]).name == image.name]
    if len(matching) != 1:
        raise ValueError(f"expected one image {image.name} in {path}, got {len(matching)}; name the file of its split")
    return matching[0]


def _annotated(notes: list[dict[str, Any]], names: dict[int, str], shape: tuple[int, int]) -> Labels:
    ids = np.zeros(shape, dtype=np.int32)
    outlines = []
    for number, note in enumerate(notes, start=1):
        region = note.get("segmentation")
        if isinstance(region, dict):
            ids[unpacked(region["counts"], shape)] = number
        for polygon in region if isinstance(region, list) else ():
            outlines.append(np.array(polygon, dtype=np.float64).reshape(-1, 2)[:, ::-1] - 0.5)
        if "oriented_box" in note:
            outlines.append(np.array(note["oriented_box"], dtype=np.float64).reshape(4, 2)[:, ::-1] - 0.5)
        elif not region:
            x, y, width, height = note["bbox"]
            corners = np.array([[y, x], [y, x + width], [y + height, x + width], [y + height, x]])
            outlines.append(corners - 0.5)
    return Labels([names[note["category_id"]] for note in notes], outlines, ids)


def unpacked(counts: str | list[int], shape: tuple[int, int]) -> np.ndarray:
    """Return the mask (H, W) of COCO's run lengths: numbers, or pycocotools' text of them.

    >>> unpacked("22", (2, 2)).tolist()
    [[False, True], [False, True]]
    """
    runs = _letters(counts) if isinstance(counts, str) else counts
    if min(runs, default=0) < 0 or sum(runs) != shape[0] * shape[1]:
        raise ValueError(f"expected run lengths that add up to {shape[0]} x {shape[1]} pixels, got {sum(runs)}")
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, runs).reshape(shape[1], shape[0]).T


def _letters(text: str) -> list[int]:
    """Return run lengths from five bits a letter, from the fourth on as differences (pycocotools, maskApi.c)."""
    runs: list[int] = []
    number = shift = 0
    for letter in text.encode("ascii"):
        five = letter - 48
        number |= (five & 31) << shift
        shift += 5
        if five & 32:
            continue
        if five & 16:
            number -= 1 << shift
        runs.append(number + (runs[-2] if len(runs) > 2 else 0))
        number = shift = 0
    return runs
