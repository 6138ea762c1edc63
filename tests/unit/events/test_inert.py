"""Whatever text is handed to the console and the log, no terminal obeys it and no line begins that is not ours."""

import json
import logging
import sys
import unicodedata
from typing import Any, Final

import pytest
import structlog

from events.runtime import console, logs
from events.runtime.settings import Settings

OBEYED: Final = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode's categories of what is no character to be read: controls, formats (bidirectional ones too), separators."""
EVERY: Final = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) in OBEYED]


def test_no_character_is_printed_that_is_not_to_be_read() -> None:
    shown = console.printable("".join(EVERY))
    assert shown.count("\n") == 1
    assert not [c for c in shown if c != "\n" and unicodedata.category(c) in OBEYED]


def test_text_that_is_to_be_read_stays_as_it_is() -> None:
    for text in ("Wanjikũ Ng'ang'a", "Ørsted 4 °C", "Ελένη", "李小龍", "محمد", "a  b", "[bold]", ""):
        assert console.printable(text) == text


def test_a_document_means_the_same_when_it_is_escaped() -> None:
    value = {"name": "".join(c for c in EVERY if unicodedata.category(c) != "Cs"), "lone": "\ud800"}
    document = console.escaped(json.dumps(value, ensure_ascii=False))
    assert document.isprintable()
    assert json.loads(document) == value


@pytest.mark.parametrize("text", ["\x1b[31mred", "a\u202eb", "[bold]not[/bold]", "[/]", "\x9b2J"])
def test_whatever_is_printed_as_a_line_or_in_a_table_is_inert(capsys: pytest.CaptureFixture[str], text: str) -> None:
    console.stdout().print(text, markup=False)
    console.print_table("Title", ["Column"], [[text]])
    console.say(text)
    console.say_whole(text)
    console.say_on_stderr(text)
    printed = "".join(capsys.readouterr())
    assert all(line.isprintable() for line in printed.split("\n"))
    assert printed.count(console.printable(text)) == 5


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_log_line_is_one_line_of_ours(capsys: pytest.CaptureFixture[str], log_format: Any) -> None:  # noqa: ANN401 - a literal of the setting
    evil = "x\x1b[2J\u202e\n2026-01-01T00:00:00Z [info     ] all is well"
    logs.configure(Settings(_env_file=None, log_format=log_format))
    structlog.get_logger().warning(evil, reason=evil, many=[evil])
    logging.getLogger("a.library").warning(evil)
    lines = capsys.readouterr().err.split("\n")
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)
    failure = ValueError(evil)
    structlog.get_logger().error("failed", exc_info=failure)
    logging.getLogger("a.library").error("failed", exc_info=failure)
    assert all(line.isprintable() for line in capsys.readouterr().err.split("\n"))
