"""What a fit returns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from exitwave.scene import Scene


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
    """A fitted scene and how well it is known.

    `history` holds the loss, half the mean squared residual in standard deviations of the noise, at every step.
    `covariance` (P, P) is in the parameters' units, in the order of `names`; it and `stderr` (path -> standard error,
    shaped as the parameter) are empty where the solver computes no Jacobian. `image` is the fitted expectation.
    """

    scene: Scene
    values: dict[str, Tensor]
    stderr: dict[str, Tensor]
    covariance: Tensor
    names: list[str]
    history: list[float]
    image: Tensor
    target: Tensor
    chi2: float
    converged: bool
    message: str

    def summary(self) -> str:
        """Return the fitted numbers with their standard errors as a table, one number a line."""
        lines = []
        for path, value in self.values.items():
            errors = self.stderr[path].flatten().tolist() if path in self.stderr else [None] * value.numel()
            for number, error in zip(value.flatten().tolist(), errors, strict=True):
                spread = "" if error is None else f" +- {error:.2g}"
                lines.append(f"{path:45s} {digits(number, error)}{spread}")
        lines.append(f"reduced chi-square {self.chi2:.4g}; {self.message}")
        return "\n".join(lines)

    def picture(self, path: str | Path) -> Path:
        """Write data, model and residual side by side as a PNG; return its path. Needs the extra `plot`."""
        from exitwave.fit.picture import draw

        return draw(self, Path(path))
