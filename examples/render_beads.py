"""Render beads in brightfield, with the noise of a camera, and draw their annotations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import exitwave as ew

OUT = Path("out/render_beads")


def main() -> None:
    """Write the image, and the image with its boxes."""
    beads = ew.Particles(
        shape=ew.Sphere(),
        center=[[0.0, -6.0, -8.0], [0.0, 2.0, 7.0], [0.0, 5.0, -3.0], [0.5, 5.7, -2.0]],  # z, y, x in micrometres
        size=[[1.5], [2.5], [0.8], [0.8]],  # radii
        index=[1.59, 1.45, 1.59, 1.59],
        label="bead",
    )
    camera = ew.Camera(dose=5000.0, gain=0.025, bits=8)
    microscope = ew.brightfield(na=0.5, condenser_na=0.3, wavelength=0.55, defocus=2.0, sensor=camera)
    scene = ew.Scene(ew.Specimen((beads,), medium=1.33), microscope, ew.Grid((256, 256), pixel=0.1))

    image = ew.render(scene, ew.Key(seed=0).generator("noise"))  # without a generator: the expectation
    truth = ew.annotate(scene)

    OUT.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(image.numpy().astype(np.uint8))
    picture.save(OUT / "image.png")
    picture = picture.convert("RGB")
    draw = ImageDraw.Draw(picture)
    for row0, col0, row1, col1 in truth.boxes.tolist():
        draw.rectangle((col0, row0, col1, row1), outline=(255, 176, 0))
    picture.save(OUT / "boxes.png")

    for number in range(len(truth)):
        name, visible = truth.classes[truth.class_id[number]], truth.visible_fraction[number]
        print(f"{name} {number}: {truth.area[number]} pixels, {visible:.0%} of the silhouette visible")
    print(f"image {OUT / 'image.png'}, with boxes {OUT / 'boxes.png'}")


if __name__ == "__main__":
    main()
