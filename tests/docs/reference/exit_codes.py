"""`docs/reference/exit-codes.md`: from the boundary's own table, and from what each command's help says."""

import re
from typing import Final

from events.runtime import boundary
from tests.docs.reference.commands import commands, paragraphs
from tests.docs.reference.markdown import NOTE, code, sentence, table

CODE: Final = re.compile(r"^ {4}(\d+) +(.*)$", re.MULTILINE)
SAID: Final = re.compile(r"Exit code (.*)$")
OF_COMMAND: Final = re.compile(r"(\d+): (.*?)(?=\. \d+: |\.?$)")

INTRODUCTION: Final = f"""{NOTE}

# Exit codes

"""
BETWEEN: Final = """
Only a command that has done its work ends with 0, 1 or 3. An exception, a thread that dies, a closed pipe and a library
that ends the process have codes of their own. So a `backfill drift-check` that ends with 1 has found drift, and one
that could not check ends with neither 0 nor 1.

## By command

A command that is not listed ends with 0 when it is done, and with 2 or a greater code otherwise.

"""


def page() -> str:
    """Return the page."""
    general = [(code(number), sentence(text)) for number, text in general_codes().items()]
    return INTRODUCTION + table(("code", "means"), general) + BETWEEN + table(("command", "code", "means"), _rows())


def general_codes() -> dict[str, str]:
    """Read the table in the boundary's docstring."""
    found = dict(CODE.findall(str(boundary.__doc__)))
    assert {str(boundary.EXIT_DEFECT), str(boundary.EXIT_INTERRUPTED), str(boundary.EXIT_PIPE)} < found.keys()
    return found


def _rows() -> list[tuple[str, str, str]]:
    return [
        (code(" ".join(path)), code(number), sentence(meaning))
        for path, command in commands()
        for paragraph in paragraphs(command)
        if (said := SAID.search(paragraph))
        for number, meaning in OF_COMMAND.findall(said[1])
    ]
