"""Design: what a planned measurement would tell, before it is made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from exitwave.fit.coordinates import Coordinates, coordinates
from exitwave.fit.linear import FEW, affordable, jacobian, locality
from exitwave.fit.problem import Problem, weights_of
from exitwave.fit.slopes import Slopes
from exitwave.fit.uncertainty import Information, information
from exitwave.fit.unknown import Unknown, unknowns
from exitwave.model import get, paths, substitute
from exitwave.render import render
from exitwave.scene import Scene

# The factor by which a second image must help to be named.
_HELPS = 3.0


@dataclass(frozen=True)
class Design:
    """The Cramer-Rao bounds of a measurement: no unbiased estimate has smaller standard errors.

    `values`, `stderr`, `covariance`, `condition`, `names` and `notes` are what they are in a `FitResult`; the notes
    also name a second measurement that tells what this one does not.
    """

    values: dict[str, Tensor]
    stderr: dict[str, Tensor]
    covariance: Tensor
    condition: float
    names: list[str]
    notes: tuple[str, ...]


def design(scene: Scene | Sequence[Scene], free: Sequence[str | Unknown]) -> Design:
    """Return the smallest standard errors that images of a scene, or of several with common unknowns, allow.

    The Fisher information of independent pixels, J^T W J with the sensor's own variance, and that of the priors
    (Kay, Fundamentals of Statistical Signal Processing, vol. 1, 1993). Unknowns and scenes are those of `fit`.

    >>> import exitwave as ew
    >>> bead = ew.Particles(ew.Sphere(), center=[[0, 0, 0]], size=[[1.0]], index=[1.40])
    >>> scene = ew.Scene(ew.Specimen((bead,), medium=1.33), ew.quantitative_phase(), ew.Grid((48, 48), 0.1))
    >>> bounds = design(scene, ["specimen.parts.0.size", "specimen.parts.0.index"])
    >>> float(bounds.stderr["specimen.parts.0.index"]) < 1e-3
    True
    """
    scenes = tuple(s.to(torch.float64) for s in ((scene,) if isinstance(scene, Scene) else tuple(scene)))
    for number, one in enumerate(scenes):
        if not one.microscope.sensor.noisy:
            kind = type(one.microscope.sensor).__name__
            raise ValueError(f"a design needs a sensor with noise, got {kind} in scene {number}; use a Camera")
    found = coordinates(scenes, unknowns(free))
    found.check_starts()
    known = _information(found)
    values = {block.name: start for block, start in zip(found.blocks, found.starts(), strict=True)}
    stderr = {b.name: known.stderr[b.start : b.start + b.count].reshape(b.shape) for b in found.blocks}
    notes = tuple(statements(found, known))
    return Design(values, stderr, known.covariance, known.condition, found.names(), notes)


def _information(found: Coordinates) -> Information:
    with torch.no_grad():
        images = tuple(render(scene) for scene in found.scenes)
    shown = tuple(torch.zeros(image.shape, dtype=torch.bool) for image in images)
    problem = Problem(found, images, weights_of(found.scenes, images, shown))
    if not affordable(problem):
        raise ValueError(
            f"a design takes one rendering for every unknown number, got {found.count:,}; free fewer particles"
        )
    vector = found.vector()
    near = locality(problem)
    slope = jacobian(problem.residual, found.split(vector))[1] if near is None else None
    if slope is not None:
        return information((slope.T @ slope).numpy(), found.slopes(vector), found.names())
    assert near is not None
    sparse = Slopes(near).jacobian(problem, vector)
    return information(sparse.T @ sparse, found.slopes(vector), found.names())


def statements(found: Coordinates, known: Information) -> list[str]:
    """Return in words what images cannot tell, and the second image beside the first that would tell it best.

    Every candidate is computed: what helps depends on the specimen.
    """
    names, ratio = found.names(), _looseness(found, known)
    loose = [
        f"{names[n]} is known no better than to its range: standard error {float(known.stderr[n]):.2g}"
        for n in torch.nonzero(torch.isfinite(ratio) & (ratio > 1))[:, 0].tolist()
    ]
    told = [*known.blind, *known.weak, *loose]
    if not told or found.count > FEW:
        return told
    unknown = [block.unknown for block in found.blocks]
    worst = int(ratio.argmax())
    results = []
    for what, change in _candidates(found.scenes[0]):
        try:
            more = coordinates((*found.scenes, substitute(found.scenes[0], change)), unknown)
            better = _information(more)
        except ValueError:
            continue  # an image that this microscope cannot make
        results.append((float(_looseness(more, better).max()), float(better.stderr[worst]), what))
    if not results:
        return told
    best, error, what = min(results)
    if best < 1 and best * _HELPS < float(ratio.max()):
        return [*told, f"a second image with {what} would tell: {names[worst]} to +- {error:.2g}"]
    tried = ", ".join(what for _, _, what in results)
    return [*told, f"no second image would tell, not with {tried}; fix one of these numbers, or give it a prior"]


def _looseness(found: Coordinates, known: Information) -> Tensor:
    """Return the standard errors (P,) as shares of how far every number is from the nearest end of its range."""
    reach = []
    for block, start in zip(found.blocks, found.starts(), strict=True):
        reach.append(torch.minimum(start - block.low, block.high - start).flatten())
    return known.stderr / torch.cat(reach)


def _candidates(scene: Scene) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield measurements that could be added: what is different, and the changes of the scene."""
    known = paths(scene)
    wavelength = get(scene, "microscope.illumination.wavelength")
    medium, na = scene.specimen.medium, scene.microscope.optics.na
    depth = float(wavelength.max() * medium / na**2)
    for number in (1.0, 3.0):
        moved = number * depth
        yield (
            f"the focus moved by {moved:.3g} um",
            {"microscope.optics.defocus": get(scene, "microscope.optics.defocus") + moved},
        )
    yield (
        f"{0.8 * float(wavelength.max()):.3g} um of wavelength",
        {"microscope.illumination.wavelength": 0.8 * wavelength},
    )
    yield f"a medium of index {float(medium) + 0.02:.4g}", {"specimen.medium": medium + 0.02}
    if "microscope.illumination.condenser_na" in known:
        aperture = 0.5 * get(scene, "microscope.illumination.condenser_na")
        yield f"a condenser aperture of {float(aperture):.3g}", {"microscope.illumination.condenser_na": aperture}
