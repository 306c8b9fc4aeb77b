"""The page of all microscopes: its code runs, and its pictures show what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "microscopes.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    """Return what the Python of the page defines."""
    names: dict[str, Any] = {"__name__": "page"}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    exec(compile("\n".join(blocks), "microscopes.md", "exec"), names)
    return names


@pytest.fixture(scope="module")
def images(page: dict[str, Any]) -> dict[str, torch.Tensor]:
    return page["images"]


def at(image: torch.Tensor, y: float, x: float) -> torch.Tensor:
    """Return the image at a point in micrometres, the mean over 0.5 um."""
    row, column = 192 + round(y / 0.1), 192 + round(x / 0.1)
    return image[..., row - 2 : row + 3, column - 2 : column + 3].mean((-2, -1))


def test_every_picture_has_its_code_and_its_file(images: dict[str, torch.Tensor]) -> None:
    shown = re.findall(r"^!\[.*\]\(images/microscope-(\w+)\.jpg\)", PAGE, re.MULTILINE)
    assert shown == list(images)
    assert all((DOCS / "images" / f"microscope-{name}.jpg").is_file() for name in shown)


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("brightfield", 1.0),
        ("oblique", 1.0),
        ("differential", 0.0),
        ("darkfield", 0.0),
        ("dic", 0.5),
        ("polars", 0.0),
        ("phase", 0.0),
    ],
)
def test_far_from_everything_is_the_empty_field(images: dict[str, torch.Tensor], name: str, level: float) -> None:
    empty = images[name][..., -15:, :15]
    assert float((empty.mean() - level).abs()) < 0.02


YEAST = (-10.0, 0.5)
BACTERIUM = (-7.4, -15.0)
FIRST, SECOND = (4.0, 2.6), (12.2, 3.0)


def test_positive_and_negative_phase_contrast_are_opposite(images: dict[str, torch.Tensor]) -> None:
    background = -1.0, -1.0
    assert float(at(images["positive"], *BACTERIUM)) < 0.5 * float(at(images["positive"], *background))
    assert float(at(images["negative"], *BACTERIUM)) > 1.5 * float(at(images["negative"], *background))


def test_polars_show_birefringent_crystals_alone(images: dict[str, torch.Tensor]) -> None:
    crystal = at(images["polars"], *FIRST)
    assert float(crystal.min()) > 0.5
    assert float(at(images["polars"], *YEAST).max()) < 1e-3
    assert torch.allclose(crystal, at(images["polars"], *SECOND), atol=0.02)


def test_the_red_plate_tells_the_crystals_apart(images: dict[str, torch.Tensor]) -> None:
    red, _, blue = at(images["plate"], *FIRST)
    assert blue > 1.3 * red
    red, _, blue = at(images["plate"], *SECOND)
    assert red > 1.2 * blue


def test_phase_is_the_path_of_the_yeast(images: dict[str, torch.Tensor], page: dict[str, Any]) -> None:
    path = (1.375 - 1.337) * 2 * 1.9
    assert float(at(images["phase"], *YEAST)) == pytest.approx(2 * torch.pi * path / 0.55, rel=0.03)
