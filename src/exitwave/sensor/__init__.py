"""What is counted."""

from exitwave.sensor.camera import Camera, dose_for_white
from exitwave.sensor.ideal import Ideal
from exitwave.sensor.interferometer import Interferometer

__all__ = ["Camera", "Ideal", "Interferometer", "dose_for_white"]
