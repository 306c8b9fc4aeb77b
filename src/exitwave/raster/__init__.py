"""Geometry to arrays."""

from exitwave.raster.chords import particle_fragments
from exitwave.raster.deposit import CHANNELS, Maps, bend, channels, deposit, kept_channels, maps_of, span
from exitwave.raster.fragments import Fragments
from exitwave.raster.splat import splat
from exitwave.raster.triangles import mesh_fragments
from exitwave.raster.wires import chain_fragments

__all__ = [
    "CHANNELS",
    "Fragments",
    "Maps",
    "bend",
    "chain_fragments",
    "channels",
    "deposit",
    "kept_channels",
    "maps_of",
    "mesh_fragments",
    "particle_fragments",
    "span",
    "splat",
]
