"""Volumes on disk: stacks of planes with the size of their voxels, read from anywhere and written as OME-TIFF.

- `read_volume`: a `Volume` from TIFF, NPY or HDF5; `require_voxel`: the size of its voxels, asked for where unknown.
- `write_volume`, `write_labels`: an array as a file; `VolumeWriter`: slab by slab, for volumes larger than memory.
"""

from exitwave.data.volumes.volume import Volume, read_volume, require_voxel
from exitwave.data.volumes.writer import VolumeWriter, write_labels, write_volume

__all__ = ["Volume", "VolumeWriter", "read_volume", "require_voxel", "write_labels", "write_volume"]
