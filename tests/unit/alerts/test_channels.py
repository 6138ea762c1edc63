"""Where alerts go is checked before anything starts, and never shown with its secrets."""

import pytest
from pydantic import SecretStr

from backfill.alerts.channels import UndeliveredError, addresses
from events.runtime.errors import SettingError
from events.runtime.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # a library's library, on Python 3.11


def _settings(alerts: str = "", kafka: str = "127.0.0.1:1") -> Settings:
    return Settings(_env_file=None, alerts=SecretStr(alerts), kafka_bootstrap_servers=kafka)


def test_both_sources_count_and_each_address_once() -> None:
    settings = _settings("stdout:, json://user:hush@127.0.0.1:1/a,b?to=x,y , kafka:")
    made = addresses(settings, ["json://user:hush@127.0.0.1:1/a,b?to=x,y", "stdout:"])
    names = [address.name for address in made]
    assert [name.partition(":")[0] for name in names] == ["json", "stdout", "kafka"]
    assert "kafka:billing.drift-alerts" in names
    assert not any("hush" in name for name in names)
    assert addresses(_settings(), []) == []


@pytest.mark.parametrize(
    "wrong", ["bogus://hush", "hush", "json://", "slack://hush", "kafka:hush", "stdout:hush", "file:///hush"]
)
def test_what_is_no_address_is_refused_without_showing_it(wrong: str) -> None:
    for settings, given, where in ((_settings(), [wrong], "--alert"), (_settings(wrong), [], "PROJECTOR_ALERTS")):
        with pytest.raises(SettingError, match=where) as refused:
            addresses(settings, given)
        assert "hush" not in str(refused.value)


def test_kafka_needs_its_servers() -> None:
    with pytest.raises(SettingError, match="PROJECTOR_KAFKA_BOOTSTRAP_SERVERS is not set"):
        addresses(_settings(kafka=""), ["kafka:"])


def test_one_that_does_not_answer_says_so() -> None:
    (address,) = addresses(_settings(), ["json://user:hush@127.0.0.1:1/?retry=0"])
    document = {"alert": "x", "state": "raised", "amount": None, "detail": "", "run_id": None, "suggested_command": "y"}
    with pytest.raises(UndeliveredError) as failed:
        address.send(document)
    assert "hush" not in str(failed.value)
