"""`.env` is read only where nobody but the user or root can have written it, and it loads no code."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from events.runtime import kafka, settings
from events.runtime.errors import SettingError
from events.runtime.settings import Settings

STRANGER: Final = 65_534
LOADING: Final = (
    "PROJECTOR_KAFKA__SSL_ENGINE_LOCATION=/tmp/engine.so",
    "PROJECTOR_KAFKA__SSL_ENGINE_ID=evil",
    "PROJECTOR_KAFKA__SSL_PROVIDERS=default,/tmp/evil",
    "PROJECTOR_KAFKA__ssl.providers=/tmp/evil",
    "PROJECTOR_KAFKA__SASL_KERBEROS_KINIT_CMD=touch /tmp/owned",
    "PROJECTOR_KAFKA__SASL_KERBEROS_PRINCIPAL=x;touch /tmp/owned",
    "PROJECTOR_KAFKA__PLUGIN_LIBRARY_PATHS=evil",
    "export PROJECTOR_KAFKA__PLUGIN_LIBRARY_PATHS='evil'",
    "projector_kafka__plugin_library_paths=evil",
    'projector_kafka={"plugin.library.paths": "evil"}',
    "Projector_Kafka__Ssl_Providers=evil",
    "PROJECTOR_DATABASE_URL=postgresql://h/d?service=evil",
    "PROJECTOR_DATABASE_URL=postgresql://h/d?sslmode=require&servicefile=/tmp/evil",
    "PROJECTOR_DATABASE_URL=postgresql://h/d?sslkey=evil:key",
    "PROJECTOR_DATABASE_URL=postgresql://h/d?sslkeylogfile=/tmp/keys",
)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Write a file of the user's into the current folder, and leave nothing in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.upper().startswith("PROJECTOR_")]:
        monkeypatch.delenv(name)
    written = tmp_path / ".env"
    written.write_text("PROJECTOR_CURRENCY=UGX\nPROJECTOR_KAFKA__SECURITY_PROTOCOL=SSL\nOTHER=1\n")
    written.chmod(0o600)
    yield written
    settings.load.cache_clear()


@pytest.mark.usefixtures("file")
def test_ones_own_is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _load().currency == "UGX"
    assert _load().kafka == {"security_protocol": "SSL"}
    monkeypatch.setenv("PROJECTOR_CURRENCY", "TZS")
    assert _load().currency == "TZS"
    assert "OTHER" not in os.environ


def test_in_a_folder_that_others_may_write_ones_own_is_read(file: Path) -> None:
    file.parent.chmod(0o777)
    assert _load().currency == "UGX"


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_one_that_others_may_write_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    _refused("chmod 600")


def test_a_strangers_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _give_away(file, monkeypatch)
    _refused("neither to you nor to root")


def test_a_strangers_link_to_ones_own_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = file.rename(file.parent / "elsewhere")
    file.symlink_to(elsewhere)
    assert _load().currency == "UGX"
    _give_away(file, monkeypatch)
    _refused("neither to you nor to root")


def test_what_is_no_file_is_no_settings(file: Path) -> None:
    for make in (Path.mkdir, os.mkfifo):
        file.unlink(missing_ok=True)
        make(file)
        assert _load().currency == "KES"
        if file.is_dir():
            file.rmdir()
    file.unlink()
    assert _load().currency == "KES"


@pytest.mark.parametrize("line", LOADING)
def test_it_loads_no_code(file: Path, line: str) -> None:
    file.write_text(f"{line}\n")
    _refused("PROJECTOR")


def test_the_environment_may_name_an_engine_but_no_interceptor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROJECTOR_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("PROJECTOR_KAFKA__SSL_PROVIDERS", "default")
    assert kafka.client_config(_load())["ssl.providers"] == "default"
    monkeypatch.setenv("PROJECTOR_KAFKA__PLUGIN_LIBRARY_PATHS", "monitoring")
    with pytest.raises(SettingError, match="an interceptor may change every message"):
        kafka.client_config(_load())


def _load() -> Settings:
    settings.load.cache_clear()
    return settings.load()


def _refused(why: str) -> None:
    with pytest.raises(SettingError, match=why) as refused:
        _load()
    assert "\n" not in str(refused.value)


def _give_away(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be a stranger's: root gives it away; who is not root is somebody else."""
    if os.geteuid() == 0:
        os.chown(file, STRANGER, STRANGER, follow_symlinks=False)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
