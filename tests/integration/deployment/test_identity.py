"""A deployment knows what it is: whatever disagrees with that is refused before anything is read or written."""

from importlib.metadata import version
from typing import Any, Final

import psycopg
import pytest
from psycopg import Connection

from backfill.alerts.channels import KafkaTopic, UndeliveredError
from backfill.throttle.governor import Broker
from events.contract.types import topic_of
from events.runtime.console import DISTRIBUTION
from events.runtime.errors import ProgramError, SettingError, StateError
from events.runtime.settings import Settings
from projector.kafka_log.partitions import cluster_id
from tests.conftest import RunCommand
from tests.integration.deployment.conftest import INVOICE, POSITION, Invoke

COMMANDS: Final = (
    "projector init", "projector run --until-caught-up", "projector status", "projector status --meter 1",
    "projector positions show",
    "projector positions set x all earliest --yes", "projector dead-letters list", "projector dead-letters show 1",
    "projector dead-letters retry --all", "projector dead-letters discard 1 --why x", "backfill drift-check",
    "backfill rebuild", "backfill runs", "backfill runs show x", "backfill runs cancel x", "backfill validate",
    "backfill payment-meter-ids", "backfill invoice-amounts", "backfill meter-balances", "backfill customer-balances",
    "backfill migrate --yes", "backfill restore 00000000-0000-0000-0000-000000000000 --yes",
    "backfill explain --meter 1", "backfill explain --customer 1",
)  # fmt: skip
OF_THE_DEPLOYMENT: Final = ("projector deployment show", "projector deployment set currency --yes")
OF_KAFKA: Final = (
    "projector init", "projector run --until-caught-up", "projector status", "projector positions show",
    "projector positions set x all earliest --yes",
)  # fmt: skip


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({"PROJECTOR_CURRENCY": "USD"}, ("PROJECTOR_CURRENCY is USD", "KES", "projector deployment set currency")),
        ({"PROJECTOR_TIMEZONE": "UTC"}, ("PROJECTOR_TIMEZONE is UTC", "Africa/Nairobi", "deployment set timezone")),
        ({"PROJECTOR_TOPIC_PREFIX": "x"}, ("PROJECTOR_TOPIC_PREFIX is x", "deployment set topic-prefix")),
    ],
)  # fmt: skip
def test_every_command_refuses_what_the_deployment_is_not(
    invoke: Invoke, database: Connection[Any], env: dict[str, str], named: tuple[str, ...]
) -> None:
    before = _activity(database)
    for command in COMMANDS:
        error = invoke(command, env).exception
        assert isinstance(error, SettingError), (command, error)
        assert all(words in str(error) for words in named), (command, error)
    assert _activity(database) == before


@pytest.mark.parametrize("revision", ["9999", "of a branch"])
def test_every_command_of_an_older_release_names_the_revision_of_a_newer_one(
    invoke: Invoke, database: Connection[Any], revision: str
) -> None:
    database.execute("UPDATE alembic_version SET version_num = %s", [revision])
    before = _activity(database)
    for command in (*COMMANDS, *OF_THE_DEPLOYMENT):
        error = invoke(command).exception
        assert isinstance(error, StateError), (command, error)
        assert f"is at revision {revision}, and this release ({version(DISTRIBUTION)}) knows none after" in str(error)
        assert "install the release that upgraded the schema" in str(error)
    assert _activity(database) == before


def test_an_older_schema_is_upgraded_by_init(invoke: Invoke, database: Connection[Any]) -> None:
    database.execute("UPDATE alembic_version SET version_num = '0009'")
    error = invoke("projector status").exception
    assert isinstance(error, StateError)
    assert str(error).endswith(": run `projector init`")


def test_another_cluster_is_refused_by_all_who_ask_kafka(
    invoke: Invoke, database: Connection[Any], kafka_settings: Settings
) -> None:
    database.execute("UPDATE deployment SET kafka_cluster = 'another'")
    elsewhere = {"PROJECTOR_TOPIC_PREFIX": f"{kafka_settings.topic_prefix}-y"}
    for command in OF_KAFKA:
        error = invoke(command).exception
        assert isinstance(error, SettingError), (command, error)
        assert "PROJECTOR_KAFKA_BOOTSTRAP_SERVERS" in str(error)
        assert "another" in str(error)
        assert "projector deployment set kafka-cluster" in str(error)
    assert Broker(kafka_settings).lag(database) is None
    with pytest.raises(UndeliveredError, match="another"):
        KafkaTopic(kafka_settings).send({"alert": "projection-edited"})
    database.execute("UPDATE deployment SET topic_prefix = %s", [elsewhere["PROJECTOR_TOPIC_PREFIX"]])
    assert isinstance(invoke("projector init", elsewhere).exception, SettingError)
    from events.runtime import kafka  # noqa: PLC0415 - the fixtures' name is taken here

    topics = kafka.admin(kafka_settings).list_topics(timeout=10).topics
    assert topic_of("invoices", elsewhere["PROJECTOR_TOPIC_PREFIX"]) not in topics


