"""Geometry to arrays."""

from exitwave.raster.deposit import CHANNELS, Maps, bend, channels, deposit, kept_channels, maps_of, span
from exitwave.raster.fragments import Fragments
from exitwave.raster.splat import splat
from exitwave.raster.triangles import mesh_fragments

__all__ = [
    "CHANNELS",
    "Fragments",
    "Maps",
    "bend",
    "channels",
    "deposit",
    "kept_channels",
    "maps_of",
    "mesh_fragments",
    "span",
    "splat",
]
