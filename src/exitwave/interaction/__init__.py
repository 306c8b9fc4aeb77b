"""What leaves the specimen."""

from exitwave.interaction.multislice import DeepWave, Multislice
from exitwave.interaction.passing import canvas_of, expose
from exitwave.interaction.transmission import ThinWave, Transmission

__all__ = ["DeepWave", "Multislice", "ThinWave", "Transmission", "canvas_of", "expose"]
