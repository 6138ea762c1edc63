"""How hard the property tests try: HYPOTHESIS_PROFILE=long multiplies every number of examples, by 25 or as told."""

import os
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

LONG: Final = os.environ.get("HYPOTHESIS_PROFILE") == "long"
FACTOR: Final = 25
SHRINKING_SECONDS: Final = 600  # Hypothesis looks up to five minutes for a smaller example, and then shows it

patient: Final = pytest.mark.timeout(0 if LONG else SHRINKING_SECONDS)
"""The mark of every property test: the suite's usual timeout would hide the failing example."""


def wait_for_examples() -> None:
    """Limit the time of no example, and of no search for one: on a busy machine any of them may take a second."""
    settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("patient")


def effort(examples: int, factor: int = FACTOR) -> settings:
    """Ask for so many examples; one takes as long as PostgreSQL takes, and a failure prints how to reproduce it."""
    return settings(
        max_examples=examples * (factor if LONG else 1),
        deadline=None,
        derandomize=False,
        print_blob=True,
        # The database and its connections are meant to be reused; each example empties the tables first.
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    )
