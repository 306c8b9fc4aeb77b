"""A movie of a fit: data, model and residual, step by step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from exitwave.fit.watch import Step
from exitwave.render import render

_SIDE = 320
_GAP = 6


class Movie:
    """A watcher that writes data, model and data - model of the first image, side by side, as an animated GIF or WebP.

    One frame every `every` steps; the last one stays for two seconds.

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
            self._frames[0].save(self.path, save_all=True, append_images=self._frames[1:], duration=pauses, loop=0)


def _frame(step: Step) -> Image.Image:
    with torch.no_grad():
        model = render(step.scenes[0])
    target = step.targets[0]
    data, model = (np.asarray(image).reshape(-1, *image.shape[-2:]).mean(0) for image in (target, model))
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
