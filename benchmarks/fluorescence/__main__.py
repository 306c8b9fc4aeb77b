"""Fluorescence: images of meshes and their slopes, point spread functions, and shapes back out of stacks.

python -m benchmarks.fluorescence [--only spectrum,scaling,psf,shape,foam,ovule] [--threads 2]

spectrum   spot.obj at 100^3 and 200^3 against the closed form, and against a direct sum over the same frequencies
scaling    spheres of 10^2 to 10^6 triangles, volumes of 32^3 to 512^3, and a volume written slab by slab
psf        a vectorial point spread function of 128 x 128 x 64 against dense quadrature, and beside psf_generator's
shape      spot.obj back out of its stack at 64^3, from a sphere, the point spread function unknown; with noise too
foam       eight cells from their stack, from seeds alone
ovule      a real stack of membranes, from labels that are eroded and shifted
"""

from __future__ import annotations

import argparse

import torch

from benchmarks.fluorescence.lenses import psf
from benchmarks.fluorescence.shapes import foam, ovule, shape
from benchmarks.fluorescence.spectra import scaling, spectrum

PARTS = {"spectrum": spectrum, "scaling": scaling, "psf": psf, "shape": shape, "foam": foam, "ovule": ovule}


def main() -> None:
    """Run the chosen parts."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", default=",".join(PARTS), help="parts, with commas between them")
    options.add_argument("--threads", type=int, default=2)
    chosen = options.parse_args()
    names = chosen.only.split(",")
    if unknown := [name for name in names if name not in PARTS]:
        options.error(f"expected parts of {', '.join(PARTS)}, got {unknown[0]}")
    torch.set_num_threads(chosen.threads)
    for name in names:
        PARTS[name]()


if __name__ == "__main__":
    main()
