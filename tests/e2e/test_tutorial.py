"""Whoever types the tutorial's commands gets what it shows."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from sqlalchemy import make_url

from tests.docs.tutorial import PAGE, comparable, play, steps
from tests.support.services import Services


@pytest.fixture
def empty(services: Services) -> Iterator[dict[str, str]]:
    """Give what the sandbox gives a reader: an empty database, a broker without the topics, and no other setting."""
    name, prefix = f"tutorial_{uuid.uuid4().hex[:12]}", f"tutorial-{uuid.uuid4().hex[:12]}"
    others = {key: value for key, value in os.environ.items() if not key.startswith("PROJECTOR_")}
    with psycopg.connect(services.database_url, autocommit=True) as owner:
        owner.execute(f'CREATE DATABASE "{name}"'.encode())
        yield {
            **others,
            "PROJECTOR_DATABASE_URL": make_url(services.database_url)
            .set(database=name)
            .render_as_string(hide_password=False),
            "PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": services.kafka_bootstrap_servers,
            "PROJECTOR_TOPIC_PREFIX": prefix,
            "PROJECTOR_GROUP_ID": prefix,
        }
        owner.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
    client = AdminClient({"bootstrap.servers": services.kafka_bootstrap_servers})
    made = [topic for topic in client.list_topics(timeout=10).topics if topic.startswith(prefix)]
    for future in client.delete_topics(made).values() if made else ():
        future.result()


def test_its_commands_print_what_it_shows(empty: dict[str, str], tmp_path: Path) -> None:
    shown = steps(PAGE.read_text())
    assert len(shown) > 10
    printed = play([step.command for step in shown], empty, tmp_path)
    prefix = empty["PROJECTOR_TOPIC_PREFIX"]
    for step, text in zip(shown, printed, strict=True):
        said = text.replace(prefix, "billing")
        assert comparable(said) == comparable(step.output), f"{PAGE.name}: `{step.command}`: run `make tutorial`"
