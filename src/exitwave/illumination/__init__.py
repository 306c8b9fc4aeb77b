"""What reaches the specimen."""

from exitwave.illumination.beam import Beam
from exitwave.illumination.excitation import Flood, LightSheet, ScannedSpot
from exitwave.illumination.koehler import Coherent, Koehler
from exitwave.illumination.points import SourcePoints
from exitwave.illumination.rings import Annulus, HalfDisk
from exitwave.illumination.sampling import refined

__all__ = [
    "Annulus",
    "Beam",
    "Coherent",
    "Flood",
    "HalfDisk",
    "Koehler",
    "LightSheet",
    "ScannedSpot",
    "SourcePoints",
    "refined",
]
