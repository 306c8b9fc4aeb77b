"""Yields of electrons relative to a flat support, from the names of two materials and an energy."""

from __future__ import annotations

import math

from exitwave.model import Value
from exitwave.specimen.electron_materials import ElectronMaterial, electron_material


class RelativeYield(Value):
    """What a body yields relative to a flat support of yield 1, and the depths that go with it, in micrometres.

    `secondary` and `backscatter` are those of `Particles`, `escape_depth` and `range` those of `SecondaryElectrons`.
    `scatter` is the factor by which published maxima of the two materials let both yields be larger or smaller.
    """

    secondary: float
    backscatter: float
    escape_depth: float
    range: float
    scatter: float


def relative_yield(
    body: ElectronMaterial | str,
    support: ElectronMaterial | str,
    energy: float,
    thickness: float = math.inf,
    efficiency: float = 3.0,
) -> RelativeYield:
    """Return the yields of a body on a support `thickness` micrometres thick, for electrons of 1 to 30 keV.

    Electrons that come back out free secondary electrons too, each beta = `efficiency` times as many as one that goes
    in: a thick piece yields delta = d (1 + beta eta), d being what the beam itself frees and eta the backscattering.
    beta is 2 to 5 (H. Drescher, L. Reimer, H. Seidel, Z. Angew. Phys. 29, 331, 1970; L. Reimer, Scanning Electron
    Microscopy, 2nd ed., Springer, 1998). A thin body adds little to the backscattering eta_s of its
    support and a thick one replaces it. With that of the body as a function of its thickness T,

        d (1 + beta eta(T)),   eta(T) = eta_s + (eta_b - eta_s) (1 - exp(-T / range)),

    the model's two terms are, over the support's yield d_s (1 + beta eta_s),

        secondary = d_b (1 + beta eta_s),   backscatter = d_b beta (eta_b - eta_s).

    Their sum is delta_b / delta_s, as it should. `backscatter` is 0 where the support scatters more than the body: then
    `secondary` holds for thin bodies, and a thick one is rendered too bright. A support of finite thickness, such as a
    carbon film, has eta_s (1 - exp(-thickness / depth)) in place of eta_s. Electrons that are detected without being
    secondary ones, those that hit the chamber, contamination and charge are not in it.

    >>> thick = relative_yield("gold", "silicon", 10.0)
    >>> round(thick.secondary, 2), round(thick.backscatter, 2)
    (1.75, 1.02)
    """
    body, support = _known(body), _known(support)
    if not thickness > 0:
        raise ValueError(f"thickness must be above 0 um, got {thickness:g}; leave it out for a thick support")
    if not 0 <= efficiency < math.inf:
        raise ValueError(f"efficiency must be 0 or more, got {efficiency:g}; published ones are 2 to 5")
    direct = [piece.secondary(energy) / (1 + efficiency * piece.backscatter(energy)) for piece in (body, support)]
    below = -support.backscatter(energy) * math.expm1(-thickness / support.backscatter_depth(energy))
    share = direct[0] / (direct[1] * (1 + efficiency * below))
    return RelativeYield(
        secondary=share * (1 + efficiency * below),
        backscatter=share * efficiency * max(0.0, body.backscatter(energy) - below),
        escape_depth=body.escape_depth,
        range=body.backscatter_depth(energy),
        scatter=math.exp(math.hypot(math.log(body.scatter), math.log(support.scatter))),
    )


def _known(entry: ElectronMaterial | str) -> ElectronMaterial:
    return electron_material(entry) if isinstance(entry, str) else entry
