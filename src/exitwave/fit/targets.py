"""Targets: images as a fit takes them, and which of their pixels count."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from exitwave.render import render
from exitwave.scene import Scene


def accepted(
    scenes: tuple[Scene, ...],
    targets: Sequence[Tensor | np.ndarray],
    masks: Sequence[Tensor | np.ndarray | None],
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], list[str]]:
    """Return the images in double precision, the pixels that do not count, and notes on why.

    Left out are pixels that are not finite, saturated, or set in a mask.
    """
    if len(scenes) != len(targets) or not scenes:
        raise ValueError(
            f"a fit needs one image for every scene, got {len(targets)} images for {len(scenes)} scenes; match them"
        )
    if len(masks) not in (len(scenes), 1) or (len(masks) == 1 < len(scenes) and masks[0] is not None):
        raise ValueError(f"expected one mask for each of {len(scenes)} images, got {len(masks)}; use None for no mask")
    data, hidden, notes = [], [], []
    for number, (scene, target) in enumerate(zip(scenes, targets, strict=True)):
        where = f" {number}" if len(scenes) > 1 else ""
        image = _image(scene, target, where)
        given = masks[number] if len(masks) == len(scenes) else None
        mask = _mask(given, image, where)
        nothing, white = ~torch.isfinite(image), scene.microscope.sensor.saturated(torch.nan_to_num(image))
        white = white & ~nothing
        for what, pixels in (("not finite", nothing), ("saturated", white & ~mask), ("masked", mask & ~nothing)):
            if bool(pixels.any()):
                notes.append(f"{int(pixels.sum()):,} of {image.numel():,} pixels of image{where} {what}: left out")
        out = nothing | white | mask
        if int((~out).sum()) < 16:
            raise ValueError(
                f"image{where} must have at least 16 pixels that are finite, unsaturated and not masked, got "
                f"{int((~out).sum())} of {image.numel()}; shorten the exposure or correct the mask"
            )
        seen = image[~out]
        if float(seen.std()) == 0:
            raise ValueError(f"the target must show something, got the constant {float(seen[0]):g} everywhere")
        data.append(torch.where(out, seen.mean(), image))
        hidden.append(out)
    return tuple(data), tuple(hidden), notes


def _image(scene: Scene, target: Tensor | np.ndarray, where: str) -> Tensor:
    with torch.no_grad():
        shape = tuple(render(scene).shape)
    array = torch.as_tensor(target)
    if array.is_complex() or tuple(array.shape) != shape:
        raise ValueError(
            f"the target{where} must be a real image of the scene's shape {shape}, got {tuple(array.shape)} "
            f"{array.dtype}; crop it or set grid.shape"
        )
    return array.detach().to(device="cpu", dtype=torch.float64)


def _mask(given: Tensor | np.ndarray | None, image: Tensor, where: str) -> Tensor:
    if given is None:
        return torch.zeros(image.shape, dtype=torch.bool)
    mask = torch.as_tensor(given).to(torch.bool)
    if tuple(mask.shape[-2:]) != tuple(image.shape[-2:]) or mask.ndim > image.ndim:
        raise ValueError(
            f"the mask{where} must be of the image's shape {tuple(image.shape)}, got {tuple(mask.shape)}; it is true "
            "where pixels do not count"
        )
    return mask.expand(image.shape)
