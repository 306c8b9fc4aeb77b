"""How a process that draws many frames keeps its memory."""

from __future__ import annotations

import ctypes

# Numbers of glibc's <malloc.h>.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> None:
    """Let glibc keep what a frame frees for the next frame; other C libraries stay as they are.

    Arrays of a few megabytes are given back to the system and asked for again dozens of times a frame otherwise, and
    every page of them is then zeroed anew: a tenth of the time of a frame.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_MMAP_THRESHOLD, 1 << 25)  # the largest that it takes
    mallopt(_TRIM_THRESHOLD, 1 << 30)
