"""The objective: a pupil that images a wave."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from exitwave.field import Source, Wave
from exitwave.grid import fast_length
from exitwave.model import Value
from exitwave.optics.zernike import zernike
from exitwave.quantity import Quantity, param

Transfer = Callable[[Tensor, Tensor], Tensor | None]


class Objective(Value):
    """An aplanatic objective and tube lens: light within `na` passes, with the phase of defocus and aberrations.

    P(f) = exp(i (k_z(f) - k_z(0)) (defocus - z) + 2 pi i sum_j c_j Z_j(f lambda / na)) for |f| <= na / lambda, with
    k_z = 2 pi sqrt(n^2 / lambda^2 - f^2) in the medium. |P| = 1: a wave's square is its flux through the plane, which
    an aplanatic lens hands on; the sqrt(cos theta) of apodisation stands between that and the electric field (Richards
    and Wolf, Proc. R. Soc. A 253, 358, 1959). `defocus` is the height of the plane in focus.
    `zernike` holds coefficients in waves RMS of Noll's terms 5, 6, 7, ...: piston is not observable, and tilt and
    focus have parameters of their own. `index` is that of the immersion.
    """

    na: Quantity = param("1", low=0.0, high=1.7, exclusive=True, default=0.5, doc="numerical aperture")
    defocus: Quantity = param("um", low=-1e4, high=1e4, default=0.0, doc="height z of the plane in focus")
    zernike: Quantity = param("wave", low=-10.0, high=10.0, dims=("K",), default=(), doc="Noll terms 5, 6, ...")
    index: Quantity = param("1", low=1.0, high=2.5, default=1.0, doc="refractive index of the immersion")

    def check(self) -> None:
        na, index = float(self.na.detach()), float(self.index.detach())
        if na >= index:
            raise ValueError(
                f"na must be below the immersion index {index:g}, got {na:g}; use a water (index=1.33) or an oil "
                "objective (index=1.515)"
            )

    def reach(self, source: Source, medium: Tensor, plane: Tensor) -> float:
        """Return how far in micrometres a point of the specimen spreads in the image, tails of the pupil included."""
        with torch.no_grad():
            sine = float(self.na) / float(medium.min())
            tangent = min(sine, 0.99) / math.sqrt(1 - min(sine, 0.99) ** 2)
            longest = float(source.wavelength.max())
            return abs(float(self.defocus) - float(plane)) * tangent + 6 * longest / float(self.na)

    def pupil(self, fy: Tensor, fx: Tensor, step: tuple[float, float], wave: Wave, colour: int) -> Tensor:
        """Return the complex pupil at frequencies fy (n, 1), fx (1, m) in 1/um; its rim is one frequency step soft.

        The soft rim stands for the share of a frequency cell that lies inside; it makes the image differentiable in
        `na`.
        """
        like = wave.medium
        wavelength, medium = wave.wavelength[colour], wave.medium[colour]
        na = self.na.to(like)
        square = fy * fy + fx * fx
        radius = torch.sqrt(square + 1e-20)
        inside = ((na / wavelength - radius) / (step[0] * step[1]) ** 0.5 + 0.5).clamp(0.0, 1.0)
        inside = inside * inside * (3.0 - 2.0 * inside)
        cosine = torch.sqrt((1.0 - square * (wavelength / medium) ** 2).clamp(min=1e-6))
        # k_z(f) - k_z(0), without the cancellation of two large numbers.
        axial = -2 * math.pi * square * (wavelength / medium) / (1.0 + cosine)
        phase = axial * (self.defocus.to(like) - wave.plane)
        for number, coefficient in enumerate(self.zernike.to(like)):
            scale = wavelength / na
            phase = phase + 2 * math.pi * coefficient * zernike(number + 5, fy * scale, fx * scale)
        return torch.complex(inside * torch.cos(phase), inside * torch.sin(phase))

    def field(self, wave: Wave, source: Source) -> Tensor:
        """Return the complex amplitude (L, H, W) in the image plane of a coherent source; the empty field is 1."""
        if len(source.weight) != 1:
            raise ValueError(
                f"a field needs coherent light, got a source of {len(source.weight)} points; set condenser_na to 0 "
                "(Coherent illumination)"
            )
        height, width = wave.canvas.grid.shape
        planes = []
        for colour in range(len(source.wavelength)):
            window = _Window(self, wave, colour, source.direction[0].to(wave.medium))
            passed = window.passed(self, wave.spectrum(colour, source.direction[0]))
            full = passed.new_zeros(height, width)
            full[window.rows[:, None], window.columns[None]] = passed
            image = torch.fft.ifft2(full)[wave.canvas.image]
            # Relative to the empty field, whose spectrum is the pupil at the direction of incidence.
            planes.append(image / window.straight(self))
        return torch.stack(planes)

    def irradiance(self, wave: Wave, source: Source, transfer: Transfer) -> Tensor:
        """Return the irradiance (L, H, W) in the image plane, 1 where the specimen is empty.

        Abbe's sum over source points s of |F^-1{P(f + s) T(f)}|^2. The pupil passes a small part of the spectrum, so
        every inverse transform is done on the smallest grid that holds the intensity's band 2 NA / lambda, and the
        sum is interpolated once, exactly, through its Fourier transform; `transfer` acts there.
        """
        height, width = wave.canvas.grid.shape
        planes = []
        for colour in range(len(source.wavelength)):
            total: Tensor | None = None
            empty = wave.medium.new_zeros(())
            for direction, weight in zip(source.direction.to(wave.medium), source.weight.to(wave.medium), strict=True):
                window = _Window(self, wave, colour, direction)
                spectrum = wave.spectrum(colour, direction)
                if spectrum.requires_grad and torch.is_grad_enabled() and len(source.weight) > 4:
                    # Keep one point's fields at a time; the backward pass computes them again.
                    bright = checkpoint(window.intensity, self, spectrum, use_reentrant=False)
                else:
                    bright = window.intensity(self, spectrum)
                assert isinstance(bright, Tensor)
                total = weight * bright if total is None else total + weight * bright
                empty = empty + weight * window.straight(self).abs() ** 2
            assert total is not None
            if float(empty.detach()) <= 1e-12:
                raise ValueError(
                    f"no light of the source passes the objective of NA {float(self.na):g}; lower condenser_na or tilt"
                )
            planes.append(_interpolate(total / empty, (height, width), wave.canvas.grid.spacing, transfer))
        return torch.stack(planes)[(slice(None), *wave.canvas.image)]


class _Window:
    """The part of a spectrum that one plane wave sends through the pupil."""

    def __init__(self, objective: Objective, wave: Wave, colour: int, direction: Tensor) -> None:
        shape, spacing = wave.canvas.grid.shape, wave.canvas.grid.spacing
        self.wave, self.colour = wave, colour
        self.direction = direction / wave.wavelength[colour]
        self.step = (1 / (shape[0] * spacing[0]), 1 / (shape[1] * spacing[1]))
        self.samples = shape[0] * shape[1]
        radius = float(objective.na.detach()) / float(wave.wavelength[colour].detach())
        axes, sizes = [], []
        for axis in range(2):
            # A tilted beam brings frequencies up to its own beyond the pupil's rim into the image.
            highest = radius + abs(float(self.direction[axis].detach()))
            if 2 * highest * spacing[axis] > 1 + 1e-9:
                raise ValueError(
                    f"the pixel must be at most lambda / (2 (NA + tilt)) = {0.5 / highest:.3g} um to sample the "
                    f"field, got {spacing[axis]:g} um; use a finer grid or smaller apertures"
                )
            count = min(2 * math.ceil(radius / self.step[axis]) + 3, shape[axis])
            start = round(-float(self.direction[axis].detach()) / self.step[axis]) - count // 2
            axes.append(torch.arange(start, start + count, device=wave.medium.device))
            sizes.append(fast_length(2 * count))
        (self.rows, self.columns), self.shape, self.size = (
            [a % n for a, n in zip(axes, shape, strict=True)],
            shape,
            sizes,
        )
        self.fy = axes[0].to(wave.medium)[:, None] * self.step[0] + self.direction[0]
        self.fx = axes[1].to(wave.medium)[None] * self.step[1] + self.direction[1]

    def passed(self, objective: Objective, spectrum: Tensor) -> Tensor:
        """Return the spectrum behind the pupil, on the window's frequencies."""
        near = spectrum.index_select(0, self.rows).index_select(1, self.columns)
        return near * objective.pupil(self.fy, self.fx, self.step, self.wave, self.colour)

    def intensity(self, objective: Objective, spectrum: Tensor) -> Tensor:
        """Return |field|^2 on the coarse grid; where the window starts changes the field's phase only."""
        field = torch.fft.ifft2(self.passed(objective, spectrum), s=tuple(self.size))
        scale = self.size[0] * self.size[1] / self.samples
        return (field.real**2 + field.imag**2) * scale**2

    def straight(self, objective: Objective) -> Tensor:
        """Return the pupil where undiffracted light passes it."""
        fy, fx = self.direction[0].reshape(1, 1), self.direction[1].reshape(1, 1)
        return objective.pupil(fy, fx, self.step, self.wave, self.colour)[0, 0]


