"""How the projector ends: drained on a signal, or with one clear line where its position cannot be served."""

import json
import signal
from typing import Final

import pytest
from confluent_kafka import TopicPartition

from events.contract.types import topic_of
from events.runtime import kafka
from projector.consume.start_positions import StartPositions
from projector.errors import PositionImpossibleError
from projector.kafka_log.broker import Broker
from projector.kafka_log.topics import create_topics
from tests.support.deployment import EAGER, NEXT_GENERATION, Deployment, log, records, wait_for_exit
from tests.support.programs import pause

SMALL_BATCHES: Final = {"PROJECTOR_BATCH_EVENTS_MAX": "20"}
BUDGET_SECONDS: Final = 20.0 + 60.0  # the default of PROJECTOR_SHUTDOWN_SECONDS, and a busy machine's share
TRAFFIC: Final = ("--seed", "6", "--customers", "60", "--months", "3")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_what_is_left_is_read_next_time(deployment: Deployment, number: signal.Signals) -> None:
    lines = deployment.simulate(*TRAFFIC)
    deployment.publish(lines)
    consumer = deployment.consumer(EAGER | SMALL_BATCHES)
    deployment.await_progress(len(lines) // 3)
    consumer.process.send_signal(number)
    assert wait_for_exit(consumer, BUDGET_SECONDS) == 0
    applied = sum(record["events"] for record in records(consumer, "batch"))
    assert deployment.progress() == applied

    deployment.catch_up(EAGER)
    assert not deployment.disagreement(lines)


def test_a_signal_ends_an_idle_consumer_at_once(deployment: Deployment) -> None:
    consumer = deployment.consumer()
    consumer.process.terminate()
    assert wait_for_exit(consumer) == 0
    assert "Traceback" not in log(consumer)


def test_a_topic_that_was_created_again_stops_the_consumer(deployment: Deployment) -> None:
    lines = deployment.simulate(*TRAFFIC)
    deployment.publish(lines)
    deployment.catch_up()
    before = deployment.positions()
    invoices = topic_of("invoices", deployment.settings.topic_prefix)
    client = kafka.admin(deployment.settings)
    client.delete_topics([invoices])[invoices].result()
    deployment.wait_until(lambda: invoices not in client.list_topics(timeout=10).topics, what="the topic to be deleted")
    create_topics(client, deployment.settings)
    deployment.publish(lines)

    result = deployment.command("projector", "run", "--until-caught-up")
    assert last_line(result.stderr, "projector:", invoices, "created again", "projector ")
    assert result.exit_code == 1
    assert deployment.positions() == before
    without_partitions = StartPositions(deployment.settings, deployment.engine, Broker(deployment.settings))
    with pytest.raises(PositionImpossibleError, match=f"{invoices}/0: the topic was deleted and created again"):
        without_partitions.proven(set())


@pytest.mark.parametrize("protocol", [EAGER, NEXT_GENERATION], ids=["range", "consumer"])
def test_a_topic_that_is_created_again_under_a_running_consumer_stops_it(
    deployment: Deployment, protocol: dict[str, str]
) -> None:
    """However far it read in the other log: the position keeps the id of the one it was given for."""
    lines = deployment.simulate(*TRAFFIC)
    consumer = deployment.consumer(protocol)
    deployment.publish(lines)
    deployment.await_caught_up()
    invoices = topic_of("invoices", deployment.settings.topic_prefix)
    client = kafka.admin(deployment.settings)
    client.delete_topics([invoices])[invoices].result()
    deployment.wait_until(lambda: invoices not in client.list_topics(timeout=10).topics, what="the topic to be deleted")
    create_topics(client, deployment.settings)
    more = deployment.simulate(*TRAFFIC[:2], "--customers", "90", "--months", "3")
    deployment.publish([*more, *more])

    assert wait_for_exit(consumer) == 1
    assert last_line(
        log(consumer), "projector:", invoices, "the topic was deleted", f"`projector positions set {invoices}"
    )
    again = deployment.command("projector", "run", "--until-caught-up")
    assert again.exit_code == 1
    assert last_line(
        again.stderr, invoices, "created again since", f"`projector positions set {invoices} all earliest`"
    )
    shown = deployment.command("projector", "positions", "show", "--format", "json")
    assert shown.exit_code == 1
    problems = [one["problem"] for one in json.loads(shown.stdout)["positions"] if one["topic"] == invoices]
    assert all("created again" in problem for problem in problems)
    assert deployment.command("projector", "positions", "set", invoices, "all", "earliest", "--yes").exit_code == 0
    deployment.catch_up()
    assert not deployment.disagreement([*lines, *more])


def test_a_position_beyond_the_end_stops_the_consumer(deployment: Deployment) -> None:
    deployment.publish(deployment.simulate(*TRAFFIC))
    deployment.catch_up()
    invoices = topic_of("invoices", deployment.settings.topic_prefix)
    move = "UPDATE positions SET next_offset = next_offset + 1000 WHERE topic = :topic AND partition = 1"
    deployment.sql(move, topic=invoices)
    result = deployment.command("projector", "run", "--until-caught-up")
    assert last_line(result.stderr, "projector:", f"{invoices}/1", "ends at", "projector ")
    assert result.exit_code == 1


def test_a_position_below_the_low_watermark_stops_the_consumer(deployment: Deployment) -> None:
    deployment.publish(deployment.simulate(*TRAFFIC))
    deployment.catch_up()
    payments = topic_of("payments", deployment.settings.topic_prefix)
    deployment.sql("UPDATE positions SET next_offset = 0 WHERE topic = :topic", topic=payments)
    _delete_what_is_there(deployment, payments)
    result = deployment.command("projector", "run", "--until-caught-up")
    assert last_line(result.stderr, "projector:", f"{payments}/", "starts at", "retention", "projector ")
    assert result.exit_code == 1


def test_retention_that_overtakes_a_running_consumer_stops_it(deployment: Deployment) -> None:
    """Paused, and not long enough to lose its partitions, it asks for what has been deleted meanwhile."""
    lines = deployment.simulate(*TRAFFIC)
    consumer = deployment.consumer({"PROJECTOR_KAFKA__SESSION_TIMEOUT_MS": "45000"})
    deployment.publish(lines)
    deployment.await_caught_up()
    before = deployment.positions()
    pause(consumer.process)
    deployment.publish(lines)
    for topic in {topic for topic, _ in before}:
        _delete_what_is_there(deployment, topic)
    consumer.process.send_signal(signal.SIGCONT)
    assert wait_for_exit(consumer) == 1
    assert last_line(log(consumer), "projector:", "retention deleted", "earliest`")
    assert "Traceback" not in log(consumer)


def _delete_what_is_there(deployment: Deployment, topic: str) -> None:
    ends = [TopicPartition(*place, end) for place, end in deployment.ends().items() if place[0] == topic]
    client = kafka.admin(deployment.settings)  # held: its futures never end once it is gone
    for future in client.delete_records(ends).values():
        future.result()


def last_line(text: str, *words: str) -> bool:
    """Tell whether the last line is a failure in one line, with these words in it."""
    assert "Traceback" not in text
    line = text.strip().split("\n")[-1]
    assert all(word in line for word in words), line
    return True
