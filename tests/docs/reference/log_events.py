"""`docs/reference/log-events.md`: every log line that the programs write, from a walk over their syntax trees."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tests.docs.reference.markdown import NOTE, code, table

ROOT: Final = Path(__file__).parents[3]
PROGRAMS: Final = ("events", "projector", "backfill")
LEVELS: Final = ("debug", "info", "warning", "error")

INTRODUCTION: Final = f"""{NOTE}

# Log events

Log lines go to standard error: for people, or as one JSON object a line with `PROJECTOR_LOG_FORMAT=json`. Each has
`event`, `level` and `timestamp` (UTC) beside the fields below. A drift check that has finished is
logged as `run ended`, with its command and state. Where a person reads both a command's report and its log on one
terminal, `run ended`, `step ended` and `migration ended` are left out. What librdkafka says from level warning on is
`retrying` where a connection failed, else `Kafka client`: the first line of a kind, then one in ten seconds with the
number of those left out. Lines of other libraries go to the same place, from level warning on.

"""


class LogEvent(NamedTuple):
    """One call of the logger."""

    event: str
    level: str
    fields: tuple[str, ...]
    module: str


def page() -> str:
    """Return the page."""
    found = sorted(set(events()), key=lambda each: (PROGRAMS.index(each.module.partition(".")[0]), each))
    rows = [(code(each.event), each.level, ", ".join(map(code, each.fields)), code(each.module)) for each in found]
    return INTRODUCTION + table(("event", "level", "fields", "module"), rows)


def events() -> Iterator[LogEvent]:
    """Yield each event that the programs log."""
    for program in PROGRAMS:
        for file in sorted((ROOT / program).rglob("*.py")):
            yield from _events_of(file)


def _events_of(file: Path) -> Iterator[LogEvent]:
    tree = ast.parse(file.read_text(), filename=str(file))
    module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and _is_logger(call.func):
            fields = tuple(keyword.arg or "**" for keyword in call.keywords)
            assert "**" not in fields, f"{file}:{call.lineno}: name the fields"
            for event in names_of(call.args[0], tree):
                yield LogEvent(event, call.func.attr, fields, module)


def _is_logger(function: ast.Attribute) -> bool:
    return function.attr in LEVELS and ast.unparse(function.value) in {"_log", "structlog.get_logger()"}


def names_of(given: ast.expr, tree: ast.AST) -> list[str]:
    """Say what an event is called: a text, a text that is filled in, or a parameter with the texts that are passed."""
    if isinstance(given, ast.Constant):
        return [str(given.value)]
    if isinstance(given, ast.JoinedStr):
        return [ast.unparse(given)[2:-1]]
    assert isinstance(given, ast.Name), f"line {given.lineno}: an event's name is not a text"
    function, place = next(
        (each.name, names.index(given.id))
        for each in ast.walk(tree)
        if isinstance(each, ast.FunctionDef) and given in ast.walk(each)
        for names in [[argument.arg for argument in each.args.args if argument.arg != "self"]]
        if given.id in names
    )
    passed = [
        str(value.value)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] == function
        for value in [call.args[place]]
        if isinstance(value, ast.Constant)
    ]
    assert passed, f"line {given.lineno}: nobody passes a text for {given.id}"
    return passed
