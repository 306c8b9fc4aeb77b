"""A recipe and a dataset of it in every format, shared by the tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from data.datasets import EVERY, beads_and_rods

import exitwave as ew
from exitwave.data import Run, generate


@pytest.fixture(scope="session")
def recipe() -> ew.Scene:
    return beads_and_rods()


@pytest.fixture(scope="session")
def run(recipe: ew.Scene, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return generate(recipe, tmp_path_factory.mktemp("dataset") / "out", n=8, seed=3, format=EVERY)


@pytest.fixture(scope="session")
def dataset(run: Run) -> Path:
    return run.folder
