"""Bring parts of your own: a shape and a light source that the library does not know.

Nothing is registered and nothing is inherited but `Value`. A part is used because it answers the calls that its
neighbours make: those of `exitwave.specimen.shapes.Shape`, and of `exitwave.scene.Illumination`.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from PIL import Image
from torch import Tensor

import exitwave as ew
from exitwave.field import Source
from exitwave.specimen import Shape

OUT = Path("out/own_parts")


class Spheroid(ew.Value):
    """A body of revolution about body z: size (N, 2) is the semi-axis along z and the one across, in micrometres.

    It says how its two lengths make an ellipsoid's three and leaves the geometry to that. A fit then has the two
    degrees of freedom that a red cell or a latex doublet has, not three.
    """

    rounded: ClassVar[bool] = True
    ratios: ClassVar[tuple[str, ...]] = ()

    body: ew.Ellipsoid = ew.Ellipsoid()

    @property
    def lengths(self) -> tuple[str, ...]:
        return ("along", "across")

    def check_size(self, size: Tensor) -> None:
        """Any two positive lengths will do."""

    def unconstrained(self, size: Tensor) -> tuple[Shape, Tensor]:
        return self.body, _three(size)

    def volume(self, size: Tensor) -> Tensor:
        return self.body.volume(_three(size))

    def radius(self, size: Tensor) -> Tensor:
        return self.body.radius(_three(size))

    def prepare(self, size: Tensor, axes: Tensor, cell: float) -> tuple[Tensor, Tensor]:
        return self.body.prepare(_three(size), axes, cell)

    def chord(self, rows: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.body.chord(rows, y, x)

    def edge(self, rows: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.body.edge(rows, y, x)

    def reach(self, size: Tensor, axes: Tensor) -> Tensor:
        return self.body.reach(_three(size), axes)

    def support(self, size: Tensor, axes: Tensor, directions: Tensor) -> Tensor:
        return self.body.support(_three(size), axes, directions)

    def outline(self, size: Tensor, axes: Tensor) -> list[Tensor]:
        return self.body.outline(_three(size), axes)

    def oriented_box(self, size: Tensor, axes: Tensor) -> Tensor:
        return self.body.oriented_box(_three(size), axes)


def _three(size: Tensor) -> Tensor:
    return torch.stack([size[:, 0], size[:, 1], size[:, 1]], -1)


class Oblique(ew.Value):
    """Light from one side only: a half ring of the condenser's aperture, which gives edges a relief."""

    condenser_na: ew.Quantity = ew.param("1", low=0.0, high=1.6, default=0.3, doc="numerical aperture of the half ring")
    wavelength: ew.Quantity = ew.param("um", low=0.0, exclusive=True, default=0.55, doc="vacuum wavelength")
    points: int = 9

    def source(self) -> Source:
        angle = torch.linspace(-0.5, 0.5, self.points, dtype=torch.float64) * torch.pi
        direction = self.condenser_na * torch.stack([torch.sin(angle), torch.cos(angle)], -1)
        weight = torch.full((self.points,), 1 / self.points, dtype=torch.float64)
        return Source(direction, weight, self.wavelength[None], torch.ones(1, dtype=torch.float64))


def main() -> None:
    """Render spheroids in oblique light, and fit the source's aperture back."""
    cells = ew.Particles(
        shape=Spheroid(),
        center=[[0.0, -4.0, -4.0], [0.0, 4.0, 4.0], [0.0, 5.0, -5.0]],
        size=[[1.0, 3.0], [1.0, 3.0], [2.5, 1.2]],
        index=[1.36, 1.36, 1.36],
        rotation=[[1.0, 0.0, 0.0, 0.0], [0.8, 0.6, 0.0, 0.0], [0.7, 0.0, 0.7, 0.0]],  # quaternions
        label="cell",
    )
    bright = ew.brightfield(na=0.5)
    microscope = ew.Microscope(Oblique(0.35), bright.interaction, bright.optics, ew.Ideal())
    scene = ew.Scene(ew.Specimen((cells,), medium=1.335), microscope, ew.Grid((128, 128), pixel=0.15))
    image = ew.render(scene)

    truth = ew.annotate(scene)
    print(f"{len(truth)} spheroids of {', '.join(str(area) for area in truth.area)} pixels, parameters by name:")
    print({name: truth.physical[f"size_{name}"].round(2).tolist() for name in Spheroid().lengths})

    start = ew.substitute(scene, {"microscope.illumination.condenser_na": 0.25})
    result = ew.fit(start, image, free=["microscope.illumination.condenser_na"])
    aperture = float(result.values["microscope.illumination.condenser_na"])
    print(f"condenser_na fitted from the image: {aperture:.4f} (truth 0.35, start 0.25)")

    # In a recipe file such a class is named by its module: type = "my_package:Spheroid".
    assert ew.load(ew.dump(scene)) == scene
    OUT.mkdir(parents=True, exist_ok=True)
    grey = ((image - image.min()) / (image.max() - image.min()) * 255).to(torch.uint8)
    Image.fromarray(grey.numpy()).save(OUT / "oblique.png")
    print(f"image {OUT / 'oblique.png'}")


if __name__ == "__main__":
    main()
