"""Runs: what a dataset's folder holds, why it may be continued, and what is already there."""

from __future__ import annotations

import gzip
import importlib.metadata
import json
import platform
import tomllib
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exitwave.data.frame import name_of
from exitwave.data.store import Stored, is_partial, matches, write

LAYOUT = 1
"""The number of the arrangement of files; a later one may not continue an earlier one's runs."""

# Other versions of these may give other bytes.
_VERSIONS = ("exitwave", "torch", "numpy", "scipy", "pillow", "tifffile", "imagecodecs")


@dataclass(frozen=True)
class Job:
    """What a run draws, and into which formats: the same job gives the same bytes.

    `recipe` is the recipe as TOML, `classes` the names of the classes, `readable` the share of outlines that have to be
    seen in an image for it to be kept; None keeps all.
    """

    folder: Path
    recipe: str
    seed: int
    formats: tuple[str, ...]
    classes: tuple[str, ...]
    readable: float | None = None

    def identity(self) -> dict[str, Any]:
        """Return what two runs must have in common to share a folder."""
        return {
            "layout": LAYOUT,
            "seed": self.seed,
            "formats": list(self.formats),
            "classes": list(self.classes),
            **({} if self.readable is None else {"readable": self.readable}),
            "recipe": self.recipe,
            "versions": versions(self.formats),
        }


def versions(formats: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of everything that decides the bytes of a dataset in `formats`."""
    found = {"python": platform.python_version(), "zlib": zlib.ZLIB_RUNTIME_VERSION}
    for name in (*_VERSIONS, *(("pyarrow",) if "parquet" in formats else ())):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def claim(job: Job) -> None:
    """Make the folder that of `job`: write run.json, or check that it is there and says the same.

    A run that got no further than run.json, because its recipe could not be drawn, may be replaced.
    """
    path = job.folder / "run.json"
    own = job.identity()
    others = sorted(item.name for item in job.folder.iterdir() if item != path and not is_partial(item))
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if others:
            raise ValueError(
                f"expected an empty or new folder, or one that a run has begun, got {job.folder} with {others[0]!r} "
                "in it; choose another folder"
            ) from None
        write(path, [_pretty(own)])
        return
    try:
        other = json.loads(text)
        difference = _difference(other, own)
    except (ValueError, KeyError, TypeError, AttributeError):
        # Not even another program's run.json is overwritten.
        raise ValueError(f"cannot read {path}: it is damaged; choose another folder, or delete this one") from None
    if difference and others:
        raise ValueError(f"{job.folder} holds another run: {difference}, or choose another folder")
    if difference:
        write(path, [_pretty(own)])


def _difference(other: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """Return the first difference between two identities and how to remove it; empty if there is none."""
    if other["layout"] != own["layout"]:
        return f"its layout is number {other['layout']}, this version writes {own['layout']}; use the other version"
    if other["recipe"] != own["recipe"]:
        was, now = (dict(_flat(tomllib.loads(side["recipe"]), "")) for side in (other, own))
        for path in (*was, *now):
            if was.get(path) != now.get(path):
                there, here = (_brief(side.get(path)) for side in (was, now))
                return f"its recipe has {path} = {there}, got {here}; pass the same recipe to continue it"
    for name in ("seed", "formats", "classes"):
        if other[name] != own[name]:
            there, here = (",".join(side[name]) if name != "seed" else side[name] for side in (other, own))
            return f"its {name} is {there}, got {here}; pass the same to continue it"
    shares = [side.get("readable") for side in (other, own)]
    if shares[0] != shares[1]:
        there, here = ("not given" if share is None else share for share in shares)
        return f"its readable is {there}, got {here}; pass the same to continue it"
    for name in (*own["versions"], *other["versions"]):
        there, here = other["versions"].get(name), own["versions"].get(name)
        if there != here:
            return f"it was written with {name} {there}, this is {here}; install that version to continue it"
    return ""


def _flat(item: Any, path: str) -> Iterator[tuple[str, Any]]:
    pairs = item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else None
    if pairs is None:
        yield path, item
        return
    for name, part in pairs:
        yield from _flat(part, f"{path}.{name}" if path else str(name))


def _brief(item: Any) -> str:
    return "nothing" if item is None else f"{item!r:.40}"


def record_path(index: int) -> str:
    """Return where in the folder the record of frame `index` lies."""
    return f"records/{name_of(index)}.json.gz"


def write_record(job: Job, index: int, record: Mapping[str, Any]) -> Stored:
    """Write the record of a frame: its presence says that the frame is complete.

    gzip carries a checksum of its own, so that a damaged record is noticed.
    """
    text = json.dumps(record, separators=(",", ":"), allow_nan=False).encode()
    return write(job.folder / record_path(index), [gzip.compress(text, compresslevel=1, mtime=0)])


def read_record(job: Job, index: int) -> dict[str, Any] | None:
    """Return the record of a frame, or None where there is none that can be read."""
    try:
        return json.loads(gzip.decompress((job.folder / record_path(index)).read_bytes()))
    except (OSError, EOFError, ValueError, zlib.error):
        return None


def is_complete(job: Job, index: int) -> bool:
    """Return whether a frame is there with all its files, unharmed."""
    record = read_record(job, index)
    if record is None:
        return False
    return all(matches(job.folder / path, Stored(**stored)) for path, stored in record["files"].items())


def highest(job: Job) -> int:
    """Return one more than the largest number of a frame with a record; 0 if there is none."""
    names = [path.name.partition(".")[0] for path in (job.folder / "records").glob("*.json.gz")]
    return max((int(name) + 1 for name in names if name.isdigit()), default=0)


def read_manifest(job: Job) -> dict[str, Any] | None:
    """Return the manifest, or None where there is none that can be read."""
    try:
        return json.loads((job.folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def manifest(job: Job, n: int, rejected: int, files: Iterator[tuple[str, Stored]]) -> Iterator[bytes]:
    """Yield the text of manifest.json: the job, the number of frames, and size and sum of every other file.

    With a share that has to be readable comes how many images were `rejected` for it.
    """
    counts = {"frames": n} if job.readable is None else {"frames": n, "rejected": rejected}
    head = _pretty({**job.identity(), **counts}).decode().rstrip().removesuffix("}").rstrip()
    yield f'{head},\n  "files": {{'.encode()
    for number, (path, stored) in enumerate(files):
        entry = json.dumps({"bytes": stored.bytes, "sha256": stored.sha256})
        yield f"{',' if number else ''}\n    {json.dumps(path)}: {entry}".encode()
    yield b"\n  }\n}\n"


def _pretty(item: Any) -> bytes:
    return (json.dumps(item, indent=2) + "\n").encode()
