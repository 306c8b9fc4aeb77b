"""`exitwave design`: what a planned measurement would tell."""

from __future__ import annotations

from typing import Annotated

import typer

from exitwave.cli.fit import Free, Prior, Spacing, Tie, series
from exitwave.cli.options import Recipe, Set


def design(
    recipe: Recipe,
    free: Free,
    prior: Prior = None,
    tie: Tie = None,
    planes: Annotated[int, typer.Option(min=1, help="Images of a focus series about the recipe's defocus.")] = 1,
    step: Spacing = "",
    assignments: Set = None,
) -> None:
    """Print how well the recipe's measurement would know its free numbers: their Cramer-Rao bounds.

    No unbiased estimate from an image with the noise of the recipe's sensor has smaller standard errors. Priors in the
    recipe are drawn once (seed 0, image 0).
    """
    import exitwave as ew
    from exitwave.cli.outcome import LISTED
    from exitwave.cli.report import table
    from exitwave.cli.scenes import scene_of
    from exitwave.cli.unknowns import Wishes, length, unit_of, unknowns_of
    from exitwave.fit.design import design as designed
    from exitwave.fit.result import digits

    spacing = length(step, "--step")
    if (planes > 1) != (spacing is not None):
        raise typer.BadParameter("expected --planes and --step together, such as --planes 5 --step '0.3 um'")
    start = ew.sample(scene_of(recipe, assignments), ew.Key(0, 0))
    unknowns = unknowns_of(start, Wishes(free, prior or (), tie or ()))
    bounds = designed(series(start, planes, spacing or 0.0), unknowns)
    rows = []
    names = iter(bounds.names)
    for name, value in bounds.values.items():
        for number, error in zip(value.flatten().tolist(), bounds.stderr[name].flatten().tolist(), strict=True):
            rows.append((next(names), digits(number, error), f"{error:.2g}", unit_of(start, name)))
    headers = ("parameter", "value", "standard error", "unit")
    table(headers, rows[:LISTED], numbers=headers[1:3])
    if len(rows) > LISTED:
        print(f"and {len(rows) - LISTED:,} more")
    print(f"\nbest and worst known combination of numbers differ {bounds.condition:.3g} times in their error")
    for note in bounds.notes:
        print(f"note: {note}")
