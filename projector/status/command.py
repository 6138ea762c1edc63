"""`projector status`: what PostgreSQL knows in any case, and what Kafka adds if it answers."""

from dataclasses import asdict, replace
from datetime import datetime
from typing import Final

from events.runtime import console
from events.runtime.console import Format
from projector.database.engines import transaction
from projector.deployment import cluster
from projector.deployment.opening import open_database
from projector.status import kafka_view, trust
from projector.status.limits import Limits, exceeded
from projector.status.status import read
from projector.status.text import show
from projector.status.trust import Entity

EXIT_EXCEEDED: Final = 1


def status(form: Format, limits: Limits) -> int:
    """Print the status; return the exit code.

    Raises:
        SettingError, StateError: the schema or the cluster is not this deployment's, or a topic is missing.
        ServiceUnavailableError: PostgreSQL is unavailable; or Kafka is, after what PostgreSQL knows was printed.

    """
    with open_database("projector status") as (settings, engine):
        now = datetime.now(settings.zone)
        answer = kafka_view.ask(settings, now - limits.age if limits.age else None)
        view = kafka_view.awaited(answer, settings)
        with transaction(engine) as connection:
            if view.cluster_id is not None:
                cluster.compare(connection, settings, view.cluster_id)
            found = read(connection, settings.group_id, view, now)
        found = replace(found, exceeded=exceeded(found, view, limits))
    if form is Format.JSON:
        console.print_json(asdict(found))
    else:
        show(found)
    if view.failure:
        raise view.failure
    return EXIT_EXCEEDED if found.exceeded else 0


def status_of(form: Format, entity: Entity, entity_id: int) -> None:
    """Print how far the figures of one meter or customer can be trusted; Kafka is not asked.

    Raises:
        InputError: nothing is known of this id.
        SettingError, StateError: the schema is not this deployment's.
        ServiceUnavailableError: PostgreSQL is unavailable.

    """
    with open_database("projector status") as (settings, engine), transaction(engine) as connection:
        found = trust.read(connection, entity, entity_id, datetime.now(settings.zone))
    if form is Format.JSON:
        console.print_json(asdict(found))
    else:
        trust.show(found, settings)
