"""Why a consumer ended stands in the database, with where its group stood, until one that starts later works."""

import json
import socket
from typing import Any, Final

from sqlalchemy import text

from events.contract.types import topic_of
from tests.support.deployment import EAGER, Deployment, log, wait_for_exit
from tests.support.examples import assigned, invoice, line

TRAFFIC: Final = ("--seed", "6", "--customers", "10", "--months", "1")
STRICT: Final = {"PROJECTOR_REFUSED_RUN_MAX": "3"}
NO_LIMITS: Final = {"PROJECTOR_REFUSED_RUN_MAX": "0", "PROJECTOR_REFUSED_SHARE_MAX": "1"}
OBJECT: Final = """
CREATE FUNCTION billing.objects() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN RAISE EXCEPTION 'the disk is full of stars' USING ERRCODE = 'XX000'; END$$;
CREATE TRIGGER objects BEFORE INSERT ON billing.invoices FOR EACH ROW EXECUTE FUNCTION billing.objects()
"""


def test_a_position_that_cannot_be_served(deployment: Deployment) -> None:
    deployment.publish(deployment.simulate(*TRAFFIC))
    deployment.catch_up()
    assert _stops(deployment) == []
    invoices = topic_of("invoices", deployment.settings.topic_prefix)
    deployment.sql(
        "UPDATE positions SET next_offset = next_offset + 1000 WHERE topic = :topic AND partition = 1", topic=invoices
    )
    for times in (1, 2):
        ended = deployment.command("projector", "run", "--until-caught-up")
        assert ended.exit_code == 1
        [stop] = _stops(deployment)
        assert (stop["host"], stop["reason"], stop["times"]) == (socket.gethostname(), "position", times)
        assert ended.stderr.endswith(f"projector: {stop['message']}\n")
        assert (stop["first_at"] < stop["stopped_at"]) == (times > 1), "the first of them is kept"
        assert stop["positions"] == {f"{topic}/{at}": offset for (topic, at), offset in deployment.positions().items()}
    shown = deployment.command("projector", "status").stdout
    assert "Needs attention: a consumer has stopped with an error" in shown
    assert f"on {socket.gethostname()}, 2 times since" in shown
    assert f"ago: {stop['message']}\n" in shown

    assert deployment.command("projector", "positions", "set", invoices, "1", "earliest", "--yes").exit_code == 0
    assert len(_stops(deployment)) == 1, "nothing has shown yet that this is what was wrong"
    deployment.catch_up()
    assert _stops(deployment) == []


def test_too_many_refused_messages(deployment: Deployment) -> None:
    deployment.command("events", "simulate", *TRAFFIC, "--publish", env={"PROJECTOR_CURRENCY": "USD"})
    assert deployment.command("projector", "run", "--until-caught-up", env=STRICT).exit_code == 1
    [stop] = _stops(deployment)
    assert stop["reason"] == "refusals"
    assert "were refused" in stop["message"]
    deployment.catch_up(NO_LIMITS)
    assert _stops(deployment) == [], "it has read everything that there is"


def test_a_batch_that_postgresql_refuses_until_a_consumer_that_runs_on_applies_it(deployment: Deployment) -> None:
    deployment.publish([line(each).decode() for each in (assigned(1, 1, 7), invoice(1, 1, "10.00"))])
    with deployment.engine.begin() as connection:
        connection.execute(text(OBJECT))
    for times in (1, 2):
        ended = deployment.consumer(EAGER)
        assert wait_for_exit(ended) == 1, log(ended)
        [stop] = _stops(deployment)
        assert (stop["reason"], stop["times"]) == ("batch", times), "a consumer that has only joined does not work yet"
        assert "the disk is full of stars" in stop["message"]
    with deployment.engine.begin() as connection:
        connection.execute(text("DROP FUNCTION billing.objects() CASCADE"))
    deployment.consumer(EAGER)
    deployment.wait_until(lambda: not _stops(deployment), what="the stop to be forgotten")
    assert deployment.positions() == deployment.ends()


def test_a_consumer_that_has_nothing_to_read_works(deployment: Deployment) -> None:
    deployment.publish(deployment.simulate(*TRAFFIC))
    deployment.catch_up()
    deployment.sql(
        "INSERT INTO consumer_stops (group_id, host, reason, message, positions) "
        "VALUES (:group, 'a', 'group', 'm', '{}')"
    )
    deployment.consumer(EAGER)
    deployment.wait_until(lambda: not _stops(deployment), what="the stop to be forgotten")


def test_a_reason_that_cannot_be_recorded_hides_no_error(deployment: Deployment) -> None:
    deployment.publish(deployment.simulate(*TRAFFIC))
    deployment.catch_up()
    deployment.sql("UPDATE positions SET next_offset = next_offset + 1000")
    deployment.sql("ALTER TABLE consumer_stops RENAME TO elsewhere")
    ended = deployment.command("projector", "run", "--until-caught-up")
    assert ended.exit_code == 1
    assert "but the broker's log ends at" in ended.stderr.splitlines()[-1]


def _stops(deployment: Deployment) -> list[dict[str, Any]]:
    shown = deployment.command("projector", "status", "--json")
    found: list[dict[str, Any]] = json.loads(shown.stdout)["stops"]
    return found
