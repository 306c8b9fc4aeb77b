"""Uncertainty: covariance of fitted numbers, and in words what an image cannot tell apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.ndimage
import scipy.sparse
import scipy.sparse.linalg
import torch
from torch import Tensor

_DENSE = 2048
"""Up to this many numbers the covariance is kept whole."""
# Eigenvalues of the information, of columns scaled to length 1, below which a combination is unknown, or hardly known.
_BLIND, _WEAK = 1e-13, 1e-6
_LISTED = 3


@dataclass(frozen=True)
class Information:
    """What data say of unknown numbers (P,).

    `covariance` (P, P) in physical units, infinite where the data say nothing, empty beyond 2,048 numbers; `stderr`
    (P,); `condition` the ratio of the best to the worst known combination's standard errors, numbers being measured in
    their own standard errors when all others are known; `blind` statements on what cannot be told, `weak` on what
    hardly can.
    """

    covariance: Tensor
    stderr: Tensor
    condition: float
    blind: tuple[str, ...]
    weak: tuple[str, ...]


def information(normal: Any, outward: Tensor, names: Sequence[str], spread: np.ndarray | None = None) -> Information:
    """Return what a Gauss-Newton matrix (P, P) in inner coordinates says of numbers in physical units.

    The covariance is its inverse, times `outward` (P,), the derivative of every physical number by its coordinate; or
    inverse times `spread` times inverse, where `spread` is the covariance of the gradient in noise that is correlated
    (White, Econometrica 50, 1, 1982).
    """
    # Numbers are scaled to equal information, so that the condition is that of correlations, whatever the units.
    length = np.sqrt(np.maximum(normal.diagonal(), 0.0))
    dark = length <= 1e-12 * max(float(length.max()), 1e-300)
    inverse_length = np.where(dark, 0.0, 1 / np.where(dark, 1.0, length))
    scale = np.abs(outward.numpy()) * inverse_length
    if scipy.sparse.issparse(normal) and normal.shape[0] > _DENSE:
        return _large(normal, scale, inverse_length, names, dark)
    whole = np.asarray(normal.todense()) if scipy.sparse.issparse(normal) else normal
    unit = whole * inverse_length[:, None] * inverse_length[None]
    eigenvalues, vectors = np.linalg.eigh(unit)
    top = max(float(eigenvalues[-1]), 1e-300)
    known = eigenvalues > _BLIND * top
    inverse = (vectors[:, known] / eigenvalues[known]) @ vectors[:, known].T
    if spread is not None:
        inverse = inverse @ (spread * inverse_length[:, None] * inverse_length[None]) @ inverse
    covariance = torch.from_numpy(inverse * scale[:, None] * scale[None])
    unknown = dark | ((vectors[:, ~known] ** 2).sum(-1) > 1e-6)
    for number in np.flatnonzero(unknown):
        covariance[number, number] = math.inf
    blind = [f"the image does not depend on {names[number]}" for number in np.flatnonzero(dark).tolist()]
    seeing = [number for number in np.flatnonzero(~known) if (vectors[dark, number] ** 2).sum() < 0.5]
    blind += [f"the image does not show {_combination(vectors[:, n], scale, names)}" for n in seeing]
    weak = [
        f"the image hardly shows {_combination(vectors[:, n], scale, names)}: "
        f"known {math.sqrt(top / eigenvalues[n]):,.0f} times worse than the best combination"
        for n in np.flatnonzero(known & (eigenvalues < _WEAK * top))
    ]
    condition = math.sqrt(top / eigenvalues[0]) if known.all() and not dark.any() else math.inf
    return Information(covariance, torch.sqrt(covariance.diagonal()), condition, tuple(blind), tuple(weak))


def _large(
    normal: Any, scale: np.ndarray, inverse_length: np.ndarray, names: Sequence[str], dark: np.ndarray
) -> Information:
    """Return the same for a sparse matrix of many numbers, from its factors."""
    count = normal.shape[0]
    # What is dark is decoupled, so that the rest keeps its inverse.
    fill = scipy.sparse.diags(dark.astype(np.float64))
    unit = (scipy.sparse.diags(inverse_length) @ normal @ scipy.sparse.diags(inverse_length) + fill).tocsc()
    try:
        factors = scipy.sparse.linalg.splu(unit)
    except RuntimeError:
        nothing = torch.full((count,), math.inf, dtype=torch.float64)
        told = ("the image cannot tell some of the numbers apart; free fewer of them",)
        return Information(torch.empty(0, 0, dtype=torch.float64), nothing, math.inf, told, ())
    variance = np.empty(count)
    for start in range(0, count, 256):
        some = np.arange(start, min(start + 256, count))
        right = np.zeros((count, len(some)))
        right[some, np.arange(len(some))] = 1.0
        variance[some] = factors.solve(right)[some, np.arange(len(some))]
    generator = np.random.default_rng(0)
    start = generator.standard_normal(count)
    top = scipy.sparse.linalg.eigsh(unit, k=1, return_eigenvectors=False, v0=start)[0]
    operator: Any = scipy.sparse.linalg.LinearOperator
    solver = operator((count, count), matvec=factors.solve, dtype=np.float64)
    least = 1 / scipy.sparse.linalg.eigsh(solver, k=1, return_eigenvectors=False, v0=start)[0]
    stderr = torch.from_numpy(np.where(dark, np.inf, np.sqrt(np.maximum(variance, 0.0)) * scale))
    blind = tuple(f"the image does not depend on {names[number]}" for number in np.flatnonzero(dark).tolist())
    condition = math.sqrt(top / least) if least > 0 and not dark.any() else math.inf
    return Information(torch.empty(0, 0, dtype=torch.float64), stderr, condition, blind, ())


def _combination(vector: np.ndarray, scale: np.ndarray, names: Sequence[str]) -> str:
    """Return in words a direction in which numbers may move without the image telling."""
    # Equal shares, up to rounding, in the order of the numbers.
    order = np.argsort(-np.abs(vector).round(6), kind="stable").tolist()
    large = [n for n in order if abs(vector[n]) > 0.1]
    change = vector * scale
    if len(large) == 1:
        return str(names[large[0]])
    # A small step of the first number, the others in proportion.
    moves = [f"{names[n]} by {0.01 * change[n] / change[large[0]]:+.3g}" for n in large[:_LISTED]]
    more = " and so on" if len(large) > _LISTED else ""
    return f"a change of {' together with '.join(moves)}{more}"


def coloured(slope: Tensor, residuals: Sequence[Tensor]) -> np.ndarray | None:
    """Return the covariance (P, P) of the gradient in noise with the spectrum of the residual images.

    `slope` (M, P) holds the images' rows one after the other. None where the residuals are white: neighbours' products
    lie within five standard errors of zero.
    """
    if all(_white(residual) for residual in residuals):
        return None
    total = np.zeros((slope.shape[1], slope.shape[1]))
    row = 0
    for residual in residuals:
        columns = slope[row : row + residual.numel()].T.reshape(-1, *residual.shape)
        row += residual.numel()
        planes = columns.flatten(1, -3) if residual.ndim > 2 else columns[:, None]
        errors = residual.reshape(-1, *residual.shape[-2:])
        for colour, error in enumerate(errors):
            size = [2 * n for n in error.shape]
            power = torch.fft.fft2(error, s=size).abs().square() / error.numel()
            # Many frequencies side by side make one estimate; a power of two or more samples each way.
            smooth = scipy.ndimage.gaussian_filter(power.numpy(), [n / 64 for n in size], mode="wrap")
            spectra = torch.fft.fft2(planes[:, colour], s=size).flatten(1)
            weighted = spectra * torch.from_numpy(smooth).flatten()
            total += (weighted @ spectra.mH).real.numpy() / math.prod(size)
    return total


def _white(residual: Tensor) -> bool:
    images = residual.reshape(-1, *residual.shape[-2:])
    square = float(images.square().mean())
    along = float((images[..., 1:] * images[..., :-1]).mean())
    down = float((images[..., 1:, :] * images[..., :-1, :]).mean())
    return max(abs(along), abs(down)) < 5 / math.sqrt(images.numel()) * max(square, 1e-300)
