"""Randomness keyed by (seed, index, purpose): the same draw wherever and whenever it is made."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Key:
    """The name of one sample's randomness: a dataset seed and the sample's index.

    A stream of random numbers gives results that depend on what was drawn before; a key does not. Every purpose (one
    prior, one film, the camera noise) gets a generator of its own, so that changing one leaves the others as they are.

    >>> a = Key(seed=1, index=7).generator("noise")
    >>> b = Key(seed=1, index=7).generator("noise")
    >>> bool((torch.rand(3, generator=a) == torch.rand(3, generator=b)).all())
    True
    """

    seed: int = 0
    index: int = 0

    def __post_init__(self) -> None:
        for name, value in (("seed", self.seed), ("index", self.index)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ValueError(f"expected {name} to be an integer >= 0, got {value!r}; pass a non-negative integer")

    def integer(self, purpose: str) -> int:
        """Return 63 random bits for `purpose` as a non-negative integer."""
        text = f"{self.seed}/{self.index}/{purpose}".encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1

    def generator(self, purpose: str) -> torch.Generator:
        """Return a fresh CPU generator for `purpose`."""
        return torch.Generator().manual_seed(self.integer(purpose))
