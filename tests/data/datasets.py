"""A recipe small enough to be drawn by the dozen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

import exitwave as ew
from exitwave.specimen.arrange import Scattered

# All formats of images that can lie side by side.
EVERY = "coco,masks,masks-png,parquet,yolo-obb"


def beads_and_rods(bits: int = 8, colours: int = 1) -> ew.Scene:
    """Return a recipe of a few beads and rods on 48 x 64 pixels; some overlap and some are cut by the border."""
    beads = ew.Population(
        ew.Sphere(), Scattered(margin=0.5), ew.Uniform(2, 6), (ew.Uniform(0.3, 0.6),), index=1.45, label="bead"
    )
    rods = ew.Population(
        ew.Rod(), Scattered(margin=0.5), 4, (0.25, ew.Uniform(0.6, 1.2)), index=1.4, height=0.1, label="rod"
    )
    response = None if colours == 1 else [[1, 0.5], [1, 1], [0.5, 1]]
    wavelength = 0.55 if colours == 1 else [0.5, 0.6]
    sensor = ew.Camera(dose=9000 * 2 ** (bits - 8), gain=0.025, bits=bits, response=response)
    microscope = ew.brightfield(na=0.5, condenser_na=0.3, rings=1, wavelength=wavelength, sensor=sensor)
    return ew.Scene(ew.Specimen((beads, rods), medium=1.33), microscope, ew.Grid((48, 64), 0.1))


def picture(path: Path) -> np.ndarray:
    """Return an image file as Pillow reads it."""
    with Image.open(path) as file:
        return np.asarray(file)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file below a folder by its name there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_same(folder: Path, other: Path) -> None:
    """Check that two folders hold the same files."""
    mine, theirs = contents(folder), contents(other)
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if mine[name] != theirs[name]] == []
