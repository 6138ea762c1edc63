"""The auditor's role suffices to compare; a repair takes the projector's as well."""

import json

from events.runtime import kafka
from events.runtime.settings import Settings
from projector.database.engines import make_engine
from tests.conftest import RunCommand
from tests.integration.security.conftest import Deployed, deployed
from tests.integration.verify_log.conftest import Logged
from tests.support.examples import invoice
from tests.support.written_down import write_down

__all__ = ["deployed"]


def test_each_does_its_part_with_its_own_role(
    deployed: Deployed,
    kafka_settings: Settings,
    kafka_environment: dict[str, str],
    run_command: RunCommand,
) -> None:
    settings = kafka_settings.model_copy(update={"schema_name": deployed.settings.schema_name})
    write_down(settings, kafka.admin(settings))
    engine = make_engine(settings, program="tests")
    logged = Logged(settings, engine)
    logged.apply(invoice(1, 42, "100.00"), invoice(2, 42, "10.00"))
    logged.sql("DELETE FROM invoices WHERE invoice_id = 2")
    auditor = deployed.environment("backfill", kafka_environment)
    found = run_command("backfill", "verify-log", "--format", "json", env=auditor)
    assert found.exit_code == 1, found.stderr
    places = [json.dumps(each["evidence"]["message"]) for each in json.loads(found.stdout)["findings"]]
    refused = run_command("projector", "replay", "-", stdin="\n".join(places), env=auditor)
    assert refused.exit_code != 0
    projector = deployed.environment("projector", kafka_environment)
    replayed = run_command("projector", "replay", "-", stdin="\n".join(places), env=projector)
    assert replayed.exit_code == 0, replayed.stderr
    assert run_command("backfill", "rebuild", env=auditor).exit_code == 0
    assert run_command("backfill", "verify-log", env=auditor).exit_code == 0
    assert not logged.disagreement()
    logged.close()
    engine.dispose()
