"""Stacks: volumes and meshes as the bytes of their files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from exitwave.data.volumes import write_volume
from exitwave.specimen import Mesh
from exitwave.specimen.meshes.files import save_mesh

OME = ".ome.tif"
"""The ending of the names of volumes."""


def ome(volume: np.ndarray, voxel: tuple[float, float, float]) -> bytes:
    """Return the OME-TIFF of a volume (Z, H, W); `voxel` (dz, dy, dx) is in micrometres.

    >>> ome(np.zeros((2, 4, 4), np.uint8), (0.3, 0.1, 0.1))[:2]
    b'II'
    """
    return _bytes(f"volume{OME}", lambda path: write_volume(path, volume, voxel))


def ply(mesh: Mesh) -> bytes:
    """Return the PLY file of a mesh: its vertices in micrometres, its faces, and the regions on their two sides."""
    return _bytes("mesh.ply", lambda path: save_mesh(path, mesh))


def _bytes(name: str, save: Callable[[Path], object]) -> bytes:
    """Return what a function writes into a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        save(path)
        return path.read_bytes()


def folder_of(label: str) -> str:
    """Return a label as the name of a folder; a one-line error where it cannot be one."""
    if label.startswith(".") or set(label) & set('/\\:*?"<>|'):
        raise ValueError(f"expected a label that can name a folder, got '{label}'; use letters, digits and hyphens")
    return label
