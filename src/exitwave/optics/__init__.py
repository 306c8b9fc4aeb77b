"""What is collected."""

from exitwave.optics.contrast import PhaseRing, Polarization, Reference, Shear
from exitwave.optics.electrons import ElectronDetector
from exitwave.optics.objective import Objective
from exitwave.optics.psf.detection import Detection
from exitwave.optics.psf.gaussian import GaussianPSF
from exitwave.optics.psf.measured import MeasuredPSF, from_bead
from exitwave.optics.psf.pupil import PupilPSF
from exitwave.optics.psf.rays import Coverslip
from exitwave.optics.psf.sampling import PSF
from exitwave.optics.psf.scalar import ScalarPSF
from exitwave.optics.psf.tiled import TiledPSF
from exitwave.optics.psf.vectorial import VectorialPSF
from exitwave.optics.zernike import noll, zernike

__all__ = [
    "PSF",
    "Coverslip",
    "Detection",
    "ElectronDetector",
    "GaussianPSF",
    "MeasuredPSF",
    "Objective",
    "PhaseRing",
    "Polarization",
    "PupilPSF",
    "Reference",
    "ScalarPSF",
    "Shear",
    "TiledPSF",
    "VectorialPSF",
    "from_bead",
    "noll",
    "zernike",
]
