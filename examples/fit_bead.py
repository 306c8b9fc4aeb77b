"""Fit a sphere in an in-line hologram: radius, index, height and place from one noisy image."""

from __future__ import annotations

from pathlib import Path

import exitwave as ew

OUT = Path("out/fit_bead")


def bead(radius: float, index: float, y: float, x: float, defocus: float) -> ew.Scene:
    """Return a sphere in a holographic microscope whose focus lies `defocus` micrometres above it."""
    beads = ew.Particles(ew.Sphere(), center=[[0.0, y, x]], size=[[radius]], index=[index])
    camera = ew.Camera(dose=3500.0, gain=0.025, bits=8)
    microscope = ew.hologram(na=0.6, wavelength=0.658, defocus=defocus, sensor=camera)
    return ew.Scene(ew.Specimen((beads,), medium=1.33), microscope, ew.Grid((128, 128), pixel=0.115))


def main() -> None:
    """Simulate a hologram, fit it from a start that is off in every number, and write the picture."""
    truth = bead(radius=1.1, index=1.40, y=0.40, x=-0.25, defocus=14.0)
    image = ew.render(truth, ew.Key(seed=0).generator("noise"))
    start = bead(radius=1.25, index=1.38, y=0.0, x=0.0, defocus=13.0)
    paths = {
        "radius": "specimen.parts.0.size",
        "index": "specimen.parts.0.index",
        "y": "specimen.parts.0.center.0.1",
        "x": "specimen.parts.0.center.0.2",
        "defocus": "microscope.optics.defocus",
    }
    result = ew.fit(start, image, free=list(paths.values()))
    print(f"{'':8s} {'truth':>8s} {'start':>8s} {'fitted':>9s}  standard error")
    for name, path in paths.items():
        true, first, last = (float(ew.get(scene, path)) for scene in (truth, start, result.scene))
        print(f"{name:8s} {true:8.4f} {first:8.4f} {last:9.5f}  {float(result.stderr[path]):.1e}")
    print(f"{result.message}, reduced chi-square {result.chi2:.3f}; picture {result.picture(OUT / 'fit.png')}")


if __name__ == "__main__":
    main()
