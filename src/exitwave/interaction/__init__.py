"""What leaves the specimen."""

from exitwave.interaction.emission import Emission
from exitwave.interaction.memory import free_memory, predicted_memory
from exitwave.interaction.multislice import DeepWave, Multislice
from exitwave.interaction.passing import canvas_of, expose
from exitwave.interaction.secondary import SecondaryElectrons
from exitwave.interaction.transmission import ThinWave, Transmission

__all__ = [
    "DeepWave",
    "Emission",
    "Multislice",
    "SecondaryElectrons",
    "ThinWave",
    "Transmission",
    "canvas_of",
    "expose",
    "free_memory",
    "predicted_memory",
]
