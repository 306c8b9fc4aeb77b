"""Recipes by name, by path and as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

import exitwave as ew
from exitwave import toml
from exitwave.data import catalogue, recipes
from exitwave.data import recipe as find
from exitwave.data.catalogue import classes_of


def test_a_scene_is_its_own_recipe(recipe: ew.Scene) -> None:
    assert find(recipe) is recipe


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_is_read(recipe: ew.Scene, tmp_path: Path, kind: type) -> None:
    (tmp_path / "mine.toml").write_text(toml.dump(recipe))
    assert find(kind(tmp_path / "mine.toml")) == recipe


def test_every_recipe_of_the_package_is_described_and_can_be_read() -> None:
    for name, description in recipes().items():
        assert description
        assert isinstance(find(name), ew.Scene)
        assert classes_of(find(name))


@pytest.fixture
def two(recipe: ew.Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put two recipes in place of the package's."""
    (tmp_path / "data" / "recipes").mkdir(parents=True)
    for name in ("colloids", "bacteria"):
        text = f"# Some {name}, in water.\n# More of it.\n" + toml.dump(recipe)
        (tmp_path / "data" / "recipes" / f"{name}.toml").write_text(text)
    monkeypatch.setattr(catalogue, "files", lambda package: tmp_path / "data")


@pytest.mark.usefixtures("two")
def test_recipes_by_name(recipe: ew.Scene) -> None:
    assert recipes() == {"bacteria": "Some bacteria, in water.", "colloids": "Some colloids, in water."}
    assert find("colloids") == recipe


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("coloids", "unknown recipe 'coloids'; did you mean 'colloids'?"),
        ("xyz", "unknown recipe 'xyz'; known recipes: bacteria, colloids; or pass the path of a TOML file"),
        ("no/such.toml", "expected a TOML file at no/such.toml, got none"),
    ],
)
def test_unknown_recipes(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        find(name)


def test_another_value_than_a_scene_is_refused(tmp_path: Path) -> None:
    (tmp_path / "grid.toml").write_text('type = "Grid"\nshape = [4, 4]\npixel = 0.1\n')
    with pytest.raises(ValueError, match=r"expected a Scene in .*grid.toml, got a Grid; begin it with type = "):
        find(tmp_path / "grid.toml")


def test_classes_come_from_the_recipe(recipe: ew.Scene) -> None:
    assert classes_of(recipe) == ("bead", "rod")
