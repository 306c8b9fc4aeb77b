"""The objective: a pupil that images a wave."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from exitwave.field import Source, Wave
from exitwave.fourier import Response, image, union
from exitwave.model import Value
from exitwave.optics.contrast import Polarization, Reference
from exitwave.optics.modes import modes
from exitwave.optics.window import Window, exposed, windows
from exitwave.optics.zernike import steepness, zernike
from exitwave.quantity import Quantity, param


class Objective(Value):
    """An aplanatic objective and tube lens: light within `na` passes, with the phase of defocus and aberrations.

    P(f) = exp(i (k_z(f) - k_z(0)) (defocus - z) + 2 pi i sum_j c_j Z_j(f lambda / na)) for |f| <= na / lambda, with
    k_z = 2 pi sqrt(n^2 / lambda^2 - f^2) in the medium. |P| = 1: a wave's square is its flux through the plane, which
    an aplanatic lens hands on; the sqrt(cos theta) of apodisation stands between that and the electric field (Richards
    and Wolf, Proc. R. Soc. A 253, 358, 1959). `defocus` is the height of the plane in focus.
    `zernike` holds coefficients in waves RMS of Noll's terms 5, 6, 7, ...: piston is not observable, and tilt and
    focus have parameters of their own. `index` is that of the immersion. `plate` is what stands in the pupil
    (`PhaseRing`, `Shear`), `polarization` the polarisers, `reference` a beam that interferes with the image.

    The image is relative to the light of the whole source: 1 in an empty brightfield, 0 in an empty darkfield.
    """

    na: Quantity = param("1", low=0.0, high=1.7, exclusive=True, default=0.5, doc="numerical aperture")
    defocus: Quantity = param("um", low=-1e4, high=1e4, default=0.0, doc="height z of the plane in focus")
    zernike: Quantity = param("wave", low=-10.0, high=10.0, dims=("K",), default=(), doc="Noll terms 5, 6, ...")
    index: Quantity = param("1", low=1.0, high=2.5, default=1.0, doc="refractive index of the immersion")
    plate: Any = None
    polarization: Polarization | None = None
    reference: Reference | None = None

    def check(self) -> None:
        na, index = float(self.na.detach()), float(self.index.detach())
        if na >= index:
            raise ValueError(
                f"na must be below the immersion index {index:g}, got {na:g}; use a water (index=1.33) or an oil "
                "objective (index=1.515)"
            )
        for name, kind in (("plate", Value), ("polarization", Polarization), ("reference", Reference)):
            item = getattr(self, name)
            if item is not None and not isinstance(item, kind):
                remedy = "a PhaseRing or Shear" if name == "plate" else f"a {kind.__name__}"
                raise TypeError(f"Objective.{name} must be {remedy}, got {type(item).__name__}; or leave it out")

    def reach(self, source: Source, medium: Tensor, heights: tuple[float, float]) -> float:
        """Return how far in micrometres a point between two heights spreads in the image, tails included."""
        with torch.no_grad():
            sine = min(float(self.na) / float(medium.min()), 0.99)
            tangent = sine / math.sqrt(1 - sine**2)
            resolution = float(source.wavelength.max()) / float(self.na)
            depth = max(abs(float(self.defocus) - height) for height in heights)
            # Tilted light crosses a deep specimen at its own angle.
            steepest = min(float(torch.linalg.vector_norm(source.direction, dim=-1).max() / medium.min()), 0.99)
            slant = (heights[1] - heights[0]) * steepest / math.sqrt(1 - steepest**2)
            # Rays land where the aberration's slope sends them.
            aberration = sum(abs(float(c)) * steepness(number + 5) for number, c in enumerate(self.zernike))
            spread = 0.0 if self.plate is None else self.plate.spread
            return depth * tangent + slant + (6 + aberration) * resolution + spread

    def phase(self, fy: Tensor, fx: Tensor, wave: Wave, colour: int) -> Tensor:
        """Return the pupil's phase in radians at frequencies fy (n, 1), fx (1, m) in 1/um."""
        like = wave.medium
        wavelength, medium = wave.wavelength[colour], wave.medium[colour]
        square = fy * fy + fx * fx
        cosine = torch.sqrt((1.0 - square * (wavelength / medium) ** 2).clamp(min=1e-6))
        # k_z(f) - k_z(0), without the cancellation of two large numbers.
        distance = (-2 * math.pi) * (wavelength / medium) * (self.defocus.to(like) - wave.plane)
        phase = square * (distance / (1.0 + cosine))
        scale = wavelength / self.na.to(like)
        for number, coefficient in enumerate(self.zernike.to(like)):
            phase = phase + 2 * math.pi * coefficient * zernike(number + 5, fy * scale, fx * scale)
        return phase

    def aperture(self, wave: Wave, colour: int) -> Tensor:
        """Return the numerical aperture that light from the medium can fill: at most the medium's index."""
        return torch.minimum(self.na.to(wave.medium), wave.medium[colour])

    def pupil(self, fy: Tensor, fx: Tensor, step: tuple[float, float], wave: Wave, colour: int) -> Tensor:
        """Return the complex pupil at frequencies fy (n, 1), fx (1, m) in 1/um; its rim is one frequency step soft.

        The soft rim stands for the share of a frequency cell that lies inside; it makes the image differentiable in
        `na`.
        """
        radius = torch.sqrt(fy * fy + fx * fx + 1e-20)
        edge = self.aperture(wave, colour) / wave.wavelength[colour]
        inside = ((edge - radius) / (step[0] * step[1]) ** 0.5 + 0.5).clamp(0.0, 1.0)
        inside = inside * inside * (3.0 - 2.0 * inside)
        phase = self.phase(fy, fx, wave, colour)
        return torch.complex(inside * torch.cos(phase), inside * torch.sin(phase))

    def field(self, wave: Wave, source: Source, response: Response | None = None) -> Tensor:
        """Return the complex amplitude (L, H, W) in the image plane of a coherent source.

        It is 1 in an empty field seen through a clear pupil without polarisers; a reference beam has no part in it.
        `response` multiplies its spectrum.
        """
        if len(source.weight) != 1:
            raise ValueError(
                f"a field needs coherent light, got a source of {len(source.weight)} points; set condenser_na to 0 "
                "(Coherent illumination)"
            )
        self._check_field(wave)
        colours = range(len(source.wavelength))
        return torch.stack([self._amplitude(wave, source.direction[0], colour, response) for colour in colours])

    def _amplitude(self, wave: Wave, direction: Tensor, colour: int, response: Response | None) -> Tensor:
        """Return the complex amplitude (H, W) of one plane wave and colour."""
        (window,) = windows(self, wave, colour, direction.to(wave.medium)[None])
        passed = window.passed(self, wave.spectrum(colour, direction, window.band))
        if len(passed) != 1:
            raise ValueError(
                "a field needs one polarisation, got birefringent particles in unpolarised light; give the objective "
                "a Polarization"
            )
        factor = None if response is None else response(window.fy - window.tilt[0], window.fx - window.tilt[1])
        # The reference phase is that of light that the specimen does not diffract.
        tilt = window.tilt.reshape(2, 1, 1)
        straight = self.phase(tilt[0], tilt[1], wave, colour)[0, 0]
        field = window.field(passed[0] if factor is None else passed[0] * factor)
        return field * torch.complex(torch.cos(straight), -torch.sin(straight))

    def irradiance(self, wave: Wave, source: Source, response: Response) -> Tensor:
        """Return the irradiance (L, H, W) in the image plane, relative to the light of the whole source.

        Abbe's sum over source points s of |F^-1{P(f + s) T(f)}|^2, or the sum over coherent modes that stand for all
        points. The pupil passes a small part of the spectrum, so every inverse transform is done on the smallest grid
        that holds the intensity's band 2 NA / lambda, and the sum is interpolated once, exactly, through its Fourier
        transform; `response` acts there.
        """
        self._check_field(wave)
        canvas = wave.canvas
        height, width = canvas.grid.shape
        planes = []
        for colour in range(len(source.wavelength)):
            directions = source.direction.to(wave.medium)
            places = windows(self, wave, colour, directions)
            band = union([window.band for window in places])
            if source.kernels is None:
                coarse = wave.medium.new_zeros(places[0].size)
                for window, direction, weight in zip(places, directions, source.weight.to(wave.medium), strict=True):
                    if wave.thin or not torch.is_grad_enabled():
                        spectra = wave.spectrum(colour, direction, band)[(..., *window.band.inside(band))]
                        coarse = exposed(coarse, weight, window, self, spectra, len(places) > 4)
                    else:
                        # The backward pass propagates every direction again: memory holds the slabs of one.
                        found = checkpoint(self._deep, wave, colour, direction, window, use_reentrant=False)
                        assert isinstance(found, Tensor)
                        coarse = coarse + weight * found
            else:
                chosen = modes(self, wave, colour, source, places, band)
                spectra = places[0].analysed(self, wave.spectrum(colour, directions[0], band))
                coarse = chosen.irradiance(spectra, (height, width))
            found = image(coarse, (height, width), canvas.grid.spacing, canvas.image, response)
            if self.reference is not None:
                found = found + self._fringes(wave, source, colour, response)
            planes.append(found)
        return torch.stack(planes)

    def loss(self, wave: Wave, source: Source) -> float:
        """Return the bound of the mean irradiance that a source's kernels leave out, per mean square of the wave."""
        if source.kernels is None:
            raise ValueError('a loss is that of kernels, got a source imaged point by point; set its method to "socs"')
        bounds = []
        for colour in range(len(source.wavelength)):
            places = windows(self, wave, colour, source.direction.to(wave.medium))
            bounds.append(modes(self, wave, colour, source, places, union([window.band for window in places])).loss)
        return max(bounds)

    def _deep(self, wave: Wave, colour: int, direction: Tensor, window: Window) -> Tensor:
        """Return the irradiance on the coarse grid of one direction through a deep specimen."""
        return window.image(self, wave.spectrum(colour, direction, window.band))

    def _fringes(self, wave: Wave, source: Source, colour: int, response: Response) -> Tensor:
        """Return r^2 + 2 r Re(U exp(-2 pi i q . x)) of the image's amplitude U and a reference of frequency q.

        Pixels average the fringes, not U: their response belongs at U's frequencies less q.
        """
        assert self.reference is not None
        if len(source.weight) != 1:
            raise ValueError(
                f"a reference beam needs coherent light, got a source of {len(source.weight)} points; use Coherent "
                "illumination"
            )
        direction, wavelength = source.direction[0], wave.wavelength[colour]
        carrier = self.reference.carrier(direction.to(wavelength) / wavelength, wavelength, wave.canvas.grid.spacing)
        amplitude = self._amplitude(wave, direction, colour, lambda fy, fx: response(fy - carrier[0], fx - carrier[1]))
        canvas = wave.canvas
        y = (torch.arange(canvas.shape[0]).to(carrier) - canvas.shape[0] // 2) * canvas.grid.spacing[0]
        x = (torch.arange(canvas.shape[1]).to(carrier) - canvas.shape[1] // 2) * canvas.grid.spacing[1]
        phase = 2 * math.pi * (carrier[0] * y[:, None] + carrier[1] * x)
        strength = self.reference.amplitude.to(carrier)
        real = amplitude.real * torch.cos(phase) + amplitude.imag * torch.sin(phase)
        return strength * strength + 2 * strength * real

    def _check_field(self, wave: Wave) -> None:
        if self.plate is not None:
            canvas = wave.canvas
            self.plate.check_field(tuple(n * d for n, d in zip(canvas.shape, canvas.grid.spacing, strict=True)))
