"""Edges of particles in electron images: the profile across their outlines, here and in real images."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy.ndimage
import torch

import exitwave as ew
from exitwave.cli.images import read
from exitwave.cli.measured import grey

# Distance from the outline in pixels, positive inside: brightness over the background, that of the middle being 1.
# Measured on isolated particles of TiO2, 20 kV, in-lens.
PROFILE = {-1: 0.15, 1: 1.65, 2: 2.09, 3: 1.78, 4: 1.53, 6: 1.31, 8: 1.17, 10: 1.05, 12: 1.00}


def distances(inside: np.ndarray) -> np.ndarray:
    """Return how far every pixel that is set lies from the nearest that is not."""
    return np.asarray(scipy.ndimage.distance_transform_edt(inside))


def isolated(image: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return the profiles (n, D) across the outlines of instances that are large, whole and far from all others."""
    found = []
    for body, box in enumerate(scipy.ndimage.find_objects(ids), 1):
        if box is None:
            continue
        rows, columns = box
        whole = min(rows.start, columns.start, ids.shape[0] - rows.stop, ids.shape[1] - columns.stop) >= 3
        near = slice(max(0, rows.start - 40), rows.stop + 40), slice(max(0, columns.start - 40), columns.stop + 40)
        inside, bare, counts = ids[near] == body, ids[near] == 0, image[near]
        depth = distances(np.pad(inside, 1))[1:-1, 1:-1]
        if not whole or depth.max() < 12.5:
            continue
        around = distances(~inside)
        if around[~bare & ~inside].min(initial=math.inf) < 25:
            continue
        background = np.median(counts[(around > 12) & (around < 25) & bare])
        middle = counts[(depth > 11) & (depth < 13)].mean() - background
        rings = [np.abs(depth - at) < 0.5 if at > 0 else np.abs(around + at) < 0.5 for at in PROFILE]
        found.append([(counts[ring].mean() - background) / middle for ring in rings])
    return np.array(found).reshape(-1, len(PROFILE))


def singles(seed: int, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield images of recipe tio2-sem with particles apart from one another, and maps of their visible instances."""
    recipe = ew.recipe("tio2-sem")
    alone = ew.Pile(aggregation_number=1.0)
    parts = tuple(
        dataclasses.replace(part, arrangement=alone, count=40.0) if isinstance(part, ew.Population) else part
        for part in recipe.specimen.parts
    )
    recipe = ew.substitute(recipe, {"specimen.parts": parts})
    for number in range(count):
        scene = ew.sample(recipe, ew.Key(seed, number))
        image = ew.render(scene, torch.Generator().manual_seed(number)).numpy().astype(np.float64)
        yield image, ew.annotate(scene).ids


def profile() -> None:
    """Print the mean profile across outlines of the recipe's isolated particles, and its distance from the real one."""
    found = np.concatenate([isolated(image, ids) for image, ids in singles(0, 6)])
    means = found.mean(0)
    error = math.sqrt(float(np.square(means - list(PROFILE.values())).mean()))
    each = zip(PROFILE.items(), means, strict=True)
    words = ", ".join(f"{distance:+d}: {mean:.2f} ({real:.2f})" for (distance, real), mean in each)
    print(f"profile: {len(found)} isolated particles, here (real): {words}; RMSE {error:.3f}")


def bright(image: np.ndarray) -> np.ndarray:
    """Return the numbers of connected bright pixels, which serves as an outline that needs no mask."""
    smooth = scipy.ndimage.gaussian_filter(image, 1.0)
    background = np.median(smooth)
    spread = 1.48 * np.median(np.abs(smooth - background))
    over = scipy.ndimage.binary_opening(smooth > background + max(4 * spread, 8.0), iterations=2)
    numbers = np.zeros(image.shape, dtype=np.int32)
    scipy.ndimage.label(scipy.ndimage.binary_fill_holes(over), output=numbers)
    return numbers


def heldout() -> None:
    """Print how far the recipe's profile is from that of real images which nothing was set by, outlined alike."""
    folder = Path(__file__).parents[2] / "shared" / "data" / "tio2_sem"
    files = sorted((folder / "images").glob("*"))
    if not files:
        print(f"heldout: no images in {folder}")
        return
    known = {file.name.split("_m")[0] for file in (folder / "masks").glob("*")}
    # Without the instrument's data bar.
    real = {file.stem: grey(read(file), file)[:704].astype(np.float64) for file in files}
    others = np.concatenate([isolated(image, bright(image)) for name, image in real.items() if name not in known])
    masked = np.concatenate([isolated(image, bright(image)) for name, image in real.items() if name in known])
    here = np.concatenate([isolated(image, bright(image)) for image, _ in singles(5, 8)])
    means = others.mean(0)
    error, halves = (math.sqrt(float(np.square(one.mean(0) - means).mean())) for one in (here, masked))
    each = zip(PROFILE, here.mean(0), means, strict=True)
    words = ", ".join(f"{distance:+d}: {mean:.2f} ({truth:.2f})" for distance, mean, truth in each)
    print(
        f"heldout: {len(here)} particles here ({len(others)} of the images without masks): {words}; RMSE {error:.3f}; "
        f"{len(masked)} of the images with masks: {halves:.3f}"
    )
