"""The same model backwards: parameters from images."""

from exitwave.fit.fit import fit
from exitwave.fit.result import FitResult

__all__ = ["FitResult", "fit"]
