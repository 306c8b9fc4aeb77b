"""Surfaces of triangles: files, checks, measures, bodies to start from, foams and remeshing."""

from exitwave.specimen.meshes.collisions import collisions
from exitwave.specimen.meshes.distance import SurfaceDistance, surface_distance
from exitwave.specimen.meshes.files import load_mesh, save_mesh
from exitwave.specimen.meshes.foam import foam
from exitwave.specimen.meshes.from_labels import mesh_from_labels, region_labels
from exitwave.specimen.meshes.geometry import centroids, mean_curvature, surface_areas, volumes
from exitwave.specimen.meshes.remesh import remesh
from exitwave.specimen.meshes.repair import repair
from exitwave.specimen.meshes.report import MeshReport, report
from exitwave.specimen.meshes.solids import blob, icosphere, torus
from exitwave.specimen.meshes.voxels import voxelize

__all__ = [
    "MeshReport",
    "SurfaceDistance",
    "blob",
    "centroids",
    "collisions",
    "foam",
    "icosphere",
    "load_mesh",
    "mean_curvature",
    "mesh_from_labels",
    "region_labels",
    "remesh",
    "repair",
    "report",
    "save_mesh",
    "surface_areas",
    "surface_distance",
    "torus",
    "volumes",
    "voxelize",
]
