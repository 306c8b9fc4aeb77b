"""Feed a training loop with images that are rendered as it runs: no dataset on disk, no image seen twice."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import DataLoader

import exitwave as ew
from exitwave.data import Stream, collate

OUT = Path("out/stream")


def recipe() -> ew.Scene:
    """Return a recipe: beads and rods whose number, size and index differ from image to image."""
    beads = ew.Population(
        ew.Sphere(),
        ew.Scattered(overlap=0.2),
        count=ew.Uniform(5, 20),
        size=(ew.LogNormal(0.8, 0.3),),  # every bead draws its own radius
        index=ew.Uniform(1.45, 1.59),
        label="bead",
    )
    rods = ew.Population(
        ew.Rod(),
        ew.Scattered(overlap=0.2),
        count=5,
        size=(0.4, ew.Uniform(1.0, 2.0)),
        index=1.45,
        tilt=0.0,  # flat
        label="rod",
    )
    microscope = ew.brightfield(
        na=0.5, condenser_na=0.3, defocus=ew.Normal(1.0, 1.0), rings=2, sensor=ew.Camera(dose=ew.LogUniform(4e3, 8e3))
    )
    return ew.Scene(ew.Specimen((beads, rods), medium=1.33), microscope, ew.Grid((128, 128), pixel=0.16))


def main() -> None:
    """Draw three batches in two worker processes and write the first as a picture."""
    stream = Stream(recipe(), seed=0)
    loader = DataLoader(stream, batch_size=4, num_workers=2, collate_fn=collate)
    print(f"classes: {', '.join(stream.classes)}")
    pictures = []
    for number, batch in enumerate(loader):
        objects = [len(classes) for classes in batch["classes"]]
        print(f"batch {number}: images {tuple(batch['image'].shape)}, frames {batch['index']}, objects {objects}")
        # Here a network would be trained; the picture has the images above their maps of instances.
        scale = 255 / batch["ids"].amax((1, 2), keepdim=True).clamp(min=1)
        pictures.append(torch.cat([batch["image"][:, 0], batch["ids"] * scale], 1))
        if number == 2:
            break
    OUT.mkdir(parents=True, exist_ok=True)
    row = torch.cat(list(pictures[0]), 1).clamp(0, 255).to(torch.uint8)
    Image.fromarray(row.numpy()).save(OUT / "batch.png")
    print(f"first batch {OUT / 'batch.png'}")


if __name__ == "__main__":
    main()
