"""How commands end: exit codes, one line for an error, interrupts."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from cli.commands import done, refused, run


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("generate", "tinny.toml", "out", "-n", "1"), "expected a TOML file at tinny.toml"),
        (("generate", "lysozime", "out", "-n", "1"), "unknown recipe 'lysozime'; did you mean"),
        (("generate", "tiny.toml", "tiny.toml/out", "-n", "1"), "cannot write tiny.toml/out"),
        (("generate", "tiny.toml", "out", "-n", "1", "--format", "yolo-obbb"), "did you mean 'yolo-obb'?"),
        (("render", "tiny.toml", "--out", "tiny.toml/a.png"), "cannot write tiny.toml/a.png"),
        (("render", "broken.toml"), "is not valid TOML"),
        (("render", "prior.toml"), "expected a Scene"),
        (("info", "brightfeld"), "did you mean 'brightfield'?"),
        (("fit", "bead.toml", "none.tif", "--free", "specimen.parts.0.size"), "cannot read none.tif: No such file"),
        (("fit", "bead.toml", "none.tif", "--free", "specimen.parts.0.sizes"), "did you mean 'size'?"),
        (("fit", "bead.toml", "none.tif", "--free", "offset"), "did you mean 'microscope.sensor.offset'?"),
        (("fit", "bead.toml", "image.tif", "--free", "grid.shape"), "expected a parameter at 'grid.shape'"),
        (("fit", "bead.toml", "image.tif", "--free", "specimen.medium", "--method", "x"), "method must be one of"),
        (("fit", "bead.toml", "image.tif", "--free", "specimen.medium", "--bin", "9"), "lower --bin"),
        (("fit", "bead.toml", "image.tif", "--free", "specimen.medium", "--out", "image.tif/x"), "cannot write into"),
        (("fit", "bead.toml", "black.tif", "--free", "specimen.medium"), "must show something"),
    ],
)
def test_bad_input_is_explained(words: tuple[str, ...], said: str) -> None:
    Path("broken.toml").write_text("type = ")
    Path("prior.toml").write_text('type = "Uniform"\nlow = 1.0\nhigh = 2.0')
    tifffile.imwrite("image.tif", np.arange(64, dtype=np.float32).reshape(8, 8))
    tifffile.imwrite("black.tif", np.zeros((8, 8), np.float32))
    before = sorted(Path().rglob("*"))
    assert said in refused(*words)
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("renderr", "tiny.toml"),
        ("render", "tiny.toml", "--set", "na"),
        ("render", "tiny.toml", "--out", "image.jpg"),
        ("render", "tiny.toml", "--seed", "-1"),
        ("generate", "tiny.toml", "out"),
        ("generate", "tiny.toml", "out", "-n", "0"),
        ("fit", "bead.toml", "image.tif"),
        ("fit", "bead.toml", "image.tif", "--free", ","),
        ("fit", "bead.toml", "image.tif", "--free", "specimen.medium", "--set", "grid.shape=[3, 3]"),
        ("show", "image.png", "label.txt", "--out", "x.jpg"),
    ],
)
def test_wrong_usage_ends_with_2(words: tuple[str, ...]) -> None:
    assert run(*words).exit_code == 2
    assert sorted(path.name for path in Path().iterdir()) == ["bead.toml", "tiny.toml"]


def _process(*words: str, **more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from exitwave.cli import main; main()", *words]
    # A chain of small arrays gains nothing from threads.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "100"} | more
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )


def test_errors_of_the_process_are_one_line_and_debug_shows_where() -> None:
    process = _process("render", "tiny.toml", "--set", "microscope.optics.na=1.2")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    process = _process("--debug", "render", "tiny.toml", "--set", "microscope.optics.na=1.2")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert err.startswith("Traceback")
    assert "ValueError" in err.splitlines()[-1]


def test_interrupts_end_with_130_and_leave_a_run_that_goes_on() -> None:
    process = _process("generate", "tiny.toml", "out", "-n", "100000")
    until = time.monotonic() + 60
    while not Path("out/records/000001.json.gz").exists():
        assert time.monotonic() < until
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.strip().splitlines() == ["interrupted: nothing is half-written; run the same again"]
    written = len(list(Path("out/records").iterdir()))
    assert f"{written} were there" in done("generate", "tiny.toml", "out", "-n", str(written + 1))


def test_a_reader_that_leaves_is_no_error() -> None:
    process = _process("info", "tiny.toml")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    process.wait(timeout=60)


def test_version_is_that_of_the_package() -> None:
    assert done("--version").strip() == importlib.metadata.version("exitwave")
