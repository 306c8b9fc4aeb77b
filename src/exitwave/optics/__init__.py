"""What is collected."""

from exitwave.optics.objective import Objective
from exitwave.optics.zernike import noll, zernike

__all__ = ["Objective", "noll", "zernike"]
