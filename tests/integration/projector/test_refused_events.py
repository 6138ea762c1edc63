"""Which errors of PostgreSQL lie in an event, and which end the consumer; the triggers are such as a utility adds."""

from collections.abc import Iterator
from typing import Final

import pytest
from sqlalchemy import Engine, text

from events.runtime.deadline import Deadline
from events.runtime.errors import ServiceUnavailableError, WorkFailedError
from events.runtime.settings import Settings
from projector.consume.applied import Applied
from projector.consume.batch import Batch
from projector.consume.writer import Writer
from projector.database.sqlstates import TRIES_MAX
from tests.support.examples import assigned, invoice, payment
from tests.support.merge_harness import MergeHarness, disagreement

PATIENCE_SECONDS: Final = 120.0
RAISE: Final = """
CREATE FUNCTION billing.objects() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN RAISE EXCEPTION 'the period is closed' USING ERRCODE = '{code}'; END$$;
CREATE {constraint} TRIGGER objects AFTER INSERT ON billing.payments {when_checked} FOR EACH ROW
WHEN ({condition}) EXECUTE FUNCTION billing.objects()
"""
TOO_MANY: Final = """
CREATE FUNCTION billing.objects() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
IF (SELECT count(*) FROM added) > 2 THEN RAISE EXCEPTION 'cancelled' USING ERRCODE = '{code}'; END IF;
RETURN NULL; END$$;
CREATE TRIGGER objects AFTER INSERT ON billing.payments REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION billing.objects()
"""
ANY: Final = "true"
THIRD: Final = "new.payment_id = 3"
RAISED_FOR_VALUES: Final = ["P0001", "22023", "23514", "2F004", "38001", "44000", "54000", "BI001"]
RAISED_FOR_ALL: Final = ["0A000", "42883", "42P01", "58030", "XX000"]
OTHERS: Final = [assigned(1, 1, 7), invoice(1, 1, "10.00")]
PAYMENTS: Final = [payment(key, "1.00", meter_id=1) for key in range(1, 6)]
SOUND: Final = [event for event in PAYMENTS if event["data"]["payment_id"] != 3]


@pytest.fixture
def writer(engine: Engine, settings: Settings) -> Iterator[Writer]:
    made = Writer(engine, settings)
    yield made
    made.close(Deadline.after(PATIENCE_SECONDS))


@pytest.mark.parametrize(
    ("code", "is_deferred"),
    [
        *((code, False) for code in (*RAISED_FOR_VALUES, *RAISED_FOR_ALL, *TRIES_MAX, "42501")),
        *((code, True) for code in ("P0001", "42883")),
    ],
)
def test_an_error_that_goes_away_without_an_event_lies_in_that_event(
    engine: Engine, harness: MergeHarness, writer: Writer, code: str, *, is_deferred: bool
) -> None:
    _object(engine, code, THIRD, is_deferred=is_deferred)
    applied = _write(writer, harness.batch([*OTHERS, *PAYMENTS]))
    assert (applied.applied, applied.refused) == (6, 1)
    assert _letters(engine) == [("refused-by-database", f"the period is closed ({code})", "3")]
    assert not disagreement(engine, [*OTHERS, *SOUND])


@pytest.mark.parametrize(
    ("code", "events"), [("P0001", PAYMENTS[2:3]), ("BI001", [*OTHERS, *PAYMENTS])], ids=["lone", "mixed"]
)
def test_what_a_trigger_raises_of_itself_lies_in_the_event_even_if_no_other_is_there(
    engine: Engine, harness: MergeHarness, writer: Writer, code: str, events: list[dict[str, object]]
) -> None:
    _object(engine, code, ANY)
    payments = sum(event in PAYMENTS for event in events)
    applied = _write(writer, harness.batch(events))
    assert (applied.applied, applied.refused) == (len(events) - payments, payments)


@pytest.mark.parametrize(
    ("code", "events"),
    [("XX000", PAYMENTS[2:3]), ("57014", PAYMENTS), *((code, [*OTHERS, *PAYMENTS]) for code in RAISED_FOR_ALL)],
)
def test_what_every_event_of_a_topic_meets_lies_in_none_and_ends_the_consumer(
    engine: Engine, harness: MergeHarness, writer: Writer, code: str, events: list[dict[str, object]]
) -> None:
    """Invoices that can be applied do not make dead letters of all payments."""
    _object(engine, code, ANY)
    said = rf"refused the batch at \S+\.payments/0@\d+: the period is closed \({code}\)"
    with pytest.raises(WorkFailedError, match=said):
        _write(writer, harness.batch(events))
    assert _letters(engine) == []


def test_a_missing_privilege_keeps_its_own_line(engine: Engine, harness: MergeHarness, writer: Writer) -> None:
    _object(engine, "42501", ANY)
    with pytest.raises(ServiceUnavailableError, match=r"refuses: the period is closed \(42501\)"):
        _write(writer, harness.batch(PAYMENTS))
    assert _letters(engine) == []


@pytest.mark.parametrize("code", TRIES_MAX)
def test_a_batch_that_is_too_large_for_a_limit_is_applied_in_parts(
    engine: Engine, harness: MergeHarness, writer: Writer, code: str
) -> None:
    with engine.begin() as connection:
        connection.execute(text(TOO_MANY.format(code=code)))
    applied = _write(writer, harness.batch([*OTHERS, *PAYMENTS]))
    assert (applied.applied, applied.refused) == (7, 0)
    assert not disagreement(engine, [*OTHERS, *PAYMENTS])


def _object(engine: Engine, code: str, condition: str, *, is_deferred: bool = False) -> None:
    kind = {"constraint": "CONSTRAINT", "when_checked": "DEFERRABLE INITIALLY DEFERRED"} if is_deferred else {}
    words = {"constraint": "", "when_checked": ""} | kind
    with engine.begin() as connection:
        connection.execute(text(RAISE.format(code=code, condition=condition, **words)))


def _write(writer: Writer, batch: Batch) -> Applied:
    return writer.submit(batch).result(PATIENCE_SECONDS)


def _letters(engine: Engine) -> list[tuple[str, str, str]]:
    read = """SELECT reason, detail, CAST(convert_from(value, 'UTF8') AS json) -> 'data' ->> 'payment_id'
              FROM dead_letters"""
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(read))]
