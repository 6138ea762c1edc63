"""One deployment a test."""

import pytest
from sqlalchemy import Engine

from events.runtime.settings import Settings
from tests.conftest import RunCommand, StartCommand, WaitUntil
from tests.e2e.deployment import Deployment


@pytest.fixture
def deployment(  # noqa: PLR0913, PLR0917 - fixtures
    kafka_settings: Settings,
    kafka_environment: dict[str, str],
    engine: Engine,
    run_command: RunCommand,
    start_command: StartCommand,
    wait_until: WaitUntil,
) -> Deployment:
    return Deployment(kafka_settings, kafka_environment, engine, run_command, start_command, wait_until)
