"""`projector positions set all all earliest` replays every topic, and changes nothing that was counted or named."""

import json

from events.contract.types import topic_of
from tests.support.deployment import Deployment
from tests.support.examples import assigned, invoice, line, payment

EVENTS = [assigned(1, 1, 7), invoice(1, 1, "5.00"), invoice(2, 1, "6.00"), payment(1, "3.00", meter_id=1)]
CONFLICTING = [invoice(1, 1, "9.99", event_id="b"), payment(1, "9.99", meter_id=1)]
LINES = [line(event).decode() for event in EVENTS + CONFLICTING]
MORE = [line(invoice(3, 1, "1.00")).decode()]


def test_one_command_replays_everything_and_no_conflict_is_counted_twice(deployment: Deployment) -> None:
    deployment.publish(LINES)
    deployment.catch_up()
    assert _conflicts(deployment) == 2
    moved = deployment.command("projector", "positions", "set", "all", "all", "earliest", "--yes")
    assert moved.exit_code == 0, moved.stderr
    assert set(deployment.positions().values()) == {0}
    assert "its conflicts are not counted again" in moved.stdout
    deployment.publish(MORE)
    deployment.catch_up()
    assert deployment.positions() == deployment.ends()
    assert not deployment.disagreement([*LINES, *MORE])
    assert _conflicts(deployment) == 2


def test_the_log_says_where_each_conflict_stands_and_says_it_once(deployment: Deployment) -> None:
    deployment.publish(LINES)
    partition = {topic: number for (topic, number), end in deployment.ends().items() if end}
    invoices, payments = (topic_of(entity, deployment.settings.topic_prefix) for entity in ("invoices", "payments"))
    assert _named(deployment) == {
        f"{invoices}/{partition[invoices]}@2 and {partition[invoices]}@0 (invoice 1, version 1)",
        f"{payments}/{partition[payments]}@1 and {partition[payments]}@0 (payment 1, version 1)",
    }
    moved = deployment.command("projector", "positions", "set", "all", "all", "earliest", "--yes")
    assert moved.exit_code == 0, moved.stderr
    assert _named(deployment) == set()


def _named(deployment: Deployment) -> set[str]:
    """Catch up, and return the conflicts that the log names."""
    lines = deployment.catch_up({"PROJECTOR_LOG_FORMAT": "json"}).stderr.splitlines()
    named = [each for each in map(json.loads, lines) if each["event"] == "conflicts"]
    assert {(each["level"], each["more"]) for each in named} <= {("warning", 0)}
    return {place for each in named for place in each["at"].split("; ")}


def _conflicts(deployment: Deployment) -> int:
    conflicts = json.loads(deployment.command("projector", "status", "--json").stdout)["conflicts"]
    assert isinstance(conflicts, int)
    return conflicts
