"""After a fix, what was refused goes through the consumer's own merge: once, or not at all."""

import json
import re

import pytest
from sqlalchemy import Engine, text

from events.runtime.settings import Settings
from projector.dead_letters import selection
from projector.dead_letters.resolve import discard
from projector.dead_letters.selection import Selection, fitting
from tests.conftest import RunCommand
from tests.integration.dead_letters.conftest import (
    EVENTS,
    Reader,
    dollars,
    in_dollars,
    letters,
    retried,
    states,
)
from tests.support.deployment import one_line
from tests.support.examples import invoice, line, payment
from tests.support.merge_harness import disagreement
from tests.support.written_down import in_currency


def test_after_a_fix_everything_is_applied_and_closed_and_no_position_moves(
    reader: Reader, engine: Engine, fixed: dict[str, str], run_command: RunCommand
) -> None:
    reader.read(dollars(*EVENTS))
    reader.read(dollars(payment(1, "2.00", invoice_id=1)), "payments")
    positions = _positions(engine)
    result = run_command("projector", "dead-letters", "retry", "--all", "--by", "ada", env=fixed)
    assert (result.exit_code, result.stdout) == (0, "applied: 8\n"), result.stderr
    assert not disagreement(engine, in_dollars([*EVENTS, payment(1, "2.00", invoice_id=1)]))
    kept = {tuple(letter[of] for of in ("state", "closed_by", "attempts", "tried_by")) for letter in letters(engine)}
    assert kept == {("applied", "ada", 1, "ada")}
    assert all(letter["closed_at"] for letter in letters(engine))
    assert _positions(engine) == positions
    with engine.connect() as connection:
        places = connection.execute(text("SELECT source_partition, source_offset FROM invoices ORDER BY invoice_id"))
        assert list(places) == [(4, offset) for offset in range(len(EVENTS))]
    assert run_command("backfill", "drift-check", env=fixed).exit_code == 0


def test_events_that_conflict_are_named(reader: Reader, fixed: dict[str, str], run_command: RunCommand) -> None:
    reader.read(dollars(invoice(1, 1, "1.00"), invoice(1, 1, "2.00", event_id="other")))
    result = run_command("projector", "dead-letters", "retry", "--all", env=fixed)
    assert result.exit_code == 0, result.stderr
    applied, conflicts = result.stdout.splitlines()
    assert applied == "applied: 2"
    assert conflicts.startswith("conflicts: 1 had the version of another event, and other content: ")
    assert conflicts.endswith(".invoices/4@1 and 4@0 (invoice 1, version 1)")


def test_what_is_still_refused_stays_open_with_its_new_reason(
    reader: Reader, engine: Engine, settings: Settings, environment: dict[str, str], run_command: RunCommand
) -> None:
    reader.read([*dollars(EVENTS[0]), b"no json"])
    euros = in_currency(settings, environment, "EUR")
    result = run_command(
        "projector", "dead-letters", "retry", "--all", "--by", "ada", "--format", "json",
        env=euros,
    )  # fmt: skip
    assert result.exit_code == 1, result.stderr
    assert json.loads(result.stdout)["refused"] == {"wrong-currency": 1, "not-json": 1}
    first, second = letters(engine)
    assert (first["state"], first["detail"], first["attempts"]) == ("open", "data.currency: USD is not EUR", 1)
    assert (second["state"], second["reason"], second["attempts"]) == ("open", "not-json", 1)
    for letter in (first, second):
        assert (letter["tried_by"], letter["closed_at"], letter["closed_by"]) == ("ada", None, None)
        assert letter["tried_at"] > letter["refused_at"]
    shown = run_command("projector", "dead-letters", "show", str(first["dead_letter_id"]), env=euros)
    assert re.search(r"Attempts: +1, last .+ EAT by ada", shown.stdout), shown.stdout


def test_a_second_retry_changes_nothing(
    reader: Reader, engine: Engine, fixed: dict[str, str], run_command: RunCommand
) -> None:
    reader.read(dollars(*EVENTS))
    ids = [str(letter["dead_letter_id"]) for letter in letters(engine)]
    retry_command = ("projector", "dead-letters", "retry")
    assert run_command(*retry_command, *ids[:2], env=fixed).stdout == "applied: 2\n"
    kept = letters(engine)[:2]
    again = run_command(*retry_command, *ids, env=fixed)
    assert again.exit_code == 0
    assert again.stdout == "applied: 5\nalready applied, unchanged: 2\n"
    assert letters(engine)[:2] == kept
    assert not disagreement(engine, in_dollars(EVENTS))
    assert run_command(*retry_command, "--all", env=fixed).stdout == "applied: 0\n"


