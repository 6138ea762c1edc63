"""Too many refused messages stop a consumer, which says how to go on; its supervisor's restarts let no more through."""

from collections.abc import Iterable
from typing import Final

from confluent_kafka import Producer
from sqlalchemy import Engine

from events.contract.types import topic_of
from projector.consume.circuit_breaker import BreakerHistory, read_history
from projector.database.engines import transaction
from projector.kafka_log.position_check import Position
from tests.integration.dead_letters.conftest import Reader, dollars
from tests.support.deployment import Deployment
from tests.support.examples import invoice, line
from tests.support.written_down import in_currency

RUN_MAX: Final = 20
STRICT: Final = {"PROJECTOR_REFUSED_RUN_MAX": str(RUN_MAX), "PROJECTOR_BATCH_EVENTS_MAX": "5"}
NO_LIMITS: Final = {"PROJECTOR_REFUSED_RUN_MAX": "0", "PROJECTOR_REFUSED_SHARE_MAX": "1"}
GOOD: Final = [line(invoice(n, 1, "1.00")) for n in range(1, 11)]
AGAIN: Final = """
    INSERT INTO dead_letters (topic, partition, source_offset, timestamp_ms, topic_id, digest, reason, detail, headers)
    SELECT topic, partition, source_offset, timestamp_ms + 1, topic_id, digest, reason, detail, headers
    FROM dead_letters"""  # at each offset another message, as in a log that was cut and has grown again
BAD: Final = dollars(*(invoice(n, 1, "1.00") for n in range(11, 71)))


def test_a_run_stops_the_consumer_at_every_start_until_somebody_decides(deployment: Deployment) -> None:
    _produce(deployment, [*GOOD[:5], *BAD, *GOOD[5:]])
    for _ in range(3):
        result = deployment.command("projector", "run", "--until-caught-up", env=STRICT)
        line_of_failure = result.stderr.strip().split("\n")[-1]
        assert result.exit_code == 1, result.stderr
        assert "21 messages in a row were refused" in line_of_failure
        assert "wrong-currency" in line_of_failure
        assert "PROJECTOR_REFUSED_RUN_MAX=0 PROJECTOR_REFUSED_SHARE_MAX=1" in line_of_failure
        assert "Traceback" not in result.stderr
        [(kept,)] = deployment.sql("SELECT count(*) FROM dead_letters")
        assert kept <= RUN_MAX
        assert deployment.progress() == 5 + kept

    deployment.catch_up(STRICT | NO_LIMITS)
    assert deployment.sql("SELECT count(*) FROM dead_letters") == [(len(BAD),)]
    assert deployment.positions() == deployment.ends()
    assert not deployment.disagreement([text.decode() for text in GOOD])
    deployment.catch_up(STRICT)


def test_a_version_that_accepts_them_goes_on_by_itself(deployment: Deployment) -> None:
    _produce(deployment, BAD)
    assert deployment.command("projector", "run", "--until-caught-up", env=STRICT).exit_code == 1
    kept = deployment.progress()
    assert kept <= RUN_MAX
    dollars_accepted = in_currency(deployment.settings, {}, "USD")
    deployment.catch_up(STRICT | dollars_accepted)
    retried = deployment.command("projector", "dead-letters", "retry", "--all", env=dollars_accepted)
    assert (retried.exit_code, retried.stdout) == (0, f"applied: {kept}\n")
    assert not deployment.disagreement([text.decode() for text in BAD])


def test_what_stands_right_before_the_positions_is_remembered(reader: Reader, engine: Engine) -> None:
    reader.read([b"no json", *GOOD[:3], b"no json", *BAD[:2]])
    reader.read([b"no json", b"no json"], "payments")
    topics = [f"{reader.settings.topic_prefix}.{entity}" for entity in ("invoices", "payments")]
    offsets = {(topics[0], 4): 7, (topics[1], 4): 2, (topics[0], 5): 0}
    positions = {place: Position(next_offset=offset, topic_id="now") for place, offset in offsets.items()}
    with transaction(engine) as connection:
        connection.execute(AGAIN)
        assert read_history(connection, positions) == BreakerHistory(
            seen=9, refused={"not-json": 4, "wrong-currency": 2}, run=5
        )
        connection.execute("UPDATE dead_letters SET state = 'discarded' WHERE reason = 'not-json'")
        assert read_history(connection, positions) == BreakerHistory(seen=9, refused={"wrong-currency": 2}, run=2)
        connection.execute("UPDATE dead_letters SET topic_id = 'now'")
        assert read_history(connection, positions).run == 2
        connection.execute("UPDATE dead_letters SET topic_id = 'before'")
        assert read_history(connection, positions) == BreakerHistory(seen=9, refused={}, run=0)


def _produce(deployment: Deployment, values: Iterable[bytes]) -> None:
    """Put messages on one partition in this order, past the publisher that would refuse some."""
    producer = Producer({"bootstrap.servers": deployment.settings.kafka_bootstrap_servers})
    for value in values:
        producer.produce(topic_of("invoices", deployment.settings.topic_prefix), value, partition=0)
    assert producer.flush(30) == 0
