"""What reaches the specimen."""

from exitwave.illumination.koehler import Coherent, Koehler

__all__ = ["Coherent", "Koehler"]