def _interpolate(coarse: Tensor, shape: tuple[int, ...], spacing: tuple[float, ...], transfer: Transfer) -> Tensor:
    """Return a band-limited image on a grid of `shape` over the same field, by padding its Fourier transform."""
    rows, columns = coarse.shape
    # A canvas coarser than the band is computed finer and sampled.
    fold = [-(-n // m) for n, m in zip((rows, columns), shape, strict=True)]
    fine = [m * f for m, f in zip(shape, fold, strict=True)]
    half = ((rows - 1) // 2, (columns - 1) // 2)
    spectrum = torch.fft.rfft2(coarse)
    fy = torch.fft.fftfreq(rows, spacing[0] * shape[0] / rows, dtype=coarse.dtype, device=coarse.device)[:, None]
    fx = torch.fft.rfftfreq(columns, spacing[1] * shape[1] / columns, dtype=coarse.dtype, device=coarse.device)[None]
    response = transfer(fy, fx)
    if response is not None:
        spectrum = spectrum * response
    padded = spectrum.new_zeros(fine[0], fine[1] // 2 + 1)
    padded[: half[0] + 1, : half[1] + 1] = spectrum[: half[0] + 1, : half[1] + 1]
    padded[fine[0] - half[0] :, : half[1] + 1] = spectrum[rows - half[0] :, : half[1] + 1]
    image = torch.fft.irfft2(padded, s=tuple(fine)) * (fine[0] * fine[1] / (rows * columns))
    return image[:: fold[0], :: fold[1]]
