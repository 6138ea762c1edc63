"""Rounds: what is compared once more, when a run has to go on, when it gives up, and what it says."""

import json
from collections.abc import Callable
from typing import Any, Final

import pytest
from psycopg import Connection
from sqlalchemy import Engine

from backfill import ledger, report, runs
from backfill.carry_out import carry_out
from backfill.execute import exit_code
from backfill.phases import Command
from backfill.rounds import ROUNDS_MAX
from backfill.runs import Run
from backfill.session import session
from backfill.work import CUTS, turn
from events.errors import WorkFailed
from tests.conftest import RunCommand
from tests.integration.backfill.conftest import Audit

OPTIONS: Final = {"dry_run": False, "chunk_size": 2}
EDIT: Final = "UPDATE meter_balances SET invoice_count = invoice_count + 1 WHERE meter_id = {}"
Between = Callable[[Run], None]


def rebuild(engine: Engine, between: Between, command: Command = "rebuild", **options: object) -> Run:
    """Carry a run out, doing something before each chunk."""
    with session(engine) as connection:
        run = runs.begin(connection, command, {**OPTIONS, **options})
        return carry_out(connection, run, stop=lambda: False, watch=between)


def test_a_clean_run_compares_nothing_again_where_nothing_was_touched(database: Connection[Any], audit: Audit) -> None:
    run, _ = audit("rebuild")
    assert (run.round, run.tally.customers, run.tally.compared_again) == (2, 6, 0)
    assert report.sentence(run).startswith("No drift. 6 customers and 11 meters compared with history")
    for command, dry in (("rebuild", True), ("drift-check", False)):
        database.execute(EDIT.format(1))
        assert audit(command, dry_run=dry)[0].round == 1  # type: ignore[arg-type]


def test_what_was_repaired_is_compared_again_and_counted_apart(database: Connection[Any], audit: Audit) -> None:
    database.execute("UPDATE meter_balances SET total_billed = total_billed + 1 WHERE meter_id IN (1, 11)")
    first, _ = audit()
    run, found = audit("rebuild")
    counted = {name: value for name, value in vars(first.tally).items() if name not in {"seconds", "repaired"}}
    assert {**vars(run.tally), **counted} == {**vars(run.tally), "compared_again": 0}
    assert (run.tally.compared_again, run.tally.found_again, run.tally.repaired) == (6, 0, 2)
    assert all(each.repaired for each in found)
    assert "all repaired and compared again. 2 rounds: the last found nothing among what was" in report.sentence(run)


@pytest.mark.parametrize("since", ["before the run", "while it runs"])
def test_what_a_transaction_wrote_that_was_under_way_is_seen_whenever_it_began(
    database: Connection[Any], connect: Callable[[], Connection[Any]], engine: Engine, audit: Audit, since: str
) -> None:
    """It commits once the row was compared; a row's time of change is that of the transaction's beginning."""
    writer, began = connect(), list[str]()

    def write() -> None:
        writer.execute("BEGIN")
        writer.execute(EDIT.format(1) + " RETURNING updated_at")
        began.append(since)

    def between(run: Run) -> None:
        if run.round == 1 and not began and run.cursor >= 4:
            write()
        elif began and run.phase == "meters" and writer.info.transaction_status.name == "INTRANS":
            writer.execute("COMMIT")

    if since == "before the run":
        write()
    run = rebuild(engine, between)
    assert (run.state, run.round, run.tally.found_again, run.tally.drifted) == ("finished", 3, 1, 1)
    assert "3 rounds: later ones found 1 more, the last found nothing" in report.sentence(run)
    assert audit()[1] == []
    assert database.execute("SELECT round, repaired_at IS NULL FROM drift").fetchall() == [(2, False)]


def test_a_run_gives_up_where_drift_keeps_coming_and_resumed_goes_on_with_one_more_round(
    database: Connection[Any], engine: Engine, audit: Audit
) -> None:
    edited: list[int] = []

    def between(run: Run) -> None:
        if run.phase == "meters" and run.round not in edited:
            database.execute(EDIT.format(1))  # which was compared in this round already
            edited.append(run.round)

    database.execute(EDIT.format(3))
    said = f"drift keeps coming: 1 meters and 0 customers were found in round {ROUNDS_MAX} and repaired; somebody"
    with pytest.raises(WorkFailed, match=said):
        rebuild(engine, between)
    assert edited == list(range(1, ROUNDS_MAX + 1))
    [(run_id,)] = database.execute("SELECT run_id::text FROM backfill_runs").fetchall()
    with session(engine) as connection:
        run = runs.resume(connection, "rebuild", run_id, dry=False)
        ended = carry_out(connection, run, stop=lambda: False)
    assert (ended.state, ended.round) == ("finished", ROUNDS_MAX + 1)
    assert audit()[1] == []


