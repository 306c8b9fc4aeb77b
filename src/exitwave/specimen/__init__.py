"""What is looked at: particles, films, their materials and their arrangement."""

from exitwave.specimen.box import Box
from exitwave.specimen.crystal import Crystal
from exitwave.specimen.disk import Disk
from exitwave.specimen.ellipsoid import Ellipsoid
from exitwave.specimen.film import Film
from exitwave.specimen.particles import Particles
from exitwave.specimen.population import Population
from exitwave.specimen.rod import Rod
from exitwave.specimen.shapes import Shape
from exitwave.specimen.specimen import Specimen
from exitwave.specimen.sphere import Sphere

__all__ = ["Box", "Crystal", "Disk", "Ellipsoid", "Film", "Particles", "Population", "Rod", "Shape", "Specimen", "Sphere"]
