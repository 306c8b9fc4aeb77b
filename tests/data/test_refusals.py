"""Bad input to generate: refused in one line, and nothing touched."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path
from typing import Any

import pytest
from data.datasets import beads_and_rods, contents

import exitwave as ew
from exitwave.data import generate
from exitwave.data.store import locked
from exitwave.model import substitute
from exitwave.specimen.arrange import Scattered


def test_a_folder_that_cannot_be_made(recipe: ew.Scene, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot write .*file/out: .*; make room or correct the path"):
        generate(recipe, tmp_path / "file" / "out", n=1)
    with pytest.raises(NotADirectoryError, match=r"expected a folder at .*file, got a file; choose another path"):
        generate(recipe, tmp_path / "file", n=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"seed": 1},
            "another run: its seed is 0, got 1; pass the same to continue it, or choose another folder",
        ),
        ({"format": "coco"}, "holds another run: its formats is yolo-obb, got coco; pass the same"),
        ({"n": 1}, "expected n of at least 2, the frames that .* already holds, got 1; pass n=2 or choose another"),
    ],
)
def test_a_folder_of_another_run_is_refused(
    recipe: ew.Scene, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    generate(recipe, tmp_path, n=2)
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=message):
        generate(recipe, tmp_path, **{"n": 2, **changes})
    assert contents(tmp_path) == before


def test_another_recipe_is_named_by_its_first_difference(recipe: ew.Scene, tmp_path: Path) -> None:
    generate(recipe, tmp_path, n=1)
    other = substitute(recipe, {"microscope.optics.na": 0.4})
    with pytest.raises(ValueError, match=r"its recipe has microscope.optics.na = 0.5, got 0.4; pass the same recipe"):
        generate(other, tmp_path, n=1)


def test_a_run_that_drew_nothing_may_be_replaced(recipe: ew.Scene, tmp_path: Path) -> None:
    crowded = substitute(
        recipe, {"specimen.parts.1.count": 4000.0, "specimen.parts.1.arrangement": Scattered(overlap=0.0)}
    )
    with pytest.raises(ValueError, match="frame 0: expected room"):
        generate(crowded, tmp_path, n=1)
    assert generate(recipe, tmp_path, n=1).written == 1


def test_another_version_is_refused(recipe: ew.Scene, tmp_path: Path) -> None:
    generate(recipe, tmp_path, n=1)
    text = (tmp_path / "run.json").read_text()
    (tmp_path / "run.json").write_text(text.replace(importlib.metadata.version("torch"), "1.0.0"))
    with pytest.raises(ValueError, match=r"written with torch 1.0.0, this is .*; install that version to continue"):
        generate(recipe, tmp_path, n=1)


def test_a_folder_with_other_things_is_refused(recipe: ew.Scene, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match=r"expected an empty or new folder, .* with 'thesis.tex' in it; choose"):
        generate(recipe, tmp_path, n=1)
    assert contents(tmp_path) == {"thesis.tex": b"precious"}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"layout": 1, "recipe": 3}'])
def test_a_damaged_identity_is_refused(recipe: ew.Scene, tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ValueError, match=r"cannot read .*run.json: it is damaged; choose another folder, or delete"):
        generate(recipe, tmp_path, n=1)


def test_a_folder_at_work_is_refused(recipe: ew.Scene, tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    with locked(tmp_path), pytest.raises(ValueError, match="another run is at work; wait for it"):
        generate(recipe, tmp_path, n=1)
    generate(recipe, tmp_path, n=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "expected n to be an integer above 0, got 0"),
        ({"n": 2.0}, "expected n to be an integer above 0, got 2.0"),
        ({"workers": 0}, "expected workers to be an integer above 0, got 0"),
        ({"seed": -1}, "expected seed to be an integer >= 0, got -1"),
        ({"format": "yolo-ob"}, "unknown format 'yolo-ob'; did you mean 'yolo-obb'"),
        (
            {"format": "qqq"},
            "unknown format 'qqq'; known formats: classes, coco, masks, masks-png, membranes, meshes, nnunet, parquet, "
            "sizes, yolo, yolo-obb",
        ),
        ({"format": "coco,"}, "expected formats such as 'yolo-obb,coco', got 'coco,'"),
        ({"format": "yolo,yolo-obb"}, "got yolo and yolo-obb, which both write 'labels'; write them into folders"),
        ({"format": "no.such:Writer"}, "cannot import the format 'no.such:Writer'"),
    ],
)
def test_bad_arguments_touch_nothing(recipe: ew.Scene, tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generate(recipe, tmp_path / "out", **{"n": 1, **arguments})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_frame_names_the_frame(tmp_path: Path, workers: int) -> None:
    crowded = substitute(
        beads_and_rods(), {"specimen.parts.1.count": 4000.0, "specimen.parts.1.arrangement.overlap": 0.0}
    )
    with pytest.raises(ValueError, match=r"^frame 0: expected room for 4000 particles .*") as caught:
        generate(crowded, tmp_path, n=4, workers=workers)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.png"))


def test_parquet_without_pyarrow_names_the_extra(
    recipe: ew.Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs pyarrow, .*; pip install 'exitwave\[parquet\]'"):
        generate(recipe, tmp_path / "out", n=1, format="parquet")
    assert not (tmp_path / "out").exists()
