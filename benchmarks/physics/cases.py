"""The comparisons, subject by subject."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator

import exitwave as ew
from benchmarks.physics.finding import Finding
from physics.closed_forms import (
    coherent_edge,
    first_zero_of_a_point,
    grating_under_defocus,
    light_lost_by_a_phase_object,
    passed_beyond_the_cutoff,
    phase_contrast_of_a_disk,
    profile_of_a_point,
    retarder_between_polars,
    sheared_ramp,
    zero_of_defocused_transfer,
)
from physics.koehler import DEPTH_OF_FIELD, abbe, deviation, kernels
from physics.mie import automatic_slabs, error, error_in_tilted_light
from physics.stacks import convergence, deep_crowd
from physics.transfer import Lens, deviation_from_quadrature, deviation_from_waveorder

# Radius, index step, pixel and samples of a bead, and the tolerated errors of the thin and of the deep specimen.
SPHERES = (
    (0.25, 0.05, 0.05, 192, 0.035, 0.035),
    (0.5, 0.05, 0.05, 192, 0.032, 0.020),
    (1.0, 0.01, 0.1, 96, 0.023, 0.015),
    (1.0, 0.05, 0.1, 96, 0.052, 0.015),
    (2.5, 0.1, 0.1, 160, None, 0.025),
    (5.0, 0.05, 0.1, 256, None, 0.015),
    (5.0, 0.1, 0.1, 256, None, 0.035),
)
# The same in tilted light, without the pixel, which is .1 um, and the thin specimen.
TILTED = ((1.0, 0.05, 96, 0.02), (2.5, 0.1, 128, 0.035), (5.0, 0.1, 192, None))
FOCI = {"in focus": 0.0, "a depth of field behind": DEPTH_OF_FIELD, "a depth of field before": -DEPTH_OF_FIELD}


def findings(quick: bool) -> Iterator[Finding]:
    """Yield all findings; a quick run leaves out the slowest."""
    yield from imaging()
    yield from contrast()
    yield from coherence(quick)
    yield from weak_objects(quick)
    yield from spheres(quick)
    yield from depth(quick)


def imaging() -> Iterator[Finding]:
    """Yield points, edges, gratings and energy."""
    subject = "Imaging"
    for periods, defocus in ((2, 3.0), (8, 0.7), (13, -11.0)):
        case = f"phase grating, {periods / 16:g} per µm, {defocus:g} µm out of focus"
        yield Finding(subject, case, "modulation / 2ε", grating_under_defocus(periods, defocus), 1e-5)
    for order, defocus in ((1, 2.0), (1, 10.0), (3, 10.0), (8, 40.0)):
        error_found = zero_of_defocused_transfer(order, defocus)
        yield Finding(
            subject, f"zero {order} of the defocus transfer at {defocus:g} µm", "frequency", error_found, 1e-5
        )
    yield Finding(subject, "Airy's pattern", "radius of the first zero", first_zero_of_a_point(), 1e-3)
    yield Finding(subject, "Airy's pattern, six rings", "amplitude / peak", profile_of_a_point(), 2e-3)
    for defocus in (0.0, 5.0):
        case = f"half plane in coherent light, {defocus:g} µm out of focus"
        yield Finding(subject, case, "irradiance 1/4 on the edge", coherent_edge(defocus), 1e-5)
    yield Finding(subject, "cut-off NA/λ, coherent", "modulation beyond", passed_beyond_the_cutoff(0.0), 1e-5)
    yield Finding(
        subject, "cut-off 2 NA/λ, matched condenser", "modulation beyond", passed_beyond_the_cutoff(0.5), 1e-5
    )
    yield Finding(subject, "strong phase, all light in the aperture", "energy", light_lost_by_a_phase_object(), 1e-5)


def contrast() -> Iterator[Finding]:
    """Yield DIC, phase contrast and polarised light."""
    subject = "Contrast"
    for bias in (0.0, 0.7, math.pi / 2):
        case = f"DIC of a phase ramp, bias {bias:.2f}"
        yield Finding(subject, case, "irradiance sin²(π f·d + b/2)", sheared_ramp(bias, (0.1, 0.2)), 1e-5)
    ramp = sheared_ramp(0.7, (0.1, 0.2), ew.Koehler(0.3, wavelength=0.5, rings=2))
    yield Finding(subject, "the same, Köhler illumination", "irradiance sin²(π f·d + b/2)", ramp, 1e-5)
    for phase, transmission in ((-math.pi / 2, 0.25), (math.pi / 2, 0.25), (1.0, 1.0)):
        case = f"phase contrast of a disk, plate of {phase:.2f} rad and transmission {transmission:g}"
        yield Finding(subject, case, "Zernike's irradiance", phase_contrast_of_a_disk(phase, transmission), 1e-5)
    for azimuth in (0.1, 0.5, math.pi / 4):
        worst = max(retarder_between_polars(azimuth, gamma, side) for gamma in (0.4, 4.3) for side in (False, True))
        yield Finding(
            subject, f"retarder at {azimuth:.2f} rad, crossed and parallel", "irradiance sin² 2φ sin² Γ/2", worst, 1e-5
        )


def coherence(quick: bool) -> Iterator[Finding]:
    """Yield kernels against Abbe's sum."""
    quantity = "irradiance, share of the contrast"
    for name, defocus in list(FOCI.items())[: 1 if quick else 3]:
        case = f"16 kernels, condenser at 0.6 of the aperture, {name}"
        yield Finding("Partial coherence", case, quantity, deviation(kernels(16), defocus), 0.02)
        yield Finding("Partial coherence", f"19 points, {name}", quantity, deviation(abbe(2), defocus), None)
    everything = deviation(kernels(1000, rings=4), 0.0, rings=4)
    yield Finding("Partial coherence", "all kernels of 61 points", quantity, everything, 1e-5)


