"""The repository keeps its word: examples run, texts name what exists and nothing of the machine they came from."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
MACHINE_PATH = re.compile(r"(?<![\w.~])/(?:home|root|tmp|work|opt|mnt|Users|private|var/folders)/|\b[A-Z]:\\Users\\")


def _texts(*suffixes: str) -> dict[str, str]:
    """Return the text of every file that is tracked or would be, by name; all suffixes where none is given."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("needs the git checkout to know which files belong to the repository")
    listed = subprocess.run(
        [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    texts = {}
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if path.is_file() and (not suffixes or path.suffix in suffixes):
            content = path.read_bytes()
            if b"\0" not in content:
                texts[name] = content.decode("utf-8")
    return texts


@pytest.mark.example
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(path: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.strip(), "an example says what it found and where its files are"
    assert "Warning" not in done.stderr, done.stderr[-4000:]


def test_machine_paths_are_recognised() -> None:
    assert MACHINE_PATH.search("open('/home/someone/data.tif')")
    assert MACHINE_PATH.search("see file:///tmp/x")
    assert not MACHINE_PATH.search("https://example.org/home/page and ../home/x and a/tmp/b")


def test_no_machine_paths() -> None:
    found = [
        f"{name}:{number}: {line.strip()}"
        for name, text in _texts().items()
        if not name.startswith("tests/")
        for number, line in enumerate(text.splitlines(), start=1)
        if MACHINE_PATH.search(line)
    ]
    assert found == []


def test_changelog_tells_of_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_torch_is_pinned_exactly() -> None:
    assert re.search(r"^torch==[\d.]+$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)


def test_make_targets_in_texts_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        (name, target)
        for name, text in _texts(".md", ".toml", ".yaml", ".yml").items()
        for target in re.findall(r"(?:`|^ *\$? *|&& )make ([a-z-]+)", text, re.MULTILINE)
    }
    assert {(name, target) for name, target in named if target not in targets} == set()


def test_links_between_texts_lead_somewhere() -> None:
    broken = [
        f"{name}: {link}"
        for name, text in _texts(".md").items()
        for link in re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", text)
        if not (ROOT / name).parent.joinpath(link).exists()
    ]
    assert broken == []
