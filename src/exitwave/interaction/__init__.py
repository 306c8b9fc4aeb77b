"""What leaves the specimen."""

from exitwave.interaction.multislice import DeepWave, Multislice
from exitwave.interaction.transmission import ThinWave, Transmission

__all__ = ["DeepWave", "Multislice", "ThinWave", "Transmission"]
