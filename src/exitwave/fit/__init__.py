"""The same model backwards: parameters from images."""

from exitwave.fit.design import Design, design
from exitwave.fit.detect import detect
from exitwave.fit.fit import fit
from exitwave.fit.movie import Movie
from exitwave.fit.result import FitResult
from exitwave.fit.stage import Stage, coarse_to_fine, multi_start, optics_then_particles
from exitwave.fit.unknown import Unknown
from exitwave.fit.watch import Step

__all__ = [
    "Design",
    "FitResult",
    "Movie",
    "Stage",
    "Step",
    "Unknown",
    "coarse_to_fine",
    "design",
    "detect",
    "fit",
    "multi_start",
    "optics_then_particles",
]
