"""The shapes that have compiled kernels."""

from __future__ import annotations

from exitwave.specimen import Box, Crystal, Disk, Ellipsoid, Rod, Sphere

BODIES: dict[type, int] = {shape: number for number, shape in enumerate((Sphere, Ellipsoid, Rod, Box, Disk, Crystal))}
"""These shapes, and their numbers there: `Body` in native/splat.h."""
