"""Every test works in a folder of its own that holds the two recipes."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli.commands import BEAD, TINY, done


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.toml").write_text(TINY, encoding="utf-8")
    Path("bead.toml").write_text(BEAD, encoding="utf-8")


@pytest.fixture
def dataset() -> Path:
    done("generate", "tiny.toml", "set", "-n", "2", "--format", "yolo-obb,coco,masks,masks-png")
    return Path("set")
