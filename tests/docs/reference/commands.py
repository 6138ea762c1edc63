"""`docs/reference/commands.md`: every command with its arguments and options, as typer has them."""

from collections.abc import Iterator
from typing import Any, Final

import typer

import backfill.cli
import events.cli
import projector.cli
from events.contract.limits import BIGINT_MAX
from tests.docs.reference.markdown import NOTE, code, sentence, table

APPS: Final = {"events": events.cli.app, "projector": projector.cli.app, "backfill": backfill.cli.app}

KINDS: Final = {
    "str": "TEXT", "int": "N", "float": "N", "int range": "N", "float range": "N", "path": "PATH", "list[str]": "TEXT",
}  # fmt: skip
"""What a value is called whose option names none."""

INTRODUCTION: Final = f"""{NOTE}

# Commands

Three programs share one installation. Every command takes `--help`, each program `--version`. Results go to standard
output: tables for people, one JSON document with `--format json`. Logs and errors go to standard error.
[Exit codes](exit-codes.md) tell how a command ended; [settings](settings.md) come from the environment.

"""


def page() -> str:
    """Return the page."""
    rows = [(f"[{code(' '.join(path))}](#{'-'.join(path)})", summary(command)) for path, command in commands()]
    parts = [INTRODUCTION, table(("command", "does"), rows)]
    for program in APPS:
        parts.append(f"\n## {program}\n")
        parts.extend(_section(path, command) for path, command in commands() if path[0] == program)
    return "".join(parts)


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each command's words, and what typer made of it."""
    for program, app in APPS.items():
        yield from _below((program,), typer.main.get_command(app))


def summary(command: Any) -> str:  # noqa: ANN401 - click's, which typer brings along
    """Return the first paragraph of a command's help."""
    return paragraphs(command)[0]


def paragraphs(command: Any) -> list[str]:  # noqa: ANN401 - as above
    """Split a command's help."""
    return [" ".join(part.split()) for part in str(command.help).split("\n\n")]


def _below(path: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:  # noqa: ANN401 - as above
    if not hasattr(command, "commands"):
        yield path, command
        return
    if command.invoke_without_command:
        yield path, command
    for name, child in command.commands.items():
        yield from _below((*path, name), child)


def _section(path: tuple[str, ...], command: Any) -> str:  # noqa: ANN401 - as above
    context = command.make_context(path[-1], [], resilient_parsing=True)
    shown = [each for each in command.params if not each.hidden]
    pieces = [piece for each in shown for piece in each.get_usage_pieces(context)]
    words = [
        piece.replace("{", "").replace("}", "").replace("......", "...").replace("[[", "[").replace("]]", "]")
        for piece in pieces
    ]
    text = "".join(f"{paragraph}\n\n" for paragraph in paragraphs(command))
    usage = " ".join((*path, *(["[OPTIONS]"] if shown else []), *words))
    rows = [_row(each, context) for each in shown]
    options = table(("argument or option", "default", "meaning"), rows) if rows else "It takes no options.\n"
    return f"\n### {' '.join(path)}\n\n{text}```text\n{usage}\n```\n\n{options}"


def _row(parameter: Any, context: Any) -> tuple[str, str, str]:  # noqa: ANN401 - as above
    if parameter.param_type_name == "argument":
        name = " or ".join(map(code, (parameter.metavar or parameter.name.upper()).split("|")))
    else:
        name = code("/".join((*parameter.opts, *parameter.secondary_opts)) + _value(parameter, context))
    return name, _default(parameter), sentence(parameter.help or "") + _choices(parameter, context) + _bounds(parameter)


def _value(parameter: Any, context: Any) -> str:  # noqa: ANN401 - as above
    if getattr(parameter, "is_flag", False):
        return ""
    kind = str(parameter.display_type(context)).strip("<>")
    own = parameter.opts[0].strip("-").upper()  # of an option with choices
    return f" {parameter.metavar or KINDS.get(kind, own)}"


def _choices(parameter: Any, context: Any) -> str:  # noqa: ANN401 - as above
    *others, last = str(parameter.display_type(context)).strip("<>").split("|")
    if not others or parameter.param_type_name == "argument":
        return ""
    return f": {', '.join(map(code, others))} or {code(last)}"


def _bounds(parameter: Any) -> str:  # noqa: ANN401 - as above
    least, most = parameter.min, None if parameter.max == BIGINT_MAX else parameter.max
    if least is None and most is None:
        return ""
    return f" (at least {least:,})" if most is None else f" ({least:,} to {most:,})"


def _default(parameter: Any) -> str:  # noqa: ANN401 - as above
    value = parameter.default
    if getattr(parameter, "is_flag", False):
        return code(parameter.opts[0] if value else parameter.secondary_opts[0]) if parameter.secondary_opts else ""
    if value is None or value == "" or callable(value):
        return "required" if parameter.required else ""
    return code(str(getattr(value, "value", value)))