@pytest.mark.parametrize("statement", ["UPDATE deployment SET kafka_cluster = NULL", "DELETE FROM deployment"])
def test_what_was_never_written_down_is_asked_for(invoke: Invoke, database: Connection[Any], statement: str) -> None:
    database.execute(statement.encode())
    error = invoke("projector run --until-caught-up").exception
    assert isinstance(error, StateError)
    assert "projector init" in str(error)
    assert invoke("projector init").exit_code == 0
    assert invoke("projector run --until-caught-up").exit_code == 0
    assert invoke("projector deployment show").exit_code == 0


def test_the_line_of_a_program(environment: dict[str, str], run_command: RunCommand) -> None:
    env = {**environment, "PROJECTOR_CURRENCY": "USD"}
    for command in (("projector", "run"), ("projector", "dead-letters", "retry", "--all"), ("backfill", "drift-check")):
        done = run_command(*command, env=env)
        assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1), done
        assert "PROJECTOR_CURRENCY is USD" in done.stderr


def test_a_cluster_without_the_topics_that_were_read_is_not_adopted(
    invoke: Invoke, database: Connection[Any], kafka_settings: Settings
) -> None:
    database.execute("UPDATE deployment SET kafka_cluster = NULL")
    database.execute(POSITION, [topic_of("invoices", kafka_settings.topic_prefix), "AAAAAAAAAAAAAAAAAAAAAA"])
    error = invoke("projector init").exception
    assert isinstance(error, StateError)
    assert "projector deployment set kafka-cluster" in str(error)
    done = invoke("projector deployment set kafka-cluster --yes")
    assert done.exit_code == 0, done
    assert "positions set all all earliest" in done.output
    assert invoke("projector init").exit_code == 0


def test_it_is_changed_deliberately_and_only_where_history_allows(
    invoke: Invoke, database: Connection[Any], kafka_settings: Settings
) -> None:
    env = {"PROJECTOR_CURRENCY": "USD", "PROJECTOR_TIMEZONE": "UTC"}
    shown = invoke("projector deployment show --format json", env)
    assert (shown.exit_code, '"currency", "timezone"' in " ".join(shown.output.split())) == (1, True), shown.output
    for refused, why in (
        ("currency", "--yes"),
        ("currency --format json", "--yes"),
    ):
        error = invoke(f"projector deployment set {refused}", env).exception
        assert isinstance(error, ProgramError)
        assert why in str(error)
    with _program_at_work(kafka_settings):
        error = invoke("projector deployment set currency --yes", env).exception
        assert isinstance(error, StateError)
        assert "`projector run` of user" in str(error)
    database.execute(INVOICE, ["KES"])
    assert "invoice 1 in KES" in str(invoke("projector deployment set currency --yes", env).exception)
    database.execute("DELETE FROM invoices")
    done = invoke("projector deployment set currency timezone --yes", env)
    assert done.exit_code == 0, done
    assert "KES -> USD" in done.output
    assert invoke("projector status", env).exit_code == 0
    assert isinstance(invoke("projector status").exception, SettingError)
    assert invoke("projector deployment set currency --yes", env).output == (
        "nothing was changed: the recorded values are the same\n"
    )


def test_only_the_owner_changes_it(settings: Settings, database: Connection[Any]) -> None:
    """What a lesser role may do is `tests/integration/security`'s; here, that a row and no second one is there."""
    with pytest.raises(psycopg.errors.UniqueViolation):
        database.execute("INSERT INTO deployment (currency, timezone, topic_prefix) VALUES ('USD', 'UTC', 'x')")
    with pytest.raises(psycopg.errors.CheckViolation):
        database.execute("UPDATE deployment SET only_one = false")
    assert database.execute("SELECT topic_prefix FROM deployment").fetchall() == [(settings.topic_prefix,)]


def _activity(database: Connection[Any]) -> list[Any]:
    """Read what commands that went on would have left behind."""
    return database.execute(
        "SELECT (SELECT count(*) FROM backfill_runs), (SELECT count(*) FROM positions), currency FROM deployment"
    ).fetchall()


def _program_at_work(own: Settings) -> Connection[Any]:
    return psycopg.connect(own.database_url.get_secret_value(), application_name="projector run")


def test_the_clusters_id_is_the_brokers(kafka_settings: Settings, database: Connection[Any]) -> None:
    from events.runtime import kafka  # noqa: PLC0415 - as above

    found = cluster_id(kafka.admin(kafka_settings))
    assert database.execute("SELECT kafka_cluster FROM deployment").fetchall() == [(found,)]
