"""One differentiable microscope for light, fluorescence and electrons.

>>> import exitwave as ew
>>> beads = ew.Particles(shape=ew.Sphere(), center=[[0, 0, 0]], size=[[1.0]], index=[1.59])
>>> scene = ew.Scene(ew.Specimen((beads,), medium=1.33), ew.brightfield(na=0.5), ew.Grid((64, 64), pixel=0.1))
>>> image = ew.render(scene)
"""

from exitwave.annotate import Truth, annotate
from exitwave.data import Stream, generate, recipe, recipes
from exitwave.fit import (
    Design,
    FitResult,
    Movie,
    Stage,
    Step,
    Unknown,
    coarse_to_fine,
    design,
    detect,
    fit,
    multi_start,
    optics_then_particles,
)
from exitwave.grid import Grid
from exitwave.illumination import Annulus, Coherent, HalfDisk, Koehler, SourcePoints
from exitwave.interaction import Multislice, Transmission
from exitwave.model import Value, get, paths, substitute
from exitwave.optics import Objective, PhaseRing, Polarization, Reference, Shear
from exitwave.presets import (
    brightfield,
    darkfield,
    dic,
    hologram,
    oblique,
    phase_contrast,
    polarized,
    quantitative_phase,
)
from exitwave.priors import Choice, LogNormal, LogUniform, Mixture, Normal, TruncatedNormal, Uniform
from exitwave.quantity import Param, Quantity, param, per_particle
from exitwave.random import Key
from exitwave.render import kernel_loss, optical_field, render, source_error
from exitwave.sample import sample
from exitwave.scene import Microscope, Scene
from exitwave.sensor import Camera, Ideal, Interferometer, camera_rgb
from exitwave.specimen import (
    Agglomerates,
    Box,
    Centred,
    Colony,
    Crystal,
    Disk,
    Ellipsoid,
    Film,
    Material,
    Particles,
    PoissonDisk,
    Population,
    Rod,
    Scattered,
    Sedimented,
    Specimen,
    Sphere,
    material,
)
from exitwave.toml import dump, load

__all__ = [
    "Agglomerates",
    "Annulus",
    "Box",
    "Camera",
    "Centred",
    "Choice",
    "Coherent",
    "Colony",
    "Crystal",
    "Design",
    "Disk",
    "Ellipsoid",
    "Film",
    "FitResult",
    "Grid",
    "HalfDisk",
    "Ideal",
    "Interferometer",
    "Key",
    "Koehler",
    "LogNormal",
    "LogUniform",
    "Material",
    "Microscope",
    "Mixture",
    "Movie",
    "Multislice",
    "Normal",
    "Objective",
    "Param",
    "Particles",
    "PhaseRing",
    "PoissonDisk",
    "Polarization",
    "Population",
    "Quantity",
    "Reference",
    "Rod",
    "Scattered",
    "Scene",
    "Sedimented",
    "Shear",
    "SourcePoints",
    "Specimen",
    "Sphere",
    "Stage",
    "Step",
    "Stream",
    "Transmission",
    "TruncatedNormal",
    "Truth",
    "Uniform",
    "Unknown",
    "Value",
    "annotate",
    "brightfield",
    "camera_rgb",
    "coarse_to_fine",
    "darkfield",
    "design",
    "detect",
    "dic",
    "dump",
    "fit",
    "generate",
    "get",
    "hologram",
    "kernel_loss",
    "load",
    "material",
    "multi_start",
    "oblique",
    "optical_field",
    "optics_then_particles",
    "param",
    "paths",
    "per_particle",
    "phase_contrast",
    "polarized",
    "quantitative_phase",
    "recipe",
    "recipes",
    "render",
    "sample",
    "source_error",
    "substitute",
]
