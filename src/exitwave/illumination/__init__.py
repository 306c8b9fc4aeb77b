"""What reaches the specimen."""

from exitwave.illumination.koehler import Coherent, Koehler
from exitwave.illumination.points import SourcePoints
from exitwave.illumination.rings import Annulus, HalfDisk
from exitwave.illumination.sampling import refined

__all__ = ["Annulus", "Coherent", "HalfDisk", "Koehler", "SourcePoints", "refined"]
