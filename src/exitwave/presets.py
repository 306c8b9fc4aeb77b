"""Presets: functions that return ordinary microscopes, to be used as they are or taken apart.

Lengths in micrometres. `index` is that of the immersion; `interaction` is `Transmission()` for thin specimens unless
another is given, `Multislice()` for deep ones.
"""

from __future__ import annotations

import math

from exitwave.illumination import Annulus, Beam, Coherent, Flood, HalfDisk, Koehler, LightSheet, ScannedSpot
from exitwave.interaction import Emission, Multislice, SecondaryElectrons, Transmission
from exitwave.optics import (
    PSF,
    Detection,
    ElectronDetector,
    Objective,
    PhaseRing,
    Polarization,
    Reference,
    Shear,
    VectorialPSF,
)
from exitwave.quantity import Numeric, is_prior
from exitwave.scene import Microscope
from exitwave.sensor import Camera, Ideal, Interferometer, ScanSensor


def brightfield(
    na: Numeric = 0.5,
    condenser_na: Numeric = 0.3,
    wavelength: Numeric = 0.55,
    defocus: Numeric = 0.0,
    index: Numeric = 1.0,
    rings: int = 3,
    interaction: Transmission | Multislice | None = None,
    sensor: Ideal | Camera | None = None,
) -> Microscope:
    """Return a brightfield microscope with Köhler illumination; `condenser_na` 0 makes it coherent.

    `rings` is the sampling of the condenser's disk.

    >>> brightfield(na=0.8, condenser_na=0.5).optics.na
    tensor(0.8000, dtype=torch.float64)
    """
    coherent = isinstance(condenser_na, float | int) and condenser_na == 0
    lamp = Coherent(wavelength) if coherent else Koehler(condenser_na, wavelength, rings=rings)
    return Microscope(lamp, interaction or Transmission(), Objective(na, defocus, index=index), sensor or Ideal())


def oblique(
    na: Numeric = 0.5,
    condenser_na: Numeric = 0.5,
    azimuth: Numeric = 0.0,
    wavelength: Numeric = 0.55,
    defocus: Numeric = 0.0,
    index: Numeric = 1.0,
    interaction: Transmission | Multislice | None = None,
    sensor: Ideal | Camera | None = None,
) -> Microscope:
    """Return a microscope lit by half of the condenser's disk, the half towards `azimuth` (radians, from x to y).

    Two of them pi apart are a pair for differential phase contrast: (a - b) / (a + b).

    >>> oblique(azimuth=1.57).illumination.rings
    4
    """
    lamp = HalfDisk(condenser_na, azimuth=azimuth, wavelength=wavelength)
    return Microscope(lamp, interaction or Transmission(), Objective(na, defocus, index=index), sensor or Ideal())


def darkfield(
    na: Numeric = 0.5,
    inner_na: Numeric = 0.6,
    outer_na: Numeric = 0.8,
    wavelength: Numeric = 0.55,
    defocus: Numeric = 0.0,
    index: Numeric = 1.0,
    interaction: Transmission | Multislice | None = None,
    sensor: Ideal | Camera | None = None,
) -> Microscope:
    """Return a darkfield microscope: an annulus outside the objective's aperture, the empty field is 0.

    >>> float(darkfield().illumination.inner_na)
    0.6
    """
    lamp, optics = Annulus(inner_na, outer_na, wavelength, points=16, rings=2), Objective(na, defocus, index=index)
    if not is_prior(optics.na) and not is_prior(lamp.inner_na) and float(lamp.inner_na) <= float(optics.na):
        raise ValueError(
            f"darkfield needs an annulus outside the objective's aperture {float(optics.na):g}, got inner_na "
            f"{float(lamp.inner_na):g}; raise inner_na or close the objective's iris"
        )
    return Microscope(lamp, interaction or Transmission(), optics, sensor or Ideal())


def phase_contrast(
    na: Numeric = 0.6,
    ring_na: float = 0.28,
    ring_width: float = 0.04,
    phase: Numeric = -math.pi / 2,
    transmission: Numeric = 0.25,
    wavelength: Numeric = 0.55,
    defocus: Numeric = 0.0,
    index: Numeric = 1.0,
    interaction: Transmission | Multislice | None = None,
    sensor: Ideal | Camera | None = None,
) -> Microscope:
    """Return a phase-contrast microscope: an annulus about `ring_na`, and a phase ring on its image.

    A `phase` of -pi/2 is positive contrast (what delays light is dark), +pi/2 negative contrast. The plate's ring is
    half as wide again as the annulus, as makers allow for alignment.

    >>> phase_contrast().optics.plate.transmission
    tensor(0.2500, dtype=torch.float64)
    """
    lamp = Annulus(ring_na - ring_width / 2, ring_na + ring_width / 2, wavelength, points=24)
    plate = PhaseRing(ring_na - 0.75 * ring_width, ring_na + 0.75 * ring_width, phase, transmission)
    optics = Objective(na, defocus, index=index, plate=plate)
    if not is_prior(optics.na) and ring_na + ring_width / 2 > float(optics.na):
        raise ValueError(
            f"the annulus must lie inside the objective's aperture {float(optics.na):g}, got it at {ring_na:g}; lower "
            "ring_na"
        )
    return Microscope(lamp, interaction or Transmission(), optics, sensor or Ideal())


