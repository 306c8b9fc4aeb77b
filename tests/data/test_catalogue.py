"""Recipes by name, by path and as they are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import exitwave as ew
from exitwave import toml
from exitwave.cli import app
from exitwave.data import catalogue, recipes
from exitwave.data import recipe as find
from exitwave.data.catalogue import classes_of
from exitwave.model import fields


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


@pytest.mark.parametrize("name", ["lysozyme-dic", "colloids-darkfield", "crystals-polarized"])
def test_names_with_hyphens_are_names(name: str) -> None:
    assert isinstance(find(name), ew.Scene)
    told = CliRunner().invoke(app, ["info", name])
    assert told.exit_code == 0, told.output
    with pytest.raises(ValueError, match=f"did you mean '{name}'"):
        find(name.replace("-", "_"))


def dark_and_bright(name: str, index: int) -> tuple[float, float, float]:
    """Return the mean image inside all objects, close around them and far from them, without noise."""
    scene = ew.sample(find(name), ew.Key(0, index))
    image = ew.render(scene)
    image = image.mean(0) if image.ndim == 3 else image
    inside = torch.as_tensor(ew.annotate(scene).ids > 0)
    grown = [torch.nn.functional.max_pool2d(inside[None].float(), 2 * n + 1, 1, n)[0] > 0 for n in (6, 40)]
    around, away = grown[0] & ~inside, ~grown[1]
    return tuple(float(image[where].mean()) for where in (inside, around, away))  # pyright: ignore[reportReturnType]


def test_bacteria_are_dark_in_a_bright_halo() -> None:
    inside, around, away = dark_and_bright("bacteria", 0)
    assert inside < 0.8 * away
    assert around > 1.1 * away


def test_colloids_are_bright_on_a_dark_field() -> None:
    inside, _, away = dark_and_bright("colloids-darkfield", 0)
    offset = 100.0
    assert away - offset < 0.05 * (inside - offset)


def test_crystals_light_up_between_crossed_polars() -> None:
    # The second scene of this seed has no plate.
    assert float(ew.sample(find("crystals-polarized"), ew.Key(0, 2)).microscope.optics.polarization.retardance) == 0
    inside, _, away = dark_and_bright("crystals-polarized", 2)
    assert away < 0.05 * inside


def test_the_camera_of_the_polarised_recipe_is_the_typical_one() -> None:
    scene = find("crystals-polarized")
    expected = ew.camera_rgb(scene.microscope.illumination.wavelength)
    assert torch.allclose(scene.microscope.sensor.response, expected, atol=5e-4)


VOLUMES = [name for name in recipes() if len(find(name).grid.shape) == 3]


def largest(item: ew.Uniform | torch.Tensor) -> float:
    return item.support()[1] if isinstance(item, ew.Uniform) else float(item.max())


def test_there_are_recipes_of_volumes() -> None:
    assert {"embryo", "nuclei"} <= set(VOLUMES)


def test_the_embryo_is_sampled_twice_per_resolved_distance() -> None:
    scene = find("embryo")
    lens = scene.microscope.optics.psf
    assert max(scene.grid.spacing[1:]) <= 0.5 * 0.61 * float(lens.wavelength) / largest(lens.na)


ELECTRONS = ("agnw-sem", "sio2-him", "tio2-him", "tio2-sem")


@pytest.mark.parametrize("name", ELECTRONS)
def test_every_recipe_of_electrons_samples_what_it_shows(name: str) -> None:
    """Pixels are those of the micrographs: rims a few times as wide as the escape depth span one of them at least."""
    scene = find(name)
    assert max(scene.grid.spacing) <= float(scene.microscope.interaction.escape_depth)


@pytest.mark.parametrize("name", [name for name in recipes() if name not in (*VOLUMES, *ELECTRONS)])
def test_every_recipe_samples_its_finest_light(name: str) -> None:
    scene = find(name)
    lamp = scene.microscope.illumination

    tilt = [largest(getattr(lamp, edge)) for edge in ("condenser_na", "outer_na") if edge in fields(type(lamp))]
    aperture = largest(scene.microscope.optics.na) + sum(tilt)
    assert max(scene.grid.spacing) <= float(lamp.wavelength.min()) / (2 * aperture)
