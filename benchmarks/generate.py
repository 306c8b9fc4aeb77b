"""Datasets: annotated images written per second and core, and where the time goes.

python -m benchmarks.generate [--recipe lysozyme] [--images 40] [--format yolo-obb]

The first twelve images are also drawn for the contact sheet, which a dataset of any size pays for once: it shows in
"encode" and "finish", and the more images, the less.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import exitwave as ew


def main() -> None:
    """Generate into a temporary folder with one worker of one thread, and print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--recipe", default="lysozyme")
    options.add_argument("--images", type=int, default=40)
    options.add_argument("--format", default="yolo-obb")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ew.generate(chosen.recipe, Path(folder) / "warm", n=1, format=chosen.format, progress=False)
        start = time.process_time()
        run = ew.generate(chosen.recipe, Path(folder) / "run", n=chosen.images, format=chosen.format, progress=False)
        spent = time.process_time() - start
    print(
        f"{chosen.recipe}, {chosen.images} images, {chosen.format}: {chosen.images / spent:.2f} images per CPU second"
    )
    total = sum(run.seconds.values())
    for stage, seconds in sorted(run.seconds.items(), key=lambda item: -item[1]):
        print(f"  {stage:10s} {1e3 * seconds / chosen.images:8.1f} ms per image {seconds / total:6.1%}")


if __name__ == "__main__":
    main()
