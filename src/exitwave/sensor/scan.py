"""A detector that counts electrons point by point while a beam is scanned, line after line."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.autograd import forward_ad

from exitwave.field import Light
from exitwave.model import Value
from exitwave.quantity import Quantity, param
from exitwave.sensor.camera import shot_noise

# Signals below this share of the support's are converted in proportion: a power has no slope at zero.
_DARK = 1e-6
# Standard deviations of the rows' offsets that are followed.
_REACH = 5.5
# Keys' kernel is a sum of cubes and squares of the distance beyond five knots.
_KNOTS = (-2.0, -1.0, 0.0, 1.0, 2.0)
_CUBES = (0.5, -2.0, 3.0, -2.0, 0.5)
_SQUARES = (-0.5, 1.0, 0.0, -1.0, 0.5)


class ScanSensor(Value):
    """What a scanned beam's detector counts: (H, W) in digital counts, of a signal that is 1 on the flat support.

    The beam scans lines along +x, one after the other in +y. What happens to the signal s, in this order:

    - Lines are sampled where the beam is. It drifts by `drift` (y, x) from line to line, counted from the image's
      middle, and every line is offset along x by normal numbers of deviation `jitter`. Beyond the image the signal is
      that of its edge.
    - Charge that is left behind takes away `charging` times the mean of s - 1 over what was scanned before, weighed by
      exp(-distance / `charging_length`): dark streaks follow bright places. Before each line lies flat support.
    - Lines differ in brightness by `line_noise`, relatively; `line_correlation` is that of one line with the next.
    - `dose` electrons are counted per pixel and frame where s is 1, on average over `frames` frames of `lines` passes
      of each line. Numbers of electrons are Poisson-distributed; `excess` is how much larger scintillator and
      multiplier make the variance.
    - Counts are offset + gain s^gamma, rounded and clipped to `bits`.

    `jitter` and `line_noise` are those of the averaged image. Without a generator the counts of the expected signal
    come back, unrounded.

    Drift and offsets of lines: Sutton et al., Meas. Sci. Technol. 17, 2613 (2006); noise: Cizmar et al., Scanning 30,
    381 (2008).

    >>> from exitwave.grid import Grid
    >>> light = Light(torch.ones(1, 4, 4), torch.ones(1), Grid((4, 4), 0.01))
    >>> float(ScanSensor(gain=100.0, offset=20.0).read(light, None)[0, 0])
    120.0
    """

    dose: Quantity = param(
        "electron", low=0.0, high=1e9, exclusive=True, default=100.0, doc="electrons per pixel and frame at signal 1"
    )
    excess: Quantity = param("1", low=1.0, high=1e3, default=1.0, doc="variance over that of Poisson's distribution")
    charging: Quantity = param("1", low=0.0, high=1.0, default=0.0, doc="strength of the streaks behind bright places")
    charging_length: Quantity = param(
        "um", low=0.0, high=1e3, exclusive=True, default=0.2, doc="length at which streaks fall to 1/e"
    )
    drift: Quantity = param("um", low=-1.0, high=1.0, dims=(2,), default=(0.0, 0.0), doc="(y, x) from line to line")
    jitter: Quantity = param("um", low=0.0, high=1.0, default=0.0, doc="standard deviation of lines' offsets along x")
    line_noise: Quantity = param("1", low=0.0, high=1.0, default=0.0, doc="relative deviation of lines' brightness")
    line_correlation: Quantity = param("1", low=0.0, high=1.0, default=0.0, doc="of the brightness of neighbour lines")
    gain: Quantity = param("count", low=0.0, high=1e9, exclusive=True, default=100.0, doc="counts at signal 1")
    offset: Quantity = param("count", low=-1e9, high=1e9, default=20.0, doc="counts in the dark")
    gamma: Quantity = param("1", low=0.05, high=20.0, default=1.0, doc="exponent of counts by signal")
    frames: int = 1
    lines: int = 1
    bits: int = 8

    coherent: ClassVar[bool] = False
    noisy: ClassVar[bool] = True

    def check(self) -> None:
        for name, number in (("frames", self.frames), ("lines", self.lines)):
            if not isinstance(number, int) or isinstance(number, bool) or number < 1:
                raise ValueError(f"ScanSensor.{name} must be a positive integer, got {number!r}; 1 averages nothing")
        if not isinstance(self.bits, int) or isinstance(self.bits, bool) or not 1 <= self.bits <= 32:
            raise ValueError(f"ScanSensor.bits must be an integer from 1 to 32, got {self.bits!r}; usual are 8 and 16")

    def transfer(self, fy: Tensor, fx: Tensor, pixel: tuple[float, float]) -> Tensor | None:
        """Return the transfer function of the pixels: none, points; the probe's blur is the beam's."""
        return None

    def read(self, light: Light, generator: torch.Generator | None) -> Tensor:
        """Return counts (H, W) for a relative signal (1, H, W); noisy with a generator, expected without."""
        if light.data.ndim != 3 or len(light.data) != 1:
            raise ValueError(
                f"a scanned image needs one signal (1, H, W), got shape {tuple(light.data.shape)}; scan one detector"
            )
        image, pixel = light.data[0], (light.grid.spacing[-2], light.grid.spacing[-1])
        if generator is None:
            still = torch.zeros(len(image), dtype=torch.float64, device=image.device)
            counts = self._counts(self._signal(image, pixel, still, self.jitter.double()))
            return counts.clamp(max=float(self.white))
        with torch.no_grad():
            counts = self._counts(self._noisy(image, pixel, generator))
            return counts.round_().clamp_(0, self.white)

    def _noisy(self, image: Tensor, pixel: tuple[float, float], generator: torch.Generator) -> Tensor:
        """Return one draw of the signal (H, W)."""
        # Draws are made where the generator lives, so that a seed means the same on every device; those of lines are
        # made whether they are used or not, so that the rest stays as it is.
        home = generator.device
        normal = torch.randn(2, len(image), generator=generator, dtype=torch.float64, device=home).to(image.device)
        signal = self._signal(image, pixel, normal[0] * self.jitter.to(normal), torch.zeros_like(normal[0, 0]))
        line = self._brightness(normal[1]).to(image)
        electrons = self._electrons(image)
        mean = (signal * (1 + line[:, None])).clamp_(min=0.0).mul_(electrons).to(home)
        drawn = shot_noise(mean, generator)
        if float(self.excess) > 1:
            noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=home)
            drawn += noise.mul_(mean.mul_(self.excess.to(mean) - 1).sqrt_())
        return drawn.to(image) / electrons

    def _signal(self, image: Tensor, pixel: tuple[float, float], offset: Tensor, jitter: Tensor) -> Tensor:
        """Return the expected signal (H, W): lines are offset (H,) along x in um, and normally by `jitter` beside."""
        line = torch.arange(len(image), dtype=torch.float64, device=image.device) - len(image) // 2
        drift = self.drift.to(line)
        if _matters(self.drift):
            image = _down(image, line * drift[0] / pixel[0])
        if _matters(self.drift) or _matters(jitter) or bool(offset.any()):
            image = _along(image, (line * drift[1] + offset.to(line)) / pixel[1], jitter.to(line) / pixel[1])
        if _matters(self.charging):
            scanned = pixel[1] / self.charging_length.to(image)
            lag = -torch.expm1(-scanned) * trailing(image - 1, torch.exp(-scanned))
            image = image - self.charging.to(image) * lag
        # Interpolation and streaks may undershoot zero.
        return image.clamp(min=0.0)

    def _brightness(self, normal: Tensor) -> Tensor:
        """Return the relative deviations (H,) of lines' brightness, an autoregression, made of normal numbers (H,)."""
        correlation = self.line_correlation.to(normal)
        fresh = normal * torch.sqrt(1 - correlation**2)
        fresh[0] = normal[0]  # stationary from the first line on
        return self.line_noise.to(normal) * trailing(fresh[None], correlation)[0]

    def _electrons(self, like: Tensor) -> Tensor:
        """Return how many electrons are counted at signal 1."""
        return self.dose.to(like) * self.frames * self.lines

    def _counts(self, signal: Tensor) -> Tensor:
        if _matters(self.gamma - 1):
            signal = signal * signal.abs().clamp(min=_DARK) ** (self.gamma.to(signal) - 1)
        return self.offset.to(signal) + self.gain.to(signal) * signal

    @property
    def white(self) -> int:
        """The largest count."""
        return 2**self.bits - 1

    def variance(self, image: Tensor) -> Tensor:
        """Return the variance (counts squared) of every pixel of an expected image: shot, lines' brightness, rounding.

        Through gamma it is propagated by the slope, not below one electron. That of jitter is left out, which depends
        on the signal's slope along x; so is the correlation of pixels in a line.
        """
        gain, gamma, electrons = self.gain.to(image), self.gamma.to(image), self._electrons(image)
        bright = ((image - self.offset.to(image)) / gain).clamp(min=0.0)
        signal = bright * bright.clamp(min=_DARK**gamma) ** (1 / gamma - 1)
        slope = gain * gamma * torch.maximum(signal, 1 / electrons) ** (gamma - 1)
        shot = self.excess.to(image) * signal / electrons
        return slope**2 * (shot + (self.line_noise.to(image) * signal) ** 2) + 1 / 12

    def saturated(self, image: Tensor) -> Tensor:
        """Return which pixels show the largest count: they may have had a larger signal."""
        return image >= self.white


