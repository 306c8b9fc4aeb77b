"""What is looked at: particles, films, their materials and their arrangement."""

from exitwave.specimen.arrange import Agglomerates, Centred, PoissonDisk, Scattered, Sedimented
from exitwave.specimen.assembly import Assembly, unpacked
from exitwave.specimen.box import Box
from exitwave.specimen.colony import Colony
from exitwave.specimen.crystal import Crystal
from exitwave.specimen.disk import Disk
from exitwave.specimen.electron_materials import ElectronMaterial, electron_material
from exitwave.specimen.electron_prior import MaterialYield
from exitwave.specimen.electron_yields import RelativeYield, relative_yield
from exitwave.specimen.ellipsoid import Ellipsoid
from exitwave.specimen.filaments import Filaments
from exitwave.specimen.film import Film
from exitwave.specimen.materials import Material, material
from exitwave.specimen.mesh import Mesh
from exitwave.specimen.microtubules import Microtubules
from exitwave.specimen.nuclei import Nuclei, Nucleus
from exitwave.specimen.particles import Particles
from exitwave.specimen.pile import Pile
from exitwave.specimen.points import Points
from exitwave.specimen.population import Population
from exitwave.specimen.rod import Rod
from exitwave.specimen.rounded_crystal import RoundedCrystal
from exitwave.specimen.shapes import Shape
from exitwave.specimen.specimen import Specimen
from exitwave.specimen.sphere import Sphere
from exitwave.specimen.superellipsoid import Superellipsoid
from exitwave.specimen.tetrahedra import Tetrahedra
from exitwave.specimen.tissue import Tissue
from exitwave.specimen.wires import Chains, Wires

__all__ = [
    "Agglomerates",
    "Assembly",
    "Box",
    "Centred",
    "Chains",
    "Colony",
    "Crystal",
    "Disk",
    "ElectronMaterial",
    "Ellipsoid",
    "Filaments",
    "Film",
    "Material",
    "MaterialYield",
    "Mesh",
    "Microtubules",
    "Nuclei",
    "Nucleus",
    "Particles",
    "Pile",
    "Points",
    "PoissonDisk",
    "Population",
    "RelativeYield",
    "Rod",
    "RoundedCrystal",
    "Scattered",
    "Sedimented",
    "Shape",
    "Specimen",
    "Sphere",
    "Superellipsoid",
    "Tetrahedra",
    "Tissue",
    "Wires",
    "electron_material",
    "material",
    "relative_yield",
    "unpacked",
]