def dic(
    na: Numeric = 0.8,
    condenser_na: Numeric = 0.5,
    shear: Numeric = (0.14, 0.14),
    bias: Numeric = math.pi / 2,
    wavelength: Numeric = 0.55,
    defocus: Numeric = 0.0,
    index: Numeric = 1.0,
    rings: int = 3,
    interaction: Transmission | Multislice | None = None,
    sensor: Ideal | Camera | None = None,
) -> Microscope:
    """Return a differential interference contrast microscope with `shear` along (y, x).

    The empty field is sin^2(bias / 2).

    >>> dic(bias=1.0).optics.plate.bias
    tensor(1., dtype=torch.float64)
    """
    optics = Objective(na, defocus, index=index, plate=Shear(shear, bias))
    lamp = Koehler(condenser_na, wavelength, rings=rings)
    return Microscope(lamp, interaction or Transmission(), optics, sensor or Ideal())


def polarized(
    na: Numeric = 0.25,
    condenser_na: Numeric = 0.1,
    polarizer: Numeric = 0.0,
    analyzer: Numeric = math.pi / 2,
    retardance: Numeric = 0.0,
    azimuth: Numeric = math.pi / 4,
    wavelength: Numeric = 0.55,
    defocus: Numeric = 0.0,
    index: Numeric = 1.0,
    rings: int = 2,
    interaction: Transmission | Multislice | None = None,
    sensor: Ideal | Camera | None = None,
) -> Microscope:
    """Return a polarising microscope, crossed unless told otherwise; `retardance` is a compensator's, in micrometres.

    >>> polarized(retardance=0.55).optics.polarization.retardance
    tensor(0.5500, dtype=torch.float64)
    """
    polars = Polarization(polarizer, analyzer, retardance, azimuth)
    optics = Objective(na, defocus, index=index, polarization=polars)
    lamp = Koehler(condenser_na, wavelength, rings=rings)
    return Microscope(lamp, interaction or Transmission(), optics, sensor or Ideal())


def hologram(
    na: Numeric = 0.5,
    wavelength: Numeric = 0.55,
    defocus: Numeric = 20.0,
    index: Numeric = 1.0,
    reference: Reference | None = None,
    polarization: Polarization | None = None,
    interaction: Transmission | Multislice | None = None,
    sensor: Ideal | Camera | None = None,
) -> Microscope:
    """Return a holographic microscope: in line and out of focus, or off axis with a `reference` beam.

    Birefringent particles off axis need a `polarization`: a reference interferes with one polarisation only.

    >>> hologram(defocus=30.0).optics.defocus
    tensor(30., dtype=torch.float64)
    """
    optics = Objective(na, defocus, index=index, polarization=polarization, reference=reference)
    return Microscope(Coherent(wavelength), interaction or Transmission(), optics, sensor or Ideal())


def quantitative_phase(
    na: Numeric = 0.5,
    wavelength: Numeric = 0.55,
    defocus: Numeric = 0.0,
    index: Numeric = 1.0,
    polarization: Polarization | None = None,
    interaction: Transmission | Multislice | None = None,
    sensor: Interferometer | None = None,
) -> Microscope:
    """Return a quantitative phase microscope: coherent light, and the argument of the field in radians as the image.

    >>> quantitative_phase().sensor.noise
    tensor(0.0100, dtype=torch.float64)
    """
    optics = Objective(na, defocus, index=index, polarization=polarization)
    return Microscope(Coherent(wavelength), interaction or Transmission(), optics, sensor or Interferometer())


def widefield(
    psf: PSF | None = None,
    na: Numeric = 1.2,
    wavelength: Numeric = 0.52,
    index: Numeric = 1.33,
    interaction: Emission | None = None,
    sensor: Ideal | Camera | None = None,
) -> Microscope:
    """Return a fluorescence microscope whose light excites everything evenly, and whose camera sees every plane.

    `wavelength` is that of the emission. Without a `psf`, it is that of an aplanatic lens, `VectorialPSF`.

    >>> from exitwave import GaussianPSF
    >>> widefield(GaussianPSF(sigma=(0.4, 0.2, 0.2))).optics.psf.sigma
    tensor([0.4000, 0.2000, 0.2000], dtype=torch.float64)
    """
    optics = Detection(psf or VectorialPSF(na=na, wavelength=wavelength, index=index))
    return Microscope(Flood(), interaction or Emission(), optics, sensor or Ideal())


