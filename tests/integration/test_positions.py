"""Each position that the broker cannot serve has a way out, at whose end the balances are the oracle's."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from confluent_kafka import TopicPartition

from events.contract.types import topic_of
from events.runtime import kafka
from events.runtime.errors import StateError
from projector.database.engines import transaction
from projector.kafka_log.partitions import describe_partitions
from projector.kafka_log.topics import create_topics
from projector.positions import reset
from projector.positions import store as positions
from tests.conftest import Result
from tests.support.deployment import EAGER, NEXT_GENERATION, Deployment, one_line
from tests.support.examples import assigned, invoice, line, payment

EVENTS: Final = [
    assigned(1, 1, 7),
    assigned(2, 2, 8),
    *(invoice(n, n % 2 + 1, f"{n}.50") for n in range(1, 31)),
    *(payment(n, "3.00", meter_id=n % 2 + 1) for n in range(1, 21)),
]
LINES: Final = [line(event).decode() for event in EVENTS]
MORE: Final = [line(invoice(n, n % 2 + 1, "1.00")).decode() for n in range(31, 41)]


@pytest.fixture
def invoices(deployment: Deployment) -> str:
    """Publish everything, apply it, and name the topic that the test is about."""
    deployment.publish(LINES)
    deployment.catch_up()
    return topic_of("invoices", deployment.settings.topic_prefix)


def test_retention_that_deleted_what_was_not_applied_is_got_over_by_publishing_it_again(
    deployment: Deployment, invoices: str
) -> None:
    deployment.publish(MORE)
    applied = deployment.positions()
    ends = deployment.ends()
    _delete_up_to(deployment, {place: end for place, end in ends.items() if place[0] == invoices})
    lost = sum(end - applied[place] for place, end in ends.items())
    assert lost == len(MORE)

    stopped = deployment.command("projector", "run", "--until-caught-up")
    assert stopped.exit_code == 1
    assert "retention deleted" in stopped.stderr
    assert "publish them again" in stopped.stderr
    assert f"`projector positions set {invoices}" in stopped.stderr
    shown = deployment.command("projector", "positions", "show")
    assert shown.exit_code == 1
    assert "retention deleted" in shown.stdout

    deployment.publish(MORE)
    moved = _set(deployment, invoices, "all", "earliest")
    assert f"{lost} offsets were deleted by retention" in moved.stdout
    _caught_up(deployment, [*LINES, *MORE])


def test_a_position_beyond_the_end_is_set_back_and_what_the_broker_has_is_replayed(
    deployment: Deployment, invoices: str
) -> None:
    before = deployment.positions()[invoices, 1]
    beyond = "UPDATE positions SET next_offset = next_offset + 1000 WHERE topic = :topic AND partition = 1"
    deployment.sql(beyond, topic=invoices)
    deployment.publish(MORE)
    stopped = deployment.command("projector", "run", "--until-caught-up")
    assert stopped.exit_code == 1
    assert f"`projector positions set {invoices} 1 earliest`" in stopped.stderr

    moved = _set(deployment, invoices, "1", "earliest")
    assert f"{invoices}/1: was {before + 1000}, now 0" in moved.stdout
    _caught_up(deployment, [*LINES, *MORE])


def test_a_topic_that_was_created_again_is_read_from_its_beginning(deployment: Deployment, invoices: str) -> None:
    client = kafka.admin(deployment.settings)
    client.delete_topics([invoices])[invoices].result()
    deployment.wait_until(lambda: invoices not in client.list_topics(timeout=10).topics, what="the topic to be deleted")
    create_topics(client, deployment.settings)
    deployment.publish(MORE)
    stopped = deployment.command("projector", "run", "--until-caught-up")
    assert stopped.exit_code == 1
    assert "created again since position" in stopped.stderr
    assert f"`projector positions set {invoices} all earliest`" in stopped.stderr

    _set(deployment, invoices, "all", "earliest")
    _caught_up(deployment, [*LINES, *MORE])


def test_latest_skips_and_says_so(deployment: Deployment, invoices: str) -> None:
    deployment.publish(MORE)
    moved = _set(deployment, invoices, "all", "latest")
    assert f"{len(MORE)} offsets are skipped" in moved.stdout
    assert "`backfill` cannot detect that" in moved.stdout
    _caught_up(deployment, LINES)


def test_a_group_that_never_read_can_be_given_a_start(deployment: Deployment) -> None:
    deployment.publish(LINES)
    topic = topic_of("payments", deployment.settings.topic_prefix)
    moved = deployment.command("projector", "positions", "set", topic, "all", "latest", "--yes", "--format", "json")
    assert moved.exit_code == 0, moved.stderr
    answer = json.loads(moved.stdout)
    assert {one["before"] for one in answer["moved"]} == {None}
    assert sum(one["skipped"] for one in answer["moved"]) == 20
    _caught_up(deployment, [text for text in LINES if "billing.payment" not in text])


@pytest.mark.usefixtures("invoices")
def test_a_group_that_is_unknown_on_the_tables_of_another_stops_the_consumer(deployment: Deployment) -> None:
    """A mistyped name would read everything a second time, and leave the positions of the right one behind."""
    before = deployment.positions()
    mistyped = {"PROJECTOR_GROUP_ID": f"{deployment.settings.group_id}-"}
    stopped = deployment.command("projector", "run", "--until-caught-up", env=mistyped)
    assert stopped.exit_code == 1
    assert f"set PROJECTOR_GROUP_ID={deployment.settings.group_id}" in stopped.stderr
    assert "`projector positions set all all earliest`" in stopped.stderr
    assert deployment.positions() == before
    assert deployment.sql("SELECT DISTINCT group_id FROM positions") == [(deployment.settings.group_id,)]

    moved = deployment.command("projector", "positions", "set", "all", "all", "earliest", "--yes", env=mistyped)
    assert moved.exit_code == 0, moved.stderr
    deployment.publish(MORE)
    deployment.catch_up(mistyped)
    assert not deployment.disagreement([*LINES, *MORE])


@pytest.mark.parametrize("protocol", [EAGER, NEXT_GENERATION], ids=["range", "consumer"])
def test_while_a_consumer_runs_nothing_is_moved(
    deployment: Deployment, invoices: str, protocol: dict[str, str]
) -> None:
    running = deployment.consumer(protocol)
    before = deployment.positions()
    refused = deployment.command("projector", "positions", "set", invoices, "0", "earliest", "--yes")
    assert one_line(refused, 2, deployment.settings.group_id, "1 member: nothing was changed", "projector run")
    assert deployment.positions() == before

    running.process.terminate()
    assert running.process.wait(120) == 0
    _set(deployment, invoices, "0", "earliest")


def test_a_position_that_moved_since_it_was_shown_stays_and_so_do_the_others(
    deployment: Deployment, invoices: str
) -> None:
    with transaction(deployment.engine) as connection:
        stored = positions.read(connection, deployment.settings.group_id)
    logs = describe_partitions(kafka.admin(deployment.settings), [invoices])
    moves = reset.plan(stored, logs, invoices, None, "earliest")
    deployment.sql("UPDATE positions SET next_offset = next_offset + 1 WHERE topic = :t AND partition = 2", t=invoices)
    before = deployment.positions()
    with pytest.raises(StateError, match="moved since it was read"), transaction(deployment.engine) as connection:
        reset.apply(connection, deployment.settings.group_id, moves)
    assert deployment.positions() == before


@pytest.mark.parametrize(("answer", "exit_code"), [(b"n\n", 1), (b"y\n", 0)])
def test_on_a_terminal_it_asks(deployment: Deployment, invoices: str, answer: bytes, exit_code: int) -> None:
    before = deployment.positions()
    terminal, ours = os.openpty()
    try:
        os.write(terminal, answer)
        command = [str(Path(sys.executable).parent / "projector"), "positions", "set", invoices, "0", "earliest"]
        done = subprocess.run(
            command, env=deployment.environment, stdin=ours, capture_output=True, timeout=60, check=False
        )
    finally:
        os.close(terminal)
        os.close(ours)
    assert done.returncode == exit_code, done.stderr
    assert b"Move?" in done.stdout + done.stderr
    assert deployment.positions() == before | ({} if exit_code else {(invoices, 0): 0})


def test_show_tells_fine_positions_from_others(deployment: Deployment, invoices: str) -> None:
    shown = deployment.command("projector", "positions", "show", "--format", "json")
    assert shown.exit_code == 0, shown.stderr
    rows = json.loads(shown.stdout)["positions"]
    assert len(rows) == 4 * deployment.settings.topic_partitions
    assert {row["problem"] for row in rows} == {None}
    assert {row["lag"] for row in rows} == {0}
    assert sum(row["position"] for row in rows) == len(LINES)
    table = deployment.command("projector", "positions", "show")
    assert invoices in table.stdout
    assert table.stdout.startswith("Every position can be served.\n")


def test_nothing_is_moved_that_was_not_asked_for_in_so_many_words(deployment: Deployment, invoices: str) -> None:
    before = deployment.positions()
    end = deployment.ends()[invoices, 0]
    for arguments, said in (
        ((invoices, "0", "earliest"), "add --yes"),
        ((invoices, "0", "earliest", "--format", "json"), "add --yes"),
        (("other", "0", "earliest", "--yes"), "none of the projector's topics"),
        (("all", "0", "earliest", "--yes"), "with all topics, give all"),
        (("all", "all", "0", "--yes"), "with all topics, give all"),
        ((invoices, "99", "earliest", "--yes"), "no partition 99"),
        ((invoices, "x", "earliest", "--yes"), "neither a partition's number nor `all`"),
        ((invoices, "0", "newest", "--yes"), "neither an offset"),
        ((invoices, "0", str(end + 1), "--yes"), f"no offset {end + 1}"),
    ):
        assert one_line(deployment.command("projector", "positions", "set", *arguments), 2, said)
    assert deployment.positions() == before


def _set(deployment: Deployment, *arguments: str) -> Result:
    result = deployment.command("projector", "positions", "set", *arguments, "--yes")
    assert result.exit_code == 0, result.stderr
    return result


def _caught_up(deployment: Deployment, lines: list[str]) -> None:
    """Apply what there is, and see that the balances are what these events amount to."""
    deployment.catch_up()
    assert deployment.positions() == deployment.ends()
    assert not deployment.disagreement(lines)
    assert deployment.command("projector", "positions", "show").exit_code == 0


def _delete_up_to(deployment: Deployment, ends: dict[tuple[str, int], int]) -> None:
    """Have the broker delete everything before these offsets, as retention would."""
    client = kafka.admin(deployment.settings)  # held: its futures never end once it is gone
    for future in client.delete_records([TopicPartition(*place, end) for place, end in ends.items()]).values():
        future.result()
