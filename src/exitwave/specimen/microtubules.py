"""Microtubules: what a recipe says of the filaments in cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.model import Value
from exitwave.quantity import Quantity, param, per_particle
from exitwave.specimen.draws import Floats, Generators, Integers, drawn, numpy_random, unit
from exitwave.specimen.filaments import Filaments


class Microtubules(Value):
    """Filaments that grow in cells from a place beside the nucleus outwards, `count` of them in every cell.

    Each is a chain of segments of `step` whose direction strays as that of a worm-like chain with the length
    `persistence` does; it goes around the nucleus and ends with its length, or where the cell ends.
    """

    count: Any = per_particle("1", low=0.0, high=1e4, default=30.0, doc="filaments of a cell")
    length: Any = per_particle("um", low=0.0, exclusive=True, default=8.0, doc="longest length of each")
    density: Any = per_particle("photon/um", low=0.0, high=1e12, default=1.0, doc="emission per length of each")
    persistence: Quantity = param("um", low=0.0, exclusive=True, default=20.0, doc="length over which they bend")
    step: Quantity = param("um", low=0.0, exclusive=True, default=0.4, doc="length of a segment")
    label: str = "filament"

    def grown(
        self, center: Floats, clearance: Floats, cell_of: Callable[[Floats], Integers], generator: Generators
    ) -> Filaments | None:
        """Return the filaments of cells whose nuclei (M,) lie at `center` (M, 3) in balls of radius `clearance` (M,).

        `cell_of` tells for places (P, 3) the number of the cell there, -1 outside; None is returned where none grows.
        """
        random = numpy_random(generator("growth"))
        each = np.rint(drawn(self.count, len(center), generator("count"))).astype(np.int64)
        cell, total = np.repeat(np.arange(len(center)), each), int(each.sum())
        length = drawn(self.length, total, generator("length"))
        light = drawn(self.density, total, generator("density"))
        step, own = float(self.step), cell_of(center)[cell]
        # The centrosome lies on the nucleus.
        side = unit(random.standard_normal((len(center), 3)))
        place = center[cell] + (1.02 * clearance[:, None] * side)[cell]
        heading = unit(random.standard_normal((total, 3)))
        stray = np.sqrt(2 * step / float(self.persistence))
        nodes, alive = [place], [np.ones(total, dtype=bool)]
        for number in range(1, int(np.ceil(length.max(initial=0.0) / step)) + 1):
            heading = unit(heading + stray * random.standard_normal((total, 3)))
            ahead = place + step * heading
            out = ahead - center[cell]
            distance = np.linalg.norm(out, axis=1, keepdims=True)
            ahead = center[cell] + out * np.maximum(1.0, 1.02 * clearance[cell][:, None] / np.maximum(distance, 1e-9))
            heading = unit(ahead - place)
            alive.append(alive[-1] & (cell_of(ahead) == own) & (number * step <= length))
            if not alive[-1].any():
                break
            place = np.where(alive[-1][:, None], ahead, place)
            nodes.append(place)
        grown = np.stack(alive[1 : len(nodes)], 1) if len(nodes) > 1 else np.zeros((total, 0), dtype=bool)
        kept = grown.any(1)
        if not kept.any():
            return None
        return _chained(np.stack(nodes, 1)[kept], grown[kept], light[kept], self.label)


def _chained(nodes: Floats, grown: NDArray[np.bool_], light: Floats, label: str) -> Filaments:
    """Return chains through nodes (N, K + 1, 3) as far as they have grown (N, K), without the nodes beyond."""
    used = np.concatenate([np.ones((len(grown), 1), dtype=bool), grown], 1)
    number = (np.cumsum(used) - 1).reshape(used.shape)
    first, last = number[:, :-1][grown], number[:, 1:][grown]
    density = np.repeat(light, grown.sum(1))
    return Filaments(nodes[used].astype(np.float32), np.stack([first, last], -1), density.astype(np.float32), label)