def confocal(
    psf: PSF | None = None,
    na: Numeric = 1.2,
    wavelength: Numeric = 0.52,
    excitation: Numeric = 0.488,
    pinhole: Numeric = 1.0,
    index: Numeric = 1.33,
    interaction: Emission | None = None,
    sensor: Ideal | Camera | None = None,
) -> Microscope:
    """Return a confocal microscope: a scanned spot of the wavelength `excitation`, and a pinhole before the detector.

    `pinhole` is its diameter in Airy units of the emission, 1.22 wavelength / na in the specimen.

    >>> float(confocal(pinhole=0.8).optics.pinhole)
    0.8
    """
    optics = Detection(psf or VectorialPSF(na=na, wavelength=wavelength, index=index), pinhole=pinhole)
    spot = ScannedSpot(VectorialPSF(na=na, wavelength=excitation, index=index))
    return Microscope(spot, interaction or Emission(), optics, sensor or Ideal())


def two_photon(
    psf: PSF | None = None,
    na: Numeric = 1.0,
    wavelength: Numeric = 0.52,
    excitation: Numeric = 0.92,
    index: Numeric = 1.33,
    interaction: Emission | None = None,
    sensor: Ideal | Camera | None = None,
) -> Microscope:
    """Return a two-photon microscope: the square of a scanned infrared spot excites, and all emission is counted.

    `psf` is that of the spot; without one, it is that of an aplanatic lens at the wavelength `excitation`.

    >>> two_photon().illumination.photons
    2
    """
    lamp = ScannedSpot(psf or VectorialPSF(na=na, wavelength=excitation, index=index), photons=2)
    return Microscope(
        lamp,
        interaction or Emission(),
        Detection(VectorialPSF(na=na, wavelength=wavelength, index=index)),
        sensor or Ideal(),
    )


def light_sheet(
    psf: PSF | None = None,
    na: Numeric = 0.8,
    wavelength: Numeric = 0.52,
    thickness: Numeric = 1.0,
    index: Numeric = 1.33,
    interaction: Emission | None = None,
    sensor: Ideal | Camera | None = None,
) -> Microscope:
    """Return a light-sheet microscope; `thickness` is the standard deviation of the sheet along z in micrometres.

    >>> float(light_sheet(thickness=2.0).illumination.thickness)
    2.0
    """
    optics = Detection(psf or VectorialPSF(na=na, wavelength=wavelength, index=index))
    return Microscope(LightSheet(thickness), interaction or Emission(), optics, sensor or Ideal())


def sem(
    energy: Numeric = 20.0,
    probe: Numeric = 0.0036,
    convergence: Numeric = 0.005,
    focus: Numeric = 0.0,
    asymmetry: Numeric = 0.0,
    azimuth: Numeric = 0.0,
    interaction: SecondaryElectrons | None = None,
    sensor: Ideal | ScanSensor | None = None,
) -> Microscope:
    """Return a scanning electron microscope that counts secondary electrons, in the lens without `asymmetry`.

    `energy` in keV, `probe` and `focus` in micrometres. The default yield is that of oxides.

    >>> float(sem(probe=0.002).illumination.probe)
    0.002
    """
    beam = Beam(energy, probe, convergence, focus)
    return Microscope(
        beam, interaction or SecondaryElectrons(), ElectronDetector(asymmetry, azimuth), sensor or ScanSensor()
    )


def him(
    energy: Numeric = 30.0,
    probe: Numeric = 0.0005,
    convergence: Numeric = 0.0005,
    focus: Numeric = 0.0,
    asymmetry: Numeric = 0.3,
    azimuth: Numeric = 0.0,
    interaction: SecondaryElectrons | None = None,
    sensor: Ideal | ScanSensor | None = None,
) -> Microscope:
    """Return a helium-ion microscope: electrons from shallower depths, a finer probe, and more in focus.

    The yield is plausible, not measured. Detectors of helium-ion microscopes stand at a side (Everhart and Thornley),
    at `azimuth`, from x to y.

    >>> float(him().interaction.escape_depth) < float(sem().interaction.escape_depth)
    True
    """
    shallow = SecondaryElectrons(escape_depth=0.004, tilt_exponent=0.8)
    return Microscope(
        Beam(energy, probe, convergence, focus),
        interaction or shallow,
        ElectronDetector(asymmetry, azimuth),
        sensor or ScanSensor(),
    )
