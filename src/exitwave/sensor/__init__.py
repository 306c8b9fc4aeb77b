"""What is counted."""

from exitwave.sensor.camera import Camera
from exitwave.sensor.colour import camera_rgb
from exitwave.sensor.ideal import Ideal
from exitwave.sensor.interferometer import Interferometer
from exitwave.sensor.scan import ScanSensor

__all__ = ["Camera", "Ideal", "Interferometer", "ScanSensor", "camera_rgb"]
