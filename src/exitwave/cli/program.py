"""The program: its commands, its exit codes and how it reports errors.

Exit codes: 0 done; 1 an error of the run, one line on stderr; 2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import importlib.metadata
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from exitwave.cli.calibrate import calibrate
from exitwave.cli.design import design
from exitwave.cli.fit import fit
from exitwave.cli.fit_shape import fit_shape
from exitwave.cli.generate import generate
from exitwave.cli.info import info, recipes
from exitwave.cli.render import render
from exitwave.cli.show import show

# What the library raises about its input, and what the machine raises. Anything else is a fault of the program, whose
# traceback is wanted.
_REPORTED = (ValueError, TypeError, LookupError, ArithmeticError, OSError, RuntimeError, ImportError, MemoryError)


class _Program(TyperGroup):
    """All commands; errors of any of them become one line."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise  # ways to end that typer knows
        except KeyboardInterrupt:
            print("interrupted: nothing is half-written; run the same again", file=sys.stderr)
            raise typer.Exit(130) from None
        except _REPORTED as error:
            if ctx.params["debug"]:
                raise
            print(f"error: {one_line(error)}", file=sys.stderr)
            raise typer.Exit(1) from None


def one_line(error: BaseException) -> str:
    """Return the message of an error in one line; its kind where it has no message."""
    # The text of a KeyError is the repr of its message, with quotes around it.
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if isinstance(error, OSError) and error.strerror and error.filename:
        text = f"{error.filename}: {error.strerror}"
    return " ".join(text.split()) or f"{type(error).__name__}; --debug shows where"


def _version(wanted: bool) -> None:
    if wanted:
        print(importlib.metadata.version("exitwave"))
        raise typer.Exit


app = typer.Typer(
    name="exitwave",
    cls=_Program,
    help="A differentiable microscope: annotated synthetic micrographs, and the same model run backwards on real ones.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _global(
    debug: Annotated[
        bool, typer.Option("--debug", envvar="EXITWAVE_DEBUG", help="Show the traceback of an error.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Take the options that stand before the command; `_Program` reads them."""


for _command in (render, generate, fit, fit_shape, calibrate, design, show, info, recipes):
    app.command()(_command)


def main() -> None:
    """Run the command line; never returns."""
    app()
