"""The contract's commands explain themselves, and a wrong setting or a service that is away is one line."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest

from tests.conftest import Result, RunCommand
from tests.support.deployment import Deployment, one_line
from tests.support.written_down import write_down

NOWHERE: Final = "127.0.0.1:1"  # no server listens on tcpmux
COMMANDS: Final = (
    "events", "events publish", "events simulate", "events schema",
    "projector", "projector init", "projector run", "projector status", "projector demo",
    "projector sandbox", "projector sandbox up", "projector sandbox down", "projector sandbox env",
    "backfill", "backfill drift-check", "backfill rebuild", "backfill runs",
)  # fmt: skip
PROGRAMS: Final = ("events", "projector", "backfill")
SOUND: Final = {
    "PROJECTOR_DATABASE_URL": f"postgresql://u:secret@{NOWHERE}/d",
    "PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": NOWHERE,
}
WRONG_SETTINGS: Final = {
    "no address": ({"PROJECTOR_DATABASE_URL": ""}, "PROJECTOR_DATABASE_URL"),
    "no address at all": ({"PROJECTOR_DATABASE_URL": "secret word"}, "PROJECTOR_DATABASE_URL"),
    "another database": ({"PROJECTOR_DATABASE_URL": "mysql://u:secret@h/d"}, "PROJECTOR_DATABASE_URL"),
    "a port that is none": ({"PROJECTOR_DATABASE_URL": "postgresql://u:secret@h:x/d"}, "PROJECTOR_DATABASE_URL"),
    "an option": ({"PROJECTOR_DATABASE_URL": "postgresql://u:secret@h/d?sll=1"}, "PROJECTOR_DATABASE_URL"),
    "a typo": ({"PROJECTOR_DATABSE_URL": "x"}, "PROJECTOR_DATABSE_URL"),
    "a currency": ({"PROJECTOR_CURRENCY": "kes"}, "PROJECTOR_CURRENCY"),
    "a time zone": ({"PROJECTOR_TIMEZONE": "Nairobi/Africa"}, "PROJECTOR_TIMEZONE"),
    "a number": ({"PROJECTOR_BATCH_EVENTS_MAX": "many"}, "PROJECTOR_BATCH_EVENTS_MAX"),
    "a schema": ({"PROJECTOR_SCHEMA": 'x"; DROP'}, "PROJECTOR_SCHEMA"),
    "a librdkafka property": ({"PROJECTOR_KAFKA__NO_SUCH_THING": "1"}, "PROJECTOR_KAFKA__"),
    "a property's value": ({"PROJECTOR_KAFKA__SESSION_TIMEOUT_MS": "soon"}, "PROJECTOR_KAFKA__"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(run_command: RunCommand, command: str) -> None:
    bare: dict[str, str] = {} if command in PROGRAMS else dict(os.environ)  # else it starts as installed, and slowly
    result = run_command(*command.split(), "--help", env={**bare, "COLUMNS": "100"})
    assert result.exit_code == 0, result.stderr
    assert f"Usage: {command}" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize("name", WRONG_SETTINGS)
def test_a_wrong_setting_is_one_line_that_names_the_variable(run_command: RunCommand, name: str) -> None:
    wrong, variable = WRONG_SETTINGS[name]
    command = ("events", "publish", "-") if variable == "PROJECTOR_KAFKA__" else ("projector", "run")
    result = run_command(*command, env={**os.environ, **SOUND, **wrong})
    assert one_line(result, 2, f"{command[0]}: ", variable)
    assert "secret" not in result.stderr


@pytest.mark.parametrize(
    "command", ["projector init", "projector run --until-caught-up", "projector status", "backfill drift-check"]
)
@pytest.mark.parametrize("address", [SOUND["PROJECTOR_DATABASE_URL"], "postgresql://nobody:secret@{there}/none"])
def test_a_postgresql_that_is_away_or_refuses_us_is_one_line(
    deployment: Deployment, command: str, address: str
) -> None:
    there = deployment.environment["PROJECTOR_DATABASE_URL"].rpartition("@")[2].partition("/")[0]
    url = address.format(there=there)
    result = deployment.command(*command.split(), env={"PROJECTOR_DATABASE_URL": url})
    assert one_line(result, 2, "PostgreSQL at ", url.rpartition("@")[2].partition("/")[0])
    assert "secret" not in result.stdout + result.stderr


def test_a_kafka_that_is_away_is_one_line(deployment: Deployment) -> None:
    def failed(command: str) -> Result:
        return deployment.command(*command.split(), env={"PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": NOWHERE})

    with ThreadPoolExecutor() as pool:  # each waits out its probe's ten seconds
        for result in pool.map(failed, ["projector run --until-caught-up", "projector init", "events publish -"]):
            last = result.stderr.strip().split("\n")[-1]
            assert result.exit_code == 2
            assert f"Kafka at {NOWHERE}" in last
            assert "Traceback" not in result.stderr


def test_what_init_would_make_is_asked_for_by_name(deployment: Deployment) -> None:
    elsewhere = {"PROJECTOR_SCHEMA": "elsewhere", "PROJECTOR_TOPIC_PREFIX": f"{deployment.settings.topic_prefix}-other"}
    for program, command in (("projector", "run"), ("backfill", "drift-check"), ("backfill", "rebuild")):
        result = deployment.command(program, command, env={"PROJECTOR_SCHEMA": "elsewhere"})
        assert one_line(result, 2, "elsewhere", "projector init")
    prefix = elsewhere["PROJECTOR_TOPIC_PREFIX"]
    write_down(deployment.settings.model_copy(update={"topic_prefix": prefix}))
    result = deployment.command("projector", "run", env={"PROJECTOR_TOPIC_PREFIX": prefix})
    assert one_line(result, 2, "topic", "projector init")
    write_down(deployment.settings)
    for _ in range(2):
        made = deployment.command("projector", "init", env=elsewhere)
        assert made.exit_code == 0, made.stderr
    assert deployment.command("projector", "run", "--until-caught-up", env=elsewhere).exit_code == 0


def test_status_says_where_the_group_is_and_what_was_refused(deployment: Deployment) -> None:
    lines = deployment.simulate("--customers", "20", "--months", "1")
    deployment.publish(lines)
    before = json.loads(deployment.command("projector", "status", "--json").stdout)
    applied = json.loads(deployment.command("projector", "run", "--until-caught-up", "--format", "json").stdout)
    assert (applied["events"], applied["refused"]) == (len(lines), 0)
    after = json.loads(deployment.command("projector", "status", "--format", "json").stdout)
    assert (before["lag"], after["lag"]) == (len(lines), 0)
    shown = {(p["topic"], p["partition"]): p["next_offset"] for p in after["positions"]}
    assert shown == deployment.ends()
    assert after["dead_letters"] == []
    assert deployment.command("projector", "status").exit_code == 0
