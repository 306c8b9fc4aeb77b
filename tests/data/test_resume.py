"""Interrupted runs: nothing half-made, nothing lost, and the same bytes in the end."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from data.datasets import EVERY, assert_same, beads_and_rods, picture

import exitwave as ew
from exitwave import toml
from exitwave.data import generate

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


def records(out: Path) -> list[Path]:
    """Return the records that are complete; a name that starts with a dot is not."""
    return list(out.glob("records/[0-9]*.gz"))


def wait_for_records(out: Path, process: subprocess.Popen[str], count: int) -> None:
    end = time.monotonic() + 120
    while len(records(out)) < count:
        if time.monotonic() > end:
            process.kill()  # nothing is left behind that goes on drawing
            process.communicate()
            pytest.fail(f"{len(records(out))} frames in two minutes, {count} were expected")
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


def test_a_killed_run_is_resumed_to_the_same_bytes(recipe: ew.Scene, tmp_path: Path) -> None:
    out = tmp_path / "killed" / "out"
    out.parent.mkdir()
    process = start(recipe, out, 5000, workers=2)
    wait_for_records(out, process, 6)
    process.kill()
    process.communicate()
    assert group_has_ended(process)  # the workers noticed
    assert not (out / "manifest.json").exists()
    for image in out.glob("images/*/[0-9]*.png"):
        picture(image)  # complete, or it would not be there
    # Files of up to two frames a worker may be there without a record: the run goes on beyond them.
    longer = max(int(path.name[:6]) for path in records(out)) + 1 + 4
    done = generate(recipe, out, n=longer, seed=3, format=EVERY)
    assert done.reused >= 6
    generate(recipe, tmp_path / "whole", n=longer, seed=3, format=EVERY)
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
    held = max(int(path.name[:6]) for path in records(out)) + 1
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


def test_disk_full_leaves_nothing_half_written(
    recipe: ew.Scene, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(1000))
    sync = os.fsync

    def full(handle: int) -> None:
        if next(calls) == 14:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(handle)

    monkeypatch.setattr(os, "fsync", full)
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

    monkeypatch.setattr(os, "replace", crash)
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
