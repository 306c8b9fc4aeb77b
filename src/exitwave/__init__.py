"""One differentiable microscope for light, fluorescence and electrons.

>>> import exitwave as ew
>>> beads = ew.Particles(shape=ew.Sphere(), center=[[0, 0, 0]], size=[[1.0]], index=[1.59])
>>> scene = ew.Scene(ew.Specimen((beads,), medium=1.33), ew.brightfield(na=0.5), ew.Grid((64, 64), pixel=0.1))
>>> image = ew.render(scene)
"""

from exitwave.fit import FitResult, fit
from exitwave.grid import Grid
from exitwave.illumination import Coherent, Koehler
from exitwave.interaction import Transmission
from exitwave.model import Param, Quantity, Value, get, param, paths, substitute
from exitwave.optics import Objective
from exitwave.presets import brightfield, hologram, quantitative_phase
from exitwave.priors import Choice, LogNormal, LogUniform, Mixture, Normal, TruncatedNormal, Uniform
from exitwave.random import Key
from exitwave.render import optical_field, render
from exitwave.sample import sample
from exitwave.scene import Microscope, Scene
from exitwave.sensor import Camera, Ideal, Interferometer
from exitwave.specimen import Box, Crystal, Disk, Ellipsoid, Film, Particles, Population, Rod, Specimen, Sphere
from exitwave.toml import dump, load
