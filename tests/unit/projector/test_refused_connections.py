"""Whether waiting helps is decided by the SQLSTATE that a server sends, in any language, or by what the client says."""

import pytest
from pydantic import SecretStr

from events.runtime.errors import ServiceTemporarilyUnavailableError, ServiceUnavailableError
from events.runtime.settings import Settings
from projector.database.engines import make_engine
from projector.database.failures import translate_database_errors
from projector.database.sqlstates import PASSES, passes
from tests.support.refusing_server import refusing_server

REFUSALS = {
    "53300": "trop de connexions pour le rôle « consumer »",
    "57P03": "システムは起動中です",
    "57P01": "Verbindung wird abgebrochen",
    "28P01": "authentification par mot de passe échouée",
    "28000": "no pg_hba.conf entry: the database system is, too many clients, terminating connection",
    "28XYZ": "a code of the class that PostgreSQL may add",
    "3D000": "la base de données n'existe pas",
    "53400": "limit",
}
HOW = {
    "28P01": "refuses the login",
    "28000": "refuses the login",
    "28XYZ": "refuses the login",
    "57P01": "cannot be reached",
    "57P03": "cannot be reached",
}


@pytest.mark.parametrize("code", REFUSALS)
def test_a_refusal_in_any_language_passes_or_not_by_its_code(code: str) -> None:
    with refusing_server(code, REFUSALS[code]) as address:
        error = _refused(address)
    assert isinstance(error, ServiceTemporarilyUnavailableError) == passes(code)
    how = HOW.get(code, "refuses for now" if passes(code) else "refuses the connection")
    assert str(error) == f"PostgreSQL at {address.rpartition('@')[2]} {how}: {REFUSALS[code]} ({code})"


@pytest.mark.parametrize(
    ("address", "is_temporary"),
    [
        ("postgresql://u:x@127.0.0.1:1/db", True),
        ("postgresql://u:x@nowhere.invalid/db", True),
        ("postgresql://u:x@match.invalid/db", True),
        ("postgresql://u:x@127.0.0.1:1/db?sslmode=none", False),
        ("postgresql://u:x@127.0.0.1,127.0.0.1:1,127.0.0.1:1/db?port=1,2", False),
    ],
    ids=[
        "nobody listens",
        "no such host",
        "named like a message",
        "a mode that is none",
        "more ports than hosts",
    ],
)
def test_where_no_server_answers_the_client_says_whether_waiting_helps(address: str, *, is_temporary: bool) -> None:
    assert isinstance(_refused(address), ServiceTemporarilyUnavailableError) == is_temporary


def test_a_server_that_demands_no_password_when_one_is_missing_is_not_waited_for() -> None:
    """A protocol that breaks off without an SQLSTATE is a server that goes away."""
    assert passes("08006")
    assert not passes("08P01")
    assert not passes("42P01")


def test_of_several_servers_the_one_whose_code_decides_is_quoted() -> None:
    with refusing_server("28P01", "wrong: failed: password") as address:
        port = address.rpartition(":")[2].partition("/")[0]
        error = _refused(f"postgresql://u:x@127.0.0.1:1,127.0.0.1:{port}/db")
    assert str(error).endswith(" refuses the login: wrong: failed: password (28P01)")


def test_a_password_that_the_server_demands_and_nobody_gave_is_a_refused_login() -> None:
    with refusing_server("", "") as address:
        error = _refused(f"{address}?passfile=/nowhere".replace(":x@", "@"))
    assert not isinstance(error, ServiceTemporarilyUnavailableError)
    assert " refuses the login: " in str(error)
    assert "no password supplied" in str(error)


@pytest.mark.parametrize("code", PASSES)
def test_every_class_has_its_reason(code: str) -> None:
    answer, reason = PASSES[code]
    assert passes(code.ljust(5, "0")) == answer
    assert reason


def _refused(address: str) -> ServiceUnavailableError:
    settings = Settings(_env_file=None, database_url=SecretStr(address))
    engine = make_engine(settings, program="tests")
    with pytest.raises(ServiceUnavailableError) as raised, translate_database_errors(settings), engine.connect():
        pass
    return raised.value
