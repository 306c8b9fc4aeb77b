"""The verb: the ground truth of images and volumes."""

from __future__ import annotations

from typing import Any

from exitwave.annotate.image import annotate_image
from exitwave.annotate.volume import annotate_volume
from exitwave.scene import Scene, require_numbers


def annotate(scene: Scene) -> Any:
    """Return the ground truth of `scene`: a `Truth` on a grid (height, width), a `VolumeTruth` on one with a depth.

    Geometry alone decides, not contrast: a transparent particle far out of focus has its label too. Only labelled
    parts are annotated, and only they hide one another. Images have annotations of particles, wires and the regions of
    meshes; what fluoresces is annotated in volumes: cells, filaments and points, with their meshes.

    >>> import exitwave as ew
    >>> bead = ew.Particles(ew.Sphere(), center=[[0, 0, 0], [5, 1, 0]], size=[[1.0], [0.5]], index=[1.5, 1.5])
    >>> scene = ew.Scene(ew.Specimen((bead,), medium=1.33), ew.brightfield(na=0.5), ew.Grid((64, 64), 0.1))
    >>> truth = ew.annotate(scene)
    >>> truth.boxes[1].round(3)
    array([37., 27., 47., 37.])
    >>> int(truth.ids[38, 32]), float(truth.depth[42, 32])
    (2, 5.5)
    >>> truth.area, truth.amodal_area
    (array([281,  81]), array([317,  81]))
    """
    require_numbers(scene)
    return annotate_image(scene) if len(scene.grid.shape) == 2 else annotate_volume(scene)
