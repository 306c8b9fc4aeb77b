"""What the benchmarks share: data, times and differences."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

DATA = Path(__file__).parents[3] / "shared/data"
SPOT = DATA / "meshes/spot.obj"


def median(run: Callable[[], object], repeats: int = 7) -> tuple[float, float]:
    """Return the median time of a run in seconds on the clock and of the processor, after one that does not count."""
    run()
    clock, processor = [], []
    for _ in range(repeats):
        before = time.perf_counter(), time.process_time()
        run()
        clock.append(time.perf_counter() - before[0])
        processor.append(time.process_time() - before[1])
    return statistics.median(clock), statistics.median(processor)


def apart(found: Tensor, expected: Tensor) -> float:
    """Return the relative L2 difference."""
    return float((found.to(expected) - expected).norm() / expected.norm())
