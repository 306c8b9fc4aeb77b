"""Draw the pictures of the documentation: `python docs/pictures.py`, from the repository's root."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

import exitwave as ew
from exitwave.data.images import stored
from exitwave.data.overlay import displayed

DOCS = Path(__file__).parent
HERE = DOCS / "images"
# Recipes and the seeds of the scenes that are shown: three, and of polarised light one with a red plate.
RECIPES = {
    "lysozyme": (1, 2, 3),
    "lysozyme-dic": (1, 2, 3),
    "crystals-polarized": (7, 5, 3),
    "colloids": (1, 2, 3),
    "colloids-darkfield": (1, 2, 3),
    "bacteria": (1, 2, 3),
}
# The pictures of docs/microscopes.md in the order of the page, with their captions.
MICROSCOPES = {
    "brightfield": "brightfield",
    "oblique": "oblique",
    "differential": "differential phase",
    "darkfield": "darkfield",
    "positive": "phase contrast +",
    "negative": "phase contrast -",
    "dic": "interference contrast",
    "polars": "crossed polars",
    "plate": "polars, red plate",
    "inline": "in-line hologram",
    "offaxis": "off-axis hologram",
    "phase": "quantitative phase",
}


def written(picture: Image.Image, name: str) -> None:
    """Write a picture beside the others."""
    picture.save(HERE / f"{name}.jpg", quality=85, optimize=True)


def scenes(name: str, seeds: tuple[int, ...], side: int) -> Image.Image:
    """Return scenes of a recipe side by side, each `side` pixels wide."""
    recipe = ew.recipe(name)
    tiles = []
    for seed in seeds:
        key = ew.Key(seed)
        scene = ew.sample(recipe, key)
        image = stored(ew.render(scene, key.generator("noise")), scene.microscope.sensor.bits)
        shown = displayed(image)
        tiles.append(np.asarray(Image.fromarray(shown).convert("RGB").resize((side, side), Image.Resampling.LANCZOS)))
    return Image.fromarray(np.concatenate(tiles, 1))


def images_of(page: Path) -> dict[str, torch.Tensor]:
    """Return what the Python of a page leaves in its `images`."""
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    names: dict[str, dict[str, torch.Tensor]] = {}
    exec(compile("\n".join(blocks), page, "exec"), names)
    return names["images"]


def on_screen(image: torch.Tensor) -> Image.Image:
    """Return an image (H, W) stretched to its own range, or an irradiance (3, H, W) in colours, as a picture."""
    if image.ndim == 3:
        gamma = image.clamp(0.0, 1.0).permute(1, 2, 0).numpy() ** (1 / 2.2)
        return Image.fromarray(np.rint(255 * gamma).astype(np.uint8))
    return Image.fromarray(displayed(image.numpy())).convert("RGB")


def together(pictures: list[Image.Image], captions: list[str], columns: int, side: int) -> Image.Image:
    """Return pictures in rows of `columns`, each `side` pixels wide with its caption in a corner."""
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * side, rows * side))
    draw = ImageDraw.Draw(sheet)
    for number, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        corner = (number % columns * side, number // columns * side)
        sheet.paste(picture.resize((side, side), Image.Resampling.LANCZOS), corner)
        place = (corner[0] + 6, corner[1] + 4)
        draw.text(place, caption, fill="white", font=ImageFont.load_default(15), stroke_width=2, stroke_fill="black")
    return sheet


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    for recipe, seeds in RECIPES.items():
        written(scenes(recipe, seeds, 480), recipe)
    found = images_of(DOCS / "microscopes.md")
    pictures = [on_screen(found[name]) for name in MICROSCOPES]
    for name, picture in zip(MICROSCOPES, pictures, strict=True):
        written(picture, f"microscope-{name}")
    written(together(pictures, list(MICROSCOPES.values()), 4, 288), "microscopes")