def weak_objects(quick: bool) -> Iterator[Finding]:
    """Yield transfer functions of weak objects in partially coherent light."""
    subject, samples = "Weak objects", 80 if quick else 128
    for defocus in (2.0,) if quick else (0.0, 2.0, -5.0):
        case = f"condenser at 0.6 of the aperture, {defocus:g} µm out of focus"
        yield Finding(subject, case, "transfer, by quadrature", deviation_from_quadrature(Lens(defocus=defocus)), 0.01)
        if importlib.util.find_spec("waveorder"):
            amplitude, phase = deviation_from_waveorder(Lens(defocus=defocus), 0.3, samples)
            yield Finding(subject, case, "transfer of amplitude, waveorder", amplitude, 0.01)
            yield Finding(subject, case, "transfer of phase, waveorder", phase, 0.01)


def spheres(quick: bool) -> Iterator[Finding]:
    """Yield spheres against Mie theory, the worst of three foci."""
    foci = list(FOCI.values())[: 1 if quick else 3]
    for radius, step, pixel, samples, thin, deep in SPHERES:
        if quick and radius > 2.5:
            continue
        case = f"radius {radius:g} µm, index step {step:g}"
        found = max(error(radius, step, focus, pixel, samples) for focus in foci)
        yield Finding("Spheres", case, "field, thin", found, thin)
        found = max(error(radius, step, focus, pixel, samples, ew.Multislice()) for focus in foci)
        yield Finding("Spheres", case, f"field, {automatic_slabs(radius, step)} slabs", found, deep)
    for radius, step, samples, deep in TILTED[: 1 if quick else None]:
        found = error_in_tilted_light(radius, step, 3.0, samples, ew.Multislice())
        case = f"radius {radius:g} µm, index step {step:g}, light tilted by 0.4 of the aperture"
        yield Finding("Spheres", case, f"field, {automatic_slabs(radius, step)} slabs", found, deep)


def depth(quick: bool) -> Iterator[Finding]:
    """Yield slabs against ever more slabs."""
    for count in (2,) if quick else (2, 6, 20):
        case = f"{count} beads over ±10 µm, 16 slabs"
        yield Finding("Depth", case, "field, against 128 slabs", convergence(deep_crowd(count), 16), 0.05)
