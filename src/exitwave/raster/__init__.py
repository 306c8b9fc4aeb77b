"""Geometry to arrays."""

from exitwave.raster.deposit import CHANNELS, Maps, bend, channels, deposit, kept_channels, maps_of, span
from exitwave.raster.splat import splat

__all__ = ["CHANNELS", "Maps", "bend", "channels", "deposit", "kept_channels", "maps_of", "span", "splat"]
