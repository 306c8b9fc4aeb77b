"""Generation: from a recipe to a dataset on disk."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exitwave import toml
from exitwave.data import catalogue, run
from exitwave.data.frame import Frame, name_of, split_of
from exitwave.data.images import stored, stored_volume, suffix
from exitwave.data.memory import keep_freed_memory
from exitwave.data.progress import reporting
from exitwave.data.run import Job
from exitwave.data.stacks import OME
from exitwave.data.store import Stored, clean, locked, matches, summed, write
from exitwave.data.tries import checked, drawn
from exitwave.data.writers import Entry, Writer, parse, usual, writers
from exitwave.random import Key
from exitwave.scene import Scene


@dataclass(frozen=True)
class Run:
    """What `generate` did: formats, frames written and frames that were there already, and where the time went.

    `rejected` images were drawn besides those written; too few outlines could be seen in them. `seconds` adds up all
    workers' time by stage (sample, render, annotate, judge, encode, write; check is that of frames that were there);
    `elapsed` is the time on the clock.
    """

    folder: Path
    formats: tuple[str, ...]
    written: int
    reused: int
    seconds: dict[str, float]
    elapsed: float
    rejected: int = 0

    @property
    def sheet(self) -> Path:
        """The contact sheet."""
        return self.folder / "sheet.png"


@dataclass(frozen=True)
class _Outcome:
    index: int
    reused: bool
    seconds: dict[str, float]
    rejected: int = 0


def generate(
    recipe: str | Path | Scene,
    out: str | Path,
    n: int,
    seed: int = 0,
    format: str = "auto",
    workers: int = 1,
    progress: bool | None = None,
    readable: float | None = None,
) -> Run:
    """Write `n` annotated images or volumes drawn from `recipe` into the folder `out`, and return what was done.

    The folder gets images, labels in every format of the comma-separated list `format` (see `exitwave.data.formats`;
    "auto" is yolo-obb for images, and masks, membranes and meshes for volumes), truth.csv, the contact sheet sheet.png,
    and manifest.json, written last, with the recipe, versions, and the size and SHA-256 of every file. Frame i depends
    on (recipe, seed, i) alone: `workers`, interruptions and `n` change no byte. Every fifth frame is for validation.

    A run that was interrupted, or that is to become longer, is continued by calling again with the same arguments:
    what is complete and undamaged stays, everything else is made anew. A folder that holds another run, more frames
    than `n`, or anything else is refused. `progress` shows a bar; None shows it in a terminal only.

    With `readable`, the share of the objects whose outlines have to be seen in an image (see
    `exitwave.data.readable.visibility`), frames that cannot be read are drawn anew, each from keys of its own, 20 times
    at most. Records and manifest tell how many were rejected.

    With `workers` above 1, a script must call this under `if __name__ == "__main__":`, as processes are started anew.

    >>> import tempfile, exitwave as ew
    >>> bead = ew.Particles(ew.Sphere(), center=[[0, 0, 0]], size=[[1.0]], index=[1.59], label="bead")
    >>> scene = ew.Scene(ew.Specimen((bead,), medium=1.33), ew.brightfield(sensor=ew.Camera()), ew.Grid((64, 64), 0.1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(generate(scene, folder, n=2).written, (Path(folder) / "labels/train/000000.txt").read_text())
    2 0 0.3515625 0.3515625 0.6640625 0.3515625 0.6640625 0.6640625 0.3515625 0.6640625
    """
    for name, number in (("n", n), ("workers", workers)):
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise ValueError(f"expected {name} to be an integer above 0, got {number!r}; pass for example 1")
    Key(seed)  # checks the seed
    scene = catalogue.recipe(recipe)
    dimensions = len(scene.grid.shape)
    share = checked(readable, dimensions)
    job = Job(Path(out), toml.dump(scene), seed, usual(parse(format), dimensions), catalogue.classes_of(scene), share)
    made = writers(job.formats, dimensions)  # before anything is written: a format may be unknown, or lack a package
    start = time.perf_counter()
    with locked(job.folder):
        run.claim(job)
        clean(job.folder)
        held = run.highest(job)
        if held > n:
            raise ValueError(
                f"expected n of at least {held}, the frames that {job.folder} already holds, got {n}; pass n={held} or "
                "choose another folder"
            )
        seconds: dict[str, float] = {}
        reused = rejected = 0
        with reporting(n, progress) as report:
            for outcome in _outcomes(job, n, min(workers, n)):
                reused += outcome.reused
                rejected += outcome.rejected
                for stage, spent in outcome.seconds.items():
                    seconds[stage] = seconds.get(stage, 0.0) + spent
                report(outcome.reused)
        before = time.perf_counter()
        if reused < n or not _finished(job, n):
            _finish(job, n, made)
        end = time.perf_counter()
    seconds["finish"] = end - before
    return Run(job.folder, job.formats, n - reused, reused, seconds, end - start, rejected)


def _outcomes(job: Job, n: int, workers: int) -> Iterator[_Outcome]:
    """Yield what became of each frame, in any order; an error of a frame ends the run and names it."""
    if workers == 1:
        for index in range(n):
            try:
                outcome = _frame(job, index)
            except Exception as error:
                raise _named(error, index) from error
            yield outcome
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    try:
        indices = iter(range(n))
        pending: dict[Future[_Outcome], int] = {}
        while True:
            # No more than is soon worked on: an error or Ctrl-C then ends the run at once.
            while len(pending) < 2 * workers and (index := next(indices, None)) is not None:
                with _uninterrupted():
                    pending[pool.submit(_frame, job, index)] = index
            if not pending:
                return
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in sorted(done, key=pending.__getitem__):
                index = pending.pop(future)
                error = future.exception()
                if error is not None:
                    raise _named(error, index) from error
                yield future.result()
    finally:
        # What is being drawn is finished first, for Ctrl-C too: nobody is left behind that writes to the folder.
        pool.shutdown(wait=True, cancel_futures=True)


def _named(error: BaseException, index: int) -> BaseException:
    """Return an error of the same kind, as far as it is one of the usual ones, that names the frame."""
    if isinstance(error, BrokenProcessPool):
        return RuntimeError(
            f"a worker process ended while frame {index} was drawn: out of memory, or a script that lacks "
            "`if __name__ == '__main__':`; correct it or use fewer workers, and run the same again to continue"
        )
    if isinstance(error, OSError):
        named = OSError(f"frame {index}: {error}")
        named.errno = error.errno
        return named
    text = str(error) if isinstance(error, ValueError | TypeError) else f"{type(error).__name__}: {error}"
    return (ValueError if isinstance(error, ValueError) else RuntimeError)(f"frame {index}: {text}")


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back while a worker may start: it inherits the mask, and is not interrupted while it imports."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker() -> None:
    # Ctrl-C reaches all processes of a terminal; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)  # the parent was killed: nobody will ask for anything more

    threading.Thread(target=follow, daemon=True).start()


@functools.lru_cache(maxsize=1)
def _prepared(recipe: str, formats: tuple[str, ...]) -> tuple[Scene, Mapping[str, Writer]]:
    keep_freed_memory()
    # Read back from the text also in the first process: the dataset is that of the recipe in its manifest.
    return toml.load(recipe), writers(formats)


def _frame(job: Job, index: int) -> _Outcome:
    """Draw frame `index` and write its files, unless they are there."""
    start = time.perf_counter()
    if run.is_complete(job, index):
        return _Outcome(index, True, {"check": time.perf_counter() - start})
    scene, made = _prepared(job.recipe, job.formats)
    exposure, rejected = drawn(scene, Key(job.seed, index), job.readable)
    exposed = time.perf_counter()
    deep = len(scene.grid.shape) == 3
    image = (stored_volume if deep else stored)(exposure.image, exposure.bits)
    path = f"images/{split_of(index)}/{name_of(index)}{OME if deep else suffix(image)}"
    frame = Frame(index, image, exposure.truth, job.classes, path)
    files: dict[str, bytes] = {}
    notes: dict[str, Any] = {}
    for name, writer in made.items():
        own, notes[name] = writer.frame(frame)
        files.update(own)
    encoded = time.perf_counter()
    sums = {place: dataclasses.asdict(write(job.folder / place, [data])) for place, data in files.items()}
    record = {"index": index, "split": frame.split, "image": path, "shape": list(exposure.truth.shape), "files": sums}
    told = {} if job.readable is None else {"rejected": rejected}
    run.write_record(job, index, {**record, **told, "notes": notes})
    seconds = {**exposure.seconds, "encode": encoded - exposed, "write": time.perf_counter() - encoded}
    return _Outcome(index, False, seconds, rejected)


def _finish(job: Job, n: int, made: Mapping[str, Writer]) -> None:
    """Write the files of the whole dataset, and the manifest after all others."""
    whole = {"run.json": summed(job.folder / "run.json")}
    whole["recipe.toml"] = write(job.folder / "recipe.toml", [job.recipe.encode()])
    for name, writer in made.items():
        for path, chunks in writer.finish(job.classes, functools.partial(_entries, job, n, name)).items():
            whole[path] = write(job.folder / path, chunks)

    def files() -> Iterator[tuple[str, Stored]]:
        yield from whole.items()
        for record in _records(job, n):
            for path, sums in record["files"].items():
                yield path, Stored(**sums)
            path = run.record_path(record["index"])
            yield path, summed(job.folder / path)

    rejected = 0 if job.readable is None else sum(record["rejected"] for record in _records(job, n))
    write(job.folder / "manifest.json", run.manifest(job, n, rejected, files()))


def _finished(job: Job, n: int) -> bool:
    """Return whether the manifest is there for `n` frames, and every file that belongs to no single frame is sound."""
    manifest = run.read_manifest(job)
    if manifest is None or manifest.get("frames") != n:
        return False
    frames = {path for record in _records(job, n) for path in record["files"]}
    whole = [(path, Stored(**sums)) for path, sums in manifest["files"].items() if path not in frames]
    return all(matches(job.folder / path, sums) for path, sums in whole)


def _entries(job: Job, n: int, name: str) -> Iterator[Entry]:
    for record in _records(job, n):
        yield Entry(record["index"], record["split"], record["image"], tuple(record["shape"]), record["notes"][name])


def _records(job: Job, n: int) -> Iterator[dict[str, Any]]:
    for index in range(n):
        record = run.read_record(job, index)
        if record is None:
            raise ValueError(f"the record of frame {index} in {job.folder} has gone or is damaged; run the same again")
        yield record
