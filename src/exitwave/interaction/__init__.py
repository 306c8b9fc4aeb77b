"""What leaves the specimen."""

from exitwave.interaction.transmission import ThinWave, Transmission

__all__ = ["ThinWave", "Transmission"]
