"""What cannot be taken becomes a dead letter with its reason and its raw bytes; nothing else is lost by it."""

import json
from typing import Any, Final, NamedTuple

import pytest
from confluent_kafka import Producer

from events.contract.types import Entity, topic_of
from tests.support.deployment import Deployment
from tests.support.examples import assigned, customer, invoice, payment

GOOD: Final = [
    json.dumps(event)
    for event in (customer(7, "Asha"), assigned(1, 1, 7), invoice(1, 1, "100.00"), payment(1, "40.00", invoice_id=1))
]
STRUCTURED: Final[list[tuple[str, bytes | None]]] = [("content-type", b"application/cloudevents+json")]


class Poison(NamedTuple):
    """A message that the contract refuses, and why."""

    reason: str
    value: bytes | None
    key: bytes | None = b"1"
    headers: list[tuple[str, bytes | None]] = STRUCTURED
    entity: Entity = "invoices"


def spoilt(**changes: Any) -> bytes:  # noqa: ANN401 - JSON's values
    event = invoice(9, 1, "1.00")
    return json.dumps({**event, "data": {**event["data"], **changes}}).encode()


POISON: Final = [
    Poison("no-value", None),
    Poison("not-json", b"\x00\xff\xfe not UTF-8, not JSON"),
    Poison("not-json", b""),
    Poison("not-cloudevent", b"{}"),
    Poison("unknown-type", spoilt().replace(b"invoice.issued", b"invoice.forgiven")),
    Poison("wrong-topic", spoilt(), entity="payments"),
    Poison("invalid-data", spoilt(amount=1.0), key=None),
    Poison("invalid-data", spoilt(version=0), key=b"\xff\x00 a key that is no text"),
    Poison("wrong-currency", spoilt(currency="USD")),
    Poison("not-cloudevent", spoilt(), headers=[("ce_specversion", b"\xff"), ("ce_id", None), ("x", b"")]),
]


def test_poison_is_kept_as_it_was_and_the_rest_goes_in(deployment: Deployment) -> None:
    deployment.publish(GOOD[:2])
    _send(deployment)
    deployment.publish(GOOD[2:])
    _send(deployment)
    deployment.catch_up()

    kept = deployment.sql("SELECT reason, value, key, headers, topic FROM dead_letters ORDER BY dead_letter_id")
    assert _countable(kept) == _countable(2 * [_row(deployment, poison) for poison in POISON])
    assert deployment.positions() == deployment.ends()
    assert not deployment.disagreement(GOOD)
    assert deployment.drift_check().exit_code == 0


def test_simulated_poison_leaves_the_balances_of_the_same_traffic_without_it(deployment: Deployment) -> None:
    traffic = ("simulate", "--seed", "8", "--customers", "60", "--months", "2")
    lines = deployment.simulate(*traffic[1:])
    result = deployment.command("events", *traffic, "--poison", "10%", "--publish", "--format", "json")
    assert result.exit_code == 0, result.stderr
    published = json.loads(result.stdout)["published"]
    deployment.catch_up()

    [(refused,)] = deployment.sql("SELECT count(*) FROM dead_letters")
    assert published > len(lines)
    assert refused == published - len(lines)
    assert not deployment.disagreement(lines)


@pytest.mark.parametrize("batch_events_max", ["20000", "1"])
def test_an_amount_that_overflows_a_total_is_a_dead_letter_and_the_rest_of_its_batch_goes_in(
    deployment: Deployment, batch_events_max: str
) -> None:
    """PostgreSQL refuses it, not the decoder: each of the two amounts is fine, their sum has too many digits."""
    lines = deployment.simulate("--seed", "9", "--customers", "20", "--months", "2")
    huge = [json.dumps(invoice(9_000_000 + n, 900_000, "9999999999999999.99", event_id=f"huge-{n}")) for n in (1, 2)]
    middle = len(lines) // 2
    deployment.publish([*lines[:middle], *huge, *lines[middle:]])
    deployment.catch_up({"PROJECTOR_BATCH_EVENTS_MAX": batch_events_max})

    [(reason, value, detail)] = deployment.sql("SELECT reason, value, detail FROM dead_letters")
    assert reason == "refused-by-database"
    assert "overflow" in detail
    refused = bytes(value).decode()
    assert refused in huge
    assert deployment.positions() == deployment.ends()
    assert not deployment.disagreement([line for line in [*lines, *huge] if line != refused])


def _send(deployment: Deployment) -> None:
    """Produce the poison as it is, past the publisher that would refuse it."""
    producer = Producer({"bootstrap.servers": deployment.settings.kafka_bootstrap_servers})
    for poison in POISON:
        topic = topic_of(poison.entity, deployment.settings.topic_prefix)
        producer.produce(topic, poison.value, poison.key, headers=poison.headers)  # type: ignore[arg-type]
    assert producer.flush(30) == 0


def _row(deployment: Deployment, poison: Poison) -> tuple[Any, ...]:
    headers = [[name, None if value is None else value.hex()] for name, value in poison.headers]
    topic = topic_of(poison.entity, deployment.settings.topic_prefix)
    return poison.reason, poison.value, poison.key, headers, topic


def _countable(rows: list[Any]) -> list[str]:
    return sorted(repr([bytes(cell) if isinstance(cell, memoryview) else cell for cell in row]) for row in rows)
