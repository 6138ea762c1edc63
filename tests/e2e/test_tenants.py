"""Two deployments on one database and one broker, with the same meters, never touch each other's figures."""

from collections.abc import Iterator
from typing import Final

import pytest
from sqlalchemy import text

from events.contract.types import ENTITIES, topic_of
from events.runtime import kafka
from projector.database.engines import make_engine
from projector.database.roles import ROLES, role_of
from tests.support.deployment import Deployment

TENANTS: Final = {"north": "KES", "south": "UGX"}
CROSSING: Final = """
SELECT c.conrelid::regclass, c.confrelid::regclass FROM pg_constraint c
JOIN pg_class one ON one.oid = c.conrelid JOIN pg_class other ON other.oid = c.confrelid
WHERE one.relnamespace <> other.relnamespace
"""
EVERY_ROW: Final = "SELECT xmin::text, * FROM meter_balances ORDER BY meter_id"


@pytest.fixture
def tenants(deployment: Deployment) -> Iterator[dict[str, Deployment]]:
    """Two deployments as the page on tenants sets them up: a schema, a group and a topic prefix each."""
    made = {name: _tenant(deployment, name) for name in TENANTS}
    for tenant in made.values():
        assert tenant.command("projector", "init", "--roles").exit_code == 0
    yield made
    for name, tenant in made.items():
        for role in _roles(tenant, name):
            tenant.sql(f'DROP OWNED BY "{role}"')
            tenant.sql(f'DROP ROLE "{role}"')
        tenant.engine.dispose()
    client = kafka.admin(deployment.settings)
    topics = [topic_of(entity, tenant.settings.topic_prefix) for tenant in made.values() for entity in ENTITIES]
    for future in client.delete_topics(topics).values():
        future.result()


def _roles(tenant: Deployment, name: str) -> list[str]:
    database = tenant.sql("SELECT current_database()")[0][0]
    return [role_of(database, name, program) for program in ROLES]


def _tenant(beside: Deployment, name: str) -> Deployment:
    shared = beside.settings
    own = {
        "schema_name": name,
        "currency": TENANTS[name],
        "group_id": f"{shared.group_id}-{name}",
        "topic_prefix": f"{shared.topic_prefix}.{name}",
    }
    settings = shared.model_copy(update=own)
    environment = beside.environment | {
        "PROJECTOR_SCHEMA": name,
        "PROJECTOR_CURRENCY": own["currency"],
        "PROJECTOR_GROUP_ID": own["group_id"],
        "PROJECTOR_TOPIC_PREFIX": own["topic_prefix"],
    }
    return beside._replace(settings=settings, environment=environment, engine=make_engine(settings, program="tests"))


def test_each_has_its_own_figures_of_the_same_meters(tenants: dict[str, Deployment]) -> None:
    lines = {}
    for seed, (name, tenant) in enumerate(tenants.items()):
        lines[name] = tenant.simulate("--seed", str(seed), "--customers", "20", "--months", "3", "--shuffle", "0.2")
        tenant.consumer()
    for name, tenant in tenants.items():
        tenant.publish(lines[name])
    for name, tenant in tenants.items():
        tenant.await_caught_up()
        assert tenant.disagreement(lines[name]) == ""
        assert tenant.drift_check().exit_code == 0
        assert tenant.command("backfill", "verify-log").exit_code == 0
    north, south = (
        tenant.sql("SELECT meter_id, balance FROM meter_balances ORDER BY 1") for tenant in tenants.values()
    )
    assert [meter for meter, _ in north] == [meter for meter, _ in south]
    assert north != south


def test_what_is_wrong_in_one_is_found_and_repaired_there_alone(tenants: dict[str, Deployment]) -> None:
    for tenant in tenants.values():
        tenant.publish(tenant.simulate("--customers", "20", "--months", "2"))
        tenant.catch_up()
    north, south = tenants.values()
    untouched = south.sql(EVERY_ROW)
    north.sql("UPDATE meter_balances SET total_billed = total_billed + 7 WHERE meter_id = 11")
    assert (north.drift_check().exit_code, south.drift_check().exit_code) == (1, 0)
    assert north.command("backfill", "rebuild").exit_code == 0
    assert north.drift_check().exit_code == 0
    assert south.sql(EVERY_ROW) == untouched


def test_what_one_refuses_is_no_concern_of_the_other(tenants: dict[str, Deployment]) -> None:
    """Among it are the other's own messages, which are in the wrong currency."""
    north, south = tenants.values()
    events = north.simulate("--customers", "5", "--months", "1")
    done = south.command("events", "publish", "-", stdin="\n".join(events))
    assert done.exit_code == 2
    assert "UGX" in done.stderr
    sent = south.command(
        "events", "simulate", "--customers", "20", "--months", "1", "--poison", "0.1", "--publish",
        env={"PROJECTOR_CURRENCY": "KES"},
    )  # fmt: skip
    assert sent.exit_code == 0
    north.publish(events)
    north.catch_up()
    south.catch_up()
    count = "SELECT count(*) FROM dead_letters"
    assert (north.sql(count), south.sql(count)[0][0] > 0) == ([(0,)], True)
    assert south.sql("SELECT count(*) FROM invoices") == [(0,)]
    assert north.disagreement(events) == ""


def test_they_share_nothing_in_the_database(tenants: dict[str, Deployment]) -> None:
    north, south = tenants.values()
    for tenant in tenants.values():
        tenant.publish(tenant.simulate("--customers", "5", "--months", "1"))
        tenant.catch_up()
    assert north.positions().keys().isdisjoint(south.positions())
    with north.engine.connect() as connection:
        shared = connection.execute(text(CROSSING)).fetchall()
    assert shared == []


def test_a_role_of_one_has_no_right_in_the_other(tenants: dict[str, Deployment]) -> None:
    for name, tenant in tenants.items():
        for role in _roles(tenant, name):
            found = tenant.sql(
                "SELECT has_schema_privilege(:role, :north, 'USAGE'), has_schema_privilege(:role, :south, 'USAGE')",
                role=role, north="north", south="south",
            )  # fmt: skip
            assert found == [(name == "north", name == "south")]


def test_a_group_and_topics_shared_by_mistake_show_as_messages_that_wait(tenants: dict[str, Deployment]) -> None:
    north, _ = tenants.values()
    third = north._replace(environment=north.environment | {"PROJECTOR_SCHEMA": "third"})
    assert third.command("projector", "init").exit_code == 0
    north.consumer()
    north.await_joined(third.start())
    north.publish(north.simulate("--customers", "20", "--months", "1"))
    for each in (north, third):
        north.wait_until(lambda: _waits_for_ever(each), what="status to say what waits")  # noqa: B023 - asked at once


def _waits_for_ever(tenant: Deployment) -> bool:
    said = tenant.command("projector", "status", "--max-age", "1s")
    return said.exit_code == 1 and "messages wait" in said.stdout and "Consumers: 2 are running" in said.stdout
