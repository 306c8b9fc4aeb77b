"""Memory: what a volume will take, told before it is computed."""

from __future__ import annotations

import math
from pathlib import Path

from exitwave.lattice import Lattice

# Arrays of the box's samples and of its kept frequencies that are held at once, the backward pass's included.
_BOXES, _SPECTRA = 6, 5


def predicted_memory(lattice: Lattice, size: int) -> int:
    """Return the bytes that rendering a volume takes at most, for numbers of `size` bytes."""
    box, spectrum = math.prod(lattice.shape), math.prod(lattice.bands)
    # The grid that emitters are spread on is half as fine again as the frequencies along every axis.
    spread = 3.4 * 2 * spectrum
    return int(size * (_BOXES * max(box, spread) + 2 * _SPECTRA * spectrum))


def require_memory(lattice: Lattice, size: int, limit: float | None) -> None:
    """Raise a one-line error where a volume does not fit into `limit` GiB, or into what is free."""
    need = predicted_memory(lattice, size) / 2**30
    held = free_memory() if limit is None else limit
    if need > held:
        box = " x ".join(map(str, lattice.shape))
        raise MemoryError(
            f"a volume computed on {box} samples needs about {need:.3g} GiB, got {held:.3g} GiB "
            f"{'free' if limit is None else 'allowed by Emission.memory'}; write it slab by slab with save_volume"
        )


def free_memory() -> float:
    """Return the memory in GiB that is free; infinite where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) / 2**20 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError, IndexError):
        return math.inf
