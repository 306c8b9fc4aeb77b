"""The report as text and as a page of the documentation."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from benchmarks.physics.finding import Finding

HEADINGS = ("case", "quantity", "error", "tolerance", "")

# What is compared, before every table, and the picture behind it with its caption.
TEXTS = {
    "Imaging": (
        "Waves of known shape through the objective, against closed forms of Fourier optics.",
        (),
    ),
    "Contrast": (
        "Plates in the pupil and polarisers, against what they do to a phase ramp, a smooth disk of phase and a "
        "uniaxial plate.",
        (),
    ),
    "Partial coherence": (
        "A crowd of beads under a condenser at 0.6 of the objective's aperture, as a share of its contrast: a few "
        "coherent kernels, or a few points of the source, against 469 points.",
        (("coherence", "Error of the image by the number of coherent images that it is summed from."),),
    ),
    "Weak objects": (
        "The transfer of a weak phase and a weak amplitude at every frequency of the image, as a share of the "
        "strongest: against the integral over source and pupil, and against waveorder, an independent code, with the "
        "condenser's disk sampled as it does (its rim a few frequencies soft).",
        (("transfer", "Transfer functions along x, 2 µm out of focus."),),
    ),
    "Spheres": (
        "The complex field of a sphere in water against Mie theory through an aplanatic objective of NA 0.5, "
        "wavelength 0.55 µm, as a share of the sphere's own field; the worst of three foci. Where a sphere is too deep "
        "for a thin specimen, the thin error is shown for comparison. The number of slabs is the one that is chosen "
        "automatically; what is left hardly falls with more of them. Tilted light is compared with Mie's amplitude for "
        "unpolarised light.",
        (
            ("spheres", "Error of the field by the number of slabs."),
            ("profiles", "A sphere of 2.5 µm and index step 0.1, a depth of field behind the focus."),
        ),
    ),
    "Depth": (
        "Beads in each other's light, 16 slabs against 128.",
        (),
    ),
}


def table(found: Iterable[Finding]) -> str:
    """Return all findings as a table of plain text."""
    rows = [HEADINGS, *(finding.cells for finding in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    return "\n".join(_line(row, widths) for row in rows)


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    texts = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
    numbers = [cell.rjust(width) for cell, width in zip(row[2:4], widths[2:4], strict=True)]
    return "  ".join([*texts, *numbers, row[4]]).rstrip()


def page(found: list[Finding], pictures: list[Path], folder: Path) -> str:
    """Return the page of the documentation in `folder`, in Markdown."""
    at = {path.stem.removeprefix("physics-"): path.relative_to(folder).as_posix() for path in pictures}
    lines = [
        "# Physics report",
        "",
        "The wave engine against closed forms, Mie theory and an independent code. This page is written by",
        "",
        "```sh",
        "python -m benchmarks.physics --write",
        "```",
        "",
        "which fails if an error is beyond its tolerance. The same comparisons, with more parameters, are tests in",
        "`tests/physics/`. All of it is computed in double precision; [Physics](physics.md) has the equations.",
        "",
    ]
    for subject, group in groupby(found, lambda finding: finding.subject):
        text, plots = TEXTS[subject]
        lines += [f"## {subject}", "", text, "", "| case | quantity | error | tolerance | |", "|---|---|---:|---:|---|"]
        lines += ["| " + " | ".join(finding.cells) + " |" for finding in group]
        lines.append("")
        for name, caption in plots:
            lines += [f"![{caption}]({at[name]})", "", f"*{caption}*", ""]
    return "\n".join(lines)
