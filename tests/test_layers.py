"""The layers of the package: imports point down only, and siblings do not know one another."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "exitwave"

# From the bottom up. Modules that share a line are siblings; those of the lowest layer alone may import one another.
LAYERS = (
    ("units", "quantity", "model", "grid", "lattice", "fourier", "field", "native", "random", "priors", "toml"),
    ("specimen",),
    ("raster",),
    ("stages",),
    ("illumination", "interaction", "optics", "sensor"),
    ("scene",),
    ("render", "annotate"),
    ("presets", "sample", "fit"),
    ("data", "learn"),
    ("__init__",),  # the public names; only the programs on top of them may import from here
    ("cli", "web"),
    ("__main__",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def violations(root: Path) -> list[str]:
    """Return one line for every import in the package at `root` that points up or sideways.

    Imports inside functions and under TYPE_CHECKING count: a name needed for an annotation is a dependency too.
    """
    found = []
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        own = parts[0]
        if own not in LEVEL:
            found.append(f"{'/'.join(parts)}.py belongs to no layer; add '{own}' to LAYERS")
            continue
        for line, other in _imports(ast.parse(path.read_text(encoding="utf-8")), root, parts):
            if other not in LEVEL:
                found.append(f"{'/'.join(parts)}.py:{line} imports '{other}', which belongs to no layer")
            elif own != other and LEVEL[other] >= LEVEL[own] and LEVEL[own] + LEVEL[other] > 0:
                way = "upward" if LEVEL[other] > LEVEL[own] else "sideways"
                found.append(f"{'/'.join(parts)}.py:{line} imports {way}: {own} -> {other}")
    return found


def _imports(tree: ast.AST, root: Path, parts: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Yield (line, first name below the package) of every import of the package itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # `from ..a import b` in root/c/d.py: level 1 is root/c, level 2 is root.
            origin = [root.name, *parts[: len(parts) - node.level]] if node.level else []
            base = origin + (node.module.split(".") if node.module else [])
            targets = [[*base, alias.name] for alias in node.names]
        else:
            continue
        for target in targets:
            if target[0] == root.name:
                yield node.lineno, _module(root, target[1:])


def _module(root: Path, names: list[str]) -> str:
    """Return the module or subpackage that `names` lead to: "__init__" where they are names of the package itself."""
    if names and ((root / f"{names[0]}.py").is_file() or (root / names[0]).is_dir()):
        return names[0]
    return "__init__" if len(names) < 2 else names[0]


def _tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / "exitwave" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root / "exitwave"


def test_imports_point_down() -> None:
    assert violations(PACKAGE) == []


def test_downward_imports_are_allowed(tmp_path: Path) -> None:
    root = _tree(
        tmp_path,
        {
            "__init__.py": "from exitwave.render import render\n",
            "units.py": "",
            "model.py": "import torch\nfrom exitwave import units\nfrom . import units\n",
            "render.py": "import exitwave.model as model\nfrom exitwave.optics.pupil import Pupil\n",
            "optics/__init__.py": "from exitwave.optics.pupil import Pupil\n",
            "optics/pupil.py": "from ..model import Value\nfrom . import airy\n",
            "optics/airy.py": "",
            "cli.py": "import exitwave\nfrom exitwave import render\n",
        },
    )
    assert violations(root) == []


def test_upward_imports_are_found(tmp_path: Path) -> None:
    root = _tree(
        tmp_path,
        {
            "__init__.py": "",
            "scene.py": "",
            "model.py": "def f():\n    from exitwave.scene import Scene\n",
            "optics/pupil.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..scene import Scene\n",
            "render.py": "from exitwave import Scene\n",
            "raster/__init__.py": "from .. import scene\n",
        },
    )
    assert violations(root) == [
        "model.py:2 imports upward: model -> scene",
        "optics/pupil.py:3 imports upward: optics -> scene",
        "raster/__init__.py:1 imports upward: raster -> scene",
        "render.py:1 imports upward: render -> __init__",
    ]


def test_sideways_imports_are_found(tmp_path: Path) -> None:
    root = _tree(
        tmp_path,
        {
            "optics/__init__.py": "",
            "annotate.py": "",
            "sensor/camera.py": "import exitwave.optics\n",
            "render.py": "from .annotate import annotate\n",
        },
    )
    assert violations(root) == [
        "render.py:1 imports sideways: render -> annotate",
        "sensor/camera.py:1 imports sideways: sensor -> optics",
    ]


def test_modules_outside_the_layers_are_found(tmp_path: Path) -> None:
    root = _tree(tmp_path, {"helpers.py": "", "fit/__init__.py": "from exitwave.nowhere.else_ import f\n"})
    assert violations(root) == [
        "fit/__init__.py:1 imports 'nowhere', which belongs to no layer",
        "helpers.py belongs to no layer; add 'helpers' to LAYERS",
    ]
