"""Whatever a command raises ends in the exit code that the table says, in one line, and a defect with its traceback."""

import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
import typer
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.exc import DBAPIError, StatementError

from events.runtime import boundary, console, defects
from events.runtime.boundary import EXIT_DEFECT, EXIT_INTERRUPTED, EXIT_PIPE
from events.runtime.errors import InputError, ServiceTemporarilyUnavailableError, WorkFailedError
from events.runtime.settings import load
from tests.support.secret_canaries import leaks, secret


class NovelError(Exception):
    """What nobody foresaw."""


Run = Callable[[Callable[[], Any]], int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command that does what a test says; return the exit code."""
    monkeypatch.setattr(sys, "argv", ["program"])
    monkeypatch.setenv("PROJECTOR_LOG_FORMAT", "json")

    def to_end(do: Callable[[], Any]) -> int:
        app = console.app("Does what it is told.", is_command=True)
        app.command()(do)
        with pytest.raises(SystemExit) as ended:
            boundary.run("program", app)
        assert isinstance(ended.value.code, int)
        return ended.value.code

    return to_end


def _invalid() -> ValidationError:
    try:
        TypeAdapter(int).validate_python("a tally that a hand has edited")
    except ValidationError as error:
        return error
    raise AssertionError


DEFECTS: Final = {
    "a mistake": RuntimeError("boom"),
    "a missing key": KeyError("meter"),
    "a wrong type": TypeError("boom"),
    "a bare assertion": AssertionError(),
    "no memory": MemoryError(),
    "too deep": RecursionError("boom"),
    "a driver": psycopg.ProgrammingError("boom"),
    "a connection": psycopg.OperationalError("boom"),
    "an engine": DBAPIError("SELECT 1", {}, psycopg.DataError("boom")),
    "a statement": StatementError("boom", "SELECT 1", {}, ValueError("boom")),
    "stored JSON": _invalid(),
    "a library's way out": SystemExit(0),
    "a library's failure": SystemExit(1),
    "a library's sentence": SystemExit("boom"),
    "a library's nothing": SystemExit(),
    "an iterator's end": StopIteration(),
    "a generator's end": GeneratorExit(),
    "a group": ExceptionGroup("several", [ValueError("one"), OSError(errno.ENOSPC, "two")]),
    "a file of ours": FileNotFoundError(errno.ENOENT, "No such file", "merge.sql"),
    "a socket": ConnectionRefusedError(errno.ECONNREFUSED, "boom"),
    "a pipe that is not our output": BrokenPipeError(errno.EPIPE, "boom"),
    "an error without a number": OSError("boom"),
    "an exception of a new kind": type("Novel", (BaseException,), {})("boom"),
}


@pytest.mark.parametrize("what", DEFECTS)
def test_what_nobody_foresaw_is_a_defect(run: Run, capsys: pytest.CaptureFixture[str], what: str) -> None:
    def fail() -> None:
        raise DEFECTS[what]

    assert run(fail) == EXIT_DEFECT
    printed = capsys.readouterr()
    log, line = printed.err.splitlines()
    assert printed.out == ""
    assert line.startswith("program: internal error, exit code 70: ")
    record = json.loads(log)
    assert (record["event"], record["program"], record["level"]) == ("defect", "program", "error")
    assert "raise DEFECTS[what]" in record["exception"]
    assert type(DEFECTS[what]).__name__ in record["exception"]


FORESEEN: Final = {
    "nothing": (None, 0),
    "a code": (typer.Exit(3), 3),
    "drift": (typer.Exit(1), 1),
    "a part that failed": (WorkFailedError("some of it"), 1),
    "a wrong word": (InputError("that one"), 2),
    "a service": (ServiceTemporarilyUnavailableError("away"), 2),
    "a wrong option": (typer.BadParameter("that one"), 2),
    "a full disk": (OSError(errno.ENOSPC, "No space left on device"), 2),
    "a place of others": (PermissionError(errno.EACCES, "Permission denied", "/elsewhere/x"), 2),
    "the keyboard": (KeyboardInterrupt(), EXIT_INTERRUPTED),
    "no answer": (typer.Abort(), EXIT_INTERRUPTED),
    "nobody to answer": (EOFError(), EXIT_INTERRUPTED),
    "a signal that unwinds": (SystemExit(128 + 15), 143),
}


@pytest.mark.parametrize("what", FORESEEN)
def test_what_is_foreseen_keeps_its_code(run: Run, capsys: pytest.CaptureFixture[str], what: str) -> None:
    error, code = FORESEEN[what]

    def end() -> None:
        if error:
            raise error

    assert run(end) == code
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("error", [RuntimeError("boom"), SystemExit(0)])
@pytest.mark.parametrize("code", [0, 1])
def test_a_thread_that_dies_is_a_defect_however_the_command_ends(
    run: Run, capsys: pytest.CaptureFixture[str], error: BaseException, code: int
) -> None:
    def fail() -> None:
        raise error

    def end() -> None:
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
        raise typer.Exit(code)

    before = threading.excepthook
    assert run(end) == EXIT_DEFECT
    assert "internal error, exit code 70" in capsys.readouterr().err
    assert threading.excepthook is before


def test_no_secret_is_told_with_a_defect_nor_what_a_terminal_obeys(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not the address, nor a part of it, nor one of `.env`, nor one that is chained, in whatever text it stands."""
    monkeypatch.chdir(tmp_path)
    (own, kept, alert, given) = (secret() for _ in range(4))
    monkeypatch.setenv("PROJECTOR_DATABASE_URL", f"postgresql://u:{own}%21@h/b")
    monkeypatch.setenv("PROJECTOR_ALERTS", f"slack://{alert}/B1/x")
    monkeypatch.setattr(sys, "argv", ["program", f"--alert=json://u:{given}@h"])
    (tmp_path / ".env").write_text(f"PROJECTOR_KAFKA__SASL_PASSWORD={kept}\n")
    monkeypatch.setattr(boundary, "_invoke", lambda *_: load() and _fail([f"{own}!", kept, alert, given]))
    assert run(lambda: None) == EXIT_DEFECT
    printed = capsys.readouterr().err
    assert not leaks(printed)
    assert printed.count("(its text contains a secret and is left out)") >= 4
    assert all(part.isprintable() for part in printed.splitlines())


def _fail(texts: list[str]) -> int:
    if not texts:
        raise KeyError("\x1b[2J")
    try:
        return _fail(texts[1:])
    except Exception as error:
        raise RuntimeError(f"\x1b[2J could not use {texts[0]}") from error


def test_a_defect_that_cannot_even_be_logged_keeps_its_code(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise NovelError

    monkeypatch.setattr("events.runtime.defects.record", lambda *_: 1 / Decimal(0))
    assert run(fail) == EXIT_DEFECT
    assert "internal error, exit code 70: NovelError; " in capsys.readouterr().err


@pytest.mark.parametrize("command", ["simulate --customers 3000", "schema"])
def test_a_reader_that_has_gone_is_neither_success_nor_drift(command: str) -> None:
    """Before the first byte, and after it where there is more than a pipe holds."""
    program = [str(Path(sys.executable).parent / "events"), *command.split()]
    reading, writing = os.pipe()
    os.close(reading)
    gone = subprocess.run(program, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (gone.returncode, gone.stderr) == (EXIT_PIPE, b"")


@pytest.mark.parametrize(
    ("address", "holds"),
    [
        ("postgresql://u:pw@db.example:5432/billing?sslpassword=other", {"pw", "sslpassword", "other"}),
        ("postgresql://u:p%40w@db/billing", {"p%40w", "p@w"}),
        ("postgresql://u:1/pass@db/billing", {"postgresql", "pass", "billing"}),
        ("postgresql://u:a@pass@db/billing", {"postgresql", "pass", "billing"}),
        ("password", {"password"}),
    ],
)
def test_of_a_sound_address_only_what_may_be_secret_is_one(
    monkeypatch: pytest.MonkeyPatch, address: str, holds: set[str]
) -> None:
    for name in [name for name in os.environ if name.startswith(("PROJECTOR_", "PG"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "argv", ["program"])
    monkeypatch.setenv("PROJECTOR_DATABASE_URL", address)
    assert set(defects.known_secrets()) == holds