def test_an_endless_edit_ends_the_command_in_one_line(
    database: Connection[Any], environment: dict[str, str], run_command: RunCommand
) -> None:
    """A trigger edits a meter whenever one was repaired and compared to be right."""
    database.execute(EDIT.format(1))
    database.execute(
        "CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF old.phase = 'repair-meters' AND new.phase <> old.phase THEN {EDIT.format(1)}; END IF;"
        " RETURN new; END $$;"
        " CREATE TRIGGER again BEFORE UPDATE ON backfill_runs FOR EACH ROW EXECUTE FUNCTION again()"
    )
    stopped = run_command("backfill", "rebuild", env=environment)
    assert (stopped.exit_code, stopped.stdout) == (1, "")
    assert "stopped: drift keeps coming: 1 meters and 0 customers were found in round 3" in stopped.stderr
    shown = json.loads(run_command("backfill", "runs", "--format", "json", env=environment).stdout)
    assert [(run["state"], run["rounds"]) for run in shown] == [("failed", 4)]


def test_a_failed_chunk_ends_the_run_with_the_round_at_hand(database: Connection[Any], audit: Audit) -> None:
    database.execute("ALTER TABLE drift ADD CONSTRAINT not_five CHECK (entity_id <> 5)")
    database.execute("UPDATE meter_balances SET invoice_count = 0 WHERE meter_id IN (1, 5)")
    run, _ = audit("rebuild")
    assert (run.state, run.round, run.tally.failed, exit_code(run)) == ("finished", 1, 1, 1)


def test_a_worker_that_slept_through_a_round_finds_no_chunk_of_its_own(engine: Engine, audit: Audit) -> None:
    audit()
    with session(engine) as connection:
        asleep = ledger.prepare(connection, runs.begin(connection, "rebuild", OPTIONS), 2, CUTS)
        run = asleep
        while run.round == 1:
            turn(connection, run)
            run = ledger.prepare(connection, run, 2, CUTS)
        with connection.transaction():
            connection.execute(
                "INSERT INTO backfill_chunks (run_id, round, phase, after_key, last_key) VALUES (%s, 2, %s, 0, 9)",
                [run.run_id, asleep.phase],
            )
        assert turn(connection, asleep) is None


def test_a_run_from_before_there_were_rounds_compares_everything_again(
    database: Connection[Any], engine: Engine
) -> None:
    """All but customer 6, of whom no row tells anything."""

    def forget(_: Run) -> None:
        database.execute("UPDATE backfill_runs SET round_xid = NULL")

    run = rebuild(engine, forget)
    assert (run.state, run.round, run.tally.customers, run.tally.compared_again) == ("finished", 2, 6, 26)


def test_a_limited_run_puts_right_whom_it_summed_anew(database: Connection[Any], engine: Engine, audit: Audit) -> None:
    """Customer 2 had meter 1; its own meter 4 is damaged, and so its sum would be once it is taken anew."""
    database.execute(
        "INSERT INTO meter_assignments (assignment_id, meter_id, customer_id, assigned_at, active)"
        " VALUES (400, 1, 2, '2025-01-01', false)"
    )
    for meter in (1, 4, 9):
        database.execute(f"UPDATE meter_balances SET total_billed = total_billed + 500 WHERE meter_id = {meter}")
    run = rebuild(engine, lambda _: None, selection={"meters": [1]})
    assert (run.state, run.tally.failed, exit_code(run)) == ("finished", 0, 0)
    assert {(each.entity, each.entity_id) for each in audit()[1]} == {("meter", 9)}


