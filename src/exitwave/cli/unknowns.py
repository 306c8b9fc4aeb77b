"""Unknowns and stages of a fit, from the texts of options."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tomli_w
import typer

from exitwave import units
from exitwave.cli.override import located
from exitwave.fit import Stage, Unknown, coarse_to_fine, multi_start, optics_then_particles
from exitwave.model import params, paths
from exitwave.quantity import Prior, is_prior
from exitwave.scene import Scene
from exitwave.toml import load

CURRICULA = ("single", "coarse-to-fine", "optics-then-particles", "multi-start")


@dataclass(frozen=True)
class Wishes:
    """What options say of unknowns, one text for every time that an option was given."""

    free: Sequence[str]
    prior: Sequence[str] = ()
    tie: Sequence[str] = ()
    scale: Sequence[str] = ()


def wished(wishes: Wishes) -> dict[str, str]:
    """Return the free paths with the text of their range, "" where there is none."""
    items = [item.strip() for text in wishes.free for item in text.split(",") if item.strip()]
    if not items:
        raise typer.BadParameter("expected at least one path, got none; write --free specimen.parts.0.size")
    found: dict[str, str] = {}
    for item in items:
        path, _, between = (part.strip() for part in item.partition("="))
        if path in found:
            raise ValueError(f"'{path}' is free twice; list it once")
        found[path] = between
    return found


def unknowns_of(scene: Scene, wishes: Wishes) -> tuple[Unknown, ...]:
    """Return the unknowns of a fit of `scene`; an error names the option and text that is wrong."""
    free = wished(wishes)
    for path in free:
        located(scene, path.partition(".")[2] if path[:1].isdigit() else path)
    groups = [[path.strip() for path in text.split(",") if path.strip()] for text in wishes.tie]
    tied = {path: tuple(group) for group in groups for path in group}
    for path in (path for group in groups for path in group):
        located(scene, path)
    priors, scales = (
        _assigned(option, texts) for option, texts in (("--prior", wishes.prior), ("--scale", wishes.scale))
    )
    for option, names in (("--prior", priors), ("--scale", scales), ("--tie", [group[0] for group in groups if group])):
        for name in names:
            if name not in free:
                raise ValueError(f"{option} {name}: expected one of the free paths, got another; add it to --free")
    found = []
    for path, between in free.items():
        group = tied.get(path)
        if group is not None and group[0] != path:
            continue  # it goes with the first path of its group
        unit = unit_of(scene, path)
        low, high = _range(path, between, unit)
        found.append(
            Unknown(
                path if group is None or len(group) == 1 else group,
                low=low,
                high=high,
                prior=prior_of(priors[path], unit, path) if path in priors else None,
                scale=_quantity(scales[path], unit, f"--scale {path}") if path in scales else None,
                tied=group is not None,
            )
        )
    return tuple(found)


def stages_of(
    curriculum: str, final: Stage, unknowns: Sequence[Unknown], blur: float | None, starts: int, width: float
) -> tuple[Stage, ...]:
    """Return the stages of a curriculum that ends with `final`; `width` is that of the field, in micrometres."""
    if curriculum not in CURRICULA:
        raise ValueError(f"curriculum must be one of {', '.join(CURRICULA)}, got '{curriculum}'")
    if curriculum == "coarse-to-fine":
        return coarse_to_fine(width / 16 if blur is None else blur, final=final)
    if curriculum == "optics-then-particles":
        return optics_then_particles(unknowns, final=final)
    return multi_start(starts, blur or 0.0, final=final) if curriculum == "multi-start" else (final,)


def prior_of(text: str, unit: str, path: str) -> Prior:
    """Return the prior written as Normal(1.58, 0.01), or as an inline table of TOML as recipes do.

    >>> prior_of("Normal(650 nm, 10 nm)", "um", "specimen.parts.0.size").mean
    tensor(0.6500, dtype=torch.float64)
    """
    from exitwave.model import classes

    call = re.fullmatch(r"\s*(\w+)\s*\((.*)\)\s*", text)
    try:
        if call:
            cls = classes().get(call[1])
            names = list(params(cls)) if cls is not None else []
            items = [_item(part) for part in call[2].split(",") if part.strip()]
            if cls is not None and len(items) != len(names):
                raise ValueError(f"expected {call[1]}({', '.join(names)}), got {len(items)} numbers")
            table = {"type": call[1], **dict(zip(names, items, strict=False))}
        else:
            table = tomllib.loads(f"x = {text}")["x"]
        found = load(tomli_w.dumps({key: _plain(item, unit) for key, item in table.items()}))
    except (ValueError, AttributeError) as error:
        told = str(error).replace("the recipe.", "").replace(" at the recipe", "")
        raise ValueError(f"--prior {path}={text}: {told}; write for example Normal(1.58, 0.01)") from None
    if not is_prior(found):
        raise ValueError(f"--prior {path}: expected a prior such as Normal(1.58, 0.01), got a {type(found).__name__}")
    return found


def _item(text: str) -> Any:
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        return text.strip()


def _plain(item: Any, unit: str) -> Any:
    """Return a number of a prior in the unit of what it is a prior of; names of types and the like as they are."""
    return units.parse(item, unit) if isinstance(item, str) and item[:1] in "0123456789+-." else item


def _assigned(option: str, texts: Sequence[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        path, sign, value = (part.strip() for part in text.partition("="))
        if not (path and sign and value):
            raise typer.BadParameter(f"expected {option} PATH=VALUE, got '{text}'")
        found[path] = value
    return found


def unit_of(scene: Scene, path: str) -> str:
    """Return the unit of the numbers at a path, which may lead into an array or begin with a scene's number."""
    inner = path.partition(".")[2] if path[:1].isdigit() else path
    return next((spec.unit for owner, spec in paths(scene).items() if f"{inner}.".startswith(f"{owner}.")), "1")


def _range(path: str, between: str, unit: str) -> tuple[float, float]:
    if not between:
        return float("-inf"), float("inf")
    low, sign, high = (part.strip() for part in between.partition(".."))
    if not sign:
        raise ValueError(f"--free {path}={between}: expected LOW..HIGH, such as 0.5..2 or '300 nm..1 um'")
    ends = [_quantity(end, unit, f"--free {path}") if end else None for end in (low, high)]
    return (float("-inf") if ends[0] is None else ends[0]), (float("inf") if ends[1] is None else ends[1])


def length(text: str, where: str) -> float | None:
    """Return the micrometres that an option says, None where it was not given."""
    return _quantity(text, "um", where) if text else None


def _quantity(text: str, unit: str, where: str) -> float:
    try:
        return units.parse(text, unit)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
