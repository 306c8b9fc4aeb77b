"""What is counted."""

from exitwave.sensor.camera import Camera
from exitwave.sensor.ideal import Ideal
from exitwave.sensor.interferometer import Interferometer

__all__ = ["Camera", "Ideal", "Interferometer"]
