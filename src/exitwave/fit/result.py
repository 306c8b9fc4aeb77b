"""What a fit returns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from exitwave.scene import Scene

# Numbers of one unknown that a summary lists.
_LISTED = 200


def digits(number: float, error: float | None) -> str:
    """Return a number with as many decimals as its standard error has to two digits.

    >>> digits(1.3380712, 2.9e-6), digits(13.4907, 0.034), digits(13.4907, None)
    ('1.3380712', '13.491', '13.4907')
    """
    if error is None or not 0 < error < math.inf:
        return f"{number:.6g}"
    return f"{number:.{max(0, 1 - math.floor(math.log10(error)))}f}"


@dataclass(frozen=True)
class FitResult:
    """Fitted scenes and how well they are known.

    `history` holds the loss, half the mean squared residual in standard deviations of the noise, at every step of all
    stages; it may rise where a stage begins or the noise is weighed anew. `covariance` (P, P) is in the parameters'
    units, in the order of `names`; it is empty beyond 2,048 numbers, and, with `stderr` (unknown -> standard error,
    shaped as its values), where no Jacobian is affordable. `condition` is the ratio of the best to the worst known
    combination's error, about 1 where all numbers are known independently. `images` are the fitted expectations,
    `masks` the pixels left out, `notes` what a reader of the numbers must know.
    """

    scenes: tuple[Scene, ...]
    values: dict[str, Tensor]
    stderr: dict[str, Tensor]
    covariance: Tensor
    condition: float
    names: list[str]
    history: list[float]
    images: tuple[Tensor, ...]
    targets: tuple[Tensor, ...]
    masks: tuple[Tensor, ...]
    chi2: float
    converged: bool
    message: str
    notes: tuple[str, ...]

    @property
    def scene(self) -> Scene:
        """The fitted scene, the first of several."""
        return self.scenes[0]

    @property
    def image(self) -> Tensor:
        """The expectation of the first scene."""
        return self.images[0]

    @property
    def target(self) -> Tensor:
        """The first image that was fitted."""
        return self.targets[0]

    @property
    def correlation(self) -> Tensor:
        """The correlation (P, P) of the fitted numbers' errors; zero for numbers that the data say nothing of."""
        spread = torch.sqrt(self.covariance.diagonal())
        found = self.covariance / (spread[:, None] * spread[None])
        return torch.where(torch.isfinite(found), found, 0.0).fill_diagonal_(1.0)

    def summary(self) -> str:
        """Return the fitted numbers with their standard errors as a table, one number a line, and what to know."""
        lines = []
        for path, value in self.values.items():
            if value.numel() > _LISTED:
                lines.append(f"{path:45s} {' x '.join(map(str, value.shape))} numbers")
                continue
            errors = self.stderr[path].flatten().tolist() if path in self.stderr else [None] * value.numel()
            for number, error in zip(value.flatten().tolist(), errors, strict=True):
                spread = "" if error is None else f" +- {error:.2g}"
                lines.append(f"{path:45s} {digits(number, error)}{spread}")
        return "\n".join([*lines, f"reduced chi-square {self.chi2:.4g}; {self.message}", *self.notes])

    def picture(self, path: str | Path) -> Path:
        """Write data, model and residual side by side as a PNG; return its path. Needs the extra `plot`."""
        from exitwave.fit.picture import draw

        return draw(self, Path(path))
