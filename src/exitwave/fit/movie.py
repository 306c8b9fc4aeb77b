"""A movie of a fit: data, model and residual, step by step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from exitwave.fit.layout import fitted_layout
from exitwave.fit.views import (
    COLOURS,
    contours,
    meshes_of,
    middle_of_light,
    orthogonal_views,
    projection_views,
    round_length,
)
from exitwave.fit.watch import Step
from exitwave.render import render

_SIDE = 320
_GAP = 6
# Pixels that two views of a volume take, and the least that a panel's name does.
_VIEWS, _NAME = 400, 80
# Grey, on which a difference of nothing, white, is seen.
_PAGE, _BLACK = (225, 225, 225), (0, 0, 0)


class Movie:
    """A watcher that writes data, model and data - model of the first image, side by side, as an animated GIF or WebP.

    One frame every `every` steps; the last one stays for two seconds. Of volumes it shows maximum projections, or
    slices through the middle of the light where the scene has meshes, with their outlines.

    >>> import tempfile, exitwave as ew
    >>> bead = ew.Particles(ew.Sphere(), center=[[0, 0, 0]], size=[[1.0]], index=[1.40])
    >>> scene = ew.Scene(ew.Specimen((bead,), medium=1.33), ew.quantitative_phase(), ew.Grid((48, 48), 0.1))
    >>> start = ew.substitute(scene, {"specimen.parts.0.size": [[1.2]]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "fit.gif"
    ...     _ = ew.fit(start, ew.render(scene), ["specimen.parts.0.size"], watch=(Movie(path),))
    ...     with Image.open(path) as movie:
    ...         movie.n_frames > 2
    True
    """

    def __init__(self, path: str | Path, every: int = 1) -> None:
        self.path, self.every = Path(path), every
        if self.path.suffix.lower() not in (".gif", ".webp"):
            raise ValueError(f"a movie is written as .gif or .webp, got {self.path.name}; rename it")
        if every < 1:
            raise ValueError(f"every must be at least 1, got {every}")
        self._frames: list[Image.Image] = []
        self._count = 0

    def __call__(self, step: Step) -> None:
        """Draw a step; write the file after the last one."""
        if step.last or self._count % self.every == 0:
            self._frames.append(_frame(step))
        self._count += 1
        if step.last:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            pauses = [120] * (len(self._frames) - 1) + [2000]
            first, *others = self._frames
            # Thin outlines lose their colour in a WebP that is compressed with loss.
            exact = first.mode == "RGB"
            first.save(self.path, save_all=True, append_images=others, duration=pauses, loop=0, lossless=exact)


def _frame(step: Step) -> Image.Image:
    scene = step.scenes[0]
    with torch.no_grad():
        image = render(scene)
    data, model = (
        np.asarray(one).reshape(-1, *one.shape[-len(scene.grid.shape) :]).mean(0) for one in (step.targets[0], image)
    )
    return _volumes(step, data, model) if data.ndim == 3 else _images(step, data, model)


def _images(step: Step, data: np.ndarray, model: np.ndarray) -> Image.Image:
    """Return the frame of images (H, W)."""
    seen = data[np.isfinite(data)]
    low, high = np.percentile(seen, [0.1, 99.9])
    span = max(float(high - low), 1e-30)
    # Half the data's range in either direction: the same in all frames, so that the residual is seen to vanish.
    panels = [(data - low) / span, (model - low) / span, 0.5 + (data - model) / span]
    height, width = data.shape
    zoom = _SIDE / max(height, width)
    size = (max(1, round(width * zoom)), max(1, round(height * zoom)))
    frame = Image.new("L", (3 * size[0] + 2 * _GAP, size[1] + 18), 255)
    write = ImageDraw.Draw(frame)
    for number, (panel, name) in enumerate(zip(panels, ("data", "model", "data - model"), strict=True)):
        grey = np.clip(np.nan_to_num(panel, nan=0.5) * 255, 0, 255).astype(np.uint8)
        left = number * (size[0] + _GAP)
        frame.paste(Image.fromarray(grey).resize(size, Image.Resampling.NEAREST), (left, 18))
        told = f"{name}   stage {step.stage} step {step.number}  loss {step.loss:.4g}" if number == 0 else name
        write.text((left + 2, 3), told, fill=0)
    return frame


def _volumes(step: Step, data: np.ndarray, model: np.ndarray) -> Image.Image:
    """Return the frame of volumes (Z, H, W), their difference red where the data are brighter and blue where darker."""
    scene = step.scenes[0]
    voxel, meshes = scene.grid.spacing, meshes_of(scene)
    layout = fitted_layout(data, voxel, _VIEWS)
    at = middle_of_light(data, voxel)
    pictures = [
        orthogonal_views(volume, voxel, at, layout.step) if meshes else projection_views(volume, voxel, layout.step)
        for volume in (data, model)
    ]
    low, high = np.nanpercentile(pictures[0], [0.1, 99.9])
    span = max(float(high - low), 1e-30)
    # The projections of noise and of its expectation differ everywhere; slices do not.
    residual = orthogonal_views(data - model, voxel, at, layout.step)
    # Half the data's range in either direction, as for images.
    panels = [*(_grey((picture - low) / span) for picture in pictures), _signed(2 * residual / span)]
    height, width = residual.shape
    pitch = max(width, _NAME) + _GAP
    frame = Image.new("RGB", (3 * pitch - _GAP, height + 54), _PAGE)
    write = ImageDraw.Draw(frame)
    write.text((2, 3), f"stage {step.stage}   step {step.number}   loss {step.loss:.4g}", fill=_BLACK)
    segments, owners = contours(layout, meshes, at, 1.0)
    for number, (panel, name) in enumerate(zip(panels, ("data", "model", "data - model"), strict=True)):
        left = number * pitch
        frame.paste(Image.fromarray(panel), (left, 36))
        write.text((left + 2, 20), name, fill=_BLACK)
        if number < 2:
            for (start, stop), owner in zip((segments[:, :, ::-1] + (left, 36)).tolist(), owners, strict=True):
                write.line([*start, *stop], fill=COLOURS[owner % len(COLOURS)], width=1)
    length = round_length(0.5 * layout.sizes[2] * layout.step)
    row = height + 46
    write.rectangle((0, row - 1, round(length / layout.step), row + 1), fill=_BLACK)
    write.text((round(length / layout.step) + 6, row - 6), f"{length:g} um", fill=_BLACK)
    return frame


def _grey(picture: np.ndarray) -> np.ndarray:
    """Return a picture from 0 to 1 as 8-bit colours (H, W, 3), the page where there is none."""
    grey = np.rint(np.clip(np.nan_to_num(picture), 0.0, 1.0) * 255)[:, :, None]
    return np.where(np.isnan(picture)[:, :, None], _PAGE, grey).astype(np.uint8)


def _signed(picture: np.ndarray) -> np.ndarray:
    """Return a picture from -1 to 1 as 8-bit colours (H, W, 3), blue through white to red, the page where none is."""
    value = np.clip(np.nan_to_num(picture), -1.0, 1.0)[:, :, None]
    ends = np.where(value > 0, (178.0, 24.0, 43.0), (33.0, 102.0, 172.0))
    colours = np.rint(255 + np.abs(value) * (ends - 255.0))
    return np.where(np.isnan(picture)[:, :, None], _PAGE, colours).astype(np.uint8)
