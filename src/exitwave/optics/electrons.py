"""Detectors of secondary electrons."""

from __future__ import annotations

import torch
from torch import Tensor

from exitwave.model import Value
from exitwave.quantity import Quantity, param


class ElectronDetector(Value):
    """A detector in the lens, which sees all slopes alike, or at a side (Everhart and Thornley), which shadows.

    `asymmetry` is how much more it collects from surfaces that face it, 0 in the lens. It lies towards `azimuth`,
    counted from x to y, at `elevation` above the support: for a detector at the left edge of the image that is pi.

    >>> left = ElectronDetector(asymmetry=0.5, azimuth=3.141592653589793, elevation=0.0)
    >>> left.collected(torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 0.0, 1.0]]))
    tensor([1.0000, 1.5000, 0.5000])
    """

    asymmetry: Quantity = param("1", low=0.0, high=1.0, default=0.0, doc="preference for surfaces that face it")
    azimuth: Quantity = param("rad", low=-6.2832, high=6.2832, default=0.0, doc="where it lies, from x to y")
    elevation: Quantity = param("rad", low=0.0, high=1.5708, default=0.7853981633974483, doc="above the support")

    def collected(self, normal: Tensor) -> Tensor:
        """Return what it collects (...) from surfaces of unit normals (..., 3) as (z, y, x), 1 from the flat support.

        (1 + a n.s) / (1 + a s_z), s towards the detector (after Everhart and Thornley, J. Sci. Instrum. 37, 246, 1960).
        """
        a, azimuth, elevation = (given.to(normal) for given in (self.asymmetry, self.azimuth, self.elevation))
        level = torch.cos(elevation)
        s = torch.stack([torch.sin(elevation), level * torch.sin(azimuth), level * torch.cos(azimuth)])
        return (1 + a * (normal * s).sum(-1)) / (1 + a * s[0])
