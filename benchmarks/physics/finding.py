"""What a comparison found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """How far the engine is off in one case: `error` as a share of what `quantity` names, and what is tolerated.

    Without a tolerance a number is shown for comparison only: a model outside the range that it is meant for.
    """

    subject: str
    case: str
    quantity: str
    error: float
    tolerance: float | None

    @property
    def verdict(self) -> str:
        """Whether the error is tolerated: "pass", "FAIL", or "-" where nothing is asked."""
        if self.tolerance is None:
            return "-"
        # Written so that an error that is not a number fails.
        return "pass" if self.error <= self.tolerance else "FAIL"

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        """The row of a table: case, quantity, error, tolerance, verdict."""
        percent = self.tolerance is None or self.tolerance >= 0.01
        # Rounding differs between machines; below this it says no more than "zero".
        error = "< 1e-7" if self.error < 1e-7 and not percent else number(self.error, percent)
        asked = "-" if self.tolerance is None else number(self.tolerance, percent)
        return self.case, self.quantity, error, asked, self.verdict


def number(value: float, percent: bool) -> str:
    """Return a number as text: in percent, or with one digit and a power of ten.

    >>> number(0.0168, True), number(3.5e-6, False)
    ('1.68 %', '3.5e-06')
    """
    return f"{100 * value:.2f} %" if percent else f"{value:.1e}"
