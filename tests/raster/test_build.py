"""The package builds with and without a compiler; without one it runs in plain torch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from exitwave import native

ROOT = Path(__file__).parents[2]


def test_kernels_are_there_where_a_compiler_is() -> None:
    """A kernel that does not compile leaves a working package, and must not leave a passing test run."""
    if shutil.which(os.environ.get("CXX", "c++")) is None or os.environ.get("EXITWAVE_NATIVE") == "0":
        pytest.skip("no C++ compiler, or no kernels wanted")
    assert native.KERNELS is not None, native.level()


def wheel(folder: Path, environment: dict[str, str]) -> Path:
    """Return a wheel of this checkout, built in `folder` and nowhere else."""
    pytest.importorskip("scikit_build_core", reason="needs the build tools: pip install -e '.[dev]'")
    pytest.importorskip("nanobind", reason="needs the build tools: pip install -e '.[dev]'")
    command = [
        sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
        "--disable-pip-version-check", f"--config-settings=build-dir={folder / 'build'}", "-w", str(folder), str(ROOT),
    ]  # fmt: skip
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    (built,) = folder.glob("exitwave-*.whl")
    return built


def information(built: Path, folder: Path) -> dict[str, str]:
    """Return what `exitwave info` says of an unpacked wheel."""
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder)
    # Without `site`, whose hooks would bring in an editable installation of this checkout.
    paths = os.pathsep.join([str(folder), sysconfig.get_path("purelib")])
    done = subprocess.run(
        [sys.executable, "-S", "-c", "from exitwave.cli import main; main()", "info"],
        env=os.environ | {"PYTHONPATH": paths, "COLUMNS": "200"}, cwd=folder,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return dict(line.strip().split(maxsplit=1) for line in done.stdout.splitlines())


@pytest.mark.slow
def test_without_a_compiler_the_package_runs_in_plain_torch(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "no-such-compiler")
    built = wheel(tmp_path, {"CXX": nowhere, "CC": nowhere})
    names = zipfile.ZipFile(built).namelist()
    assert not any(name.endswith(".so") for name in names)
    assert {"exitwave/py.typed", "exitwave/data/recipes/lysozyme.toml"} <= set(names)
    assert information(built, tmp_path / "unpacked")["kernels"] == "torch only: installed without a C++ compiler"


@pytest.mark.slow
def test_wheel_carries_kernels_and_recipes(tmp_path: Path) -> None:
    built = wheel(tmp_path, {})
    names = zipfile.ZipFile(built).namelist()
    if not any(name.endswith(".so") for name in names):
        pytest.skip("needs a C++ compiler")
    assert {"exitwave/py.typed", "exitwave/_native.pyi", "exitwave/data/recipes/lysozyme.toml"} <= set(names)
    assert not any(name.startswith(("native", "tests")) or name.endswith((".cpp", ".h")) for name in names)
    assert information(built, tmp_path / "unpacked")["kernels"].startswith("native (")
