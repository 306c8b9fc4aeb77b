"""What is collected."""

from exitwave.optics.contrast import PhaseRing, Polarization, Reference, Shear
from exitwave.optics.objective import Objective
from exitwave.optics.zernike import noll, zernike

__all__ = ["Objective", "PhaseRing", "Polarization", "Reference", "Shear", "noll", "zernike"]
