"""An address is libpq's: every part of it is honoured or refused, and nothing of it that could be a secret is shown."""

from urllib.parse import quote

import pytest
from pydantic import SecretStr

from events.runtime.errors import SettingError
from events.runtime.settings import Settings
from projector.database.address import Address, read_address

SHOWN = {
    "postgresql://u:p@h:5433/billing": "h:5433/billing",
    "postgres://u:p@h/billing": "h:5432/billing",
    "postgresql+psycopg://u@h/billing": "h:5432/billing",
    "postgresql://u:p@h1:5432,h2:5433/billing?target_session_attrs=read-write": "h1:5432,h2:5433/billing",
    "postgresql://u:p@h1,h2/billing?port=6000": "h1:6000,h2:6000/billing",
    "postgresql:///billing?host=/var/run/postgresql&user=u": "/var/run/postgresql:5432/billing",
    "postgresql://u:p@[::1]:5433/billing": "::1:5433/billing",
    "postgresql://u:p%40ss%2F%3F%23@h/billing": "h:5432/billing",
    "postgresql:///billing?hostaddr=10.0.0.1&password=secret": "10.0.0.1:5432/billing",
    "postgresql:///?service=billing": "service billing",
    "postgresql:///billing": "localhost:5432/billing",
}
AMBIGUOUS = ("u:x@secret@h/db", "u:1/secret@h/db", "u:1?secret=1@h/db", "u:1#secret@h/db", "u:x@h?secret=1@h/db")
REFUSED = {
    "mysql://u:secret@h/db": "the scheme has to be postgresql://$",
    "secret": "it is no address like postgresql://user@host:5432/name$",
    "host=h password=secret": "it is no address like postgresql://user@host:5432/name$",
    "postgresql://u:secret@h:x/db": "a port is a number",
    "postgresql://u:secret@h:0/db": "a port is a number",
    "postgresql://u:secret@h1:1,h2:99999/db": "a port is a number",
    "postgresql://u:secret@[::1/db": "it is no address like postgresql://user@host:5432/name$",
    "postgresql://u:secret@h/db?sslmod=require": r"no option 'sslmod'; did you mean sslmode\?",
    "postgresql://u:secret@h/db?zzz=1": "no option 'zzz'$",
    "postgresql://u:secret@h/db?application_name=x": "leave application_name out",
    "postgresql://u:secret@h/db?client_encoding=LATIN1": "leave client_encoding out",
    "postgresql://u:secret@h/db?options=-c%20statement_timeout%3D5s": "statement_timeout has to be '0'",
    "postgresql://u:secret@h/db?options=-c%20datestyle%3DGerman": "DateStyle has to be 'ISO, MDY'",
    "postgresql://u:secret@h/db?options=--search-path%3Dx": "leave search_path out",
    "postgresql://u:secret@h/db?options=-c%20synchronous_commit%3Doff": "synchronous_commit has to be 'on'",
    "postgresql://u:secret@h/db?options=-c work_mem=5MB": "with = in its value as %3D",
    "postgresql://u:secret@h/db?connect_timeout=soon": "connect_timeout has to be an integer",
    "postgresql://u:secret@h/db?keepalives_idle=": "keepalives_idle has to be an integer",
    "postgresql://u:secret@h/db?options=-e": "options may hold settings only",
}


@pytest.mark.parametrize("given", SHOWN)
def test_what_is_shown_is_where_it_is(given: str) -> None:
    assert _read(given).place == SHOWN[given]


@pytest.mark.parametrize("given", AMBIGUOUS)
def test_a_password_that_ends_early_is_refused_and_not_shown(given: str) -> None:
    with pytest.raises(SettingError, match="write @ as %40") as raised:
        _read(f"postgresql://{given}")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("given", REFUSED)
def test_what_cannot_be_honoured_is_refused(given: str) -> None:
    with pytest.raises(SettingError, match=REFUSED[given]) as raised:
        _read(given)
    assert str(raised.value).startswith("PROJECTOR_DATABASE_URL")
    assert "secret" not in str(raised.value)


def test_settings_of_its_options_are_kept_and_pinned_ones_that_agree_are_left_out() -> None:
    given = r"-c work_mem=5MB --log-statement=all -cstatement_timeout=0 -c x.y=a\ b -c synchronous_commit=local"
    found = _read(f"postgresql://u@h/db?connect_timeout=3&options={quote(given)}")
    assert found.asked == {"work_mem": "5MB", "log_statement": "all", "x.y": "a b", "synchronous_commit": "local"}
    assert found.parameters == {"user": "u", "host": "h", "dbname": "db", "connect_timeout": "3"}


def _read(given: str) -> Address:
    return read_address(Settings(_env_file=None, database_url=SecretStr(given)))