def trailing(values: Tensor, decay: Tensor) -> Tensor:
    """Return the sums over j of decay^j x[k - j] along the rows of values x (H, W), in a fixed number of passes.

    Rows are cut into blocks of about the root of their length. Within a block the sum is a product with a triangular
    matrix, and so is what earlier blocks leave at its start.

    >>> trailing(torch.tensor([[1.0, 0.0, 0.0, 1.0]]), torch.tensor(0.5))
    tensor([[1.0000, 0.5000, 0.2500, 1.1250]])
    """
    height, width = values.shape
    block = math.isqrt(width - 1) + 1
    count = -(-width // block)
    cut = torch.nn.functional.pad(values, (0, count * block - width)).reshape(height, count, block)
    step = torch.arange(block, dtype=values.dtype, device=values.device)
    within = cut @ _powers(decay, step[None] - step[:, None])
    # What is left at the end of block i weighs decay^(block (j - 1 - i)) at the end of block j - 1.
    number = torch.arange(count, dtype=values.dtype, device=values.device)
    left = within[..., -1] @ _powers(decay, block * (number[None] - 1 - number[:, None]))
    return torch.addcmul(within, left[..., None], decay ** (step + 1)).reshape(height, -1)[:, :width]


def _powers(decay: Tensor, lag: Tensor) -> Tensor:
    """Return decay^lag where the lag is not negative, else 0."""
    return torch.where(lag >= 0, decay ** lag.clamp(min=0), 0.0)


def _down(image: Tensor, shift: Tensor) -> Tensor:
    """Return an image (H, W) whose row r is that at r + shift, in pixels (H,), interpolated."""
    whole = shift.detach().floor()
    weight = _keys(shift - whole, torch.zeros_like(shift[0]), 2).to(image)
    first = torch.arange(len(image), device=image.device) + whole.long() - 1
    rows = [(first + tap).clamp(0, len(image) - 1) for tap in range(weight.shape[1])]
    # `index_select` rather than an index: the latter's gradient depends on the threads' order.
    return _sum([weight[:, tap, None] * image.index_select(0, row) for tap, row in enumerate(rows)])


def _along(image: Tensor, shift: Tensor, sigma: Tensor) -> Tensor:
    """Return an image (H, W) whose rows are sampled a shift (H,) in pixels farther on, normally spread by `sigma`."""
    width = image.shape[1]
    whole = shift.detach().floor()
    taps = 2 + math.ceil(_REACH * float(sigma.detach()))
    weight = _keys(shift - whole, sigma, taps).to(image)
    place = torch.arange(width + 2 * taps - 1, device=image.device) - taps + 1 + whole.long()[:, None]
    row = image.gather(1, place.clamp(0, width - 1))
    return _sum([weight[:, tap, None] * row[:, tap : tap + width] for tap in range(2 * taps)])


def _sum(parts: list[Tensor]) -> Tensor:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _keys(share: Tensor, sigma: Tensor, taps: int) -> Tensor:
    """Return the weights (H, 2 taps) of neighbours 1 - taps ... taps for positions (H,) between two pixels, in pixels.

    Cubic convolution (Keys, IEEE Trans. ASSP 29, 1153, 1981, a = -1/2), its mean over positions spread by `sigma`:
    the kernel is a sum of powers (x - knot)_+^n, whose means over normal numbers are closed forms.
    """
    neighbour = torch.arange(1 - taps, taps + 1).to(share)
    knot, cube, square = (torch.tensor(given).to(share) for given in (_KNOTS, _CUBES, _SQUARES))
    x = (share[:, None] - neighbour)[..., None] - knot
    # Without spread every power is that of the positive part.
    spread = sigma > 0
    z = x / torch.where(spread, sigma, 1.0)
    above = torch.where(spread, 0.5 * torch.erfc(-z / math.sqrt(2)), (x > 0).to(x))
    density = torch.where(spread, torch.exp(-0.5 * z * z), 0.0) * sigma / math.sqrt(2 * math.pi)
    cubes = x * (x * x + 3 * sigma**2) * above + (x * x + 2 * sigma**2) * density
    squares = (x * x + sigma**2) * above + x * density
    return (cubes * cube + squares * square).sum(-1)


def _matters(number: Tensor) -> bool:
    """Return whether a number has a part in the image: it is not zero, or its derivative is asked for."""
    return number.requires_grad or forward_ad.unpack_dual(number).tangent is not None or bool(number.detach().any())
