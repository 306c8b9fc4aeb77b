"""Datasets: recipes, annotated images on disk in the usual label formats, and streams of them for training.

- `generate`: write a dataset; `Stream`: render it while training.
- `recipe`, `recipes`: the recipes of the package, and those in files.
- `formats`: the names of the label formats; `Writer` is what one has to provide.
"""

from exitwave.data.catalogue import recipe, recipes
from exitwave.data.frame import Frame
from exitwave.data.generate import Run, generate
from exitwave.data.stream import Stream, collate
from exitwave.data.writers import Entry, Writer, formats

__all__ = ["Entry", "Frame", "Run", "Stream", "Writer", "collate", "formats", "generate", "recipe", "recipes"]
