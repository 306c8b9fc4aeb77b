"""The README and the documentation: what they show runs as written."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

import exitwave as ew
from exitwave.cli import app
from exitwave.data import formats

ROOT = Path(__file__).parents[1]
TEXTS = ("README.md", "docs/index.md", "docs/cli.md", "docs/recipes.md")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", (ROOT / text).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


def commands(text: str) -> list[list[str]]:
    """Return the words after `exitwave` of every command in the shell blocks of a text, in order."""
    lines = [line for block in blocks(text, "sh") for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("exitwave ")]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beads.toml").write_text(blocks("docs/recipes.md", "toml")[0], encoding="utf-8")


@pytest.mark.parametrize("text", ["docs/index.md", "docs/recipes.md", "docs/fits.md", "docs/fluorescence.md"])
def test_python_in_texts_runs(text: str) -> None:
    whole = "\n".join(blocks(text, "python"))
    assert "import exitwave as ew" in whole
    exec(compile(whole, text, "exec"), {"__name__": "text"})


def test_the_snippet_of_the_readme_recovers_what_it_changed() -> None:
    names: dict[str, object] = {"__name__": "text"}
    exec(compile("\n".join(blocks("README.md", "python")), "README.md", "exec"), names)
    result = names["result"]
    assert isinstance(result, ew.FitResult)
    assert float(result.values["microscope.optics.na"]) == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(
    "text", [text if text != "docs/cli.md" else pytest.param(text, marks=pytest.mark.slow) for text in TEXTS]
)
def test_commands_in_texts_run_as_written(text: str) -> None:
    for words in commands(text):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, f"exitwave {shlex.join(words)}\n{result.output}"


def test_the_readme_shows_every_command_and_the_documentation_tells_of_it() -> None:
    names = (info.name or (info.callback.__name__ if info.callback else "") for info in app.registered_commands)
    known = {name.replace("_", "-") for name in names}
    # Some take minutes: the README only tells of them.
    long = {"fit-shape", "calibrate"}
    assert {words[0] for words in commands("README.md")} == known - long
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"`exitwave {name}`" in readme for name in long)
    table = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `exitwave ([\w-]+)", table, re.MULTILINE)) == known


def test_recipes_and_formats_in_the_documentation_are_those_of_the_package() -> None:
    recipes = (ROOT / "docs/recipes.md").read_text(encoding="utf-8").partition("## One to start from")[0]
    assert set(re.findall(r"^\| `([\w-]+)` \|", recipes, re.MULTILINE)) == set(ew.recipes())
    generate = (ROOT / "docs/cli.md").read_text(encoding="utf-8").partition("## generate")[2].partition("## show")[0]
    assert set(re.findall(r"^\| `([\w-]+)` \|", generate, re.MULTILINE)) == set(formats())


def test_the_recipe_in_the_documentation_is_the_one_built_in_python() -> None:
    names: dict[str, object] = {"__name__": "text"}
    exec(compile("\n".join(blocks("docs/recipes.md", "python")), "recipes.md", "exec"), names)
    assert ew.recipe(Path("beads.toml")) == names["recipe"]


@pytest.mark.parametrize("text", TEXTS)
def test_toml_in_texts_loads(text: str) -> None:
    for block in blocks(text, "toml"):
        ew.load(block)
