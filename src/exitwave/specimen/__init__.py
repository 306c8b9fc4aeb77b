"""What is looked at: particles, films, their materials and their arrangement."""

from exitwave.specimen.arrange import Agglomerates, Centred, PoissonDisk, Scattered, Sedimented
from exitwave.specimen.box import Box
from exitwave.specimen.colony import Colony
from exitwave.specimen.crystal import Crystal
from exitwave.specimen.disk import Disk
from exitwave.specimen.ellipsoid import Ellipsoid
from exitwave.specimen.film import Film
from exitwave.specimen.materials import Material, material
from exitwave.specimen.particles import Particles
from exitwave.specimen.population import Population
from exitwave.specimen.rod import Rod
from exitwave.specimen.shapes import Shape
from exitwave.specimen.specimen import Specimen
from exitwave.specimen.sphere import Sphere

__all__ = [
    "Agglomerates",
    "Box",
    "Centred",
    "Colony",
    "Crystal",
    "Disk",
    "Ellipsoid",
    "Film",
    "Material",
    "Particles",
    "PoissonDisk",
    "Population",
    "Rod",
    "Scattered",
    "Sedimented",
    "Shape",
    "Specimen",
    "Sphere",
    "material",
]
