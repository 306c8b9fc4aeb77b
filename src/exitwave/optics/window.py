"""Windows: the part of a spectrum that one plane wave sends through the pupil."""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from exitwave import native
from exitwave.field import Wave
from exitwave.fourier import BLOCK, Band
from exitwave.grid import fast_length

if TYPE_CHECKING:
    from exitwave.optics.objective import Objective


class Window:
    """The frequencies of a wave that one plane wave brings into the pupil, and the grids that hold their image.

    `band` are the specimen's frequencies, fy (n, 1) and fx (1, m) those at which they travel, in 1/um: the specimen's
    and the plane wave's own `tilt` (2,). `size` is the smallest grid for the irradiance.
    """

    def __init__(self, wave: Wave, colour: int, tilt: Tensor, place: list[float], radius: float) -> None:
        self.canvas = wave.canvas
        self.wave, self.colour, self.tilt = wave, colour, tilt
        shape, spacing = self.canvas.grid.shape, self.canvas.grid.spacing
        self.step = (1 / (shape[0] * spacing[0]), 1 / (shape[1] * spacing[1]))
        first, count, size = [], [], []
        for axis, shift in enumerate(place):
            # A tilted beam brings frequencies up to its own beyond the pupil's rim into the image.
            if 2 * (radius + abs(shift)) * spacing[axis] > 1 + 1e-6:
                raise ValueError(
                    f"the pixel must be at most lambda / (2 (NA + tilt)) = {0.5 / (radius + abs(shift)):.3g} um to "
                    f"sample the field, got {spacing[axis]:g} um; use a finer grid or smaller apertures"
                )
            # Less a little: in single precision a whole number of steps may come out above itself.
            wide = min(2 * math.ceil(radius / self.step[axis] - 1e-3) + 3, shape[axis])
            first.append(round(-shift / self.step[axis]) - wide // 2)
            count.append(wide)
            size.append(fast_length(2 * wide))
        self.band = Band((first[0], first[1]), (count[0], count[1]))
        self.size = (size[0], size[1])
        fy, fx = self.band.frequencies(self.step, wave.medium)
        self.fy, self.fx = fy + self.tilt[0], fx + self.tilt[1]

    def passed(self, objective: Objective, spectra: Tensor) -> Tensor:
        """Return the fields' spectra (J, n, m) behind pupil, plate and polarisers from those of the wave (K, n, m)."""
        return self.analysed(objective, spectra) * self.kernel(objective, self.fy, self.fx)

    def analysed(self, objective: Objective, spectra: Tensor) -> Tensor:
        """Return what the polarisers leave of a wave's (K, n, m) components: (1, n, m), or all without polarisers."""
        if objective.polarization is None:
            return spectra
        weights = objective.polarization.weights(self.wave.wavelength[self.colour]).to(spectra.dtype)
        return torch.einsum("k,knm->nm", weights[: len(spectra)], spectra)[None]

    def kernel(self, objective: Objective, fy: Tensor, fx: Tensor) -> Tensor:
        """Return the complex factor of pupil and plate for light that travels at fy (n, 1), fx (1, m) in 1/um."""
        pupil = objective.pupil(fy, fx, self.step, self.wave, self.colour)
        if objective.plate is None:
            return pupil
        wavelength = self.wave.wavelength[self.colour]
        real, imaginary = objective.plate.factor(fy, fx, self.tilt, wavelength, self.step)
        return pupil * torch.complex(real, imaginary)

    def image(self, objective: Objective, spectra: Tensor) -> Tensor:
        """Return the irradiance on the coarse grid of a wave of `spectra` (K, n, m)."""
        return intensity(self.passed(objective, spectra), self.size, self.canvas.grid.shape)

    def columns(self, kernels: ModuleType, objective: Objective, spectra: Tensor) -> Iterator[Tensor]:
        """Yield what a pupil without aberrations leaves of spectra (J, n, m), turned over and padded: (m, size[0])."""
        numbers = pupil_numbers(objective, self.wave, self.colour)
        for spectrum in spectra.detach().resolve_conj():
            dense = spectrum if spectrum.stride(-1) == 1 else spectrum.contiguous()
            columns = dense.new_empty(dense.shape[1], self.size[0])
            kernels.pupil_times(
                spectrum=torch.view_as_real(dense),
                fy=self.fy.detach()[:, 0],
                fx=self.fx.detach()[0],
                step=self.step,
                field=torch.view_as_real(columns),
                threads=torch.get_num_threads(),
                **numbers,
            )
            yield columns

    def field(self, passed: Tensor) -> Tensor:
        """Return the image (H, W) of one field's spectrum (n, m), divided by the incident plane wave."""
        (height, width), (top, left) = self.canvas.grid.shape, self.band.first
        device = passed.device
        rows = torch.arange(top, top + passed.shape[0], device=device) % height
        columns = torch.arange(left, left + passed.shape[1], device=device) % width
        lines = torch.fft.ifft(passed.new_zeros(height, passed.shape[1]).index_copy(0, rows, passed), dim=0)
        lines = lines[self.canvas.image[0]]
        full = lines.new_zeros(lines.shape[0], width).index_copy(1, columns, lines)
        return torch.fft.ifft(full, dim=1)[:, self.canvas.image[1]]


def windows(objective: Objective, wave: Wave, colour: int, directions: Tensor) -> list[Window]:
    """Return the windows of plane waves of directions (S, 2), index times sine along (y, x)."""
    tilts = directions / wave.wavelength[colour]
    radius = objective.na.to(tilts) / wave.wavelength[colour]
    # One transfer from the device for all of them.
    *places, edge = torch.cat([tilts.flatten(), radius.reshape(1)]).detach().tolist()
    corners = [places[start : start + 2] for start in range(0, len(places), 2)]
    return [Window(wave, colour, tilt, corner, edge) for tilt, corner in zip(tilts, corners, strict=True)]


def intensity(fields: Tensor, size: tuple[int, int], shape: tuple[int, ...]) -> Tensor:
    """Return sum |field|^2 on a grid of `size` over spectra (J, n, m) that belong to a grid of `shape`.

    Where the spectra start changes the fields' phase only, not their square.
    """
    scale = scale_of(size, shape)
    kernels = compiled(fields.real)
    if kernels is not None:
        total = fields.real.new_zeros(size)
        for field in fields.detach():
            columns = field.new_zeros(field.shape[1], size[0])
            columns[:, : field.shape[0]] = field.mT
            expose(kernels, total, scale**2, columns)
        return total
    columns = torch.fft.ifft(fields.mT.contiguous() * scale, n=size[0], dim=-1).mT
    # A cache-full of rows at a time.
    parts = []
    for rows in columns.split(BLOCK, -2):
        field = torch.fft.ifft(rows, n=size[1], dim=-1)
        parts.append((field.real.square() + field.imag.square()).sum(0))
    return torch.cat(parts)


def exposed(
    total: Tensor, weight: Tensor, window: Window, objective: Objective, spectra: Tensor, recompute: bool
) -> Tensor:
    """Return an irradiance on the coarse grid, and `weight` times that of a wave of `spectra` (K, n, m) added to it.

    `total` is used up: without gradients the sum takes its memory. With `recompute` the backward pass computes the
    fields again, so that memory holds one point's at a time.
    """
    fields = window.analysed(objective, spectra)
    kernels = compiled_pupil(objective, window.wave, total, weight, fields.real, window.tilt)
    if kernels is not None:
        strength = float(weight) * scale_of(window.size, window.canvas.grid.shape) ** 2
        for columns in window.columns(kernels, objective, fields):
            expose(kernels, total, strength, columns)
        return total
    if recompute and torch.is_grad_enabled():
        found = checkpoint(window.image, objective, spectra, use_reentrant=False)
        assert isinstance(found, Tensor)
    else:
        found = window.image(objective, spectra)
    return total + weight * found


def scale_of(size: tuple[int, int], shape: tuple[int, ...]) -> float:
    """Return what the inverse transform on a grid of `size` of a spectrum that belongs to a grid of `shape` lacks."""
    return size[0] * size[1] / (shape[0] * shape[1])


def compiled(*tensors: Tensor) -> ModuleType | None:
    """Return the compiled kernels where they may work on all of `tensors` and nobody asks for a derivative."""
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return None
    return native.KERNELS if native.usable(*tensors) else None


def compiled_pupil(objective: Objective, wave: Wave, *tensors: Tensor) -> ModuleType | None:
    """Return the compiled kernels where they know an objective's pupil: one without plate and aberrations."""
    if objective.plate is not None or len(objective.zernike):
        return None
    optics = (objective.na.to(wave.medium), objective.defocus.to(wave.medium))
    return compiled(wave.medium, wave.wavelength, wave.plane, *optics, *tensors)


def pupil_numbers(objective: Objective, wave: Wave, colour: int) -> dict[str, float]:
    """Return what the compiled pupil depends on, lengths in um."""
    return {
        "na": min(float(objective.na), float(wave.medium[colour])),
        "wavelength": float(wave.wavelength[colour]),
        "medium": float(wave.medium[colour]),
        "height": float(objective.defocus) - float(wave.plane),
    }


def expose(kernels: ModuleType, total: Tensor, weight: float, columns: Tensor) -> None:
    """Add weight * |field|^2 to an irradiance (N, M); `columns` (m, N) are the field's spectrum, turned over."""
    threads = torch.get_num_threads()
    lines = torch.view_as_real(torch.fft.ifft(columns))
    # A cache-full of rows at a time; zeros stay behind them.
    block = columns.new_zeros(min(BLOCK, total.shape[0]), total.shape[1])
    for top in range(0, total.shape[0], BLOCK):
        part = total[top : top + BLOCK]
        spectrum = block[: part.shape[0]]
        kernels.turn_over(lines, top, torch.view_as_real(spectrum), threads)
        kernels.add_square(torch.view_as_real(torch.fft.ifft(spectrum)), weight, part, threads)
