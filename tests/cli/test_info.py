"""`exitwave info` and `exitwave recipes`: everything that can be set, by its path."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest
import torch
from cli.commands import done

import exitwave as ew
from exitwave import get, native
from exitwave.cli.listing import listed
from exitwave.cli.override import overridden
from exitwave.data import recipe, recipes


def test_info_lists_every_field_with_unit_range_and_meaning() -> None:
    told = done("info", "tiny.toml")
    scene = recipe(Path("tiny.toml"))
    lines = {line.split()[0]: line for line in told.splitlines()}
    # The numbers of a prior stand in its own line.
    assert {path.removesuffix(".low").removesuffix(".high").removesuffix(".mean").removesuffix(".sigma")
            for path in ew.paths(scene)} < set(lines)  # fmt: skip
    assert set(lines) == {"path"} | {entry.path for entry in listed(scene)}
    for path, words in {
        "microscope.optics.na": ("0.5", "(0, 1.7)", "numerical aperture"),
        "specimen.parts.0.size.0": ("Uniform(low=0.3, high=0.6)", "um", "[0, inf)", "(radius), per particle"),
        "specimen.parts.0.index": ("Normal(mean=1.45, sigma=0.01)", "per particle"),
        "specimen.parts.0.within": ("not set", "um"),
        "microscope.sensor.bits": ("8",),
        "grid.pixel": ("[0.1, 0.1]",),
    }.items():
        for word in words:
            assert word in lines[path], lines[path]


def test_info_tells_the_slabs_of_a_deep_specimen() -> None:
    """Beads of .3 to .6 um and the automatic number of planes, at most .3 depths of field apart."""
    deep = Path("tiny.toml").read_text().replace('type = "Transmission"', 'type = "Multislice"')
    Path("deep.toml").write_text(deep)
    line = next(line for line in done("info", "deep.toml").splitlines() if "planes from" in line)
    words = line.split()
    count, low, high = (float(words[words.index("planes") + offset]) for offset in (-1, 2, 4))
    wavelength, na = 0.55, float(get(recipe(Path("deep.toml")), "microscope.optics.na"))
    assert (high - low) / (count - 1) <= 0.3 * wavelength * 1.33 / na**2
    assert "planes from" not in done("info", "tiny.toml")


@pytest.mark.parametrize(
    "preset",
    ["brightfield", "oblique", "darkfield", "phase_contrast", "dic", "polarized", "hologram", "quantitative_phase"],
)
def test_info_knows_the_presets(preset: str) -> None:
    assert "microscope.optics.na " in done("info", preset)


def test_info_alone_tells_of_the_installation() -> None:
    lines = dict(line.strip().split(maxsplit=1) for line in done("info").splitlines())
    assert lines["exitwave"] == importlib.metadata.version("exitwave")
    assert lines["torch"] == torch.__version__
    assert lines["kernels"] == native.level()
    assert lines["threads"] == str(torch.get_num_threads())
    assert "accelerators" in lines


def test_every_listed_path_can_be_set() -> None:
    scene = recipe(Path("tiny.toml"))
    for entry in listed(scene):
        if entry.spec is not None and isinstance(entry.value, float | int):
            assert overridden(scene, [f"{entry.path}={entry.value}"]) == scene


def test_recipes_are_listed() -> None:
    told = done("recipes")
    for name, description in recipes().items():
        assert name in told
        assert description in told
