"""Limits of values, in a module of their own because it is cheap to import."""

from typing import Final

BIGINT_MAX: Final = 2**63 - 1
"""The greatest id and version: PostgreSQL's `bigint`."""
