"""Reading with care: files come from anywhere, and what goes wrong is told in one line that names them."""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tifffile
from PIL import Image

TIFF = (".tif", ".tiff")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what goes wrong in a reader of images into one line that names the file."""
    log = logging.getLogger("tifffile")  # it tells of every oddity of a header, in lines of its own
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(f"cannot read {path}: {reason}; pass the path of an image") from None
    except (
        tifffile.TiffFileError, struct.error, zlib.error, SyntaxError, LookupError, TypeError, ArithmeticError,
        RuntimeError, EOFError, Image.DecompressionBombError, Image.DecompressionBombWarning,
    ) as error:  # fmt: skip
        raise ValueError(f"cannot read {path}: {error}; it is damaged or no image") from None
    except ValueError as error:
        named = str(error) if str(path) in str(error) else f"cannot read {path}: {error}; convert it to a plain TIFF"
        raise ValueError(named) from None
    finally:
        log.setLevel(level)
