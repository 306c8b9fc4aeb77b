"""Checks of tables that name vertices."""

from __future__ import annotations

from torch import Tensor


def check_table(name: str, table: Tensor, count: int) -> None:
    """Raise a one-line error where a table names vertices that are not there, or names none at all."""
    if not len(table):
        raise ValueError(f"{name} must have at least one row, got none; leave the part out of the specimen instead")
    low, high = int(table.min()), int(table.max())
    if low < 0 or high >= count:
        raise ValueError(
            f"{name} must name vertices from 0 to {count - 1}, got {low if low < 0 else high}; count them from 0"
        )
