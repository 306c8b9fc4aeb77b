"""The main job in both directions: an annotated dataset from a recipe, and a bead's radius and index from an image.

Everything goes to out/demo, in place of what an earlier run left there.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import exitwave as ew
from exitwave.data import generate
from exitwave.fit.result import digits

OUT = Path("out/demo")
RADIUS, INDEX, MEDIUM = 6.0, 1.345, 1.335


def dataset() -> None:
    """Write eight annotated images of lysozyme crystals, in three label formats."""
    print("1. A dataset: 8 images of lysozyme crystals with labels as YOLO-OBB, COCO and masks")
    shutil.rmtree(OUT / "lysozyme", ignore_errors=True)
    run = generate("lysozyme", OUT / "lysozyme", n=8, seed=0, format="yolo-obb,coco,masks", workers=2)
    spent = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in run.seconds.items())
    print(
        f"   {run.written} images written, {run.reused} were there; {run.elapsed:.1f} s on the clock with 2 processes"
    )
    print(f"   {spent}\n")


def bead(radius: float, index: float, y: float, x: float, offset: float, tilt: tuple[float, float]) -> ew.Scene:
    """Return one bead in a quantitative phase microscope, on a background with an offset and a slope."""
    beads = ew.Particles(ew.Sphere(), center=[[0.0, y, x]], size=[[radius]], index=[index], label="bead")
    sensor = ew.Interferometer(offset=offset, tilt=tilt, noise=0.03)
    microscope = ew.quantitative_phase(na=0.5, wavelength=0.55, sensor=sensor)
    return ew.Scene(ew.Specimen((beads,), medium=MEDIUM), microscope, ew.Grid((160, 160), pixel=0.13))


def fit() -> ew.FitResult:
    """Return the fit of a simulated noisy image, from a start that is far off."""
    print("2. A fit: radius and index of a bead from one noisy phase image")
    truth = bead(RADIUS, INDEX, y=0.9, x=-0.6, offset=0.15, tilt=(0.004, -0.002))
    image = ew.render(truth, ew.Key(seed=0).generator("noise"))
    # 20 % off in radius, 50 % off in index difference, and ignorant of where the bead lies and of the background.
    start = bead(1.2 * RADIUS, MEDIUM + 0.5 * (INDEX - MEDIUM), y=0.0, x=0.0, offset=0.0, tilt=(0.0, 0.0))
    free = [
        "specimen.parts.0.size",
        "specimen.parts.0.index",
        "specimen.parts.0.center.0.1",
        "specimen.parts.0.center.0.2",
        "microscope.sensor.offset",
        "microscope.sensor.tilt",
    ]
    result = ew.fit(start, image, free=free)
    print(f"   {result.message}; reduced chi-square {result.chi2:.3f}")
    print("             truth     start     fitted    standard error")
    for name, path, true in (("radius, um", free[0], RADIUS), ("index", free[1], INDEX)):
        first, last, error = (
            float(number) for number in (ew.get(start, path), result.values[path], result.stderr[path])
        )
        print(f"   {name:10s} {true:<9.5g} {first:<9.5g} {digits(last, error):<9s} {error:.1e}")
    return result


def main() -> None:
    """Run both and tell where the results lie."""
    dataset()
    picture = fit().picture(OUT / "bead-fit.png")
    folder = OUT / "lysozyme"
    print("\nWhere to look")
    print(f"   dataset        {folder}  (images, labels, annotations, masks, truth.csv, manifest.json)")
    print(f"   contact sheet  {folder / 'sheet.png'}")
    print(f"   fit            {picture}")


if __name__ == "__main__":
    main()
