"""Every help page, at the widths of terminals: whole option names, and no line that is wider than the terminal."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from events.runtime.help_pages import WIDTH_MAX, use_plain_help
from tests.docs.reference.commands import APPS


@pytest.mark.parametrize("width", [80, 120, 160])
def test_options_and_commands_are_whole(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    seen = 0
    for path, command, page in _pages():
        names = [name for each in command.params for name in (*each.opts, *each.secondary_opts) if name[0] == "-"]
        names += getattr(command, "commands", ())
        for name in names:
            assert re.search(rf"^ .*(?<![\w-]){re.escape(name)}(?![\w-])", page, re.MULTILINE), (path, name, page)
        lines = page.split("\n")
        assert max(map(len, lines)) <= min(width, WIDTH_MAX), page
        assert not [line for line in lines if re.search(r"…|\w\.\.\.$|\w-$", line)], page
        seen += len(names)
    assert seen > 150


def test_a_list_of_commands_shows_what_each_does_in_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for _, command, page in _pages():
        for name, each in getattr(command, "commands", {}).items():
            first, *_ = each.help.split("\n\n")
            assert f"{name} {' '.join(first.split())}" in " ".join(page.split())


def test_texts_of_options_read_alike() -> None:
    """Lower case, and no full stop; `--help` is click's, and has the one text here."""
    for path, command, page in _pages():
        assert re.search(r"^  --help +print this page and exit$", page, re.MULTILINE), page
        for each in command.params:
            text = each.help or ""
            assert not re.match(r"[A-Z][a-z]+ |.*\.$", text), (path, each.name, text)


def _pages() -> Iterator[tuple[str, Any, str]]:
    for program, app in APPS.items():
        command = typer.main.get_command(app)
        use_plain_help(command)
        yield from _below(program, command, None)


def _below(path: str, command: Any, parent: Any) -> Iterator[tuple[str, Any, str]]:  # noqa: ANN401 - click's
    context = command.context_class(command, info_name=path.rpartition(" ")[2], parent=parent)
    yield path, command, command.get_help(context)
    for name, each in getattr(command, "commands", {}).items():
        yield from _below(f"{path} {name}", each, context)
