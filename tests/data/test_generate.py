"""Datasets on disk: the same bytes however they were made, and nothing half-made."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data.datasets import EVERY, beads_and_rods, picture

import exitwave as ew
from exitwave import toml
from exitwave.data import Run, generate
from exitwave.data import store as store_module
from exitwave.model import substitute


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_same(folder: Path, other: Path) -> None:
    mine, theirs = contents(folder), contents(other)
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if mine[name] != theirs[name]] == []


SCRIPT = """
import sys
from exitwave.data import generate
if __name__ == "__main__":
    generate(sys.argv[1], sys.argv[2], n=int(sys.argv[3]), seed=3, format=sys.argv[4], workers=int(sys.argv[5]))
"""


def start(recipe: ew.Scene, out: Path, n: int, workers: int) -> subprocess.Popen[str]:
    """Start a process that generates, in a process group of its own like a command in a shell."""
    script, file = out.with_name("script.py"), out.with_name("recipe.toml")
    script.write_text(SCRIPT)
    file.write_text(toml.dump(recipe))
    command = [sys.executable, str(script), str(file), str(out), str(n), EVERY, str(workers)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait_for_records(out: Path, process: subprocess.Popen[str], count: int) -> None:
    end = time.monotonic() + 60
    while len(list(out.glob("records/*.gz"))) < count:
        assert time.monotonic() < end
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        time.sleep(0.005)


def group_has_ended(process: subprocess.Popen[str]) -> bool:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_same_bytes_for_any_number_of_workers(recipe: ew.Scene, dataset: Path, tmp_path: Path) -> None:
    done = generate(recipe, tmp_path / "out", n=8, seed=3, format=EVERY, workers=2)
    assert (done.written, done.reused) == (8, 0)
    assert_same(tmp_path / "out", dataset)


def test_another_seed_gives_other_images(recipe: ew.Scene, dataset: Path, tmp_path: Path) -> None:
    generate(recipe, tmp_path, n=1, seed=4)
    name = "images/train/000000.png"
    assert (tmp_path / name).read_bytes() != (dataset / name).read_bytes()


def test_the_thread_count_of_the_caller_changes_nothing(recipe: ew.Scene, dataset: Path, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        generate(recipe, tmp_path, n=2, seed=3, format=EVERY)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    for name in ("images/train/000000.png", "images/val/000001.png"):
        assert (tmp_path / name).read_bytes() == (dataset / name).read_bytes()


def test_a_killed_run_is_resumed_to_the_same_bytes(recipe: ew.Scene, tmp_path: Path) -> None:
    out = tmp_path / "killed" / "out"
    out.parent.mkdir()
    process = start(recipe, out, 5000, workers=2)
    wait_for_records(out, process, 6)
    process.kill()
    process.communicate()
    assert group_has_ended(process)  # the workers noticed
    assert not (out / "manifest.json").exists()
    for image in out.glob("images/*/*.png"):
        picture(image)  # complete, or it would not be there
    held = max(int(path.name[:6]) for path in out.glob("records/*.gz")) + 1
    done = generate(recipe, out, n=held + 1, seed=3, format=EVERY)
    assert done.reused >= 6
    generate(recipe, tmp_path / "whole", n=held + 1, seed=3, format=EVERY)
    assert_same(out, tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_leaves_a_folder_that_can_be_resumed(recipe: ew.Scene, tmp_path: Path, workers: int) -> None:
    out = tmp_path / "stopped" / "out"
    out.parent.mkdir()
    process = start(recipe, out, 5000, workers)
    wait_for_records(out, process, 3)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode != 0
    assert errors.count("Traceback") == 1  # the parent's own KeyboardInterrupt; workers stay silent
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert group_has_ended(process)
    assert not list(out.rglob(".partial-*"))
    held = max(int(path.name[:6]) for path in out.glob("records/*.gz")) + 1
    assert generate(recipe, out, n=held, seed=3, format=EVERY).reused >= 3
    generate(recipe, tmp_path / "whole", n=held, seed=3, format=EVERY)
    assert_same(out, tmp_path / "whole")


def test_a_longer_run_keeps_the_frames_that_are_there(recipe: ew.Scene, dataset: Path, tmp_path: Path) -> None:
    generate(recipe, tmp_path / "out", n=3, seed=3, format=EVERY)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("images/*/*")}
    done = generate(recipe, tmp_path / "out", n=8, seed=3, format=EVERY)
    assert (done.written, done.reused) == (5, 3)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert_same(tmp_path / "out", dataset)


def test_damaged_and_missing_files_are_made_anew(recipe: ew.Scene, dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    generate(recipe, out, n=8, seed=3, format=EVERY)
    flipped = out / "images/train/000002.png"
    data = bytearray(flipped.read_bytes())
    data[len(data) // 2] ^= 1
    flipped.write_bytes(data)
    (out / "labels/train/000003.txt").unlink()
    (out / "masks/train/000004.tif").write_bytes(b"")
    record = out / "records/000005.json.gz"
    record.write_bytes(record.read_bytes()[:-20])
    (out / "records/000007.json.gz").write_bytes(b"\x1f\x8b not gzip")
    (out / "truth.csv").write_text("nothing")
    (out / "images/train/.partial-1-000000.png").write_bytes(b"half")
    done = generate(recipe, out, n=8, seed=3, format=EVERY)
    assert (done.written, done.reused) == (5, 3)
    assert_same(out, dataset)


def test_a_finished_run_is_left_alone(recipe: ew.Scene, tmp_path: Path) -> None:
    generate(recipe, tmp_path, n=2)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    done = generate(recipe, tmp_path, n=2)
    assert (done.written, done.reused) == (0, 2)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_only_the_harmed_file_of_the_whole_dataset_is_noticed(recipe: ew.Scene, tmp_path: Path) -> None:
    generate(recipe, tmp_path, n=2)
    table = (tmp_path / "truth.csv").read_bytes()
    (tmp_path / "truth.csv").write_bytes(table[:-1] + b"0")
    assert generate(recipe, tmp_path, n=2).reused == 2
    assert (tmp_path / "truth.csv").read_bytes() == table


def test_manifest_lists_every_file_with_its_sum(recipe: ew.Scene, dataset: Path) -> None:
    manifest = json.loads((dataset / "manifest.json").read_text())
    assert manifest["files"].keys() | {"manifest.json"} == contents(dataset).keys()
    for name, sums in manifest["files"].items():
        data = (dataset / name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (sums["bytes"], sums["sha256"])
    assert (manifest["seed"], manifest["frames"]) == (3, 8)
    assert manifest["versions"]["torch"] == torch.__version__
    assert toml.load(manifest["recipe"]) == recipe == toml.load(dataset / "recipe.toml")


def test_images_are_those_of_render(recipe: ew.Scene, dataset: Path) -> None:
    key = ew.Key(3, 4)
    expected = ew.render(ew.sample(recipe, key), key.generator("noise"))
    image = picture(dataset / "images/train/000004.png")
    np.testing.assert_array_equal(image, expected.numpy())


def test_the_run_tells_where_the_time_went(run: Run) -> None:
    assert set(run.seconds) == {"sample", "render", "annotate", "encode", "write", "finish"}
    assert 0 < sum(run.seconds.values()) < 1.05 * run.elapsed
    assert run.sheet.is_file()


def test_disk_full_leaves_nothing_half_written(
    recipe: ew.Scene, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(1000))
    sync = os.fsync

    def full(handle: int) -> None:
        if next(calls) == 14:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(handle)

    monkeypatch.setattr(store_module.os, "fsync", full)
    with pytest.raises(OSError, match=r"frame \d: cannot write .*: No space left on device; make room") as caught:
        generate(recipe, tmp_path / "out", n=8, seed=3, format=EVERY)
    assert caught.value.errno == errno.ENOSPC
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "out").rglob(".partial-*"))
    assert not (tmp_path / "out/manifest.json").exists()
    monkeypatch.undo()
    assert generate(recipe, tmp_path / "out", n=8, seed=3, format=EVERY).reused > 0
    assert_same(tmp_path / "out", dataset)


@pytest.mark.parametrize("call", [0, 4, 9, 15, 19, 23])
def test_a_crash_at_any_rename_is_survived(
    recipe: ew.Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    calls = iter(range(1000))
    replace = os.replace

    def crash(source: Any, target: Any) -> None:
        if next(calls) == call:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(store_module.os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        generate(recipe, tmp_path / "out", n=3, seed=3, format=EVERY)
    assert not list((tmp_path / "out").rglob(".partial-*"))
    monkeypatch.undo()
    generate(recipe, tmp_path / "out", n=3, seed=3, format=EVERY)
    generate(recipe, tmp_path / "whole", n=3, seed=3, format=EVERY)
    assert_same(tmp_path / "out", tmp_path / "whole")


def test_limit_of_the_operating_system_on_files(recipe: ew.Scene, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))  # run.json fits, the image does not
    try:
        with pytest.raises(OSError, match=r"frame 0: cannot write .*000000.* File too large"):
            generate(beads_and_rods(bits=16), tmp_path, n=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert not [*tmp_path.rglob(".partial-*"), *tmp_path.rglob("*.gz")]


def test_a_folder_that_cannot_be_made(recipe: ew.Scene, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot write .*file/out: .*; make room or correct the path"):
        generate(recipe, tmp_path / "file" / "out", n=1)


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


def test_another_version_is_refused(recipe: ew.Scene, tmp_path: Path) -> None:
    generate(recipe, tmp_path, n=1)
    text = (tmp_path / "run.json").read_text()
    (tmp_path / "run.json").write_text(text.replace(torch.__version__, "1.0.0"))
    with pytest.raises(ValueError, match=r"written with torch 1.0.0, this is .*; install that version to continue"):
        generate(recipe, tmp_path, n=1)


def test_a_folder_with_other_things_is_refused(recipe: ew.Scene, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(
        ValueError, match=r"expected an empty or new folder, .* with 'thesis.tex' in it; choose"
    ):
        generate(recipe, tmp_path, n=1)
    assert contents(tmp_path) == {"thesis.tex": b"precious"}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"layout": 1, "recipe": 3}'])
def test_a_damaged_identity_is_refused(recipe: ew.Scene, tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ValueError, match=r"cannot read .*run.json: it is damaged; choose another folder, or delete"):
        generate(recipe, tmp_path, n=1)


def test_a_folder_at_work_is_refused(recipe: ew.Scene, tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    with store_module.locked(tmp_path), pytest.raises(ValueError, match="another run is at work; wait for it"):
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
        ({"format": "qqq"}, "unknown format 'qqq'; known formats: coco, masks, masks-png, parquet, yolo, yolo-obb"),
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


def test_progress_is_shown_on_request(recipe: ew.Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generate(recipe, tmp_path / "silent", n=2)
    assert capsys.readouterr().err == ""
    generate(recipe, tmp_path / "shown", n=2, progress=True)
    assert "2/2" in capsys.readouterr().err
