"""SQL as SQL: named statements read from the `.sql` files of a package.

A statement begins with a line `-- name: x`. Two more lines in the comment on top of it say which parts of the same file
belong to it:

    -- with: a, b    the WITH queries of `a`, then those of `b`, come before the statement's own
    -- fill: c, d    each `{c}` and `{d}` in the statement stands for the text of that part

A part is written under a name, too, and may have such lines itself. WITH queries are written without `WITH` in front
and without a comma behind. A part is no statement: it is not returned. A part that several files need is a statement of
a file of its own, and given to each of them.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final

NAME_LINE: Final = re.compile(r"^-- name: ([a-z][a-z0-9_]*)$", re.MULTILINE)
WITH_LINE: Final = re.compile(r"^-- with: (.+)$", re.MULTILINE)
FILL_LINE: Final = re.compile(r"^-- fill: (.+)$", re.MULTILINE)
COMMENT: Final = re.compile(r"\A(?:--[^\n]*\n)*")


@cache
def statements(package: str, file: str, **given: str) -> Mapping[str, str]:
    """Read one file and put its statements together; what stands above the first name is prose.

    Args:
        package: where the file is.
        file: its name.
        given: parts from elsewhere, by the names under which the file fills them in.

    Raises:
        ValueError: a name is given twice, a part is missing or part of itself, or the file holds no statement.

    """
    return MappingProxyType(compose(f"{package}/{file}", files(package).joinpath(file).read_text("utf-8"), **given))


def compose(where: str, text: str, **given: str) -> dict[str, str]:
    """Read a file's text as `statements` does; `where` names it in an error."""
    _, *pieces = NAME_LINE.split(text)
    names = [*pieces[::2], *given]
    bodies = {name: body.strip() for name, body in zip(names, [*pieces[1::2], *given.values()], strict=True)}
    if not bodies or len(bodies) < len(names):
        raise ValueError(f"{where}: statements need names, each its own: {names}")
    parts = {part for body in bodies.values() for line in (WITH_LINE, FILL_LINE) for part in _listed(line, body)}
    if missing := parts - bodies.keys():
        raise ValueError(f"{where}: there are no parts of these names: {sorted(missing)}")
    whole = {name: _statement(where, bodies, name) for name in bodies}
    return {name: statement for name, statement in whole.items() if name not in parts | given.keys()}


def _statement(where: str, bodies: Mapping[str, str], name: str) -> str:
    """Put the parts of a statement before it and into it."""
    parts: list[str] = []
    _collect(where, bodies, name, parts, ())
    queries = [_filled(where, bodies, part, ()) for part in parts]
    body = _filled(where, bodies, name, ())
    if not queries:
        return body
    own = _without_comment(body)
    separator = ",\n" if own.startswith("WITH ") else "\n"
    return "WITH " + ",\n".join(map(_without_comment, queries)) + separator + own.removeprefix("WITH ")


def _collect(where: str, bodies: Mapping[str, str], name: str, parts: list[str], above: tuple[str, ...]) -> None:
    """List the parts that come before a statement, each once and behind those that it needs itself."""
    _require_no_circle(where, name, above)
    for part in _listed(WITH_LINE, bodies[name]):
        _collect(where, bodies, part, parts, (*above, name))
        if part not in parts:
            parts.append(part)


def _filled(where: str, bodies: Mapping[str, str], name: str, above: tuple[str, ...]) -> str:
    """Write the parts that are filled in into a statement or another part."""
    _require_no_circle(where, name, above)
    body = bodies[name]
    for part in _listed(FILL_LINE, body):
        body = body.replace(f"{{{part}}}", _without_comment(_filled(where, bodies, part, (*above, name))))
    return body


def _without_comment(body: str) -> str:
    """Leave out the comment on top: within another statement it would explain the wrong lines."""
    return COMMENT.sub("", body, count=1)


def _require_no_circle(where: str, name: str, above: tuple[str, ...]) -> None:
    if name in above:
        raise ValueError(f"{where}: a part is part of itself: {' > '.join((*above, name))}")


def _listed(line: re.Pattern[str], body: str) -> list[str]:
    return [name.strip() for names in line.findall(body) for name in names.split(",")]
