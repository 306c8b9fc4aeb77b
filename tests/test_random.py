"""Randomness keyed by (seed, index, purpose)."""

from __future__ import annotations

import hashlib
import pickle
from typing import Any

import pytest
import torch

import exitwave as ew


def draws(key: ew.Key, purpose: str) -> list[float]:
    return torch.rand(4, generator=key.generator(purpose)).tolist()


def test_the_same_key_and_purpose_give_the_same_draws() -> None:
    key = ew.Key(3, 4)
    assert draws(key, "noise") == draws(ew.Key(3, 4), "noise")
    torch.rand(100)
    key.generator("other")
    assert draws(key, "noise") == draws(pickle.loads(pickle.dumps(key)), "noise")


def test_seed_index_and_purpose_each_matter() -> None:
    found = [
        tuple(draws(ew.Key(seed, index), purpose))
        for seed in range(3)
        for index in range(3)
        for purpose in ("a", "b", "ab")
    ]
    assert len(set(found)) == 27


def test_keys_are_not_confused_by_digits() -> None:
    """(1, 23) and (12, 3) are different samples."""
    assert ew.Key(1, 23).integer("x") != ew.Key(12, 3).integer("x")
    assert ew.Key(1, 2).integer("3/x") != ew.Key(1, 23).integer("x")


def test_integers_are_the_hash_of_the_name() -> None:
    """Fixed for all times and machines: a dataset drawn today can be drawn again."""
    digest = hashlib.blake2b(b"5/6/noise", digest_size=8).digest()
    assert ew.Key(5, 6).integer("noise") == int.from_bytes(digest, "little") // 2
    assert 0 <= ew.Key(5, 6).integer("noise") < 2**63


def test_generators_of_many_keys_are_uniform_and_independent() -> None:
    first = torch.stack([torch.rand(2, generator=ew.Key(0, index).generator("p")) for index in range(2000)]).double()
    assert float(first.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(first.var()) == pytest.approx(1 / 12, abs=0.004)
    neighbours = torch.corrcoef(torch.stack([first[:-1, 0], first[1:, 0], first[:-1, 1]]))
    assert float((neighbours - torch.eye(3)).abs().max()) < 0.07


def test_global_randomness_is_left_alone() -> None:
    state = torch.get_rng_state()
    draws(ew.Key(1), "noise")
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("value", [-1, 1.5, "1", True, None])
def test_keys_refuse_what_is_not_a_count(value: Any) -> None:
    with pytest.raises(ValueError, match=r"expected seed to be an integer >= 0, got .*; pass a non-negative integer"):
        ew.Key(seed=value)
    with pytest.raises(ValueError, match="expected index to be an integer >= 0"):
        ew.Key(index=value)
