"""How hard the property tests try: HYPOTHESIS_PROFILE=long multiplies every number of examples."""

import os
from typing import Final

from hypothesis import HealthCheck, settings

LONG: Final = 25


def effort(examples: int) -> settings:
    """Ask for so many examples; one takes as long as PostgreSQL takes, and a failure prints how to reproduce it."""
    factor = LONG if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 1
    return settings(
        max_examples=examples * factor,
        deadline=None,
        derandomize=False,
        print_blob=True,
        # The database and its connections are meant to be reused; each example empties the tables first.
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    )