def test_an_unknown_id_among_known_ones_stops_before_anything_is_done(
    reader: Reader, engine: Engine, fixed: dict[str, str], run_command: RunCommand
) -> None:
    reader.read(dollars(EVENTS[0]))
    known = str(letters(engine)[0]["dead_letter_id"])
    result = run_command("projector", "dead-letters", "retry", known, "999", env=fixed)
    assert one_line(result, 2, "no dead letter 999", "nothing was changed")
    assert states(engine) == ["open"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["retry"], "--all"),
        (["retry", "1", "--all"], "either ids"),
        (["retry", "--reason", "tired"], "no such reason"),
        (["discard", "--why", "x"], "--all"),
        (["discard", "--why", " ", "--all"], "--why is empty"),
    ],
)
def test_a_selection_has_to_be_said(
    environment: dict[str, str], run_command: RunCommand, arguments: list[str], said: str
) -> None:
    assert one_line(run_command("projector", "dead-letters", *arguments, env=environment), 2, said)


def test_only_the_selection_is_retried(reader: Reader, engine: Engine, settings: Settings) -> None:
    reader.read([*dollars(EVENTS[0]), b"no json"])
    reader.read(dollars(payment(1, "2.00", meter_id=1)), "payments")
    done = retried(engine, settings, Selection(reason="wrong-currency", topic=f"{settings.topic_prefix}.payments"))
    assert (done.applied, done.refused.total()) == (1, 0)
    assert states(engine) == ["open", "open", "applied"]
    assert [letter["attempts"] for letter in letters(engine)] == [0, 0, 1]


def test_what_postgresql_refuses_stays_open_and_the_rest_goes_in(
    reader: Reader, engine: Engine, settings: Settings
) -> None:
    huge = [invoice(100 + n, 9, "9999999999999999.99") for n in range(2)]
    reader.read(dollars(*EVENTS[:3], *huge, *EVENTS[3:]))
    done = retried(engine, settings)
    assert (done.applied, dict(done.refused)) == (8, {"refused-by-database": 1})
    [open_one] = [letter for letter in letters(engine) if letter["state"] == "open"]
    assert (open_one["reason"], open_one["attempts"]) == ("refused-by-database", 1)
    assert "overflow" in open_one["detail"]
    assert not disagreement(engine, in_dollars([*EVENTS, huge[0]]))


def test_an_older_state_than_the_one_stored_changes_nothing(reader: Reader, engine: Engine, settings: Settings) -> None:
    newer = invoice(1, 1, "7.00", "amended", version=2)
    reader.read(dollars(invoice(1, 1, "5.00")))
    reader.read([line(newer)])
    assert retried(engine, settings).applied == 1
    assert not disagreement(engine, [newer])


def test_a_replay_of_what_was_applied_keeps_it_closed(reader: Reader, engine: Engine, settings: Settings) -> None:
    reader.read(dollars(*EVENTS))
    retried(engine, settings)
    reader.replay()
    reader.read(dollars(*EVENTS))
    assert set(states(engine)) == {"applied"}
    assert len(letters(engine)) == len(EVENTS)


def test_discarding_keeps_who_when_and_why(
    reader: Reader, engine: Engine, environment: dict[str, str], run_command: RunCommand
) -> None:
    reader.read([b"no json", b"nor this", *dollars(EVENTS[0])])
    first = str(letters(engine)[0]["dead_letter_id"])
    result = run_command(
        "projector", "dead-letters", "discard", first, "--why", "a test", "--by", "ada", env=environment
    )
    assert (result.exit_code, result.stdout) == (0, "discarded: 1\n"), result.stderr
    kept = letters(engine)[0]
    assert (kept["state"], kept["closed_by"], kept["closed_why"]) == ("discarded", "ada", "a test")
    assert kept["value"] == b"no json"

    rest = ("--reason", "not-json", "--all", "--why", "noise")
    result = run_command("projector", "dead-letters", "discard", *rest, env=environment)
    assert result.stdout == "discarded: 1\n"
    assert states(engine) == ["discarded", "discarded", "open"]
    assert letters(engine)[0] == kept

    late = run_command("projector", "dead-letters", "retry", first, env=environment)
    assert (late.exit_code, late.stdout) == (0, "applied: 0\nalready discarded, unchanged: 1\n")


def test_a_selection_is_walked_in_chunks(
    reader: Reader, engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "CHUNK_LETTERS", 2)
    reader.read([*dollars(*EVENTS), b"no json", b"no json"])
    chunks = [len(ids) for ids in Selection().chunks(reader.harness.connection)]
    assert chunks == [2, 2, 2, 2, 1]
    assert retried(engine, settings).applied == len(EVENTS)
    assert discard(reader.harness.connection, Selection(), by="tests", why="noise") == 2
    assert not disagreement(engine, in_dollars(EVENTS))


def test_a_chunk_holds_as_many_bytes_as_fit_and_at_least_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "CHUNK_BYTES", 100)
    assert fitting([(1, 60), (2, 40), (3, 1)]) == [1, 2]
    assert fitting([(1, 500), (2, 1)]) == [1]


def _positions(engine: Engine) -> list[object]:
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT topic, partition, next_offset, updated_at FROM positions")))
