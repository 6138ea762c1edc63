"""Assignments that are amended for ever: a stream that hands meters over and leaves no trace of who had them."""

import json
import random
from collections.abc import Iterable, Iterator
from typing import Any, Final

VERSIONS_AHEAD: Final = 100  # of whatever the traffic itself says of an assignment
ANOTHER_METER: Final = 0.2  # of amendments


def rewritten(lines: Iterable[str | bytes], chance: random.Random) -> Iterator[dict[str, Any]]:
    """Amend the assignments of some traffic: another customer each time, now and then another meter."""
    events = (json.loads(line) for line in lines)
    stand = {each["data"]["assignment_id"]: each for each in events if each["type"].startswith("billing.meter.")}
    customers = sorted({each["data"]["customer_id"] for each in stand.values()})
    meters = sorted({each["data"]["meter_id"] for each in stand.values()})
    version = VERSIONS_AHEAD
    while True:
        version += 1
        event = stand[chance.choice(sorted(stand))]
        data = event["data"]
        data.pop("unassigned_at", None)
        data["version"], data["customer_id"] = version, chance.choice(customers)
        if chance.random() < ANOTHER_METER:
            data["meter_id"] = chance.choice(meters)
        yield {**event, "id": f"rewritten-{version}", "type": "billing.meter.assigned", "data": dict(data)}
