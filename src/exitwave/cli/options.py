"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def _assignments(texts: list[str] | None) -> list[str]:
    for text in texts or []:
        path, sign, _ = text.partition("=")
        if not (path.strip() and sign):
            raise typer.BadParameter(f"expected PATH=VALUE, got '{text}'; write for example microscope.optics.na=0.8")
    return texts or []


Recipe = Annotated[str, typer.Argument(help="A recipe's name (see exitwave recipes), or the path of a TOML file.")]

Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        callback=_assignments,
        help="Put VALUE at a dotted path of the recipe, such as microscope.optics.defocus='-3 um'; repeatable.",
    ),
]

Seed = Annotated[int, typer.Option(min=0, help="Seed of the dataset.")]


def with_suffix(path: Path, known: tuple[str, ...]) -> Path:
    """Return an output path; a usage error where its suffix is none of the `known` ones."""
    if path.suffix.lower() not in known:
        raise typer.BadParameter(f"expected a file name that ends in {', '.join(known)}, got '{path}'")
    return path
