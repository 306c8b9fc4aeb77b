"""`exitwave show`: labels drawn on an image."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from exitwave.cli.options import with_suffix


def show(
    image: Annotated[Path, typer.Argument(help="PNG or TIFF.")],
    label: Annotated[
        Path | None,
        typer.Argument(
            help="YOLO or YOLO-OBB text, COCO JSON, or mask of ids. Sought in the image's dataset if not given."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="PNG to write. IMAGE-labels.png if not given.")] = None,
) -> None:
    """Draw the labels of an image on it."""
    path = with_suffix(out or Path(f"{image.stem}-labels.png"), (".png",))

    from exitwave.cli.images import read, write_png
    from exitwave.cli.labels import beside, labels_of
    from exitwave.cli.overlay import overlay

    pixels = read(image)
    source = label or beside(image)
    labels = labels_of(source, image, (pixels.shape[0], pixels.shape[1]))
    write_png(path, overlay(pixels, labels))
    counts = ", ".join(f"{name} {count}" for name, count in sorted(Counter(labels.names).items()))
    print(f"{path}: {image.name} with {counts or 'no objects'} from {source}")
