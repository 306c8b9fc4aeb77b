"""A beam of electrons or ions that is scanned over a specimen."""

from __future__ import annotations

import torch
from torch import Tensor

from exitwave.model import Value
from exitwave.quantity import Quantity, param


class Beam(Value):
    """A focused beam that comes from +z: `energy` on landing, and how wide it is at any height.

    `probe` is the standard deviation of the focused spot along each axis, `convergence` the half angle of the cone
    that is focused at the height `focus`.

    >>> Beam(probe=0.003, convergence=0.008).sigma(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([0.0050, 0.0030, 0.0050])
    """

    energy: Quantity = param("keV", low=0.0, high=1e3, exclusive=True, default=20.0, doc="energy on landing")
    probe: Quantity = param("um", low=0.0, high=10.0, exclusive=True, default=0.0036, doc="focused standard deviation")
    convergence: Quantity = param("rad", low=0.0, high=0.5, default=0.005, doc="half angle of the cone")
    focus: Quantity = param("um", low=-1e4, high=1e4, default=0.0, doc="height z in focus")

    def sigma(self, height: Tensor) -> Tensor:
        """Return the standard deviation (...) of the beam in um along each axis at heights (...) in um.

        sqrt(probe^2 + (convergence (z - focus) / 2)^2): an evenly filled cone of half angle a is a disk of radius
        a |z - focus|, whose standard deviation along an axis is half its radius (Reimer, Scanning Electron Microscopy,
        2nd ed., Springer, 1998, on the depth of focus).
        """
        cone = self.convergence.to(height) * (height - self.focus.to(height)) / 2
        return torch.hypot(self.probe.to(height), cone)
