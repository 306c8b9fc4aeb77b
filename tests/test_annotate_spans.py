"""Spans: against every pixel's own test."""

from __future__ import annotations

import math

import numpy as np
import pytest

import exitwave as ew
from exitwave.annotate.spans import Spans, spans_of

GRID = ew.Grid((40, 50), (0.1, 0.07))


def drawn(spans: Spans, number: int) -> np.ndarray:
    """Return where a piece's runs in the image are, (H, W) booleans."""
    found = np.zeros(GRID.shape, dtype=bool)
    place, flat = spans.clipped(GRID).pixels(GRID)
    own = spans.clipped(GRID).owner[place] == number
    found.reshape(-1)[flat[own]] = True
    return found


def centres() -> np.ndarray:
    return (np.moveaxis(np.indices(GRID.shape), 0, -1) - [20, 25]) * GRID.spacing


def to_line(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    run = end - start
    along = np.clip((points - start) @ run / max(run @ run, 1e-300), 0, 1)
    return np.linalg.norm(points - start - along[..., None] * run, axis=-1)


@pytest.mark.parametrize("radius", [0.0, 0.003, 0.1, 0.6])
@pytest.mark.parametrize("corners", [2, 3], ids=["lines", "triangles"])
def test_runs_are_the_pixels_near_lines_and_triangles(corners: int, radius: float) -> None:
    rng = np.random.default_rng(corners)
    pieces = rng.uniform(-2.2, 2.2, (60, corners, 2))
    pieces[0] = pieces[0, :1]  # of no length
    pieces[1, :, 0] = pieces[1, 0, 0]  # along a row
    pieces[2, :, 1] = pieces[2, 0, 1]  # across the rows
    spans = spans_of(pieces, np.full(60, radius), GRID)
    points = centres()
    for number, piece in enumerate(pieces):
        edges = [(piece[k], piece[(k + 1) % corners]) for k in range(corners)]
        near = np.min([to_line(points, *edge) for edge in edges], axis=0)
        inside = near <= radius
        if corners == 3:
            turns = [np.cross(np.append(b - a, 0), np.insert(points - a, 2, 0, -1))[..., 2] for a, b in edges]
            inside |= (np.min(turns, 0) > 0) | (np.max(turns, 0) < 0)
        clear = np.abs(near - radius) > 1e-5
        assert np.array_equal(drawn(spans, number)[clear], inside[clear])


def test_runs_that_overlap_are_counted_once() -> None:
    rng = np.random.default_rng(3)
    owner, row, first = rng.integers(0, 4, 500), rng.integers(-3, 9, 500), rng.integers(-40, 60, 500)
    spans = Spans(owner, row, first, first + rng.integers(0, 6, 500))
    pixels = {(o, r, c) for o, r, f, e in zip(*spans, strict=True) for c in range(f, e + 1)}
    merged = spans.merged()
    assert sum((e - f + 1) for _, _, f, e in zip(*merged, strict=True)) == len(pixels)
    assert {(o, r, c) for o, r, f, e in zip(*merged, strict=True) for c in range(f, e + 1)} == pixels
    assert merged.counted(5).tolist() == [sum(o == number for o, _, _ in pixels) for number in range(5)]


def test_areas_far_outside_of_the_image_are_counted() -> None:
    disk = spans_of(np.full((1, 2, 2), 1e4), np.array([3.0]), GRID)
    assert int(disk.counted(1)[0]) == pytest.approx(math.pi * 9 / 0.007, rel=2e-3)
    assert not len(disk.clipped(GRID).row)


def test_nothing_has_no_runs() -> None:
    none = spans_of(np.zeros((0, 2, 2)), np.zeros(0), GRID).merged()
    assert none.counted(0).shape == (0,)
