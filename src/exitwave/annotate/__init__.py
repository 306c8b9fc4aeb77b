"""Annotation: from a scene to everything that a label can say about it, by geometry alone.

- `annotate`: the ground truth of a scene, a `Truth` for an image and a `VolumeTruth` for a volume.
- `sizes`: what the silhouettes of a `Truth` measure.
- `annotated`, `objects`: what a part of a specimen is to them; a new kind of part registers a function at either.
"""

from exitwave.annotate.image import Truth
from exitwave.annotate.instances import Instances, annotated
from exitwave.annotate.objects import Objects, objects
from exitwave.annotate.sizes import sizes
from exitwave.annotate.unions import annotated_regions, annotated_wires
from exitwave.annotate.verb import annotate
from exitwave.annotate.volume import VolumeTruth

__all__ = [
    "Instances",
    "Objects",
    "Truth",
    "VolumeTruth",
    "annotate",
    "annotated",
    "annotated_regions",
    "annotated_wires",
    "objects",
    "sizes",
]
