"""A database of an earlier version is taken for what the settings say, where nothing that it holds contradicts them."""

from typing import Any

import pytest
from alembic import command as alembic
from psycopg import Connection

from events.contract.types import topic_of
from events.runtime.errors import SettingError, StateError
from events.runtime.settings import Settings
from projector.database import roles
from projector.database.engines import make_engine
from projector.deployment import identity, schema
from projector.deployment.schema import Upgraded
from tests.integration.deployment.conftest import INVOICE, POSITION


def test_an_upgrade_adopts_what_nothing_contradicts(settings: Settings, database: Connection[Any]) -> None:
    """A database of an earlier version, with history and positions, is taken for what the settings say."""
    own = settings.model_copy(update={"schema_name": "earlier"})
    _earlier_version(own)
    database.execute("SET search_path = earlier")
    database.execute(INVOICE, ["USD"])
    with pytest.raises(StateError, match=r"PROJECTOR_CURRENCY is KES, but .* invoice 1 in USD"):
        _upgrade(own)
    assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [("0003",)]
    database.execute("UPDATE invoices SET currency = 'KES'")
    database.execute(POSITION, ["elsewhere.invoices", None])
    with pytest.raises(StateError, match=r"PROJECTOR_TOPIC_PREFIX is .* filled from elsewhere.invoices"):
        _upgrade(own)
    database.execute("UPDATE positions SET topic = %s", [topic_of("invoices", own.topic_prefix)])
    assert _upgrade(own).adopted == identity.given(own)
    assert _upgrade(own).adopted == {}
    with pytest.raises(SettingError, match="PROJECTOR_CURRENCY is USD"):
        _upgrade(own.model_copy(update={"currency": "USD"}))


def _upgrade(own: Settings) -> Upgraded:
    engine = make_engine(own, program="tests")
    try:
        return schema.upgrade(engine, own.schema_name, settings=own)
    finally:
        engine.dispose()


def _earlier_version(own: Settings) -> None:
    """Create the schema as it was before anything was written down."""
    upgrade = alembic.upgrade
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alembic, "upgrade", lambda config, _: upgrade(config, "0003"))
        patch.setattr(identity, "adopt", lambda *_: {})
        patch.setattr(roles, "grant", lambda *_, **__: None)
        _upgrade(own)