def test_a_repair_that_the_database_suppresses_is_never_called_one(
    database: Connection[Any], engine: Engine, audit: Audit
) -> None:
    """It wrote nothing, so no row tells that customer 1 was touched; that of customer 2 was repaired beside it."""
    database.execute("UPDATE customer_balances SET balance = balance + 5 WHERE customer_id IN (1, 2)")
    database.execute("CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    suppress = "CREATE TRIGGER keep BEFORE UPDATE ON {} FOR EACH ROW WHEN ({}) EXECUTE FUNCTION keep()"
    database.execute(suppress.format("customer_balances", "old.customer_id = 1").encode())
    with pytest.raises(WorkFailed, match="the repair does not hold: 0 meters and 1 customers"):
        audit("rebuild")
    shown = database.execute("SELECT entity_id, repaired_at IS NULL FROM drift ORDER BY entity_id").fetchall()
    assert shown == [(1, True), (2, False)]
    [(run_id,)] = database.execute("SELECT run_id::text FROM backfill_runs").fetchall()
    database.execute("DROP TRIGGER keep ON customer_balances")
    with session(engine) as connection:
        run = runs.resume(connection, "rebuild", run_id, dry=False)
        ended = carry_out(connection, run, stop=lambda: False)
    assert (ended.state, exit_code(ended), ended.round, ended.tally.unrepaired) == ("finished", 0, ROUNDS_MAX + 2, 0)
    assert audit()[1] == []


@pytest.mark.parametrize("selection", [{}, {"meters": [1]}, {"since": "2020-01-01T00:00:00+00:00"}])
def test_what_could_not_be_repaired_is_compared_again_whether_it_was_touched_or_not(
    database: Connection[Any], engine: Engine, selection: dict[str, object]
) -> None:
    """By the second round it has come right by itself, and customer 1 is nobody's in a run limited to its meter."""
    database.execute("UPDATE meter_balances SET total_billed = total_billed + 5 WHERE meter_id = 1")
    database.execute("UPDATE customer_balances SET balance = balance + 5 WHERE customer_id = 1")
    database.execute("CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    database.execute(
        "CREATE TRIGGER keep BEFORE UPDATE ON customer_balances FOR EACH ROW WHEN (old.customer_id = 1)"
        " EXECUTE FUNCTION keep()"
    )
    seen: list[tuple[int, bool]] = []

    def between(run: Run) -> None:
        if run.round == 2 and not seen:
            seen.extend(
                database.execute("SELECT count(*), bool_and(repaired_at IS NULL) FROM drift WHERE entity = 'customer'")
            )
            database.execute("DROP TRIGGER keep ON customer_balances")

    run = rebuild(engine, between, selection=selection) if selection else rebuild(engine, between)
    assert [unrepaired for count, unrepaired in seen if count] == [True]
    assert (run.state, exit_code(run), run.round, run.tally.unrepaired) == ("finished", 0, 3, 0)
    assert database.execute("SELECT count(*) FROM drift WHERE repaired_at IS NULL").fetchall() == [(0,)]


def damage_everyone(database: Connection[Any]) -> None:
    """Let every row be off, and give each customer a meter that was once another's: a chain over all of them."""
    for key, (meter, former) in enumerate([(1, 2), (3, 3), (5, 4), (7, 5)], 900):
        database.execute(
            "INSERT INTO meter_assignments (assignment_id, meter_id, customer_id, assigned_at, active)"
            " VALUES (%s, %s, %s, '2020-01-01', false)",
            [key, meter, former],
        )
    database.execute("UPDATE meter_balances SET payment_count = payment_count + 1")
    database.execute("UPDATE customer_balances SET balance = balance + 1")


@pytest.mark.parametrize(
    "selection", [{"customers": [1]}, {"meters": [1, 2]}, {"customers": [1], "since": "2020-01-01T00:00:00+00:00"}]
)
def test_a_limited_run_goes_on_as_long_as_it_comes_upon_what_it_did_not_know(
    database: Connection[Any], engine: Engine, audit: Audit, selection: dict[str, object]
) -> None:
    """Each round finds the meters of one customer more, whose sum the one before took anew; nobody edits."""
    damage_everyone(database)
    run = rebuild(engine, lambda _: None, selection=selection)
    assert (run.state, exit_code(run)) == ("finished", 0)
    assert run.round > ROUNDS_MAX + 1
    left = {(each.entity, each.entity_id) for each in audit()[1]}
    assert not left & {(entity, key) for entity in ("meter", "customer") for key in (1, 2)}


def test_a_limited_run_gives_up_where_drift_keeps_coming(database: Connection[Any], engine: Engine) -> None:
    edited: list[int] = []

    def between(run: Run) -> None:
        if run.phase == "meters" and run.round not in edited:
            database.execute(EDIT.format(1))
            edited.append(run.round)

    database.execute(EDIT.format(1))
    with pytest.raises(WorkFailed, match="drift keeps coming: 1 meters and 0 customers were found in round 3"):
        rebuild(engine, between, selection={"customers": [1]})
