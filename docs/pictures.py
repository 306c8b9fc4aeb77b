"""Draw the pictures of the documentation: `python docs/pictures.py`, from the repository's root."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

import exitwave as ew
from exitwave.data.images import stored
from exitwave.data.overlay import displayed

HERE = Path(__file__).parent / "images"


def picture(name: str, seeds: tuple[int, ...], side: int) -> None:
    """Write scenes of a recipe side by side, each `side` pixels wide."""
    recipe = ew.recipe(name)
    tiles = []
    for seed in seeds:
        key = ew.Key(seed)
        scene = ew.sample(recipe, key)
        image = stored(ew.render(scene, key.generator("noise")), scene.microscope.sensor.bits)
        shown = displayed(image)
        tiles.append(np.asarray(Image.fromarray(shown).convert("RGB").resize((side, side), Image.Resampling.LANCZOS)))
    Image.fromarray(np.concatenate(tiles, 1)).save(HERE / f"{name}.jpg", quality=85, optimize=True)


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    for recipe in ("lysozyme", "colloids", "bacteria"):
        picture(recipe, (1, 2, 3), 480)
