"""Geometry to arrays."""

from exitwave.raster.deposit import deposit
from exitwave.raster.splat import splat

__all__ = ["deposit", "splat"]
