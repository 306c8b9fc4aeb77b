"""The compiled kernels; sources in native/. `exitwave.native` says whether they are there.

Tensors are dense and on the CPU, in single precision (those of `cover` and tilts in double); they are passed detached.
"""

from torch import Tensor

def level() -> str: ...
def splat_forward(
    body: int,
    rows: Tensor,
    scale: Tensor,
    position: Tensor,
    altitude: Tensor,
    weights: Tensor,
    spacing: tuple[float, float, float],
    slabs: tuple[float, float] | None,
    maps: Tensor,
    add: bool,
    threads: int,
) -> None: ...
def splat_adjoint(
    body: int,
    rows: Tensor,
    scale: Tensor,
    position: Tensor,
    altitude: Tensor,
    weights: Tensor,
    spacing: tuple[float, float, float],
    slabs: tuple[float, float] | None,
    maps: Tensor,
    by_rows: Tensor,
    by_scale: Tensor,
    by_position: Tensor,
    by_altitude: Tensor,
    by_weights: Tensor,
    threads: int,
) -> None: ...
def exit_wave(cycles: Tensor, absorbance: Tensor | None, wave: Tensor, threads: int) -> None: ...
def exit_wave_adjoint(
    cycles: Tensor,
    absorbance: Tensor | None,
    from_wave: Tensor,
    to_cycles: Tensor,
    to_absorbance: Tensor | None,
    threads: int,
) -> None: ...
def cover(
    body: int,
    rows: Tensor,
    position: Tensor,
    altitude: Tensor,
    pixel: tuple[float, float],
    touch: float,
    first: int,
    depth: Tensor,
    ids: Tensor,
    area: Tensor,
    inside: Tensor,
    threads: int,
) -> None: ...
def pupil_times(
    spectrum: Tensor,
    fy: Tensor,
    fx: Tensor,
    na: float,
    wavelength: float,
    medium: float,
    height: float,
    step: tuple[float, float],
    field: Tensor,
    threads: int,
) -> None: ...
def modes(
    rows: Tensor,
    columns: Tensor,
    tilt: Tensor,
    amplitude: Tensor,
    na: float,
    wavelength: float,
    medium: float,
    height: float,
    step: tuple[float, float],
    mixing: Tensor | None,
    field: Tensor,
    threads: int,
) -> float: ...
def turn_over(source: Tensor, first: int, target: Tensor, threads: int) -> None: ...
def add_square(field: Tensor, weight: float, total: Tensor, threads: int) -> None: ...
def shot_noise(
    image: Tensor, down: Tensor, across: Tensor, bright: float, vignette: float, few: float, drawn: Tensor
) -> bool: ...
def convert(
    electrons: Tensor,
    noise: Tensor,
    gain: Tensor,
    offset: Tensor,
    read_noise: Tensor,
    full: float,
    white: float,
    counts: Tensor,
) -> None: ...
def order_fragments(sample: Tensor, top: Tensor, samples: int, order: Tensor) -> None: ...
def pass_forward(sample: Tensor, through: Tensor, above: Tensor, below: Tensor) -> None: ...
def pass_adjoint(
    sample: Tensor, through: Tensor, above: Tensor, by_above: Tensor, by_below: Tensor, by_through: Tensor
) -> None: ...
def fragment_extents(
    body: int,
    rows: Tensor,
    scale: Tensor,
    position: Tensor,
    altitude: Tensor,
    height: int,
    width: int,
    spacing: tuple[float, float, float],
    extent: Tensor,
    most: Tensor,
    threads: int,
) -> None: ...
def find_fragments(
    body: int,
    rows: Tensor,
    scale: Tensor,
    position: Tensor,
    altitude: Tensor,
    height: int,
    width: int,
    spacing: tuple[float, float, float],
    touch: float,
    extent: Tensor,
    count: Tensor,
    sample: Tensor,
    top: Tensor,
    bottom: Tensor,
    slope: Tensor,
    share: Tensor,
    threads: int,
) -> None: ...
def fragments_adjoint(
    body: int,
    rows: Tensor,
    scale: Tensor,
    position: Tensor,
    altitude: Tensor,
    height: int,
    width: int,
    spacing: tuple[float, float, float],
    count: Tensor,
    sample: Tensor,
    by_top: Tensor,
    by_bottom: Tensor,
    by_slope: Tensor,
    by_share: Tensor,
    by_rows: Tensor,
    by_scale: Tensor,
    by_position: Tensor,
    by_altitude: Tensor,
    threads: int,
) -> None: ...
def strike(
    rows: Tensor,
    faces: int,
    y: Tensor,
    x: Tensor,
    edge: Tensor,
    face: Tensor,
    met: Tensor,
    flat: Tensor,
    threads: int,
) -> None: ...
def nearest(
    rows: Tensor, faces: int, y: Tensor, x: Tensor, edge: Tensor, line: Tensor, outside: Tensor, threads: int
) -> None: ...
