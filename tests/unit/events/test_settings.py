"""A setting that cannot work is refused at start, by its name."""

import pytest

from events.runtime import settings
from events.runtime.errors import SettingError

REFUSED = {
    ("PROJECTOR_SCHEMA", "pg_billing"): "PostgreSQL reserves the name pg_billing: choose another",
    ("PROJECTOR_SCHEMA", "pg_catalog"): "PostgreSQL reserves the name pg_catalog: choose another",
    ("PROJECTOR_SCHEMA", "information_schema"): "PostgreSQL reserves the name information_schema: choose another",
    ("PROJECTOR_CURRENCY", "KWD"): "KWD has more than two digits after the point, and amounts here have two at most",
    ("PROJECTOR_CURRENCY", "CLF"): "CLF has more than two digits after the point, and amounts here have two at most",
    ("PROJECTOR_TIMEZONE", "Africa/Nowhere"): "'Africa/Nowhere' is not an IANA time zone: one is Africa/Nairobi",
    ("PROJECTOR_TIMEZONE", "Nairobi"): "'Nairobi' is not an IANA time zone: did you mean Africa/Nairobi?",
    ("PROJECTOR_TIMEZONE", "africa/niarobi"): "'africa/niarobi' is not an IANA time zone: did you mean Africa/Nairobi?",
    ("PROJECTOR_BATCH_EVENTS_MAX", "many"): "must be a whole number",
    ("PROJECTOR_BATCH_EVENTS_MAX", "0"): "must be greater than or equal to 1",
    ("PROJECTOR_SHUTDOWN_SECONDS", "soon"): "must be a number",
    ("PROJECTOR_LOG_FORMAT", "xml"): "must be 'console' or 'json'",
}


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_what_cannot_work_is_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    settings.load.cache_clear()
    with pytest.raises(SettingError) as raised:
        settings.load()
    assert str(raised.value) == f"{name}: {REFUSED[name, value]}"


@pytest.mark.parametrize("currency", ["KES", "JPY", "UGX"])
def test_currencies_of_two_digits_or_none_are_taken(currency: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROJECTOR_CURRENCY", currency)
    settings.load.cache_clear()
    assert settings.load().currency == currency


MISTYPED = {
    "PROJECTOR_GRUOP_ID": "PROJECTOR_GROUP_ID?",
    "PROJECTOR_DATABSE_URL": "PROJECTOR_DATABASE_URL?",
    "PROJECTOR_KAFKA_BOOTSTRAP_SERVER": "PROJECTOR_KAFKA_BOOTSTRAP_SERVERS?",
    "PROJECTOR_SCHEMA_NAME": "PROJECTOR_SCHEMA?",
    "projector_group_id": "PROJECTOR_GROUP_ID?",
    "PROJECTOR_kafka__sasl_username": "PROJECTOR_KAFKA__SASL_USERNAME?",
    "PROJECTOR_KAFKA_SASL_USERNAME": "PROJECTOR_KAFKA__SASL_USERNAME, a property of librdkafka?",
}


@pytest.mark.parametrize("name", MISTYPED)
def test_a_mistyped_name_is_refused_with_the_nearest(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "x")
    settings.load.cache_clear()
    with pytest.raises(SettingError) as raised:
        settings.load()
    assert str(raised.value) == f"{name} is not a setting: did you mean {MISTYPED[name]}"


def test_every_name_that_is_unknown_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PROJECTOR_TIME_ZONE", "PROJECTOR_COLOUR"):
        monkeypatch.setenv(name, "x")
    settings.load.cache_clear()
    with pytest.raises(SettingError) as raised:
        settings.load()
    first, second = str(raised.value).split("; ")
    assert first.startswith("PROJECTOR_COLOUR is not a setting: the settings are PROJECTOR_ALERTS, ")
    assert second == "PROJECTOR_TIME_ZONE is not a setting: did you mean PROJECTOR_TIMEZONE?"
