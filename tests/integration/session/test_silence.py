"""A server that takes a login and then falls silent is given up, like one that never answered."""

import psycopg
import pytest
from sqlalchemy import make_url

from events.runtime.settings import Settings
from projector.database import connections
from projector.sandbox.ports import HOST
from tests.faults.proxy import Proxy


def test_a_server_that_is_silent_after_the_login_is_given_up(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = make_url(settings.database_url.get_secret_value())
    proxy = Proxy(url.port or 5432)
    monkeypatch.setattr(connections, "_require_encoding", lambda _: proxy.hang())
    through = url.set(host=HOST, port=proxy.port).render_as_string(hide_password=False)
    try:
        with pytest.raises(psycopg.OperationalError):
            connections.connect(through, schema=settings.schema_name, connect_timeout=3)
    finally:
        proxy.close()
