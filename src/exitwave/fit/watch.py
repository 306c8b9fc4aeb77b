"""Watching a fit: steps as they happen, saved so that an interrupted fit goes on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from exitwave.fit.coordinates import Coordinates
from exitwave.fit.stage import Stage
from exitwave.model import leaves
from exitwave.scene import Scene


@dataclass(frozen=True)
class Step:
    """A fit after a step: `stage` and `number` count from 0, `loss` is half the mean squared residual.

    `scenes` hold the numbers as they are now, `targets` the images that they are to explain; `last` tells that no step
    follows, and that the scenes are those of the result.
    """

    stage: int
    number: int
    loss: float
    scenes: tuple[Scene, ...]
    targets: tuple[Tensor, ...]
    last: bool = False


Watcher = Callable[[Step], None]
"""Called after every step of a fit; `Movie` is one."""


@dataclass(frozen=True)
class State:
    """Where an interrupted fit stands: the stage, its numbers by unknown, the damping, and the loss history so far."""

    stage: int
    values: dict[str, Any]
    damping: float
    done: int
    history: list[float]


def fingerprint(found: Coordinates, stages: Sequence[Stage], data: Sequence[Tensor]) -> str:
    """Return a digest of what a fit is asked: scenes, unknowns, stages and images."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr(([b.unknown for b in found.blocks], tuple(stages))).encode())
    for scene in found.scenes:
        digest.update(repr(scene).encode())
        # The text leaves long arrays out.
        for path, _, held in leaves(scene):
            digest.update(path.encode() + held.detach().cpu().numpy().tobytes())
    for image in data:
        digest.update(torch.nan_to_num(image).numpy().tobytes())
    return digest.hexdigest()


class Checkpoint:
    """A file that holds the state of a fit after its last step."""

    def __init__(self, path: str | Path, key: str) -> None:
        self.path, self.key = Path(path), key

    def read(self) -> State | None:
        """Return the state of the same fit, or None where there is no file yet."""
        if not self.path.exists():
            return None
        try:
            held = json.loads(self.path.read_text())
            key, state = held.pop("fit"), State(**held)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            raise ValueError(f"expected the checkpoint of a fit in {self.path}, got another file; remove it") from None
        if key != self.key:
            raise ValueError(
                f"{self.path} is the checkpoint of another fit: scene, image, free or stages differ; remove it or "
                "choose another name"
            )
        return state

    def write(self, state: State) -> None:
        """Replace the file, whole or not at all."""
        # Python writes doubles so that reading gives them back to the last bit.
        text = json.dumps({"fit": self.key, **state.__dict__})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_name(f"{self.path.name}.part")
        part.write_text(text)
        os.replace(part, self.path)
