"""The command line: `exitwave COMMAND ...`; `exitwave --help` lists the commands.

What the commands need beyond the options (torch, matplotlib) is imported when one runs.
"""

from exitwave.cli.program import app, main

__all__ = ["app", "main"]
