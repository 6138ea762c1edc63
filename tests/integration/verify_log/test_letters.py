"""A dead letter keeps a message from being expected only where it is that message's, and is not applied."""

from typing import Any, Final

import pytest

from events.contract.types import Message, topic_of
from projector.kafka_log.log_identity import digest_of
from projector.kafka_log.log_reader import LogReader
from tests.integration.verify_log.conftest import Logged
from tests.support.examples import assigned, customer, invoice

pytestmark = pytest.mark.usefixtures("environment")

LETTER: Final = """
    INSERT INTO dead_letters (topic, partition, source_offset, timestamp_ms, topic_id, digest, state, closed_at,
                              closed_by, reason, detail, headers)
    VALUES (:topic, :partition, :offset, :timestamp_ms, :topic_id, :digest, :state,
            CASE WHEN :state = 'applied' THEN now() END, CASE WHEN :state = 'applied' THEN 'tests' END, 'x', 'x', '[]')
"""


def test_the_letters_of_a_place_are_told_apart(logged: Logged) -> None:
    """Of a former topic, of other bytes, kept before there were digests; all of their rows are gone from history."""
    logged.apply(customer(7, "Achieng"), assigned(1, 42, 7), *(invoice(key, 42, f"{key}00.00") for key in range(1, 6)))
    places = logged.sql("SELECT source_partition, source_offset FROM invoices ORDER BY invoice_id")
    messages = [_message(logged, *place) for place in places]
    _letter(logged, messages[0], topic_id="former")
    _letter(logged, messages[1], digest=b"other")
    _letter(logged, messages[2], state="applied")
    _letter(logged, messages[2], topic_id=None, digest=None)
    _letter(logged, messages[3])
    _letter(logged, messages[3], topic_id=None, digest=None, state="applied")
    _letter(logged, messages[4], topic_id=None, digest=None)
    logged.sql("DELETE FROM invoices")

    repaired = logged.verify(repair=True)
    assert {each[1] for each in repaired.found} == {1, 2, 3}
    assert (repaired.exit_code, repaired.log["refused"]) == (0, 2)
    assert logged.sql("SELECT invoice_id FROM invoices ORDER BY 1") == [(1,), (2,), (3,)]


def _message(logged: Logged, partition: int, offset: int) -> Message:
    reader = LogReader(logged.settings)
    message = reader.one(topic_of("invoices", logged.settings.topic_prefix), partition, offset)
    reader.close()
    assert message is not None
    return message


def _letter(logged: Logged, message: Message, **other: Any) -> None:  # noqa: ANN401 - columns
    topic_id = logged.logs()[message.topic, message.partition].topic_id
    values = {**message._asdict(), "topic_id": topic_id, "digest": digest_of(message), "state": "open"}
    logged.sql(LETTER, **{**values, **other})
