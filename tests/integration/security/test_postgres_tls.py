"""TLS to PostgreSQL as `sslmode=verify-full` promises it: who is not the server we were told to trust gets nothing."""

from collections.abc import Iterator
from time import monotonic
from typing import Final, NamedTuple

import pytest
from sqlalchemy import URL, make_url

from tests.conftest import RunCommand
from tests.integration.security.certificates import ELSEWHERE, HERE, Authority
from tests.integration.security.tls_front import tls_front
from tests.support.deployment import one_line
from tests.support.machine_load import busy
from tests.support.secret_canaries import secret

WAYS: Final = {
    "wrong_password": " refuses the login: password authentication failed for user ",
    "wrong_authority": "certificate verify failed",
    "wrong_name": f'"{ELSEWHERE}" does not match host name "localhost"',
    "in_clear": "server does not support SSL, but SSL was required",
}
OTHER_COMMANDS: Final = (
    "projector status", "projector init", "projector positions show", "projector dead-letters list",
    "backfill drift-check", "backfill rebuild", "backfill validate", "backfill runs",
)  # fmt: skip
QUICK_SECONDS: Final = 8.0  # of which a Python that starts on a busy machine takes half; less than any timeout of ours


class Addresses(NamedTuple):
    """The same database by several ways."""

    right: str
    wrong_password: str
    wrong_authority: str
    wrong_name: str
    in_clear: str


@pytest.fixture
def addresses(database_url: str, authority: Authority, stranger: Authority) -> Iterator[Addresses]:
    behind = make_url(database_url)
    assert behind.host
    assert behind.port
    place = behind.host, behind.port
    with tls_front(place, authority.identity(*HERE)) as right, tls_front(place, authority.identity(ELSEWHERE)) as named:
        trusted = behind.set(host="localhost", port=right).update_query_dict(
            {"sslmode": "verify-full", "sslrootcert": str(authority.certificate), "require_auth": "scram-sha-256"}
        )
        yield Addresses(
            _text(trusted),
            _text(trusted.set(password=secret())),
            _text(trusted.update_query_dict({"sslrootcert": str(stranger.certificate)})),
            _text(trusted.set(port=named)),
            _text(trusted.set(port=behind.port)),
        )


def test_the_programs_work_through_verified_tls(
    addresses: Addresses, kafka_environment: dict[str, str], run_command: RunCommand
) -> None:
    env = {**kafka_environment, "PROJECTOR_DATABASE_URL": addresses.right}
    lines = run_command("events", "simulate", "--customers", "50", env=env).stdout
    assert run_command("events", "publish", "-", env=env, stdin=lines).exit_code == 0
    for command in ("projector init", "projector run --until-caught-up", "projector status", "backfill drift-check"):
        result = run_command(*command.split(), env=env)
        assert result.exit_code == 0, (command, result.stderr)


@pytest.mark.parametrize(
    ("command", "way"),
    [*(("projector run", way) for way in WAYS), *((command, "wrong_password") for command in OTHER_COMMANDS)],
)
def test_what_is_wrong_is_one_line_at_once(
    addresses: Addresses, environment: dict[str, str], run_command: RunCommand, command: str, way: str
) -> None:
    began = monotonic()
    kafka = {"PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}  # is never asked
    env = {**environment, **kafka, "PROJECTOR_DATABASE_URL": getattr(addresses, way)}
    result = run_command(*command.split(), env=env)
    assert one_line(result, 2, "PostgreSQL at localhost:", WAYS[way])
    assert ("cannot be reached securely: " in result.stderr) == (way != "wrong_password")
    assert result.stdout == ""
    assert monotonic() - began < QUICK_SECONDS * busy()


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)
