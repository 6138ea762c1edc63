"""Whether a process is alive and ready, with the facts behind each answer.

A process is alive while its loop comes round: a service that is away is waited for, and does not make it dead. It is
ready when it does its work; how far behind it is does not matter, because a restart would not help.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

ALIVE: Final = "/healthz"
READY: Final = "/readyz"
SILENT_SECONDS: Final = 60.0  # a loop that has not come round for so long hangs: each of its waits is shorter


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a probe answers: yes or no, and why."""

    yes: bool
    facts: Mapping[str, Any]


Probe = Callable[[], Answer]


def alive(age_seconds: float, limit_seconds: float) -> Answer:
    """Judge a loop by how long ago it last came round."""
    facts = {"loop_age_seconds": round(age_seconds, 3), "limit_seconds": limit_seconds}
    return Answer(yes=age_seconds <= limit_seconds, facts={"alive": age_seconds <= limit_seconds, **facts})


def ready(**conditions: bool) -> Answer:
    """Judge by conditions, of which each must hold."""
    return Answer(yes=all(conditions.values()), facts={"ready": all(conditions.values()), **conditions})
